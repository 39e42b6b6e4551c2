//! The ledger end to end: a firm has one loan at a time, and a bank that contradicts itself is asked and believed.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use domain::ledger::{Balances, Movement, PayoutStatus};
use ports::{Clock as _, ledger::Ledger as _};
use serde_json::{Value, json};
use signing::Signer;
use tests::{TestApp, quick, sound_owners};

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
    let balances = app.ledger().balances("river-bank", "river-quick").await.unwrap();
    assert_eq!(balances, Balances { limit: -10_000_000, reserved: 0, paid: 10_000_000 });
    app.stop().await;
}

#[tokio::test]
async fn a_bank_that_says_failed_and_has_paid_after_all_is_asked_and_the_ledger_is_corrected() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    // CNY 100,085: the bank pays and never calls back, so the false word arrives first.
    let wish = local::borrower::Wish { amount_fen: 10_008_500, ..quick() };
    let id = borrower.apply(&wish, "key").await.unwrap();
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "payout_requested");
    let says = |outcome: &str| {
        let mut word = word(&app, &id, outcome);
        word["amount_fen"] = 10_008_500.into();
        word
    };
    assert_eq!(bank_says(&app, "early", &says("failed")).await, 200);
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "payout_failed");
    assert_eq!(bank_says(&app, "true", &says("paid")).await, 409);
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    let payout = app.ledger().get(id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(payout.movements(), [Movement::Reserve, Movement::Void, Movement::PostLate]);
    assert_eq!(app.paid_by_banks(), [(id, 10_008_500)]);
    app.stop().await;
}
