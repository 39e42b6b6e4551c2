//! The whole graph, labelled from an export, against what the live checks wrote into the book of rings.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use aws::DynamoRings;
use jiff::SignedDuration;
use local::{borrower::Applicant, stack::StackError};
use ports::{Clock as _, SystemClock, rings::RingBook as _};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tests::{TestApp, quick_without_acceptance, sound_owners};

/// The engine that stands in for DynamoDB says itself when an export was made, so the story is played today.
async fn app_of_today() -> TestApp {
    let app = TestApp::start().await;
    app.clock.advance(SystemClock.now().duration_since(app.clock.now()));
    app
}

/// One application after the other on one device.
async fn farm(app: &TestApp, places: std::ops::Range<usize>) {
    for place in places {
        let owner = app.firm(sound_owners().nth(place).unwrap()).await;
        let applicant = owner.applicant(place as u32, 1000);
        let shared = Applicant { device: "one-device".into(), ..applicant };
        let borrower = app.sign_in(shared).await;
        borrower.apply(&quick_without_acceptance(), "key-1").await.unwrap();
        app.settle().await;
        // The last one to come is the last one seen.
        app.clock.advance(SignedDuration::from_secs(1));
    }
}

async fn step(app: &TestApp, step: &str) -> Result<Value, StackError> {
    app.lending.stack.invoke("label-rings", json!({ "step": step })).await
}

/// A data file of the only export there is.
fn data_file(app: &TestApp) -> PathBuf {
    let exports = app.lending.files.path().join("exports/AWSDynamoDB");
    let mut found = fs::read_dir(exports).unwrap().map(|entry| entry.unwrap().path());
    found.find(|path| path.is_dir()).unwrap().join("data/000000.json.gz")
}

fn book(app: &TestApp) -> DynamoRings {
    DynamoRings::new(app.lending.aws.dynamodb.clone(), "relations")
}

#[tokio::test]
async fn the_first_run_asks_for_an_export_and_the_second_finds_what_the_checks_found() {
    let app = app_of_today().await;
    farm(&app, 10..15).await;
    let before = book(&app).list().await.unwrap();
    assert_eq!((before.len(), before[0].latest.applications), (1, 5));

    // The stand-in finishes an export at once; DynamoDB would have one for the run of the next day.
    let told = app.lending.stack.run_schedule("label-rings").await.unwrap();
    assert_eq!((&told["applications"], &told["rings"]), (&json!(5), &json!(1)), "{told}");
    assert_eq!(told["suspicious"], json!({ "device_farm": 1 }));
    assert_eq!((&told["sightings"], &told["settled"], &told["judged"]), (&json!(0), &json!(0), &json!(5)));
    assert_eq!(book(&app).list().await.unwrap(), before, "nothing that is known is written again");
    app.stop().await;
}

#[tokio::test]
async fn nothing_is_labelled_from_an_export_that_is_damaged_and_the_file_is_named() {
    let app = app_of_today().await;
    farm(&app, 10..13).await;
    let error = lambda_kit::chain(&step(&app, "label").await.unwrap_err());
    assert!(error.contains("there is no finished export"), "{error}");

    step(&app, "export").await.unwrap();
    let file = data_file(&app);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let before = book(&app).list().await.unwrap();
    let error = lambda_kit::chain(&step(&app, "label").await.unwrap_err());
    assert!(error.contains("data/000000.json.gz is damaged"), "{error}");
    assert_eq!(book(&app).list().await.unwrap(), before);

    fs::write(&file, bytes).unwrap();
    assert_eq!(step(&app, "label").await.unwrap()["applications"], 3);
    app.stop().await;
}

/// Runs on each day of the first two, and once more.
async fn three_days_without_an_export(what_dynamodb_leaves: fn(&Path)) {
    let app = app_of_today().await;
    farm(&app, 10..12).await;
    app.lending.engines.leave_exports_unfinished(true);
    let exports = app.lending.files.path().join("exports/AWSDynamoDB");
    for _ in 0..2 {
        assert_eq!(app.lending.stack.run_schedule("label-rings").await.unwrap(), Value::Null);
        for entry in fs::read_dir(&exports).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                what_dynamodb_leaves(&entry);
            }
        }
        app.clock.advance(SignedDuration::from_hours(25));
    }
    let error = lambda_kit::chain(&app.lending.stack.run_schedule("label-rings").await.unwrap_err());
    assert!(error.contains("there is no finished export"), "{error}");

    app.lending.engines.leave_exports_unfinished(false);
    assert_eq!(app.lending.stack.run_schedule("label-rings").await.unwrap()["applications"], 2);
    app.stop().await;
}

#[tokio::test]
async fn an_export_that_is_never_finished_is_waited_for_at_first_and_then_fails_the_run() {
    three_days_without_an_export(|_| ()).await;
}

#[tokio::test]
async fn an_export_of_which_nothing_is_ever_written_fails_the_run_as_well() {
    three_days_without_an_export(|export| fs::remove_dir_all(export).unwrap()).await;
}
