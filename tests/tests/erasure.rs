//! Consent withdrawn: what is erased, what is kept and why, end to end.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use domain::erasure::{FORGOTTEN_AFTER, KEPT_AFTER_SETTLEMENT, MAY_STILL_BE_PAID_FOR};
use jiff::SignedDuration;
use local::{
    borrower::{Applicant, Borrower, Wish},
    engines::Fault,
};
use ports::relation::ACTS_KEPT_FOR;
use serde_json::Value;
use sim::bank::Report;
use std::collections::{BTreeMap, BTreeSet};
use tests::{TestApp, TestOptions, first_reason, quick, quick_without_acceptance, sound_owners};

/// One application, as far as it gets by itself.
struct Applied {
    app: TestApp,
    applicant: Applicant,
    borrower: Borrower,
    id: String,
}

async fn applied(wish: Wish, phone_ending: u16) -> Applied {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let applicant = owner.applicant(1, phone_ending);
    let borrower = app.sign_in(applicant.clone()).await;
    let id = borrower.apply(&wish, "key").await.unwrap();
    app.settle().await;
    Applied { app, applicant, borrower, id }
}

impl Applied {
    async fn status(&self) -> String {
        self.borrower.read(&self.id).await.unwrap()["status"].as_str().unwrap().to_owned()
    }

    /// Status and body of the answer to a withdrawal.
    async fn withdraw(&self) -> (u16, Value) {
        withdraw(&self.app, &self.borrower, &self.id).await
    }

    /// The attributes of the one applicant.
    async fn kept(&self) -> BTreeSet<String> {
        let rows = self.app.lending.aws.dynamodb.scan().table_name("applicants").send().await.unwrap();
        let [row] = rows.items() else { panic!("one applicant") };
        row.keys().cloned().collect()
    }

    /// When the one applicant is forgotten by itself, in seconds since 1970.
    async fn forgotten_at(&self) -> Option<i64> {
        let rows = self.app.lending.aws.dynamodb.scan().table_name("applicants").send().await.unwrap();
        let [row] = rows.items() else { panic!("one applicant") };
        row.get("expires_at").map(|at| at.as_n().unwrap().parse().unwrap())
    }

    async fn is_erased(&self) -> bool {
        let kept = self.kept().await;
        let erased = !["key", "name", "resident_id", "phone", "bank_card"].iter().any(|f| kept.contains(*f));
        assert_eq!(erased, kept.contains("erased_at"));
        erased
    }

    async fn bank_reports(&self, report: Report) {
        self.app.lending.counterparties.banks["river-bank"].report(&self.id, report).unwrap();
        self.app.settle().await;
    }
}

async fn withdraw(app: &TestApp, borrower: &Borrower, id: &str) -> (u16, Value) {
    let token = format!("Bearer {}", borrower.token());
    let path = format!("/v1/applications/{id}/personal-data");
    let answer = app.lending.stack.request("DELETE", &path, &[("authorization", &token)], "").await;
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// The keys of what sign-ins left in the relation graph, with the time at which each is forgotten, in seconds since 1970.
async fn traces_of_sign_ins(app: &TestApp) -> BTreeMap<String, i64> {
    let rows = app.lending.aws.dynamodb.scan().table_name("relations").send().await.unwrap();
    let acts = rows.items().iter().filter_map(|row| {
        let [pk, sk] = ["pk", "sk"].map(|name| row[name].as_s().unwrap());
        let expires_at = || row["expires_at"].as_n().unwrap().parse().unwrap();
        (sk.starts_with("seen#") && ["#sign_in#", "#sign_up#"].iter().any(|kind| sk.contains(kind)))
            .then(|| (format!("{pk} {sk}"), expires_at()))
    });
    acts.collect()
}

fn kind((status, problem): &(u16, Value)) -> (u16, &str) {
    (*status, problem["type"].as_str().unwrap_or_default())
}

fn codes(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|data| data["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn fault_33_whoever_withdraws_while_checks_run_ends_the_application_and_is_forgotten() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let applicant = owner.applicant(1, 1000);
    let borrower = app.sign_in(applicant.clone()).await;
    let id = borrower.apply(&quick(), "key").await.unwrap();
    let applied = Applied { app, applicant, borrower, id };
    assert_eq!(applied.status().await, "checking");
    let (status, answer) = applied.withdraw().await;
    assert_eq!((status, answer["status"].as_str()), (200, Some("cancelled")));
    assert_eq!(codes(&answer["erased"]), ["PERSON", "SIGN_INS"]);
    assert_eq!(codes(&answer["kept"]), ["JOURNAL", "RELATIONS"]);
    assert!(applied.is_erased().await);
    // The commands that were on their way find nothing to do, and are no dead letters.
    applied.app.settle().await;
    for queue in ["face-checks", "phone-checks"] {
        assert!(applied.app.lending.stack.dead_letters(queue).await.unwrap().is_empty(), "{queue}");
    }
    assert_eq!(applied.status().await, "cancelled");
    assert_eq!(first_reason(&applied.borrower.read(&applied.id).await.unwrap()), "CANCELLED_BY_BORROWER");
    applied.app.stop().await;
}

#[tokio::test]
async fn an_offer_is_cancelled_and_asking_twice_says_the_same() {
    let applied = applied(quick_without_acceptance(), 1000).await;
    assert_eq!(applied.status().await, "offered");
    let (status, first) = applied.withdraw().await;
    assert_eq!((status, first["status"].as_str()), (200, Some("cancelled")));
    applied.app.clock.advance(SignedDuration::from_mins(1));
    assert_eq!(applied.withdraw().await, (200, first), "with the time of the first");
    let explained = applied.borrower.explain(&applied.id).await.unwrap();
    assert_eq!(explained["status"], "cancelled", "what was decided can still be explained");
    applied.app.stop().await;
}

#[tokio::test]
async fn the_same_request_again_does_not_bring_an_erased_person_back() {
    let applied = applied(quick(), 3).await;
    assert_eq!(applied.status().await, "declined");
    assert_eq!(applied.withdraw().await.0, 200);
    let again = applied.borrower.apply(&quick(), "key").await.unwrap();
    assert_eq!(again, applied.id);
    assert!(applied.is_erased().await);
    let other = Wish { amount_fen: 20_000_000, ..quick() };
    let refused = applied.borrower.apply(&other, "key").await.unwrap_err().to_string();
    assert!(refused.contains("422"), "the key stays used: {refused}");
    applied.app.stop().await;
}

#[tokio::test]
async fn erased_sign_ins_say_nothing_but_that_their_codes_were_used() {
    let applied = applied(quick(), 3).await;
    // As an account of today, so that both kinds of traces are there to be forgotten.
    let account_opened_at = Some(tests::beginning());
    applied.app.sign_in(Applicant { account_opened_at, ..applied.applicant.clone() }).await;
    let stranger = Applicant { subject: "somebody-else".into(), ..applied.applicant.clone() };
    applied.app.sign_in(stranger).await;
    let traces = traces_of_sign_ins(&applied.app).await;
    assert_eq!(traces.len(), 3, "each account at the device, one of them with two kinds");
    let forgotten = (tests::beginning() + ACTS_KEPT_FOR).as_second();
    assert!(traces.values().all(|at| *at == forgotten), "{traces:?}");
    assert_eq!(applied.withdraw().await.0, 200);
    let left = traces_of_sign_ins(&applied.app).await;
    assert!(
        left.len() == 1 && left.keys().all(|key| traces.contains_key(key)),
        "those of the other: {left:?}"
    );
    let rows = applied.app.lending.aws.dynamodb.scan().table_name("sign-ins").send().await.unwrap();
    let mut rows_by_size = BTreeMap::new();
    for row in rows.items() {
        let attributes: BTreeSet<&str> = row.keys().map(String::as_str).collect();
        *rows_by_size.entry(attributes).or_insert(0) += 1;
    }
    let bare = BTreeSet::from(["pk", "sk", "expires_at", "mark"]);
    let whole: BTreeSet<&str> =
        bare.iter().copied().chain(["at", "channel", "device", "network", "place"]).collect();
    assert_eq!(rows_by_size, BTreeMap::from([(bare, 2), (whole, 1)]));
    applied.app.stop().await;
}

#[tokio::test]
async fn whoever_was_never_paid_is_forgotten_after_a_month_and_whoever_may_be_paid_is_not() {
    let forgotten = Some((tests::beginning() + FORGOTTEN_AFTER).as_second());
    let declined = applied(quick(), 3).await;
    assert_eq!((declined.status().await.as_str(), declined.forgotten_at().await), ("declined", forgotten));
    // Its row is the only trace of a request that died before its journal began, and forgets itself like the others.
    let died = applied(quick_without_acceptance(), 1000).await;
    assert_eq!((died.status().await.as_str(), died.forgotten_at().await), ("offered", forgotten));
    assert_eq!(died.withdraw().await.0, 200);
    assert_eq!(died.forgotten_at().await, None, "that it was erased is not forgotten");
    let paid = applied(quick(), 1000).await;
    assert_eq!((paid.status().await.as_str(), paid.forgotten_at().await), ("paid_out", None));
    for applied in [declined, died, paid] {
        applied.app.stop().await;
    }
}

#[tokio::test]
async fn a_person_whose_application_never_began_is_forgotten_too() {
    let app = TestApp::start_with(TestOptions::default()).await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let applicant = owner.applicant(1, 1000);
    let borrower = app.sign_in(applicant.clone()).await;
    // The first put claims the application, the second begins its journal.
    app.lending.engines.faults().fail("dynamodb:PutItem", 2, Fault::Before);
    assert!(borrower.apply(&quick(), "key").await.is_err());
    let applied = Applied { app, applicant, borrower, id: String::new() };
    let journal = applied.app.lending.aws.dynamodb.scan().table_name("journeys").send().await.unwrap();
    assert_eq!(journal.count(), 0);
    let forgotten = (tests::beginning() + FORGOTTEN_AFTER).as_second();
    assert_eq!(applied.forgotten_at().await, Some(forgotten));
    applied.app.stop().await;
}

#[tokio::test]
async fn a_request_that_comes_again_after_it_was_forgotten_brings_no_person_back() {
    let declined = applied(quick(), 3).await;
    let dynamodb = &declined.app.lending.aws.dynamodb;
    let rows = dynamodb.scan().table_name("applicants").send().await.unwrap();
    let [row] = rows.items() else { panic!("one applicant") };
    // As TTL does after a month.
    let forget = dynamodb.delete_item().table_name("applicants").key("pk", row["pk"].clone());
    forget.send().await.unwrap();
    let again = declined.borrower.apply(&quick(), "key").await.unwrap();
    assert_eq!(again, declined.id);
    assert!(declined.is_erased().await);
    declined.app.stop().await;
}

#[tokio::test]
async fn nothing_is_erased_while_a_bank_may_be_paying() {
    // The bank pays and says nothing.
    let applied = applied(Wish { amount_fen: 10_008_500, ..quick() }, 1000).await;
    assert_eq!(applied.status().await, "payout_requested");
    assert_eq!(kind(&applied.withdraw().await), (409, "/problems/payout-under-way"));
    assert!(!applied.is_erased().await);
    applied.app.sweep_after(SignedDuration::from_secs(31)).await;
    assert_eq!(applied.status().await, "paid_out");
    assert_eq!(kind(&applied.withdraw().await), (409, "/problems/loan-outstanding"));
    applied.app.stop().await;
}

#[tokio::test]
async fn a_payout_that_failed_keeps_its_borrower_for_as_long_as_the_bank_may_correct_itself() {
    // The bank says that it failed to pay.
    let mut applied = applied(Wish { amount_fen: 10_008_000, ..quick() }, 1000).await;
    assert_eq!(applied.status().await, "payout_failed");
    assert_eq!(kind(&applied.withdraw().await), (409, "/problems/payout-under-way"));
    assert!(!applied.is_erased().await);
    applied.app.clock.advance(MAY_STILL_BE_PAID_FOR);
    applied.borrower = applied.app.sign_in(applied.applicant.clone()).await;
    let (status, answer) = applied.withdraw().await;
    assert_eq!((status, codes(&answer["kept"])), (200, vec!["JOURNAL", "RELATIONS", "LEDGER"]));
    assert!(applied.is_erased().await);
    applied.app.stop().await;
}

#[tokio::test]
async fn a_loan_keeps_its_borrower_until_it_is_settled_and_then_for_as_long_as_the_law_asks() {
    let mut applied = applied(quick(), 1000).await;
    assert_eq!(applied.status().await, "paid_out");
    assert_eq!(kind(&applied.withdraw().await), (409, "/problems/loan-outstanding"));
    applied.bank_reports(Report::Repaid { principal_fen: 10_000_000, interest_fen: 0 }).await;
    applied.bank_reports(Report::Settled).await;
    let kept = applied.withdraw().await;
    assert_eq!(kind(&kept), (409, "/problems/kept-by-law"));
    let until = (tests::beginning() + KEPT_AFTER_SETTLEMENT).strftime("%Y-%m-%d").to_string();
    assert!(kept.1["detail"].as_str().unwrap().contains(&until), "{}", kept.1);
    assert!(!applied.is_erased().await);
    applied.app.clock.advance(KEPT_AFTER_SETTLEMENT);
    applied.borrower = applied.app.sign_in(applied.applicant.clone()).await;
    let (status, answer) = applied.withdraw().await;
    assert_eq!((status, codes(&answer["kept"])), (200, vec!["JOURNAL", "RELATIONS", "LEDGER"]));
    assert!(applied.is_erased().await);
    assert_eq!(applied.app.paid_by_banks().len(), 1, "the money's books stay");
    let explained = applied.borrower.read(&applied.id).await.unwrap();
    assert_eq!(explained["status"], "paid_out");
    applied.app.stop().await;
}

#[tokio::test]
async fn fault_23_nobody_erases_what_is_somebody_elses() {
    let applied = applied(quick(), 3).await;
    let stranger = Applicant { subject: "somebody-else".into(), ..applied.applicant.clone() };
    let stranger = applied.app.sign_in(stranger).await;
    for id in [applied.id.as_str(), "07070707-0707-8707-8707-070707070707", "no-id"] {
        assert_eq!(kind(&withdraw(&applied.app, &stranger, id).await), (404, "/problems/not-found"));
    }
    assert!(!applied.is_erased().await);
    applied.app.stop().await;
}
