//! The models watched, end to end: applications through the API, outcomes through the banks' signed reports, the monitor
//! called as a schedule would, and its reports read from the bucket.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use domain::{ApplicationId, FeatureRow, FirmRecord, checks::ChallengerScore, journey::Event};
use jiff::{SignedDuration, civil::Date};
use lambda_kit::Environment;
use local::people::Owner;
use model::{Extract, Manifest};
use monitor::{MetricLog, Monitor};
use ports::{
    Clock as _,
    journal::{Entry, Journal as _},
};
use serde_json::{Value, json};
use sim::bank::Report;
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tests::{TestApp, owners, quick, sound_owners};
use wiring::Outside;

/// A little more than the monitor needs to tell a shift.
const ENOUGH: usize = 106;

fn today(app: &TestApp) -> Date {
    domain::calendar::day_in_china(app.clock.now())
}

/// The manifest of the model that scores here.
fn packaged() -> Manifest {
    score::ensemble().unwrap().manifest().clone()
}

/// A file of that model.
fn file_of_model(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(registry().join(packaged().version).join(name)).unwrap()).unwrap()
}

fn registry() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/registry")
}

/// Owners of the whole city, good and bad, evenly picked.
fn every(step: usize, from: usize) -> impl Iterator<Item = &'static Owner> {
    owners().iter().skip(from).step_by(step)
}

/// Applications of these owners, in the order in which they are given, when everything has come to rest.
async fn apply(app: &TestApp, owners: impl IntoIterator<Item = Owner>, first_serial: u32) -> Vec<String> {
    let mut ids = Vec::new();
    for (serial, owner) in (first_serial..).zip(owners) {
        let owner = app.firm(&owner).await;
        let borrower = app.sign_in(owner.applicant(serial, 1000)).await;
        ids.push(borrower.apply(&quick(), "key").await.unwrap());
    }
    app.settle().await;
    ids
}

/// Calls the monitor for a day. Gives its answer.
async fn watch(app: &TestApp, day: Date) -> Value {
    app.lending.stack.invoke("monitor", json!({ "day": day.to_string() })).await.unwrap()
}

/// The files of the packaged model's report of a day: JSON and page.
fn files(app: &TestApp, day: Date) -> [String; 2] {
    let folder = app.lending.files.path().join("drift").join(packaged().version);
    ["json", "html"].map(|ending| std::fs::read_to_string(folder.join(format!("{day}.{ending}"))).unwrap())
}

fn report(app: &TestApp, day: Date) -> Value {
    serde_json::from_str(&files(app, day)[0]).unwrap()
}

fn journal(app: &TestApp) -> aws::DynamoJournal {
    aws::DynamoJournal::new(app.lending.aws.dynamodb.clone(), "journeys")
}

/// What the first score of a journal says.
async fn features(app: &TestApp, id: &str) -> FeatureRow {
    let entries = journal(app).load(id.parse().unwrap()).await.unwrap();
    let events = entries.into_iter().flat_map(|entry| entry.events);
    events
        .filter_map(|event| match event {
            Event::Scored { score } => Some(score.features),
            _ => None,
        })
        .next()
        .unwrap()
}

/// Applications of the window, scored and not.
fn scored_or_not(report: &Value) -> usize {
    [&report["scored"], &report["window"]["unscored"]].iter().map(|n| n.as_u64().unwrap() as usize).sum()
}

/// The firm as its sources would tell of it today: as old, and paying as lately, as when the city was made. An archive
/// that nobody delivers to any more is one that has moved from training, and the monitor says so.
fn delivered_on(today: Date, owner: &Owner) -> Owner {
    let as_of: Date = file_of_model("parity.json")["as_of"].as_str().unwrap().parse().unwrap();
    let since = today.since(as_of).unwrap();
    let mut firm = owner.firm.clone();
    let dates = packaged().features.into_iter().filter_map(|feature| match feature.extract {
        Extract::AgeDays { source, field } => Some((source, field)),
        _ => None,
    });
    for (source, field) in dates.collect::<BTreeSet<_>>() {
        let Some(cell) = firm.sources.get_mut(&source).and_then(|row| row.get_mut(&field)) else { continue };
        let date: Date = cell.as_str().unwrap().parse().unwrap();
        *cell = date.checked_add(since).unwrap().to_string().into();
    }
    Owner { firm, ..owner.clone() }
}

/// The firm as it would be in a city of lawsuits, arrears and losses.
fn in_trouble(owner: &Owner) -> Owner {
    let mut sources = owner.firm.sources.clone();
    let mut set = |source: &str, field: &str, value: i64| {
        if let Some(row) = sources.get_mut(source) {
            row.insert(field.to_owned(), value.into());
        }
    };
    set("development_and_reform", "judgements_as_defendant_36m", 7);
    set("development_and_reform", "enforcement_cases_36m", 4);
    set("tax_declared", "late_declarations_24m", 9);
    set("tax_paid", "late_payments_24m", 9);
    set("tax_paid", "arrears_fen", 900_000_000);
    set("social_insurance", "overdue_months_24m", 12);
    set("financial_statements", "net_profit_fen", -900_000_000);
    set("financial_statements", "operating_cash_flow_fen", -900_000_000);
    set("financial_statements", "cash_fen", 0);
    Owner { firm: FirmRecord { sources, ..owner.firm.clone() }, ..owner.clone() }
}

#[tokio::test]
async fn a_city_as_in_training_raises_no_warning_and_another_one_does() {
    let app = TestApp::start().await;
    let day = today(&app);
    apply(&app, every(18, 0).take(ENOUGH).map(|owner| delivered_on(day, owner)), 1).await;
    let answer = watch(&app, day).await;
    let told = report(&app, day);
    assert_eq!(answer["window"]["read"], ENOUGH);
    assert_eq!(scored_or_not(&told), ENOUGH, "a banned firm is not scored");
    assert_eq!(told["level"], Value::Null, "{}", told["findings"]);
    assert!(!told["notes"].to_string().contains("too few to tell a shift"), "{}", told["notes"]);
    assert_eq!(told["features"].as_array().unwrap().len(), packaged().features.len());
    assert!(told["features"].as_array().unwrap().iter().all(|f| f["shift"]["psi"].is_number()));

    let written = files(&app, day);
    watch(&app, day).await;
    assert_eq!(files(&app, day), written, "the same day twice is the same report");

    // A window later, of other firms.
    app.clock.advance(SignedDuration::from_hours(31 * 24));
    apply(&app, every(18, 9).take(ENOUGH).map(in_trouble), 500).await;
    let later = today(&app);
    watch(&app, later).await;
    let told = report(&app, later);
    assert_eq!((scored_or_not(&told), &told["level"]), (ENOUGH, &json!("warning")));
    let warned: Vec<&str> = told["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["level"] == "warning")
        .map(|finding| finding["of"].as_str().unwrap_or("points"))
        .collect();
    assert!(warned.contains(&"points"), "{warned:?}");
    assert!(warned.iter().any(|of| of.contains("judgement") || of.contains("enforcement")), "{warned:?}");
    let [_, page] = files(&app, later);
    assert!(page.contains("class=\"warning\"") && !page.contains("<script"), "{page}");
    assert_eq!(files(&app, day), written, "yesterday's report stays");
    app.stop().await;
}

#[tokio::test]
async fn the_schedule_watches_the_day_that_is_over() {
    let app = TestApp::start().await;
    apply(&app, every(18, 0).take(2).cloned(), 1).await;
    let day = today(&app);
    let before = app.lending.stack.run_schedule("monitor").await.unwrap();
    assert_eq!((&before["day"], &before["models"]), (&json!(day.yesterday().unwrap()), &json!([])));
    assert_eq!(before["window"]["outside"], 2, "received today");
    app.clock.advance(SignedDuration::from_hours(24));
    let answer = app.lending.stack.run_schedule("monitor").await.unwrap();
    assert_eq!((&answer["day"], &answer["models"][0]["scored"]), (&json!(day), &json!(2)));
    let notes = report(&app, day)["notes"].to_string();
    assert!(notes.contains("2 applications are too few to tell a shift"), "{notes}");
    for refused in
        [json!({ "day": "26.11.2026" }), json!({ "day": 5 }), json!({ "day": "9999-12-31" }), json!({})]
    {
        assert!(app.lending.stack.invoke("monitor", refused.clone()).await.is_err(), "{refused}");
    }
    app.stop().await;
}

#[tokio::test]
async fn loans_that_default_more_often_than_predicted_are_a_warning_once_their_outcome_is_due() {
    let app = TestApp::start().await;
    let ids = apply(&app, sound_owners().take(46).cloned(), 1).await;
    let lent = app.paid_by_banks().len();
    assert!(lent >= 44, "{lent} of {} loans", ids.len());
    app.clock.advance(SignedDuration::from_hours(365 * 24));
    let bank = &app.lending.counterparties.banks["river-bank"];
    for (place, id) in ids.iter().enumerate().take(45) {
        let report = match place {
            // Every other one: firms come best score first.
            _ if place % 2 == 0 => Report::Overdue { days: 120, overdue_fen: 9_000_000 },
            // Late, and not late enough.
            0..15 => Report::Overdue { days: 89, overdue_fen: 9_000_000 },
            _ => Report::Repaid { principal_fen: 10_000_000, interest_fen: 1 },
        };
        bank.report(id, report).unwrap();
    }
    app.settle().await;
    let day = today(&app);
    let answer = watch(&app, day).await;
    let told = report(&app, day);
    let outcomes = &told["outcomes"];
    assert_eq!(
        (&outcomes["calibration"]["loans"], &outcomes["calibration"]["defaulted"]),
        (&json!(45), &json!(23))
    );
    assert_eq!(outcomes["window"]["unreported"], lent - 45, "nothing was said of the last one");
    let finding = told["findings"].as_array().unwrap().iter().find(|f| f["measure"] == "calibration_chance");
    assert_eq!(finding.unwrap()["level"], "warning");
    let auc = &outcomes["discrimination"]["auc"];
    assert!(auc["low"].as_f64().unwrap() < auc["value"].as_f64().unwrap(), "{auc}");
    let of_bands: u64 =
        outcomes["bands"].as_array().unwrap().iter().map(|b| b["loans"].as_u64().unwrap()).sum();
    assert_eq!((of_bands, &answer["models"][0]["loans"]), (45, &json!(45)));
    assert_eq!(told["scored"], 0, "nobody has applied for a year");

    // The day before, the last loan's outcome was not due yet, so there was nothing to tell.
    let before = watch(&app, day.yesterday().unwrap()).await;
    assert_eq!(before["models"], json!([]));
    app.stop().await;
}

#[tokio::test]
async fn the_features_in_the_journal_are_those_that_training_worked_out_of_the_same_firm() {
    let app = TestApp::start().await;
    let parity = file_of_model("parity.json");
    let as_of: Date = parity["as_of"].as_str().unwrap().parse().unwrap();
    let known = |owner: &&Owner| parity["firms"].get(owner.firm.firm_code.as_str()).is_some();
    let picked: Vec<Owner> = owners().iter().filter(known).take(40).cloned().collect();
    assert!(picked.len() >= 20, "{} firms of the city are in parity.json", picked.len());
    let ids = apply(&app, picked.clone(), 1).await;
    let aged = (today(&app).duration_since(as_of).as_hours() / 24) as f64;
    let manifest = packaged();
    let mut missing = 0;
    for (owner, id) in picked.iter().zip(&ids) {
        let online = features(&app, id).await;
        let offline: Vec<Option<f64>> =
            serde_json::from_value(parity["firms"][owner.firm.firm_code.as_str()].clone()).unwrap();
        assert_eq!(online.as_slice().len(), offline.len());
        for ((feature, online), offline) in manifest.features.iter().zip(online.as_slice()).zip(offline) {
            // Days grow from training's day to the application's; nothing else may differ.
            let grown = if matches!(feature.extract, Extract::AgeDays { .. }) { aged } else { 0.0 };
            let expected = offline.map_or(f32::NAN, |value| (value + grown) as f32);
            let same = expected == *online || (expected.is_nan() && online.is_nan());
            assert!(same, "{}: {online} in the journal, {expected} in training", feature.name);
            missing += usize::from(online.is_nan());
        }
    }
    assert!(missing > 0, "some firms miss some sources");
    app.stop().await;
}

/// Keeps the lines.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl MetricLog for Lines {
    fn line(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

/// The monitor on the app's tables, writing into a bucket in memory, before it is changed for a test.
fn by_itself(app: &TestApp) -> (Monitor, Arc<Lines>) {
    let settings =
        [("JOURNEYS_TABLE", "journeys"), ("PAYOUTS_TABLE", "payouts"), ("STATEMENTS_URL", "memory:///")];
    let signer = app.lending.keys.model_signer().unwrap();
    let models = [("MODELS_URL", app.lending.files.models_url()), ("MODEL_SIGNERS", signer)];
    let settings = settings.map(|(name, value)| (name, value.to_owned())).into_iter().chain(models);
    let settings: HashMap<String, String> = settings.map(|(name, value)| (name.to_owned(), value)).collect();
    let outside = Outside::at(app.clock.clone());
    let monitor = monitor::wire_in(&Environment::from_map(settings), &app.lending.aws, &outside).unwrap();
    let lines = Arc::new(Lines::default());
    (Monitor { metrics: lines.clone(), ..monitor }, lines)
}

async fn written(monitor: &Monitor, key: &str) -> Value {
    use object_store::ObjectStoreExt as _;
    let path = object_store::path::Path::from(key.replace(".html", ".json"));
    serde_json::from_slice(&monitor.files.get(&path).await.unwrap().bytes().await.unwrap()).unwrap()
}

/// Another application with the same journal, changed.
async fn copy(app: &TestApp, id: &str, number: u8, change: impl Fn(&mut Event)) {
    let journal = journal(app);
    let copied = ApplicationId::from_bytes([number; 16]);
    for mut entry in journal.load(id.parse().unwrap()).await.unwrap() {
        entry.events.iter_mut().for_each(&change);
        let due = (entry.number == 1).then(|| entry.at + SignedDuration::from_secs(15));
        journal.append(copied, &entry, due).await.unwrap();
    }
}

#[tokio::test]
async fn an_application_without_its_features_and_one_that_cannot_be_read_are_counted_and_passed_over() {
    let app = TestApp::start().await;
    let ids = apply(&app, every(18, 0).take(4).cloned(), 1).await;
    copy(&app, &ids[0], 1, |event| {
        if let Event::Scored { score } = event {
            score.features = FeatureRow::default();
        }
    })
    .await;
    copy(&app, &ids[0], 2, |event| {
        if let Event::Scored { score } = event {
            score.features = FeatureRow::new(vec![1.0]);
        }
    })
    .await;
    // An end without a beginning.
    let broken = Entry {
        number: 1,
        at: app.clock.now(),
        by: "x".into(),
        events: vec![Event::Expired],
        commands: vec![],
    };
    journal(&app).append(ApplicationId::from_bytes([3; 16]), &broken, Some(app.clock.now())).await.unwrap();
    let day = today(&app);
    watch(&app, day).await;
    let told = report(&app, day);
    assert_eq!(
        (&told["scored"], &told["without_features"], &told["of_another_shape"]),
        (&json!(6), &json!(1), &json!(1))
    );
    assert_eq!((&told["window"]["read"], &told["window"]["unreadable"]), (&json!(7), &json!(1)));
    app.stop().await;
}

#[tokio::test]
async fn a_challenger_is_compared_with_the_model_that_decides() {
    let app = TestApp::start().await;
    let ids = apply(&app, every(18, 0).take(3).cloned(), 1).await;
    for (number, id) in (1..).zip(&ids) {
        copy(&app, id, number, |event| {
            if let Event::Scored { score } = event {
                let (points, default_probability) = (score.points - 20, score.default_probability * 2.0);
                score.challenger =
                    Some(ChallengerScore { model: "challenger".into(), default_probability, points });
            }
        })
        .await;
    }
    let day = today(&app);
    let answer = watch(&app, day).await;
    assert_eq!(answer["models"][0]["challengers"], json!(["challenger"]));
    let told = report(&app, day);
    let challenger = &told["challengers"][0];
    assert_eq!((&told["scored"], &challenger["applications"]), (&json!(6), &json!(3)));
    assert_eq!(
        (&challenger["mean_difference_points"], &challenger["rank_correlation"]),
        (&json!(-20.0), &json!(1.0))
    );
    let edges: Vec<i64> =
        challenger["crossings"].as_array().unwrap().iter().map(|c| c["edge"].as_i64().unwrap()).collect();
    assert!(edges.len() >= 2 && edges.is_sorted(), "the bands of the strategy: {edges:?}");
    assert!(challenger["crossings"].as_array().unwrap().iter().all(|c| c["up"] == 0.0), "{challenger}");
    app.stop().await;
}

#[tokio::test]
async fn of_more_applications_than_the_limit_the_same_sample_is_read_and_the_report_says_so() {
    let app = TestApp::start().await;
    apply(&app, every(18, 0).take(7).cloned(), 1).await;
    let (mut monitor, _) = by_itself(&app);
    monitor.settings.most_applications = 3;
    app.lending.engines.reset_calls();
    let summary = monitor.watch(today(&app)).await.unwrap();
    assert_eq!((summary.window.listed, summary.window.read, summary.models[0].scored), (7, 3, 3));
    let calls = app.lending.engines.calls();
    let is_read = |call: &str| call.contains("Query") || call.contains("GetItem");
    assert!(calls.keys().all(|call| is_read(call)), "it only reads: {calls:?}");
    let told = written(&monitor, &summary.models[0].report).await;
    assert!(told["notes"].to_string().contains("A sample: 3 of 7 applications"), "{}", told["notes"]);
    assert_eq!(monitor.watch(today(&app)).await.unwrap(), summary);
    app.stop().await;
}

#[tokio::test]
async fn the_metrics_are_lines_that_cloudwatch_understands_and_name_nobody() {
    let app = TestApp::start().await;
    let ids = apply(&app, every(18, 0).take(2).cloned(), 1).await;
    let (monitor, lines) = by_itself(&app);
    monitor.watch(today(&app)).await.unwrap();
    let lines = lines.0.lock().unwrap().clone();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(!line.contains('\n') && ids.iter().all(|id| !line.contains(id)), "{line}");
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["_aws"]["Timestamp"], app.clock.now().as_millisecond());
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Dimensions"], json!([["FunctionName"], ["FunctionName", "Model"]]));
    assert_eq!((&line["FunctionName"], &line["Model"]), (&json!("monitor"), &json!(packaged().version)));
    let named =
        directive["Metrics"].as_array().unwrap().iter().map(|metric| metric["Name"].as_str().unwrap());
    let named: Vec<&str> = named.collect();
    assert!(named.iter().all(|name| line[name].is_number()), "{line}");
    // What the alarms of the template watch is told every time.
    let template = include_str!("../../infra/template.yaml");
    assert!(template.contains(&format!("Namespace: {}\n", directive["Namespace"].as_str().unwrap())));
    for watched in ["PointsLevel", "FeaturesLevel", "CalibrationLevel", "AucLevel"] {
        assert!(
            template.contains(&format!("MetricName: {watched}\n")) && named.contains(&watched),
            "{watched}"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn a_model_whose_manifest_is_not_at_hand_has_a_report_that_says_so() {
    let app = TestApp::start().await;
    apply(&app, every(18, 0).take(2).cloned(), 1).await;
    let (mut monitor, _) = by_itself(&app);
    monitor.manifests.packaged.clear();
    let summary = monitor.watch(today(&app)).await.unwrap();
    let told = written(&monitor, &summary.models[0].report).await;
    assert!(told["notes"][0].as_str().unwrap().contains("not at hand"), "{}", told["notes"]);
    assert_eq!(
        (&told["level"], &told["points"]["shift"], &told["features"]),
        (&Value::Null, &Value::Null, &json!([]))
    );

    // In the bucket of models, and signed, it is as good as packaged. Signed by somebody else it is nothing.
    let version = packaged().version;
    let manifest = std::fs::read(registry().join(&version).join("manifest.json")).unwrap();
    let put =
        |name: &str, bytes: &[u8]| app.lending.files.put(&format!("models/registry/{version}/{name}"), bytes);
    put("manifest.json", &manifest).unwrap();
    let ours = app.lending.keys.models.clone();
    for (key, known) in [(signing::artifact::artifact_key().unwrap(), false), (ours, true)] {
        let signer = signing::ArtifactSigner::parse(&key).unwrap();
        put("manifest.sig", signer.sign(&format!("registry/{version}"), &manifest).as_bytes()).unwrap();
        let summary = monitor.watch(today(&app)).await.unwrap();
        let told = written(&monitor, &summary.models[0].report).await;
        assert_eq!(told["points"]["shift"].is_object(), known, "{}", told["notes"]);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_run_that_cannot_read_now_fails_and_writes_nothing_and_the_next_one_is_whole() {
    let app = TestApp::start_with(tests::TestOptions::default()).await;
    apply(&app, every(18, 0).take(2).cloned(), 1).await;
    let day = today(&app);
    let fault = local::engines::Fault::Before;
    for nth in 1.. {
        app.lending.engines.faults().fail_nth_call(nth, fault);
        let answer = app.lending.stack.invoke("monitor", json!({ "day": day.to_string() })).await;
        let failed = app.lending.engines.faults().waiting() == 0;
        app.lending.engines.faults().clear();
        assert_eq!(answer.is_err(), failed, "call {nth}");
        if !failed {
            assert!(nth > 6, "four shards, two journals");
            break;
        }
        assert!(!app.lending.files.path().join("drift").exists(), "call {nth}");
    }
    assert_eq!(report(&app, day)["scored"], 2);
    app.stop().await;
}
