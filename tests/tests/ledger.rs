//! The ledger end to end: a firm has one loan at a time, and a bank that contradicts itself is asked and believed.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use domain::ledger::{Movement, PayoutStatus};
use local::{
    borrower::{Borrower, Wish},
    engines::Fault,
};
use ports::{Clock as _, ledger::Ledger as _};
use serde_json::{Value, json};
use signing::Signer;
use sim::bank::Report;
use tests::{TestApp, TestOptions, quick, sound_owners};

const RIVER: &str = "/v1/callbacks/banks/river-bank";

/// A callback of the bank, signed with its key.
async fn bank_says(app: &TestApp, message_id: &str, word: &Value) -> u16 {
    let signer = Signer::parse([app.lending.keys.banks["river-bank"].as_str()]).unwrap();
    let body = word.to_string();
    let headers = signer.sign(&message_id.parse().unwrap(), app.clock.now(), body.as_bytes());
    app.lending.stack.request("POST", RIVER, &headers.pairs(), body).await.status
}

fn word(app: &TestApp, id: &str, outcome: &str) -> Value {
    json!({
        "payout_id": id, "application_id": id, "outcome": outcome, "amount_fen": 10_000_000,
        "bank_reference": "R-LATE", "at": app.clock.now().to_string(),
    })
}

#[tokio::test]
async fn fault_15_of_two_applications_of_one_firm_one_is_paid_and_the_other_ends_with_the_reason() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let first = borrower.apply(&quick(), "first").await.unwrap();
    let second = borrower.apply(&quick(), "second").await.unwrap();
    app.settle().await;
    let answers = [borrower.read(&first).await.unwrap(), borrower.read(&second).await.unwrap()];
    let mut ends: Vec<&str> = answers.iter().map(|answer| answer["status"].as_str().unwrap()).collect();
    ends.sort_unstable();
    assert_eq!(ends, ["paid_out", "payout_failed"]);
    let refused = answers.iter().find(|answer| answer["status"] == "payout_failed").unwrap();
    assert_eq!(tests::first_reason(refused), "LOAN_OUTSTANDING");
    assert_eq!(app.paid_by_banks().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_bank_that_says_failed_after_it_has_paid_is_asked_and_the_ledger_stays_with_a_record() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let id = borrower.apply(&quick(), "key").await.unwrap();
    app.settle().await;
    assert_eq!(bank_says(&app, "late-1", &word(&app, &id, "failed")).await, 409);
    app.settle().await;
    assert_eq!(bank_says(&app, "late-2", &word(&app, &id, "paid")).await, 200);
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    let payout = app.ledger().get(id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((payout.status(), payout.resolutions.len()), (PayoutStatus::Posted, 1));
    assert_eq!(payout.disputes.len(), 1, "the contradiction is on record");
    let drawn = app.ledger().drawn("river-bank", "river-quick").await.unwrap();
    assert_eq!(drawn, 10_000_000);
    app.stop().await;
}

#[tokio::test]
async fn a_bank_that_says_failed_and_has_paid_after_all_is_asked_and_the_ledger_is_corrected() {
    let app = TestApp::start().await;
    let (borrower, id) = awaiting_its_callback(&app).await;
    assert_eq!(bank_says(&app, "early", &says(&app, &id, "failed")).await, 200);
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "payout_failed");
    assert_eq!(bank_says(&app, "true", &says(&app, &id, "paid")).await, 409);
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    let payout = app.ledger().get(id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(payout.movements(), [Movement::Reserve, Movement::Void, Movement::PostLate]);
    assert_eq!(app.paid_by_banks(), [(id, 10_008_500)]);
    app.stop().await;
}

#[tokio::test]
async fn a_firm_has_no_new_loan_while_one_that_was_paid_late_is_outstanding() {
    let app = TestApp::start().await;
    let (borrower, late) = awaiting_its_callback(&app).await;
    assert_eq!(bank_says(&app, "early", &says(&app, &late, "failed")).await, 200);
    let second = borrower.apply(&quick(), "second").await.unwrap();
    app.settle().await;
    assert_eq!(borrower.read(&second).await.unwrap()["status"], "paid_out");
    assert_eq!(bank_says(&app, "true", &says(&app, &late, "paid")).await, 409);
    app.settle().await;
    assert_eq!(
        borrower.read(&late).await.unwrap()["status"],
        "paid_out",
        "two loans: the bank has paid both"
    );
    for (settled, principal_fen) in [(&second, 10_000_000), (&late, 10_008_500)] {
        let refused = borrower.apply(&quick(), "third").await.unwrap_err().to_string();
        assert!(refused.contains("409"), "{refused}");
        let bank = &app.lending.counterparties.banks["river-bank"];
        for report in [Report::Repaid { principal_fen, interest_fen: 0 }, Report::Settled] {
            bank.report(settled, report).unwrap();
            app.settle().await;
        }
    }
    let third = borrower.apply(&quick(), "third").await.unwrap();
    app.settle().await;
    assert_eq!(borrower.read(&third).await.unwrap()["status"], "paid_out");
    app.stop().await;
}

/// An application whose bank pays and never calls back (CNY 100,085), so that a false word can arrive first.
async fn awaiting_its_callback(app: &TestApp) -> (Borrower, String) {
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let wish = Wish { amount_fen: 10_008_500, ..quick() };
    let id = borrower.apply(&wish, "key").await.unwrap();
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "payout_requested");
    (borrower, id)
}

fn says(app: &TestApp, id: &str, outcome: &str) -> Value {
    let mut word = word(app, id, outcome);
    word["amount_fen"] = 10_008_500.into();
    word
}

#[tokio::test]
async fn fault_1_a_payout_that_is_contradicted_before_its_journey_has_ended_is_asked_about() {
    let app = TestApp::start_with(TestOptions::default()).await;
    let (borrower, id) = awaiting_its_callback(&app).await;
    // The ledger takes the false word, and the journal does not hear of it.
    app.lending.engines.faults().fail("dynamodb:PutItem", 1, Fault::Before);
    assert_eq!(bank_says(&app, "early", &says(&app, &id, "failed")).await, 503);
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "payout_requested");
    assert_eq!(bank_says(&app, "true", &says(&app, &id, "paid")).await, 409);
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    assert_eq!(app.paid_by_banks(), [(id, 10_008_500)]);
    app.stop().await;
}

#[tokio::test]
async fn fault_1_a_correction_that_did_not_come_to_the_journal_is_followed_when_the_command_comes_again() {
    let app = TestApp::start_with(TestOptions::default()).await;
    let (borrower, id) = awaiting_its_callback(&app).await;
    assert_eq!(bank_says(&app, "early", &says(&app, &id, "failed")).await, 200);
    app.settle().await;
    // The first put is the record of the contradiction, the second the journal's.
    app.lending.engines.faults().fail("dynamodb:PutItem", 2, Fault::Before);
    assert_eq!(bank_says(&app, "true", &says(&app, &id, "paid")).await, 409);
    app.settle().await;
    assert_eq!(app.lending.engines.faults().waiting(), 0);
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    app.stop().await;
}

#[tokio::test]
async fn a_bank_that_asks_for_sealed_bodies_is_sent_nothing_in_clear_and_pays() {
    let app = TestApp::start_with(TestOptions { sealed: true, ..TestOptions::default() }).await;
    for (serial, wish) in [(1_u16, quick()), (2, Wish { product: "lake-steady", ..quick() })] {
        let owner = app.firm(sound_owners().nth(serial.into()).unwrap()).await;
        let borrower = app.sign_in(owner.applicant(serial.into(), 1000 + serial)).await;
        let id = borrower.apply(&wish, "key").await.unwrap();
        app.settle().await;
        assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out", "{}", wish.product);
    }
    assert_eq!(app.paid_by_banks().len(), 2);
    app.stop().await;
}
