//! The life of a loan after its payout, end to end: the bank reports, the ledger, the borrower and the graph follow.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use domain::{Fen, PayoutId};
use jiff::SignedDuration;
use local::{borrower::Borrower, engines::Fault, people::Owner};
use ports::{Clock as _, ledger::Ledger as _, loans::Loans as _};
use serde_json::{Value, json};
use signing::Signer;
use sim::bank::Report;
use tests::{TestApp, TestOptions, first_reason, quick, quick_without_acceptance, sound_owners};

const RIVER: &str = "river-bank";
const LOAN: u64 = 10_000_000;

/// Posts a callback of a bank, signed with its key; the answer's status and body.
async fn says(app: &TestApp, bank: &str, message_id: &str, body: &Value) -> (u16, Value) {
    let signer = Signer::parse([app.lending.keys.banks[bank].as_str()]).unwrap();
    let body = body.to_string();
    let headers = signer.sign(&message_id.parse().unwrap(), app.clock.now(), body.as_bytes());
    let path = format!("/v1/callbacks/banks/{bank}");
    let answer = app.lending.stack.request("POST", &path, &headers.pairs(), body).await;
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// Which problem an answer is.
fn kind(problem: &Value) -> &str {
    problem["type"].as_str().and_then(|kind| kind.strip_prefix("/problems/")).unwrap_or_default()
}

async fn river_says(app: &TestApp, message_id: &str, body: &Value) -> u16 {
    says(app, RIVER, message_id, body).await.0
}

fn repaid(app: &TestApp, id: &str, reference: &str, principal: u64, interest: u64) -> Value {
    json!({
        "payout_id": id, "application_id": id, "report": "repaid", "bank_reference": reference,
        "principal_fen": principal, "interest_fen": interest, "at": app.clock.now().to_string(),
    })
}

fn overdue(app: &TestApp, id: &str, days: u32, fen: u64) -> Value {
    json!({
        "payout_id": id, "application_id": id, "report": "overdue", "days": days, "overdue_fen": fen,
        "at": app.clock.now().to_string(),
    })
}

fn settled(app: &TestApp, id: &str, reference: &str) -> Value {
    json!({
        "payout_id": id, "application_id": id, "report": "settled", "bank_reference": reference,
        "at": app.clock.now().to_string(),
    })
}

/// The nth sound owner with a loan that is paid out.
async fn with_loan(app: &TestApp, place: usize) -> (Owner, Borrower, String) {
    let owner = app.firm(sound_owners().nth(place).unwrap()).await;
    let borrower = app.sign_in(owner.applicant(place as u32 + 1, 1000)).await;
    let id = borrower.apply(&quick(), "first").await.unwrap();
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    (owner, borrower, id)
}

async fn loan(borrower: &Borrower, id: &str) -> (u64, u64, bool) {
    let answer = borrower.read(id).await.unwrap();
    let loan = &answer["loan"];
    let number = |name: &str| loan[name].as_u64().unwrap();
    (number("outstanding_principal_fen"), number("overdue_days"), loan["settled"].as_bool().unwrap())
}

async fn drawn(app: &TestApp) -> i128 {
    app.ledger().drawn(RIVER, "river-quick").await.unwrap()
}

#[tokio::test]
async fn a_loan_is_repaid_in_parts_and_settled_and_then_the_firm_may_have_another() {
    let app = TestApp::start().await;
    let (_, borrower, id) = with_loan(&app, 0).await;
    assert_eq!(loan(&borrower, &id).await, (LOAN, 0, false));
    let bank = &app.lending.counterparties.banks[RIVER];
    let report = |report| {
        bank.report(&id, report).unwrap();
        app.settle()
    };
    report(Report::Repaid { principal_fen: 4_000_000, interest_fen: 50_000 }).await;
    assert_eq!(loan(&borrower, &id).await, (6_000_000, 0, false));
    assert_eq!(drawn(&app).await, 6_000_000);
    app.clock.advance(SignedDuration::from_hours(24));
    report(Report::Overdue { days: 3, overdue_fen: 1_000_000 }).await;
    let borrower = app.sign_in(app_applicant(0)).await;
    assert_eq!(loan(&borrower, &id).await, (6_000_000, 3, false));
    report(Report::Settled).await;
    assert_eq!(loan(&borrower, &id).await, (6_000_000, 3, false), "principal is outstanding");
    report(Report::Repaid { principal_fen: 6_000_000, interest_fen: 0 }).await;
    assert_eq!(loan(&borrower, &id).await, (0, 0, false));
    assert_eq!(drawn(&app).await, 0);

    let refused = apply(&borrower, &app, "second").await;
    assert_eq!((refused.0, kind(&refused.1)), (409, "loan-outstanding"), "{}", refused.1);
    report(Report::Settled).await;
    assert_eq!(loan(&borrower, &id).await, (0, 0, true));
    let (status, taken) = apply(&borrower, &app, "second").await;
    assert_eq!(status, 202);
    app.settle().await;
    let second = borrower.read(taken["application_id"].as_str().unwrap()).await.unwrap();
    assert_eq!(second["status"], "paid_out", "{second}");
    assert_eq!(app.paid_by_banks().len(), 2);
    app.stop().await;
}

fn app_applicant(place: usize) -> local::borrower::Applicant {
    sound_owners().nth(place).unwrap().applicant(place as u32 + 1, 1000)
}

/// Applies and gives status and body.
async fn apply(borrower: &Borrower, app: &TestApp, key: &str) -> (u16, Value) {
    let request = app
        .client
        .post(format!("{}/v1/applications", app.lending.url()))
        .bearer_auth(borrower.token())
        .header("idempotency-key", key)
        .json(&borrower.body(&quick()));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_firm_with_a_loan_is_turned_away_in_words_and_its_own_application_is_not() {
    let app = TestApp::start().await;
    let (_, borrower, id) = with_loan(&app, 0).await;
    app.lending.engines.reset_calls();
    let (status, problem) = apply(&borrower, &app, "second").await;
    assert_eq!((status, kind(&problem)), (409, "loan-outstanding"));
    assert!(problem["title"].as_str().unwrap().contains("not yet settled"));
    assert!(problem["detail"].as_str().unwrap().contains("尚未结清"));
    let calls = app.lending.engines.calls();
    assert!(!calls.keys().any(|call| call.contains("Put") || call.contains("Send")), "{calls:?}");
    let (status, again) = apply(&borrower, &app, "first").await;
    assert_eq!((status, again["application_id"].as_str().unwrap()), (202, id.as_str()));
    // The same request counts as new once it may be made.
    assert_eq!(river_says(&app, "m1", &repaid(&app, &id, "P1", LOAN, 0)).await, 200);
    assert_eq!(river_says(&app, "m2", &settled(&app, &id, "S1")).await, 200);
    assert_eq!(apply(&borrower, &app, "second").await.0, 202);
    app.stop().await;
}

#[tokio::test]
async fn a_repetition_of_an_application_that_got_no_loan_is_answered_while_another_has_one() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let cancelled = borrower.apply(&quick_without_acceptance(), "cancelled").await.unwrap();
    borrower.cancel(&cancelled).await.unwrap();
    borrower.apply(&quick(), "paid").await.unwrap();
    app.settle().await;
    assert_eq!(borrower.apply(&quick_without_acceptance(), "cancelled").await.unwrap(), cancelled);
    app.stop().await;
}

#[tokio::test]
async fn each_report_counts_once_and_under_its_reference_for_ever() {
    let app = TestApp::start().await;
    let (_, borrower, id) = with_loan(&app, 0).await;
    let reports = [
        ("m1", repaid(&app, &id, "P1", 4_000_000, 7), (6_000_000, 0, false)),
        ("m2", overdue(&app, &id, 5, 100), (6_000_000, 5, false)),
        ("m3", repaid(&app, &id, "P2", 6_000_000, 0), (0, 0, false)),
        ("m4", settled(&app, &id, "S1"), (0, 0, true)),
    ];
    for (message, report, after) in &reports {
        for _ in 0..2 {
            assert_eq!(river_says(&app, message, report).await, 200, "{report}");
            assert_eq!(loan(&borrower, &id).await, *after);
        }
    }
    for (message, report, _) in &reports {
        assert_eq!(river_says(&app, message, report).await, 200, "{report}");
    }
    assert_eq!(loan(&borrower, &id).await, (0, 0, true));
    assert_eq!(river_says(&app, "m9", &reports[0].1).await, 200, "the reference names it, not the message");
    let others = [
        ("m1", repaid(&app, &id, "P1", 3_000_000, 7)),
        ("m1", repaid(&app, &id, "P1", 4_000_000, 8)),
        ("m2", overdue(&app, &id, 6, 100)),
        ("m5", overdue(&app, &id, 6, 100)),
        ("m6", repaid(&app, &id, "P3", 0, 1)),
        ("m7", settled(&app, &id, "S2")),
    ];
    for (message, report) in others {
        let (status, problem) = says(&app, RIVER, message, &report).await;
        assert_eq!((status, kind(&problem)), (409, "contradiction"), "{report}");
    }
    assert_eq!(loan(&borrower, &id).await, (0, 0, true));
    assert_eq!(drawn(&app).await, 0);
    app.stop().await;
}

#[tokio::test]
async fn a_bank_reports_on_its_own_payouts_once_they_are_paid_and_not_more_than_was_lent() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let id = borrower.apply(&quick_without_acceptance(), "key").await.unwrap();
    app.settle().await;
    let report = repaid(&app, &id, "P1", 1, 0);
    assert_eq!(river_says(&app, "m1", &report).await, 404, "nothing was reserved");
    let payout = domain::ledger::Payout {
        id: id.parse::<PayoutId>().unwrap(),
        bank: RIVER.to_owned(),
        product: "river-quick".to_owned(),
        firm_code: owner.firm.firm_code.clone(),
        amount_fen: Fen(LOAN),
        annual_rate_bp: domain::BasisPoints(600),
        term_months: 12,
        reserved_at: app.clock.now(),
        closed: None,
        resolutions: Vec::new(),
        disputes: Vec::new(),
    };
    app.ledger().reserve(&payout, Fen(u64::MAX)).await.unwrap();
    let (status, problem) = says(&app, RIVER, "m1", &report).await;
    assert_eq!((status, kind(&problem)), (409, "not-paid"));
    let outcome = json!({
        "payout_id": id, "application_id": id, "outcome": "paid", "bank_reference": "R1", "amount_fen": LOAN,
        "at": app.clock.now().to_string(),
    });
    river_says(&app, "m2", &outcome).await;
    assert_eq!(says(&app, "lake-bank", "m1", &report).await.0, 403);
    assert_eq!(river_says(&app, "m3", &repaid(&app, &id, "P2", LOAN + 1, 0)).await, 409);
    assert_eq!(river_says(&app, "m4", &settled(&app, &id, "S1")).await, 409);
    let mut both = outcome;
    both["report"] = "settled".into();
    let (status, problem) = says(&app, RIVER, "m5", &both).await;
    assert_eq!((status, problem["errors"][0]["pointer"].as_str().unwrap()), (422, "/report"));
    assert_eq!(river_says(&app, "m1", &report).await, 200);
    app.stop().await;
}

/// The firm of the nth sound owner, in the name of another owner.
async fn other_firm_of(app: &TestApp, owner: &Owner, place: usize) -> Owner {
    let other = sound_owners().nth(place).unwrap();
    app.firm(&Owner { name: owner.name.clone(), resident_id: owner.resident_id.clone(), ..other.clone() })
        .await
}

/// How an application of the owner ends that shares nothing else with the others of this test.
async fn end_of(app: &TestApp, owner: &Owner, serial: u32) -> (String, String) {
    let borrower = app.sign_in(owner.applicant(serial, 1000)).await;
    let id = borrower.apply(&quick_without_acceptance(), &format!("key-{serial}")).await.unwrap();
    app.settle().await;
    let answer = borrower.read(&id).await.unwrap();
    (answer["status"].as_str().unwrap().to_owned(), first_reason(&answer).to_owned())
}

#[tokio::test]
async fn the_other_firm_of_an_owner_whose_loan_is_overdue_is_declined_until_it_is_repaid() {
    let app = TestApp::start().await;
    // Each owner has a loan with one firm and applies with another.
    for (place, days, pays, end) in [
        (0, 29, false, ("offered", "")),
        (2, 30, false, ("declined", "OVERDUE_LINKED")),
        (4, 400, false, ("declined", "OVERDUE_LINKED")),
        (6, 30, true, ("offered", "")),
    ] {
        let (owner, _, id) = with_loan(&app, place).await;
        let message = |n: u32| format!("m{n}-{place}");
        assert_eq!(river_says(&app, &message(1), &overdue(&app, &id, days, 500)).await, 200);
        if pays {
            assert_eq!(river_says(&app, &message(2), &repaid(&app, &id, "P1", 400, 100)).await, 200);
        }
        let other = other_firm_of(&app, &owner, place + 1).await;
        let ended = end_of(&app, &other, 900 + place as u32).await;
        assert_eq!((ended.0.as_str(), ended.1.as_str()), end, "{days} days, {place}");
    }
    let stranger = app.firm(sound_owners().nth(8).unwrap()).await;
    assert_eq!(end_of(&app, &stranger, 950).await.0, "offered", "who shares nothing answers for nothing");
    app.stop().await;
}

#[tokio::test]
async fn a_report_may_fail_at_any_call_and_is_whole_once_it_is_delivered_again() {
    for fault in [Fault::Before, Fault::After] {
        for nth in 1.. {
            let app = TestApp::start_with(TestOptions::default()).await;
            let (owner, borrower, id) = with_loan(&app, 0).await;
            let report = overdue(&app, &id, 31, 500);
            app.lending.engines.faults().fail_nth_call(nth, fault);
            let first = river_says(&app, "m1", &report).await;
            let failed = app.lending.engines.faults().waiting() == 0;
            app.lending.engines.faults().clear();
            assert_eq!(first, if failed { 503 } else { 200 }, "call {nth}");
            assert_eq!(river_says(&app, "m1", &report).await, 200);
            assert_eq!(loan(&borrower, &id).await, (LOAN, 31, false));
            let loans = aws::DynamoLoans::new(app.lending.aws.dynamodb.clone(), "payouts");
            assert_eq!(loans.get(id.parse().unwrap()).await.unwrap().unwrap().version, 1);
            let end = end_of(&app, &other_firm_of(&app, &owner, 1).await, 901).await;
            assert_eq!(end.1, "OVERDUE_LINKED", "{fault:?} of call {nth}");
            app.stop().await;
            if !failed {
                assert!(nth > 10, "ledger, loan, transaction, journal and six outcomes");
                break;
            }
        }
    }
}
