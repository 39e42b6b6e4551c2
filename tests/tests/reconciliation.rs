//! A bank's daily file against the ledger, end to end: the file in the bucket wakes the function, the report lies beside
//! it, and what one side has paid and the other has not is asked about.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use domain::ledger::Movement;
use jiff::{SignedDuration, civil::Date};
use local::borrower::{Borrower, Wish};
use ports::{Clock as _, ledger::Ledger as _};
use serde_json::{Value, json};
use tests::{TestApp, quick, sound_owners};

const DAY: &str = "2026-11-23";
const PREFIX: &str = "statements/river-bank";

fn day() -> Date {
    DAY.parse().unwrap()
}

/// A borrower's application that has come to rest.
async fn applied(app: &TestApp, serial: u16, amount_fen: u64) -> (Borrower, String) {
    let owner = app.firm(sound_owners().nth(serial.into()).unwrap()).await;
    let borrower = app.sign_in(owner.applicant(serial.into(), 1000 + serial)).await;
    let id = borrower.apply(&Wish { amount_fen, ..quick() }, "key").await.unwrap();
    app.settle().await;
    (borrower, id)
}

/// The file that the bank itself would send.
fn file_of_the_bank(app: &TestApp) -> String {
    let statement = app.lending.counterparties.banks["river-bank"].statement(day());
    String::from_utf8(statement.to_csv().unwrap()).unwrap()
}

/// Puts a file into the bucket. Gives the function's answer and the report.
async fn reconciled(app: &TestApp, file: &str, ending: &str) -> (Value, Value) {
    let key = format!("{PREFIX}/{DAY}.{ending}");
    app.lending.files.put(&key, file.as_bytes()).unwrap();
    let answers = app.lending.stack.object_created("Statements", &key).await.unwrap();
    let [answer] = answers.as_slice() else { panic!("{answers:?}") };
    let report = |ending: &str| {
        let path = app.lending.files.path().join(format!("reports/river-bank/{DAY}.{ending}"));
        std::fs::read_to_string(path).unwrap()
    };
    assert!(report("html").starts_with("<!doctype html>"));
    (answer.clone(), serde_json::from_str(&report("json")).unwrap())
}

#[tokio::test]
async fn fault_17_a_banks_own_file_agrees_with_the_ledger_in_both_forms() {
    let app = TestApp::start().await;
    applied(&app, 1, 10_000_000).await;
    applied(&app, 2, 12_000_000).await;
    let (answer, report) = reconciled(&app, &file_of_the_bank(&app), "csv").await;
    assert_eq!(answer["differences"], json!({}), "{report}");
    assert_eq!((&answer["lines"], &answer["agreed"]), (&json!(2), &json!(2)));
    assert_eq!(report["paid_here"], json!({ "payouts": 2, "sum_fen": 22_000_000 }));
    let statement = app.lending.counterparties.banks["river-bank"].statement(day());
    let json_lines = String::from_utf8(statement.to_json_lines().unwrap()).unwrap();
    assert_eq!(reconciled(&app, &json_lines, "jsonl").await.1["differences"], json!([]));
    app.stop().await;
}

#[tokio::test]
async fn fault_17_every_difference_of_a_doctored_file_is_named_and_the_bank_is_asked_who_is_right() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for (serial, amount_fen) in [(1, 10_000_000), (2, 12_000_000), (3, 13_000_000), (4, 14_000_000)] {
        ids.push(applied(&app, serial, amount_fen).await.1);
    }
    let file = file_of_the_bank(&app);
    let mut lines: Vec<String> = file.lines().map(str::to_owned).collect();
    let at = |lines: &[String], id: &str| lines.iter().position(|line| line.starts_with(id)).unwrap();
    let (amount, state) = (at(&lines, &ids[0]), at(&lines, &ids[1]));
    lines[amount] = lines[amount].replace("10000000", "10000001");
    lines[state] = lines[state].replace(",paid,", ",failed,");
    let missing_there = at(&lines, &ids[2]);
    lines.remove(missing_there);
    lines.push(format!("{},R-1,5,paid,{}", domain::ApplicationId::from_bytes([9; 16]), app.clock.now()));
    let (answer, report) = reconciled(&app, &lines.join("\r\n"), "csv").await;
    let expected = json!({ "amount": 1, "state": 1, "missing_at_bank": 1, "missing_here": 1 });
    assert_eq!(answer["differences"], expected, "{report}");
    assert_eq!((&answer["agreed"], &answer["asked"]), (&json!(1), &json!(2)));
    // The file denies one that was paid, and lacks another.
    let contested = [&ids[1], &ids[2]].map(|id| id.parse().unwrap());
    for id in contested {
        let disputed = app.ledger().get(id).await.unwrap().unwrap();
        assert_eq!(disputed.disputes[0].message_id, format!("statement:river-bank:{DAY}"));
        assert!(!disputed.disputes[0].says_paid);
    }
    // The bank, asked, says that it has paid: the ledger was right.
    app.settle().await;
    // The same file once more is the same report and one record.
    assert_eq!(reconciled(&app, &lines.join("\r\n"), "csv").await.1, report);
    for id in contested {
        let payout = app.ledger().get(id).await.unwrap().unwrap();
        assert_eq!((payout.movements(), payout.disputes.len()), (vec![Movement::Reserve, Movement::Post], 1));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_payout_whose_word_never_came_is_found_by_the_file_and_comes_to_its_end() {
    let app = TestApp::start().await;
    // The bank pays and never calls back.
    let (borrower, id) = applied(&app, 1, 10_008_500).await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "payout_requested");
    let (answer, _) = reconciled(&app, &file_of_the_bank(&app), "csv").await;
    assert_eq!((&answer["differences"], &answer["asked"]), (&json!({ "state": 1 }), &json!(1)));
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    let (answer, _) = reconciled(&app, &file_of_the_bank(&app), "csv").await;
    assert_eq!(answer["differences"], json!({}));
    app.stop().await;
}

#[tokio::test]
async fn a_payout_that_the_two_sides_count_to_different_days_is_a_difference_in_date() {
    let app = TestApp::start().await;
    let (_, id) = applied(&app, 1, 10_008_500).await;
    let file = file_of_the_bank(&app);
    // We hear of it on the day after.
    app.sweep_after(SignedDuration::from_hours(24)).await;
    let payout = app.ledger().get(id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(payout.movements(), [Movement::Reserve, Movement::Post]);
    let (answer, _) = reconciled(&app, &file, "csv").await;
    assert_eq!((&answer["differences"], &answer["asked"]), (&json!({ "date": 1 }), &json!(0)));
    app.stop().await;
}

#[tokio::test]
async fn another_banks_payout_is_missing_here_and_stays_untouched() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().nth(1).unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let id = borrower.apply(&Wish { product: "lake-steady", ..quick() }, "key").await.unwrap();
    app.settle().await;
    let header = file_of_the_bank(&app);
    let file = format!("{header}{id},,10000000,failed,{}\r\n", app.clock.now());
    let (answer, _) = reconciled(&app, &file, "csv").await;
    assert_eq!((&answer["differences"], &answer["asked"]), (&json!({ "missing_here": 1 }), &json!(0)));
    let payout = app.ledger().get(id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((payout.disputes.len(), payout.resolutions.len()), (0, 1));
    app.stop().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_fails_with_its_reason_and_writes_nothing() {
    let app = TestApp::start().await;
    app.lending.files.put(&format!("{PREFIX}/{DAY}.csv"), b"id,amount\n1,2\n").unwrap();
    for (key, reason) in [
        (format!("{PREFIX}/{DAY}.csv"), "the first line must be payout_id"),
        (format!("{PREFIX}/2026-11-22.csv"), "cannot be read from its bucket"),
        (format!("statements/no-bank/{DAY}.csv"), "there is no bank of the name no-bank"),
        ("statements/river-bank/today.csv".to_owned(), "a statement is called statements/<bank>/"),
    ] {
        let failed = app.lending.stack.invoke("reconcile", json!({ "statement": key })).await.unwrap_err();
        let said = lambda_chain(&failed);
        assert!(said.contains(reason), "{said}");
    }
    assert!(!app.lending.files.path().join("reports").exists());
    app.stop().await;
}

fn lambda_chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
