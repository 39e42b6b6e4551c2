//! Journeys from the request to their end, through the HTTP API, on the embedded engines and simulated counterparties.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use domain::journey::Event;
use jiff::SignedDuration;
use local::{
    borrower::{Applicant, Wish},
    people::{self, Owner},
};
use ports::{
    journal::Journal as _,
    relation::{Tie, TieKind, TieLoader as _},
};
use serde_json::Value;
use tests::{TestApp, first_reason, loaded, quick, quick_without_acceptance, sound_owners, weak_owners};

/// Applies with a sound firm and lets everything happen.
async fn apply_and_settle(app: &TestApp, place: usize, change: impl Fn(Applicant) -> Applicant) -> Value {
    let owner = app.firm(sound_owners().nth(place).unwrap()).await;
    let borrower = app.sign_in(change(owner.applicant(place as u32 + 1, 1000))).await;
    let id = borrower.apply(&quick(), "key-1").await.unwrap();
    app.settle().await;
    borrower.read(&id).await.unwrap()
}

fn phone_ending(applicant: Applicant, ending: &str) -> Applicant {
    let phone = format!("{}{ending}", &applicant.phone[..7]);
    Applicant { phone, ..applicant }
}

fn end(answer: &Value) -> (&str, &str) {
    (answer["status"].as_str().unwrap(), first_reason(answer))
}

#[tokio::test]
async fn a_sound_firm_is_paid_out_once() {
    let app = TestApp::start().await;
    let answer = apply_and_settle(&app, 0, |a| a).await;
    assert_eq!(answer["status"], "paid_out", "{answer}");
    let id = answer["application_id"].as_str().unwrap().to_owned();
    assert_eq!(app.paid_by_banks(), vec![(id, 10_000_000)]);
    app.stop().await;
}

#[tokio::test]
async fn every_entry_of_a_journey_names_the_function_and_the_release_that_wrote_it() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let id = borrower.apply(&quick(), "key").await.unwrap();
    app.settle().await;
    let explanation = borrower.explain(&id).await.unwrap();
    let by: Vec<&str> =
        explanation["timeline"].as_array().unwrap().iter().map(|step| step["by"].as_str().unwrap()).collect();
    assert!(by.len() > 8, "{by:?}");
    for by in by {
        let (function, release) = by.split_once("/0.1.0+").unwrap();
        assert!(app.lending.stack.memory_mb().contains_key(function), "{by}");
        assert_eq!(release, "0000000000-000000000000");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_phone_that_is_unknown_once_is_asked_again_and_then_paid() {
    let app = TestApp::start().await;
    let answer = apply_and_settle(&app, 1, |a| phone_ending(a, "0002")).await;
    assert_eq!(answer["status"], "paid_out", "{answer}");
    app.stop().await;
}

#[tokio::test]
async fn a_phone_that_is_always_unknown_declines_with_its_own_reason() {
    let app = TestApp::start().await;
    let answer = apply_and_settle(&app, 2, |a| phone_ending(a, "0001")).await;
    assert_eq!(end(&answer), ("declined", "PHONE_UNVERIFIED"));
    assert_eq!(app.paid_by_banks(), vec![]);
    app.stop().await;
}

#[tokio::test]
async fn a_firm_whose_score_is_too_low_is_told_what_costs_it_most_in_both_languages() {
    let app = TestApp::start().await;
    let owner = app.firm(weak_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let id = borrower.apply(&quick(), "key-1").await.unwrap();
    app.settle().await;
    let answer = borrower.read(&id).await.unwrap();
    assert_eq!(end(&answer), ("declined", "SCORE_LOW"));
    let told = answer["score_reasons"].as_array().unwrap();
    assert!((1..=4).contains(&told.len()), "{answer}");
    let costs: Vec<i64> = told.iter().map(|reason| reason["points"].as_i64().unwrap()).collect();
    assert!(costs.is_sorted_by(|one, next| one >= next) && costs.iter().all(|cost| *cost > 0), "{costs:?}");
    for reason in told {
        assert!(reason["zh"].as_str().unwrap().chars().any(|c| c > '\u{4e00}'), "{reason}");
        assert!(reason["en"].as_str().unwrap().is_ascii() && reason["code"] != "", "{reason}");
    }
    app.stop().await;
}

#[tokio::test]
async fn another_person_than_the_registered_one_is_declined_at_once() {
    let app = TestApp::start().await;
    let answer = apply_and_settle(&app, 3, |a| Applicant { name: "王伟".into(), ..a }).await;
    assert_eq!(end(&answer), ("declined", "IDENTITY_MISMATCH"));
    app.stop().await;
}

#[tokio::test]
async fn an_offer_waits_for_the_borrower_and_is_paid_when_accepted() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().nth(4).unwrap()).await;
    let borrower = app.sign_in(owner.applicant(5, 1000)).await;
    let id = borrower.apply(&quick_without_acceptance(), "key-1").await.unwrap();
    app.settle().await;
    let offered = borrower.read(&id).await.unwrap();
    assert_eq!(offered["status"], "offered", "{offered}");
    assert_eq!(app.paid_by_banks(), vec![]);
    borrower.accept(&id, &offered).await.unwrap();
    borrower.accept(&id, &offered).await.unwrap();
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    assert_eq!(app.paid_by_banks().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn an_offer_that_nobody_accepts_expires() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().nth(5).unwrap()).await;
    let applicant = owner.applicant(6, 1000);
    let borrower = app.sign_in(applicant.clone()).await;
    let id = borrower.apply(&quick_without_acceptance(), "key-1").await.unwrap();
    app.settle().await;
    app.sweep_after(SignedDuration::from_hours(25)).await;
    let borrower = app.sign_in(applicant).await;
    let answer = borrower.read(&id).await.unwrap();
    assert_eq!(end(&answer), ("expired", "OFFER_EXPIRED"));
    app.stop().await;
}

#[tokio::test]
async fn cancelling_twice_is_the_same_and_nothing_is_paid() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().nth(6).unwrap()).await;
    let borrower = app.sign_in(owner.applicant(7, 1000)).await;
    let id = borrower.apply(&quick_without_acceptance(), "key-1").await.unwrap();
    app.settle().await;
    let offered = borrower.read(&id).await.unwrap();
    borrower.cancel(&id).await.unwrap();
    borrower.cancel(&id).await.unwrap();
    assert!(borrower.accept(&id, &offered).await.is_err());
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "cancelled");
    assert_eq!(app.paid_by_banks(), vec![]);
    app.stop().await;
}

#[tokio::test]
async fn fault_11_a_bank_that_times_out_after_paying_is_asked_and_paid_once() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().nth(7).unwrap()).await;
    let borrower = app.sign_in(owner.applicant(8, 1000)).await;
    let wish = Wish { amount_fen: 10_007_700, ..quick() };
    let id = borrower.apply(&wish, "key-1").await.unwrap();
    app.settle().await;
    app.sweep_after(SignedDuration::from_mins(2)).await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    assert_eq!(app.paid_by_banks(), vec![(id, 10_007_700)]);
    app.stop().await;
}

#[tokio::test]
async fn fault_29_a_ring_of_five_is_declined_even_where_the_first_members_looked_clean() {
    let app = TestApp::start().await;
    let mut members = Vec::new();
    for place in 10..15 {
        let owner = app.firm(sound_owners().nth(place).unwrap()).await;
        let applicant = owner.applicant(place as u32, 1000);
        let shared =
            Applicant { device: "one-device".into(), bank_card: local::people::card(900), ..applicant };
        let borrower = app.sign_in(shared).await;
        let id = borrower.apply(&quick_without_acceptance(), "key-1").await.unwrap();
        // Each is decided before the next applies: the first ones hold an offer when the ring shows.
        app.settle().await;
        members.push((borrower, id));
    }
    for (borrower, id) in &members {
        let answer = borrower.read(id).await.unwrap();
        assert_eq!(end(&answer), ("declined", "RING_SUSPECTED"));
        assert_eq!(answer["reasons"][1]["code"], "RING_DEVICE_FARM", "the ring's label: {answer}");
    }
    app.stop().await;
}

#[tokio::test]
async fn fault_30_a_victim_whose_card_is_claimed_by_applications_under_way_is_paid_and_a_proven_ring_is_not()
{
    let app = TestApp::start().await;
    let cards = |place: u32| if place < 24 { local::people::card(900) } else { local::people::card(901) };
    let apply = async |place: u32, ending: &str| {
        let owner = app.firm(sound_owners().nth(place as usize).unwrap()).await;
        let who = owner.applicant(place, 1000);
        let who = Applicant { phone: format!("{}{ending}", &who.phone[..7]), bank_card: cards(place), ..who };
        let borrower = app.sign_in(who).await;
        let id = borrower.apply(&quick(), "key-1").await.unwrap();
        app.settle().await;
        (borrower, id)
    };
    // Three whose phone check has no answer yet claim the card of the fourth.
    for place in 20..23 {
        let (attacker, id) = apply(place, "0006").await;
        assert_eq!(attacker.read(&id).await.unwrap()["status"], "checking");
    }
    let (victim, id) = apply(23, "1000").await;
    let answer = victim.read(&id).await.unwrap();
    assert_eq!(answer["status"], "paid_out", "{answer}");
    let explained = victim.explain(&id).await.unwrap();
    let steps = explained["timeline"].as_array().unwrap();
    let events: Vec<_> = steps.iter().map(|step| &step["event"]).collect();
    assert!(events.iter().any(|event| *event == "graph_waits"), "{events:?}");
    // Four who have proven to hold another card are a ring for the fourth.
    let mut last = None;
    for place in 24..28 {
        last = Some(apply(place, "1000").await);
    }
    let (member, id) = last.unwrap();
    assert_eq!(end(&member.read(&id).await.unwrap()), ("declined", "RING_SUSPECTED"));
    app.stop().await;
}

#[tokio::test]
async fn firms_that_guarantee_each_other_in_a_circle_are_declined_for_it_and_a_chain_is_not() {
    let app = TestApp::start().await;
    let sound: Vec<&Owner> = sound_owners().collect();
    let circles = people::circles(&sound, &loaded().ties);
    let answers: Vec<&Owner> = circles.iter().flatten().copied().collect();
    let tied = |o: &&&Owner| {
        let gives = |tie: &Tie| tie.kind == TieKind::Guarantee && tie.firm == o.firm.firm_code;
        loaded().ties.iter().any(gives) && answers.iter().all(|a| a.firm != o.firm)
    };
    let in_chain = *sound.iter().find(tied).unwrap();
    let guarantees = loaded().ties.iter().filter(|tie| tie.kind == TieKind::Guarantee).cloned();
    let guarantees: Vec<Tie> = guarantees.collect();
    let graph = aws::DynamoRelations::new(app.lending.aws.dynamodb.clone(), "relations");
    graph.tie(&guarantees).await.unwrap();
    let mut ends = Vec::new();
    for (serial, owner) in circles[0].iter().copied().chain([in_chain]).enumerate() {
        let owner = app.firm(owner).await;
        let borrower = app.sign_in(owner.applicant(serial as u32 + 1, 1000)).await;
        let id = borrower.apply(&quick_without_acceptance(), "key-1").await.unwrap();
        app.settle().await;
        ends.push((borrower, id));
    }
    let (chain, id) = ends.pop().unwrap();
    assert_eq!(chain.read(&id).await.unwrap()["status"], "offered");
    for (borrower, id) in ends {
        let answer = borrower.read(&id).await.unwrap();
        assert_eq!(end(&answer), ("declined", "RING_SUSPECTED"));
        assert_eq!(answer["reasons"][1]["code"], "RING_GUARANTEE_CIRCLE", "{answer}");
    }
    app.stop().await;
}

#[tokio::test]
async fn sign_ins_and_failed_checks_on_a_device_are_seen_by_who_applies_there_next() {
    let app = TestApp::start().await;
    let on_one_device = |who: Applicant| Applicant { device: "lent".into(), ..who };
    // Two only sign in, one of them hours after it signed up; a third one's phone is somebody else's.
    for (place, hours_old) in [(30, 23), (31, 24)] {
        let owner = sound_owners().nth(place).unwrap();
        let who = on_one_device(owner.applicant(place as u32, 1000));
        let opened = tests::beginning() - SignedDuration::from_hours(hours_old);
        app.sign_in(Applicant { account_opened_at: Some(opened), ..who }).await;
    }
    let who = |who| on_one_device(phone_ending(who, "0003"));
    assert_eq!(end(&apply_and_settle(&app, 32, who).await), ("declined", "PHONE_MISMATCH"));
    let opened = tests::beginning() - SignedDuration::from_hours(24 * 40 - 1);
    let weeks_old = |who| Applicant { account_opened_at: Some(opened), ..on_one_device(who) };
    let answer = apply_and_settle(&app, 33, weeks_old).await;
    let id = answer["application_id"].as_str().unwrap().parse().unwrap();
    let journal = aws::DynamoJournal::new(app.lending.aws.dynamodb.clone(), "journeys");
    let entries = journal.load(id).await.unwrap();
    let seen = entries.iter().flat_map(|entry| &entry.events).find_map(|event| match event {
        Event::GraphChecked { features } => {
            Some((features.device_accounts, features.device_sign_ups, features.device_mismatches))
        }
        _ => None,
    });
    assert_eq!(seen, Some((4, 1, 1)));
    let received = entries.iter().flat_map(|entry| &entry.events).find_map(|event| match event {
        Event::Received { application } => Some(application.account_days),
        _ => None,
    });
    assert_eq!(received, Some(Some(39)), "whole days");
    app.stop().await;
}

#[tokio::test]
async fn fault_28_facts_that_never_come_expire_the_application() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().nth(16).unwrap()).await;
    let applicant = owner.applicant(17, 1000);
    let borrower = app.sign_in(applicant.clone()).await;
    let id = borrower.apply(&quick(), "key-1").await.unwrap();
    app.clock.advance(SignedDuration::from_mins(16));
    app.lending.stack.run_schedule("sweeper").await.unwrap();
    let borrower = app.sign_in(applicant).await;
    assert_eq!(end(&borrower.read(&id).await.unwrap()), ("expired", "CHECKS_TIMED_OUT"));
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "expired");
    app.stop().await;
}
