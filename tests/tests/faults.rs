//! Every handler failed at every step, and every message and callback delivered twice: in the end the loan is paid out
//! once, and the bank's book says so too.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use jiff::SignedDuration;
use local::{
    borrower::{Applicant, Borrower},
    engines::Fault,
};
use serde_json::Value;
use tests::{TestApp, TestOptions, quick, sound_owners};

/// More calls than one application makes in all.
const MOST_CALLS: u32 = 120;

/// Signs in, as an app does that tries again with a new code when a request fails.
async fn sign_in(app: &TestApp, applicant: &Applicant) -> Borrower {
    for _ in 0..3 {
        if let Ok(borrower) = app.try_sign_in(applicant.clone()).await {
            return borrower;
        }
    }
    panic!("the borrower cannot sign in");
}

/// Applies under one key until it is taken, as an app does.
async fn apply(app: &TestApp, borrower: &Borrower) -> String {
    for _ in 0..3 {
        if let Ok(id) = borrower.apply(&quick(), "key").await {
            return id;
        }
        app.clock.advance(SignedDuration::from_secs(11));
    }
    panic!("the application is never taken");
}

async fn read(borrower: &Borrower, id: &str) -> Value {
    match borrower.read(id).await {
        Ok(answer) => answer,
        // The one fault of this run hit the read itself.
        Err(_) => borrower.read(id).await.unwrap(),
    }
}

/// One application with the nth call failed. `false` when fewer calls were made.
async fn run_with_fault(nth: u32, fault: Fault) -> bool {
    let app = TestApp::start_with(TestOptions::default()).await;
    let owner = app.firm(sound_owners().nth(nth as usize % 40).unwrap()).await;
    let applicant = owner.applicant(1, 1000);
    app.lending.engines.faults().fail_nth_call(nth, fault);
    let borrower = sign_in(&app, &applicant).await;
    let id = apply(&app, &borrower).await;
    app.settle().await;
    // What only the sweeper can mend, for example an application whose first commands were lost.
    for _ in 0..4 {
        if read(&borrower, &id).await["status"] == "paid_out" {
            break;
        }
        app.clock.advance(SignedDuration::from_secs(60));
        // A sweeper that dies runs again a minute later.
        let _ = app.lending.stack.run_schedule("sweeper").await;
        app.settle().await;
    }
    let fired = app.lending.engines.faults().waiting() == 0;
    let answer = read(&borrower, &id).await;
    assert_eq!(answer["status"], "paid_out", "call {nth} failed {fault:?}: {answer}");
    assert_eq!(app.paid_by_banks(), vec![(id, 10_000_000)], "call {nth} failed {fault:?}");
    app.stop().await;
    fired
}

async fn fail_every_step(fault: Fault) {
    for nth in 1..=MOST_CALLS {
        if !run_with_fault(nth, fault).await {
            assert!(nth > 20, "an application makes more than 20 calls, so faults did not reach them");
            return;
        }
    }
    panic!("an application makes more than {MOST_CALLS} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_without_effect_delays_the_payout_and_nothing_else() {
    fail_every_step(Fault::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_answer_is_lost_pays_once_all_the_same() {
    fail_every_step(Fault::After).await;
}

#[tokio::test]
async fn every_command_delivered_again_after_the_payout_changes_nothing() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let id = borrower.apply(&quick(), "key").await.unwrap();
    app.settle().await;
    let before = borrower.explain(&id).await.unwrap();
    assert_eq!(before["status"], "paid_out");
    for (queue, command) in [
        ("face-checks", r#""start_face_check","attempt":1"#),
        ("phone-checks", r#""start_phone_check","attempt":1"#),
        ("score-requests", r#""score""#),
        ("graph-checks", r#""check_graph""#),
        ("decisions", r#""decide""#),
        ("payout-requests", r#""pay_out""#),
    ] {
        let body = format!(r#"{{"application_id":"{id}","command":{command}}}"#);
        app.lending.stack.send(queue, &body).await.unwrap();
        app.lending.stack.send(queue, &body).await.unwrap();
    }
    app.settle().await;
    assert_eq!(borrower.explain(&id).await.unwrap(), before);
    assert_eq!(app.paid_by_banks().len(), 1);
    app.stop().await;
}
