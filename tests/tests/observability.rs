//! What the product tells of itself: one line for each entry, metrics in it, one trace for each application.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use domain::ApplicationId;
use jiff::SignedDuration;
use local::{engines::Fault, trace};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use tests::{Lines, TestApp, TestOptions, quick, quick_without_acceptance, sound_owners};

async fn observed() -> (TestApp, Arc<Lines>) {
    let lines = Arc::new(Lines::default());
    let options = TestOptions { sdk_retries: true, metrics: Some(lines.clone()), ..TestOptions::default() };
    (TestApp::start_with(options).await, lines)
}

/// How often each metric was told, by its name and its dimension's value.
fn counted(lines: &[Value]) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for line in lines {
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
            assert_eq!(directive["Namespace"], "Lending/local", "{line}");
            let name = directive["Metrics"][0]["Name"].as_str().unwrap();
            assert!(line[name].is_number(), "{line}");
            let dimension = directive["Dimensions"][0][0].as_str().map(|name| line[name].as_str().unwrap());
            *counted.entry(format!("{name} {}", dimension.unwrap_or_default())).or_default() += 1;
        }
    }
    counted
}

#[tokio::test]
async fn every_stage_and_every_step_of_a_paid_out_application_is_told_once() {
    let (app, lines) = observed().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let id = borrower.apply(&quick(), "key-1").await.unwrap();
    borrower.apply(&quick(), "key-1").await.unwrap();
    app.settle().await;
    let told = lines.take();
    let once = [
        "Reached accepted",
        "Reached applied",
        "Reached approved",
        "Reached paid_out",
        "StageMs decide",
        "StageMs face",
        "StageMs graph",
        "StageMs instruct",
        "StageMs phone",
        "StageMs score",
        "StageMs settle",
    ];
    assert_eq!(counted(&told), once.map(|metric| (metric.to_owned(), 1)).into());
    let trace = id.parse::<ApplicationId>().unwrap().trace_id().to_string();
    for line in &told {
        assert_eq!((&line["application_id"], &line["trace_id"]), (&id.clone().into(), &trace.clone().into()));
    }
    app.stop().await;
}

#[tokio::test]
async fn an_instruction_that_the_bank_takes_late_counts_from_the_acceptance() {
    let lines = Arc::new(Lines::default());
    let app =
        TestApp::start_with(TestOptions { metrics: Some(lines.clone()), ..TestOptions::default() }).await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let id = borrower.apply(&quick_without_acceptance(), "key-1").await.unwrap();
    app.settle().await;
    // Every delivery of the command fails before anything is reserved.
    for _ in 0..5 {
        app.lending.engines.faults().fail("dynamodb:TransactWriteItems", 1, Fault::Before);
    }
    let seen = borrower.read(&id).await.unwrap();
    borrower.accept(&id, &seen).await.unwrap();
    app.settle().await;
    let of_instruct = |lines: Vec<Value>| -> Vec<Value> {
        let instruct = lines.into_iter().filter(|line| line["Stage"] == "instruct");
        instruct.map(|line| line["StageMs"].clone()).collect()
    };
    assert!(of_instruct(lines.take()).is_empty(), "the command lies with the dead letters");
    app.sweep_after(SignedDuration::from_mins(10)).await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    assert_eq!(of_instruct(lines.take()), [600_000.0]);
    app.stop().await;
}

#[tokio::test]
async fn a_line_holds_nothing_of_the_borrower() {
    let (app, lines) = observed().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let applicant = owner.applicant(1, 1000);
    let borrower = app.sign_in(applicant.clone()).await;
    borrower.apply(&quick(), "key-1").await.unwrap();
    app.settle().await;
    let told: String = lines.take().iter().map(Value::to_string).collect();
    assert!(told.contains("paid_out"));
    for value in [
        applicant.name,
        applicant.resident_id,
        applicant.phone,
        applicant.bank_card,
        applicant.subject,
        applicant.firm_code,
    ] {
        assert!(!told.contains(&value), "{value}");
    }
    app.stop().await;
}

#[tokio::test]
async fn the_sweeper_tells_that_no_payout_is_in_doubt_and_that_it_keeps_up() {
    let (app, lines) = observed().await;
    app.sweep_after(SignedDuration::from_secs(60)).await;
    let told = lines.take();
    let counts = ["SweeperLagSeconds ", "UnknownPayouts "].map(|name| (name.to_owned(), 1));
    assert_eq!(counted(&told), counts.into());
    assert_eq!((&told[0]["UnknownPayouts"], &told[1]["SweeperLagSeconds"]), (&0.into(), &0.into()));
    app.stop().await;
}

#[tokio::test]
async fn the_way_of_an_application_is_told_from_what_is_kept() {
    let (app, _) = observed().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 2)).await;
    let id = borrower.apply(&quick_without_acceptance(), "key-1").await.unwrap();
    app.settle().await;
    app.clock.advance(SignedDuration::from_mins(2));
    let seen = borrower.read(&id).await.unwrap();
    borrower.accept(&id, &seen).await.unwrap();
    app.settle().await;
    let timeline = trace::read(&app.lending, id.parse().unwrap()).await.unwrap().unwrap();
    let told: Vec<&str> = timeline.rows.iter().flat_map(|row| &row.what).map(String::as_str).collect();
    for wanted in [
        "phone_checked unknown (attempt 1)",
        "phone_checked match (attempt 2)",
        "decided approved",
        "reserved",
        "posted, by callback",
        "notice paid_out delivered, 1 try",
    ] {
        assert!(told.contains(&wanted), "{wanted} is not among {told:?}");
    }
    let offer = timeline.waits.iter().find(|wait| wait.what == "the offer").unwrap();
    assert_eq!((offer.waited_for.as_str(), offer.ms), ("its borrower", 120_000.0));
    let unknown = ApplicationId::from_bytes([9; 16]);
    assert_eq!(trace::read(&app.lending, unknown).await.unwrap(), None);
    app.stop().await;
}
