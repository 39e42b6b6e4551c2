//! Every handler failed at every step, and every message and callback delivered twice: in the end the loan is paid out
//! once, and the bank's book says so too.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use jiff::SignedDuration;
use local::{
    borrower::{Applicant, Borrower},
    engines::Fault,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
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
async fn fault_1_a_call_that_fails_without_effect_delays_the_payout_and_nothing_else() {
    fail_every_step(Fault::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_7_a_call_whose_answer_is_lost_pays_once_all_the_same() {
    fail_every_step(Fault::After).await;
}

#[tokio::test]
async fn fault_2_every_command_delivered_again_after_the_payout_changes_nothing() {
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
        ("river-bank-payouts", r#""pay_out""#),
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

#[tokio::test]
async fn fault_4_a_dead_letter_that_is_sent_again_after_the_payout_pays_nothing_more() {
    let app = TestApp::start_with(TestOptions::default()).await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let id = borrower.apply(&quick(), "key").await.unwrap();
    // The reservation fails at each of the five deliveries.
    for nth in 1..=5 {
        app.lending.engines.faults().fail("dynamodb:TransactWriteItems", nth, Fault::Before);
    }
    app.settle().await;
    assert_eq!(app.lending.stack.dead_letters("river-bank-payouts").await.unwrap().len(), 1);
    assert_eq!(app.paid_by_banks(), []);
    app.sweep_after(SignedDuration::from_mins(2)).await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    assert_eq!(app.lending.stack.redrive("river-bank-payouts").await.unwrap(), 1);
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    assert_eq!(app.paid_by_banks(), [(id, 10_000_000)]);
    app.stop().await;
}

#[tokio::test]
async fn fault_16_a_cancellation_wins_before_the_payout_is_requested_and_never_after() {
    for cancelled_after in 0..12 {
        let app = TestApp::start().await;
        let owner = app.firm(sound_owners().next().unwrap()).await;
        let borrower = app.sign_in(owner.applicant(1, 1000)).await;
        let id = borrower.apply(&quick(), "key").await.unwrap();
        for _ in 0..cancelled_after {
            for queue in [
                "face-checks",
                "phone-checks",
                "score-requests",
                "graph-checks",
                "decisions",
                "river-bank-payouts",
            ] {
                if app.lending.stack.deliver(queue).await.unwrap().is_some() {
                    break;
                }
            }
            app.lending.counterparties.idle().await;
        }
        let cancelled = borrower.cancel(&id).await.is_ok();
        app.settle().await;
        let status = borrower.read(&id).await.unwrap()["status"].clone();
        let (expected, paid) =
            if cancelled { ("cancelled", vec![]) } else { ("paid_out", vec![(id, 10_000_000)]) };
        assert_eq!(
            (status, app.paid_by_banks()),
            (expected.into(), paid),
            "after {cancelled_after} deliveries"
        );
        assert_eq!(cancelled, cancelled_after < 6, "after {cancelled_after} deliveries");
        app.stop().await;
    }
}

/// What this system has no test for, and why.
const WITHOUT_A_TEST: [(u32, &str); 1] = [(8, "nothing reads a stream")];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_fault_has_a_test_that_carries_its_number() {
    let mut files = Vec::new();
    for folder in ["functions", "infra", "shared", "tests"] {
        rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), &mut files);
    }
    let mut tests: BTreeMap<u32, usize> = BTreeMap::new();
    for file in files {
        for rest in fs::read_to_string(file).unwrap().split("fn fault_").skip(1) {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            if let Ok(number) = digits.parse() {
                *tests.entry(number).or_default() += 1;
            }
        }
    }
    for number in 1..=34 {
        let open = WITHOUT_A_TEST.iter().any(|(fault, _)| *fault == number);
        assert_ne!(open, tests.contains_key(&number), "fault {number}");
    }
}
