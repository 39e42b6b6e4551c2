//! Fault 34: each function is denied every call that it does not need. The local stack holds every call of a function
//! against its role, so a call that a role forgot fails whichever test makes it. Here the other half: what the product
//! does, taken together, uses every permission of every role.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use aws_sdk_dynamodb::types::AttributeValue;
use domain::ledger::{Evidence, Movement, Outcome, Resolution};
use jiff::SignedDuration;
use local::borrower::{Applicant, Borrower, Wish};
use ports::{Clock as _, ledger::Ledger as _};
use serde_json::{Value, json};
use signing::Signer;
use sim::{bank::Report, channels::Listening};
use std::collections::HashMap;
use tests::{
    TestApp,
    analyst::signed,
    models::{another_model, command},
    quick, quick_without_acceptance, sound_owners,
};

/// What Lambda or its agents do in a function's name, outside of the code and of the local stack.
const MADE_BY_LAMBDA: [(&str, &str); 5] = [
    ("logs:CreateLogStream", "Lambda writes the function's output to its log group"),
    ("logs:PutLogEvents", "Lambda writes the function's output to its log group"),
    ("xray:PutTraceSegments", "Lambda's X-Ray daemon sends the traces"),
    ("xray:PutTelemetryRecords", "Lambda's X-Ray daemon tells of itself"),
    ("sqs:GetQueueAttributes", "Lambda's poller looks at the queue that it reads"),
];

const LAKE: Wish = Wish {
    product: "lake-steady",
    amount_fen: 10_000_000,
    term_months: 12,
    face_recognition: true,
    accept_up_to_bp: Some(1_500),
};

#[tokio::test]
async fn fault_34_every_permission_of_every_role_is_used() {
    let app = TestApp::start().await;
    checks_that_are_asked_again(&app).await;
    commands_that_nobody_took(&app).await;
    both_banks(&app).await;
    a_loan_to_its_end(&app).await;
    a_payout_that_is_reversed(&app).await;
    a_loan_that_was_paid_late(&app).await;
    rings(&app).await;
    rings_are_looked_at(&app).await;
    the_whole_graph(&app).await;
    a_channel_that_does_not_listen(&app).await;
    statements_of_both_banks(&app).await;
    a_model_from_the_bucket(&app).await;
    let unused = app.lending.roles.unused().into_iter();
    let unused = unused.filter(|p| !MADE_BY_LAMBDA.iter().any(|(action, _)| *action == p.action));
    let unused: Vec<String> = unused.map(|permission| permission.to_string()).collect();
    assert!(unused.is_empty(), "nothing uses\n{}", unused.join("\n"));
    app.stop().await;
}

/// The nth sound owner applies; nothing has been delivered yet.
async fn apply(app: &TestApp, place: usize, ending: u16, wish: &Wish) -> (Borrower, String) {
    let owner = app.firm(sound_owners().nth(place).unwrap()).await;
    let borrower = app.sign_in(owner.applicant(place as u32 + 1, ending)).await;
    let id = borrower.apply(wish, "key").await.unwrap();
    (borrower, id)
}

async fn status(app: &TestApp, borrower: &Borrower, id: &str) -> Value {
    app.settle().await;
    borrower.read(id).await.unwrap()["status"].clone()
}

/// A face and a phone of which the provider knows nothing at first.
async fn checks_that_are_asked_again(app: &TestApp) {
    let (borrower, id) = apply(app, 0, 2, &quick()).await;
    let owner = sound_owners().next().unwrap().applicant(1, 2);
    let hash_key = signing::keys::decode_base64(&app.lending.keys.hash_key).unwrap();
    let hasher = signing::KeyedHasher::new(&hash_key).unwrap();
    let callback = json!({
        "check_id": format!("{id}.face.1"), "application_id": id, "attempt": 1, "answer": "unknown",
        "person_ref": hasher.person(&owner.resident_id.try_into().unwrap()).to_string(),
        "checked_at": app.clock.now().to_string(),
    });
    let secret = app.lending.keys.face_provider.clone();
    assert_eq!(says(app, "/v1/callbacks/face", &secret, &callback).await, 200);
    assert_eq!(status(app, &borrower, &id).await, "paid_out");
}

/// Posts a signed callback; the answer's status.
async fn says(app: &TestApp, path: &str, secret: &str, body: &Value) -> u16 {
    let signer = Signer::parse(secret.split_whitespace()).unwrap();
    let body = body.to_string();
    let headers = signer.sign(&"message-1".parse().unwrap(), app.clock.now(), body.as_bytes());
    app.lending.stack.request("POST", path, &headers.pairs(), body).await.status
}

/// The sweeper sends every command again, and a notice that was never recorded. Each check once comes last, and then
/// completes the join.
async fn commands_that_nobody_took(app: &TestApp) {
    let mut checks = ["face-checks", "phone-checks", "score-requests", "graph-checks"];
    for (place, bank) in (1..).zip(["river-bank", "lake-bank", "river-bank", "river-bank"]) {
        let wish = if bank == "lake-bank" { &LAKE } else { &quick() };
        let (borrower, id) = apply(app, place, 1000, wish).await;
        sweep(app).await;
        for queue in checks {
            deliver(app, queue).await;
        }
        checks.rotate_left(1);
        sweep(app).await;
        deliver(app, "decisions").await;
        sweep(app).await;
        deliver(app, &format!("{bank}-payouts")).await;
        sweep(app).await;
        assert_eq!(status(app, &borrower, &id).await, "paid_out");
    }
    for (place, ending) in [(21, 3), (22, 4)] {
        let (borrower, id) = apply(app, place, ending, &quick()).await;
        assert_eq!(status(app, &borrower, &id).await, "declined", "of somebody else");
    }
    let refuses = Wish { face_recognition: false, ..quick() };
    let (borrower, id) = apply(app, 23, 1000, &refuses).await;
    assert_eq!(status(app, &borrower, &id).await, "declined", "at once");
    borrower.erase(&id).await.unwrap();
}

/// A minute passes, and the sweeper looks; nothing else happens.
async fn sweep(app: &TestApp) {
    app.clock.advance(SignedDuration::from_secs(61));
    app.lending.stack.run_schedule("sweeper").await.unwrap();
}

/// Delivers what is in one queue, and the callbacks that follow.
async fn deliver(app: &TestApp, queue: &str) {
    while app.lending.stack.deliver(queue).await.unwrap().is_some() {}
    app.lending.counterparties.idle().await;
}

/// Offers that are accepted later, banks that refuse, ask for time, change their mind or are not there.
async fn both_banks(app: &TestApp) {
    let later = [quick_without_acceptance(), Wish { accept_up_to_bp: None, ..LAKE }];
    for (place, wish) in (5..).zip(later) {
        let (borrower, id) = apply(app, place, 1000, &wish).await;
        app.settle().await;
        let offered = borrower.read(&id).await.unwrap();
        borrower.accept(&id, &offered).await.unwrap();
        assert_eq!(status(app, &borrower, &id).await, "paid_out");
    }
    for (place, yuan) in (7..).zip([100_077, 100_079, 100_081, 100_088, 100_089]) {
        apply(app, place, 1000, &Wish { amount_fen: yuan * 100, ..quick() }).await;
        app.settle().await;
        app.sweep_after(SignedDuration::from_mins(2)).await;
    }
    let (borrower, id) = apply(app, 12, 1000, &Wish { amount_fen: 10_008_800, ..LAKE }).await;
    assert_eq!(status(app, &borrower, &id).await, "paid_out");
    let (borrower, id) = apply(app, 13, 1000, &Wish { amount_fen: 10_008_400, ..quick() }).await;
    assert_eq!(status(app, &borrower, &id).await, "payout_failed", "the bank has closed its endpoint");
    app.lending.stack.invoke("notify", json!({ "enable": "bank#river-bank" })).await.unwrap();
    app.clock.advance(SignedDuration::from_secs(6));
}

async fn a_loan_to_its_end(app: &TestApp) {
    let (borrower, id) = apply(app, 14, 1000, &quick()).await;
    assert_eq!(status(app, &borrower, &id).await, "paid_out");
    let bank = &app.lending.counterparties.banks["river-bank"];
    for report in [
        Report::Overdue { days: 3, overdue_fen: 1_000_000 },
        Report::Repaid { principal_fen: 10_000_000, interest_fen: 1 },
        Report::Settled,
    ] {
        bank.report(&id, report).unwrap();
        app.settle().await;
    }
    assert_eq!(borrower.read(&id).await.unwrap()["loan"]["settled"], true);
}

/// A payout that the ledger has as paid, and of which its bank says that it failed, also when it is asked.
async fn a_payout_that_is_reversed(app: &TestApp) {
    let (borrower, id) = apply(app, 25, 1000, &Wish { amount_fen: 10_008_000, ..quick() }).await;
    assert_eq!(status(app, &borrower, &id).await, "payout_failed");
    let payout = app.ledger().get(id.parse().unwrap()).await.unwrap().unwrap();
    let paid = Resolution {
        outcome: Outcome::Posted { bank_reference: "R-1".to_owned() },
        evidence: Evidence::Answer,
        at: app.clock.now(),
    };
    app.ledger().resolve(&payout, &paid, Movement::PostLate).await.unwrap();
    let word = json!({
        "payout_id": id, "application_id": id, "outcome": "failed", "amount_fen": 10_008_000,
        "bank_reference": "R-1", "at": app.clock.now().to_string(),
    });
    let secret = app.lending.keys.banks["river-bank"].clone();
    assert_eq!(says(app, "/v1/callbacks/banks/river-bank", &secret, &word).await, 409, "contradicts");
    app.settle().await;
    let payout = app.ledger().get(id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(payout.movements().last(), Some(&Movement::Reverse));
}

/// A loan whose bank says that it failed and has paid after all, when the firm has got another one. That one is settled.
async fn a_loan_that_was_paid_late(app: &TestApp) {
    let secret = app.lending.keys.banks["river-bank"].clone();
    let (borrower, id) = apply(app, 15, 1000, &Wish { amount_fen: 10_008_500, ..quick() }).await;
    assert_eq!(status(app, &borrower, &id).await, "payout_requested");
    let word = |outcome: &str| {
        json!({
            "payout_id": id, "application_id": id, "outcome": outcome, "amount_fen": 10_008_500,
            "bank_reference": "R-2", "at": app.clock.now().to_string(),
        })
    };
    assert_eq!(says(app, "/v1/callbacks/banks/river-bank", &secret, &word("failed")).await, 200);
    let second = borrower.apply(&quick(), "second").await.unwrap();
    assert_eq!(status(app, &borrower, &second).await, "paid_out");
    assert_eq!(says(app, "/v1/callbacks/banks/river-bank", &secret, &word("paid")).await, 409, "contradicts");
    assert_eq!(status(app, &borrower, &id).await, "paid_out", "the bank was asked");
    let bank = &app.lending.counterparties.banks["river-bank"];
    for report in [Report::Repaid { principal_fen: 10_000_000, interest_fen: 0 }, Report::Settled] {
        bank.report(&second, report).unwrap();
        app.settle().await;
    }
}

/// The book of rings is lost, and written again from the whole graph.
async fn the_whole_graph(app: &TestApp) {
    let dynamodb = &app.lending.aws.dynamodb;
    let rows = dynamodb.scan().table_name("relations").send().await.unwrap();
    let of_the_book = |row: &&HashMap<String, AttributeValue>| row["pk"].as_s().unwrap().starts_with("ring");
    for row in rows.items().iter().filter(of_the_book) {
        let key = ["pk", "sk"].map(|name| (name.to_owned(), row[name].clone()));
        let deleted = dynamodb.delete_item().table_name("relations").set_key(Some(key.into()));
        deleted.send().await.unwrap();
    }
    for step in ["export", "label"] {
        app.lending.stack.invoke("label-rings", json!({ "step": step })).await.unwrap();
    }
}

/// Three who share a device and a card, twice. Nobody's claims are proven when the graph is looked at, so that waits for
/// whichever check comes last.
async fn rings(app: &TestApp) {
    let checks = [["face-checks", "phone-checks"], ["phone-checks", "face-checks"]];
    for (first, checks) in [26, 29].into_iter().zip(checks) {
        for place in first..first + 3 {
            let owner = app.firm(sound_owners().nth(place).unwrap()).await;
            let applicant = owner.applicant(place as u32 + 1, 1000);
            let (device, bank_card) = (format!("device-{first}"), local::people::card(first as u32));
            let shared = Applicant { device, bank_card, ..applicant };
            app.sign_in(shared).await.apply(&quick_without_acceptance(), "key").await.unwrap();
        }
        deliver(app, "graph-checks").await;
        for queue in checks {
            deliver(app, queue).await;
        }
        app.settle().await;
    }
}

async fn rings_are_looked_at(app: &TestApp) {
    let page = signed(app, "/v1/rings").await.json();
    let ring = page["rings"][0]["ring"].as_str().unwrap();
    assert_eq!(signed(app, &format!("/v1/rings/{ring}")).await.status, 200);
}

async fn a_channel_that_does_not_listen(app: &TestApp) {
    app.lending.counterparties.channels.listen(Listening::Busy { retry_after_s: 300 });
    let (borrower, id) = apply(app, 20, 1000, &quick()).await;
    assert_eq!(status(app, &borrower, &id).await, "paid_out");
    app.lending.counterparties.channels.listen(Listening::BySubject);
    app.clock.advance(SignedDuration::from_mins(10));
    app.lending.stack.run_schedule("notify").await.unwrap();
}

/// A model that is not packaged scores, is watched, and is watched when it has been taken out of the bucket and the
/// outcome of its loan is due.
async fn a_model_from_the_bucket(app: &TestApp) {
    let model = another_model("2099.1.1");
    command(app, &["put", model.path().to_str().unwrap()]).await.unwrap();
    command(app, &["assign", "river-quick", "2099.1.1"]).await.unwrap();
    app.clock.advance(SignedDuration::from_secs(61));
    let (borrower, id) = apply(app, 24, 1000, &quick()).await;
    assert_eq!(status(app, &borrower, &id).await, "paid_out");
    let overdue = Report::Overdue { days: 3, overdue_fen: 1 };
    app.lending.counterparties.banks["river-bank"].report(&id, overdue).unwrap();
    app.settle().await;
    watch(app).await;
    std::fs::remove_dir_all(app.lending.files.path().join("models/registry/2099.1.1")).unwrap();
    app.clock.advance(SignedDuration::from_hours(24 * 366));
    watch(app).await;
}

async fn watch(app: &TestApp) {
    let today = domain::calendar::day_in_china(app.clock.now());
    let answer = app.lending.stack.invoke("monitor", json!({ "day": today.to_string() })).await.unwrap();
    assert!(answer["models"].to_string().contains("2099.1.1"), "{answer}");
}

/// Files that deny what was paid: the reports say so, and the banks are asked.
async fn statements_of_both_banks(app: &TestApp) {
    let day = domain::calendar::day_in_china(app.clock.now());
    for bank in ["river-bank", "lake-bank"] {
        let statement = app.lending.counterparties.banks[bank].statement(day);
        let file = String::from_utf8(statement.to_csv().unwrap()).unwrap().replace(",paid,", ",failed,");
        let key = format!("statements/{bank}/{day}.csv");
        app.lending.files.put(&key, file.as_bytes()).unwrap();
        let answers = app.lending.stack.object_created("Statements", &key).await.unwrap();
        assert!(answers[0]["asked"].as_u64().unwrap() > 0, "{answers:?}");
    }
    let missing = json!({ "statement": "statements/river-bank/2020-01-01.csv" });
    assert!(app.lending.stack.invoke("reconcile", missing).await.is_err());
    app.settle().await;
}
