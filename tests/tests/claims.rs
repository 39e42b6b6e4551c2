//! Claims about others: what somebody names and never proves harms nobody, hides nobody, and is told nothing.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use domain::{
    checks::GraphFeatures,
    journey::{Command, Event},
};
use jiff::SignedDuration;
use local::{
    borrower::{Applicant, Borrower, Wish},
    engines::Fault,
};
use ports::{
    journal::{Entry, Journal as _},
    relation::RelationGraph as _,
};
use serde_json::Value;
use tests::{TestApp, TestOptions, first_reason, quick, quick_without_acceptance, sound_owners};

const A_DAY: SignedDuration = SignedDuration::from_hours(24);
/// The simulated provider says that a phone with this end is somebody else's.
const MISMATCH: &str = "0003";
/// And of this one it says nothing at all.
const SILENCE: &str = "0006";

/// The nth application that names a card: another account, device and phone, the firm and representative of a sound owner,
/// and a phone that ends as the provider is to answer.
async fn claim(app: &TestApp, n: usize, card: &str, phone_end: &str) -> String {
    let owner = app.firm(sound_owners().nth(n % 5).unwrap()).await;
    let claimant = Applicant {
        subject: format!("claimant-{n}"),
        device: format!("claimant-device-{n}"),
        network: format!("claimant-network-{n}"),
        phone: format!("13{n:05}{phone_end}"),
        bank_card: card.to_owned(),
        ..owner.applicant(5_000 + n as u32, 1000)
    };
    let borrower = app.sign_in(claimant).await;
    borrower.apply(&quick(), "claim").await.unwrap()
}

/// An application of which nothing has been delivered yet.
async fn begun(app: &TestApp) -> (Borrower, String) {
    let owner = app.firm(sound_owners().nth(3).unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let id = borrower.apply(&quick(), "key").await.unwrap();
    (borrower, id)
}

/// So many claims on a card that come to nothing, twelve on each day.
async fn void_claims(app: &TestApp, count: usize, card: &str) {
    for n in 0..count {
        claim(app, n, card, MISMATCH).await;
        if n % 12 == 11 {
            app.settle().await;
            app.clock.advance(A_DAY);
        }
    }
    app.settle().await;
}

async fn rows_of_cards(app: &TestApp) -> usize {
    let rows = app.lending.aws.dynamodb.scan().table_name("relations").send().await.unwrap();
    let is_link = |row: &&std::collections::HashMap<String, _>| row.contains_key("link");
    let cards =
        rows.items().iter().filter(is_link).filter(|row| row["pk"].as_s().unwrap().starts_with("card#"));
    cards.count()
}

async fn features(app: &TestApp, answer: &Value) -> GraphFeatures {
    let id = answer["application_id"].as_str().unwrap().parse().unwrap();
    let journal = aws::DynamoJournal::new(app.lending.aws.dynamodb.clone(), "journeys");
    let entries = journal.load(id).await.unwrap();
    let found = entries.into_iter().flat_map(|entry| entry.events).find_map(|event| match event {
        Event::GraphChecked { features } => Some(features),
        _ => None,
    });
    found.unwrap()
}

/// Applies as a sound owner who gives this card and proves everything.
async fn honest(app: &TestApp, place: usize, card: &str, wish: Wish) -> Value {
    let owner = app.firm(sound_owners().nth(place).unwrap()).await;
    let applicant = Applicant { bank_card: card.to_owned(), ..owner.applicant(place as u32 + 1, 1000) };
    let borrower = app.sign_in(applicant).await;
    let id = borrower.apply(&wish, "key").await.unwrap();
    app.settle().await;
    borrower.read(&id).await.unwrap()
}

fn card_of(place: usize) -> String {
    sound_owners().nth(place).unwrap().applicant(place as u32 + 1, 1000).bank_card
}

#[tokio::test]
async fn fault_30_a_ring_does_not_hide_behind_a_crowd_of_claims_that_came_to_nothing() {
    let app = TestApp::start().await;
    let card = card_of(20);
    void_claims(&app, 60, &card).await;
    assert_eq!(rows_of_cards(&app).await, 0, "a claim that came to nothing is taken back");
    let mut ends = Vec::new();
    for place in 20..25 {
        ends.push(honest(&app, place, &card, quick()).await);
    }
    let last = features(&app, ends.last().unwrap()).await;
    assert_eq!((last.ring_firms, last.card_applications, last.unproven_claims), (5, 5, 0));
    assert_eq!(first_reason(ends.last().unwrap()), "RING_SUSPECTED");
    app.stop().await;
}

#[tokio::test]
async fn fault_30_nobody_is_declined_for_what_strangers_claimed_of_the_card() {
    for claims in [3, 28, 45] {
        let app = TestApp::start().await;
        let card = card_of(20);
        void_claims(&app, claims, &card).await;
        let answer = honest(&app, 20, &card, quick()).await;
        assert_eq!(answer["status"], "paid_out", "{claims} claims: {answer}");
        assert_eq!(features(&app, &answer).await.ring_size, 1);
        app.stop().await;
    }
}

#[tokio::test]
async fn fault_30_claims_that_are_still_being_checked_are_held_against_nobody() {
    let app = TestApp::start().await;
    let card = card_of(20);
    for n in 0..14 {
        claim(&app, n, &card, SILENCE).await;
    }
    app.settle().await;
    let answer = honest(&app, 20, &card, quick()).await;
    assert_eq!(answer["status"], "paid_out", "{answer}");
    // They expire, and nothing is left of them but what the channels saw.
    app.sweep_after(SignedDuration::from_mins(16)).await;
    assert_eq!(rows_of_cards(&app).await, 1, "the honest one's own");
    app.stop().await;
}

#[tokio::test]
async fn fault_30_an_application_that_is_cancelled_at_once_leaves_no_claim() {
    let app = TestApp::start().await;
    let (borrower, id) = begun(&app).await;
    borrower.cancel(&id).await.unwrap();
    app.settle().await;
    assert_eq!(rows_of_cards(&app).await, 0);
    app.stop().await;
}

#[tokio::test]
async fn several_persons_of_one_account_are_a_ring_whatever_devices_they_name() {
    let app = TestApp::start().await;
    let mut last = Value::Null;
    for place in 30..35 {
        let owner = app.firm(sound_owners().nth(place).unwrap()).await;
        let applicant = Applicant { subject: "one-account".into(), ..owner.applicant(place as u32, 1000) };
        let borrower = app.sign_in(applicant).await;
        let id = borrower.apply(&quick(), &format!("key-{place}")).await.unwrap();
        app.settle().await;
        last = borrower.read(&id).await.unwrap();
    }
    assert_eq!(first_reason(&last), "RING_SUSPECTED", "{last}");
    let profile = features(&app, &last).await.verdict.unwrap().profile;
    assert_eq!((profile.persons_on_device, profile.devices), (5, 5));
    app.stop().await;
}

#[tokio::test]
async fn fault_23_whoever_does_not_prove_to_represent_the_firm_learns_nothing_from_its_record() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().nth(3).unwrap()).await;
    let ends = [("0003", "declined"), ("0004", "declined"), ("0006", "checking"), ("1000", "offered")];
    for (n, (phone_end, status)) in ends.into_iter().enumerate() {
        let applicant = owner.applicant(n as u32, 1000);
        let phone = format!("{}{phone_end}", &applicant.phone[..7]);
        let borrower = app.sign_in(Applicant { phone, ..applicant }).await;
        let id = borrower.apply(&quick_without_acceptance(), &format!("key-{n}")).await.unwrap();
        app.settle().await;
        let told = borrower.explain(&id).await.unwrap();
        assert_eq!(told["status"], status);
        let has_proven = status == "offered";
        assert_eq!(told["score_points"].is_i64(), has_proven, "{told}");
        let tells = |name: &str| told[name].as_array().is_some_and(|list| !list.is_empty());
        assert_eq!(tells("dimensions"), has_proven, "{told}");
        assert!(has_proven || !tells("score_reasons"), "{told}");
    }
    app.stop().await;
}

#[tokio::test]
async fn fault_23_whether_a_firm_has_a_loan_is_told_to_its_representative_alone_and_within_the_quotas() {
    let app = TestApp::start().await;
    let answer = honest(&app, 4, &card_of(4), quick()).await;
    assert_eq!(answer["status"], "paid_out");
    let owner = app.firm(sound_owners().nth(4).unwrap()).await;
    let stranger = sound_owners().nth(5).unwrap().applicant(6, 1000);
    let asking = Applicant { firm_code: owner.applicant(5, 1000).firm_code, ..stranger };
    let borrower = app.sign_in(asking).await;
    let id = borrower.apply(&quick(), "key").await.unwrap();
    let told = borrower.read(&id).await.unwrap();
    assert_eq!((told["status"].as_str().unwrap(), first_reason(&told)), ("declined", "IDENTITY_MISMATCH"));
    let representative = app.sign_in(owner.applicant(5, 1000)).await;
    for n in 0..9 {
        let refused = representative.apply(&quick(), &format!("again-{n}")).await.unwrap_err().to_string();
        assert!(refused.contains("409"), "{refused}");
    }
    let refused = representative.apply(&quick(), "once-too-often").await.unwrap_err().to_string();
    assert!(refused.contains("429"), "asking is counted too: {refused}");
    app.stop().await;
}

#[tokio::test]
async fn fault_5_claims_are_taken_back_although_the_command_was_lost() {
    let app = TestApp::start_with(TestOptions::default()).await;
    let (borrower, id) = begun(&app).await;
    while app.lending.stack.deliver("graph-checks").await.unwrap().is_some() {}
    assert_eq!(rows_of_cards(&app).await, 1);
    // The first that the cancelling sends.
    app.lending.engines.faults().fail("sqs:SendMessage", 1, Fault::Before);
    assert!(borrower.cancel(&id).await.is_err());
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "cancelled");
    assert_eq!(rows_of_cards(&app).await, 1);
    app.sweep_after(SignedDuration::from_secs(61)).await;
    assert_eq!(rows_of_cards(&app).await, 0, "the sweeper's last look sends it again");
    app.stop().await;
}

#[tokio::test]
async fn fault_2_a_check_that_comes_again_after_the_end_takes_back_what_an_earlier_run_has_linked() {
    let app = TestApp::start().await;
    let (borrower, id) = begun(&app).await;
    borrower.cancel(&id).await.unwrap();
    app.settle().await;
    let journal = aws::DynamoJournal::new(app.lending.aws.dynamodb.clone(), "journeys");
    let first = journal.load(id.parse().unwrap()).await.unwrap().swap_remove(0);
    let Some(Event::Received { application }) = first.events.first() else { panic!("{first:?}") };
    let graph = aws::DynamoRelations::new(app.lending.aws.dynamodb.clone(), "relations");
    graph.link(&relations::link_of(application, first.at)).await.unwrap();
    assert_eq!(rows_of_cards(&app).await, 1, "by a run that was held up");
    let again = serde_json::json!({ "application_id": id, "command": "check_graph" });
    app.lending.stack.send("graph-checks", &again.to_string()).await.unwrap();
    app.settle().await;
    assert_eq!(rows_of_cards(&app).await, 0);
    app.stop().await;
}

#[test]
fn fault_10_an_entry_with_a_command_that_only_a_newer_version_knows_is_read_without_it() {
    let commands = r#"[{"command":"score"},{"command":"fly","to":"the moon"},{"command":"unlink_claims"}]"#;
    let entry =
        r#""number":2,"at":"2026-11-02T08:00:00Z","by":"score/9.0.0","events":[{"event":"cancelled"}]"#;
    let entry: Entry = serde_json::from_str(&format!("{{{entry},\"commands\":{commands}}}")).unwrap();
    assert_eq!(entry.commands, [Command::Score, Command::UnlinkClaims]);
}
