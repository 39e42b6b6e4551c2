//! No personal value reaches a log line, a metric, an error, a dead letter or the disk: the demo's own applications, faults
//! and hostile requests, and every value that went in looked for in all that came out.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

#[path = "privacy/spellings.rs"]
mod spellings;

use aws_sdk_dynamodb::types::AttributeValue;
use contract::names::{BANK_CALLBACK_PATH, FACE_CALLBACK_PATH, PHONE_CALLBACK_PATH};
use jiff::SignedDuration;
use local::{
    borrower::{Applicant, Borrower, PLACE},
    demo::{Case, Then, cases},
    engines::Fault,
};
use ports::Clock as _;
use serde_json::{Value, json};
use signing::Signer;
use sim::bank::Report;
use spellings::Wanted;
use std::{
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
};
use tests::{Lines, TestApp, TestOptions, analyst, loaded, owners, quick, sound_owners};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// What the functions log, at a level that production does not even turn on. The SDK's own traces show whole requests, and
/// nothing turns them on but whoever sets `RUST_LOG` so.
const LOGGED: &str = "info,analyst=trace,bank_callback=trace,checks=trace,counterparties=trace,decide=trace,\
    delivery=trace,graph_check=trace,intake=trace,lambda_kit=trace,local=trace,monitor=trace,notify=trace,payout=trace,\
    personal_data=trace,reconcile=trace,score=trace,steps=trace,sweeper=trace,wiring=trace";

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn start() -> Self {
        let captured = Self::default();
        let writer = captured.clone();
        // In the form that functions log in.
        let lines = lambda_kit::json_lines(move || writer.clone());
        tracing_subscriber::registry().with(lines.with_filter(EnvFilter::new(LOGGED))).init();
        captured
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// What must not show of an applicant. The network is shared by neighbours, the subject is the channel's own opaque name
/// for its user, and both are no secret to the channel; but neither belongs into a log.
fn values(who: &Applicant) -> [String; 4] {
    [&who.name, &who.resident_id, &who.phone, &who.bank_card].map(Clone::clone)
}

fn traces(who: &Applicant) -> [String; 3] {
    [&who.subject, &who.device, &who.network].map(Clone::clone)
}

/// Plays one application of the demo to where it rests. Gives the borrower and the application's id.
async fn play(app: &TestApp, case: &Case, key: &str) -> (Borrower, String) {
    let borrower = app.sign_in(case.applicant.clone()).await;
    let id = borrower.apply(&case.wish, key).await.unwrap();
    app.settle().await;
    let answer = borrower.read(&id).await.unwrap();
    if answer["status"] == "offered" {
        match case.then {
            Then::Accept => drop(borrower.accept(&id, &answer).await.unwrap()),
            Then::Cancel => drop(borrower.cancel(&id).await.unwrap()),
            Then::Wait | Then::LetLie => {}
        }
        app.settle().await;
    }
    (borrower, id)
}

/// What comes after the payout, and what nobody wants: reports on a loan, statements, the daily look at the models, a
/// poison message, and keys that cannot be had, so that commands end as dead letters.
async fn trouble(app: &TestApp, paid_out: &str) -> Applicant {
    let bank = &app.lending.counterparties.banks["river-bank"];
    bank.report(paid_out, Report::Overdue { days: 3, overdue_fen: 1_000 }).unwrap();
    app.settle().await;
    let key = "statements/river-bank/2026-11-23.csv";
    let day = "2026-11-23".parse().unwrap();
    app.lending.files.put(key, &bank.statement(day).to_csv().unwrap()).unwrap();
    app.lending.stack.object_created("Statements", key).await.unwrap();
    // The models are watched a day later.
    app.clock.advance(SignedDuration::from_hours(24));
    app.lending.stack.run_schedule("monitor").await.unwrap();
    app.lending.stack.send("score-requests", "{\"application_id\": \"nobody\"}").await.unwrap();
    app.settle().await;

    app.clock.advance(personal_data::LONGEST_USE);
    let owner = app.firm(sound_owners().last().unwrap()).await;
    let applicant = owner.applicant(77_777, 1000);
    let borrower = app.sign_in(applicant.clone()).await;
    // Two functions, five deliveries, three attempts of the SDK each.
    (0..30).for_each(|_| app.lending.engines.faults().fail("kms:Decrypt", 1, Fault::Before));
    borrower.apply(&quick(), "without-keys").await.unwrap();
    app.settle().await;
    assert_eq!(app.lending.engines.faults().waiting(), 0);
    applicant
}

/// Requests with personal values wherever they do not belong. Gives all that was answered.
async fn hostile(app: &TestApp, victim: &Applicant) -> Vec<String> {
    let borrower = app.sign_in(victim.clone()).await;
    let token = format!("Bearer {}", borrower.token());
    let mut answers = Vec::new();
    for value in values(victim) {
        for body in misplaced(&borrower.body(&quick()), &value) {
            for path in ["/v1/applications", "/v1/sessions", FACE_CALLBACK_PATH, PHONE_CALLBACK_PATH] {
                let headers = [("authorization", token.as_str()), ("idempotency-key", "hostile")];
                answers.push(app.lending.stack.request("POST", path, &headers, body.clone()).await);
            }
            answers.push(signed(app, FACE_CALLBACK_PATH, &app.lending.keys.face_provider, &body).await);
            let path = format!("{BANK_CALLBACK_PATH}/river-bank");
            answers.push(signed(app, &path, &app.lending.keys.banks["river-bank"], &body).await);
        }
        for path in [
            format!("/v1/firms/{value}"),
            format!("/v1/applications/{value}"),
            format!("/v1/applications/{value}/explanation?{value}={value}"),
            format!("/v1/{value}"),
        ] {
            answers.push(app.lending.stack.request("GET", &path, &[("authorization", &token)], "").await);
        }
        let bearer = format!("Bearer {value}");
        answers
            .push(app.lending.stack.request("GET", "/v1/products", &[("authorization", &bearer)], "").await);
        let headers = [("authorization", token.as_str()), ("idempotency-key", value.as_str())];
        answers.push(app.lending.stack.request("POST", "/v1/applications", &headers, "{}").await);
    }
    assert!(answers.iter().all(|answer| answer.status >= 400));
    answers.iter().map(|answer| String::from_utf8_lossy(&answer.body).into_owned()).collect()
}

/// An application with a value in each place in turn, under each name, and in what is no JSON at all.
fn misplaced(application: &Value, value: &str) -> Vec<String> {
    let mut bodies = vec![value.to_owned(), format!("{{\"{value}"), json!(value).to_string()];
    let mut misplace = |change: &dyn Fn(&mut Value)| {
        let mut body = application.clone();
        change(&mut body);
        bodies.push(body.to_string());
    };
    for place in ["firm_code", "product", "amount_fen", "term_months", "accept_up_to_bp", "consents"] {
        misplace(&|body| body[place] = json!(value));
    }
    for place in ["name", "resident_id", "phone", "bank_card"] {
        // Never right: the value with something before it.
        misplace(&|body| body["legal_representative"][place] = json!(format!("1{value}")));
        misplace(&|body| body["legal_representative"][place] = json!({ value: value }));
    }
    misplace(&|body| body[value] = json!(value));
    misplace(&|body| body["legal_representative"][value] = json!(1));
    misplace(&|body| body["legal_representative"] = json!([value, value]));
    let twice = format!(r#"{{"{value}":1,"{value}":2}}"#);
    bodies.extend([twice, json!({ "channel": value, "code": value }).to_string()]);
    bodies
}

/// A callback with a right signature.
async fn signed(app: &TestApp, path: &str, secret: &str, body: &str) -> local::gateway::HttpAnswer {
    let signer = Signer::parse([secret]).unwrap();
    let headers = signer.sign(&"hostile".parse().unwrap(), app.clock.now(), body.as_bytes());
    app.lending.stack.request("POST", path, &headers.pairs(), body).await
}

async fn dead_letters(app: &TestApp) -> Vec<String> {
    let template = include_str!("../../infra/template.yaml");
    let template = local::template::Template::parse(template).unwrap();
    let mut letters = Vec::new();
    for queue in template.queues.iter().filter(|queue| queue.spec.dlq.is_some()) {
        letters.extend(app.lending.stack.dead_letters(&queue.spec.name).await.unwrap());
    }
    letters
}

/// All that an analyst is told.
async fn rings(app: &TestApp) -> Vec<String> {
    let list = analyst::signed(app, "/v1/rings").await;
    let mut answers = vec![list.json().to_string()];
    for ring in list.json()["rings"].as_array().unwrap() {
        for what in ["", "/picture"] {
            let path = format!("/v1/rings/{}{what}", ring["ring"].as_str().unwrap());
            answers.push(String::from_utf8(analyst::signed(app, &path).await.body).unwrap());
        }
    }
    assert!(answers.len() > 1, "the demo has a ring");
    answers
}

/// Every attribute of every row of every table, but of those left out.
async fn rows(app: &TestApp, without: &[&str]) -> Vec<String> {
    let dynamodb = &app.lending.aws.dynamodb;
    let mut rows = Vec::new();
    let tables = dynamodb.list_tables().send().await.unwrap();
    for table in tables.table_names().iter().filter(|table| !without.contains(&table.as_str())) {
        let mut after = None;
        loop {
            let page = dynamodb.scan().table_name(table).set_exclusive_start_key(after).send().await.unwrap();
            rows.extend(page.items().iter().flatten().flat_map(|(name, value)| [name.clone(), shown(value)]));
            after = page.last_evaluated_key;
            if after.is_none() {
                break;
            }
        }
    }
    rows
}

fn shown(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
        AttributeValue::B(bytes) => {
            // A long entry of the journal is packed.
            let packed = aws::unpack(bytes.as_ref()).ok();
            packed.unwrap_or_else(|| String::from_utf8_lossy(bytes.as_ref()).into_owned())
        }
        AttributeValue::L(values) => values.iter().map(shown).collect::<Vec<_>>().join("\n"),
        AttributeValue::M(values) => {
            values.iter().map(|(name, value)| format!("{name}\n{}\n", shown(value))).collect()
        }
        other => format!("{other:?}"),
    }
}

/// The files that the tables lie in.
fn files(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("tables.sqlite"));
    files.map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()).collect()
}

#[tokio::test]
async fn fault_31_no_personal_value_of_the_whole_demo_comes_out_anywhere() {
    let captured = Captured::start();
    let state = tempfile::tempdir().unwrap();
    let folder = Some(state.path().to_owned());
    let lines = Arc::new(Lines::default());
    let metrics = Some(lines.clone());
    let options = TestOptions { sdk_retries: true, state: folder, metrics, ..TestOptions::default() };
    let app = TestApp::start_with(options).await;
    app.load_city().await;
    let mut applicants = Vec::new();
    let mut played = Vec::new();
    for (place, case) in cases(owners(), &loaded().ties, 3).unwrap().into_iter().enumerate() {
        applicants.push(case.applicant.clone());
        let (borrower, id) = play(&app, &case, &format!("demo-{place}")).await;
        played.push((case, borrower, id));
    }
    app.sweep_after(SignedDuration::from_secs(31)).await;
    let mut answers = Vec::new();
    for (case, borrower, id) in &played {
        let answer = borrower.read(id).await.unwrap();
        assert_eq!(answer["status"], case.expected, "{}: {answer}", case.name);
        answers.extend([answer.to_string(), borrower.explain(id).await.unwrap().to_string()]);
    }
    answers.extend(rings(&app).await);
    applicants.push(trouble(&app, &played[0].2).await);
    let (case, _, id) = played.iter().find(|(case, ..)| case.expected == "declined").unwrap();
    let declined = app.sign_in(case.applicant.clone()).await;
    answers.push(declined.erase(id).await.unwrap().to_string());
    answers.extend(hostile(&app, &applicants[1]).await);
    let letters = dead_letters(&app).await;
    let but_sign_ins = rows(&app, &["sign-ins"]).await;
    let rows = rows(&app, &[]).await;
    app.stop().await;
    let (mut logs, files) = (captured.text(), files(state.path()));
    logs.extend(lines.take().iter().map(|line| line.to_string()));

    // What was looked through is what it should be.
    assert!(logs.contains("scored"), "log lines");
    assert!(logs.contains("CloudWatchMetrics"), "metrics");
    assert!(logs.contains("unwrapping a data key"), "errors");
    assert_eq!(letters.len(), 3, "a poison message, and a command of each check");
    assert!(rows.iter().any(|row| row.contains(&applicants[0].firm_code)));
    assert!(files.iter().any(|file| file.contains(&applicants[0].firm_code)));

    let hidden = Wanted::of(applicants.iter().flat_map(values));
    for (what, texts) in
        [("an answer", &answers), ("a dead letter", &letters), ("a row", &rows), ("a file", &files)]
    {
        assert_eq!(hidden.found_in(texts), None, "in {what}");
    }
    let unlogged = Wanted::of(applicants.iter().flat_map(|who| values(who).into_iter().chain(traces(who))));
    assert_eq!(unlogged.found_in(std::slice::from_ref(&logs)), None, "in the logs");
    assert_eq!(unlogged.found_in(&letters), None, "in a dead letter");
    let untold = Wanted::of(applicants.iter().flat_map(|who| [who.device.clone(), who.network.clone()]));
    assert_eq!(untold.found_in(&rows), None, "devices and networks are hashes in a row");
    let place = Wanted::of([PLACE.to_owned()]);
    assert!(place.found_in(&rows).is_some(), "a sign-in tells its place");
    assert_eq!(place.found_in(&but_sign_ins), None, "the place is a hash in every other row");
    assert_eq!(place.found_in(&[answers, letters].concat()), None, "nobody is told of the place");
    assert_eq!(place.found_in(&[logs]), None, "nor the logs");
}
