//! What the borrower's API refuses, and that a refusal costs nothing.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use jiff::SignedDuration;
use local::borrower::{Borrower, BorrowerError};
use serde_json::{Value, json};
use tests::{TestApp, quick, sound_owners};

/// Posts a raw body as a signed-in borrower.
async fn post(
    app: &TestApp,
    borrower: &Borrower,
    key: Option<&str>,
    body: impl Into<Vec<u8>>,
) -> (u16, Value) {
    let bearer = format!("Bearer {}", borrower.token());
    let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
    headers.extend(key.map(|key| ("idempotency-key", key)));
    let answer = app.lending.stack.request("POST", "/v1/applications", &headers, body).await;
    (answer.status, answer.json())
}

async fn signed_in(app: &TestApp) -> Borrower {
    let owner = app.firm(sound_owners().next().unwrap()).await;
    app.sign_in(owner.applicant(1, 1000)).await
}

fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_bad_field_is_named_in_one_answer_and_nothing_is_recorded() {
    let app = TestApp::start().await;
    let borrower = signed_in(&app).await;
    let mut body = borrower.body(&quick());
    body["firm_code"] = "91350100M000100Y44".into();
    body["legal_representative"]["resident_id"] = "110105194912310021".into();
    body["legal_representative"]["phone"] = "23800138000".into();
    body["legal_representative"]["bank_card"] = "4111111111111112".into();
    body["consents"]["credit_query"] = false.into();
    body["amount_fen"] = 1.into();
    body["term_months"] = 7.into();
    app.lending.engines.reset_calls();
    let (status, problem) = post(&app, &borrower, Some("k"), body.to_string()).await;
    assert_eq!(status, 422);
    assert_eq!(
        pointers(&problem),
        [
            "/firm_code",
            "/legal_representative/resident_id",
            "/legal_representative/phone",
            "/legal_representative/bank_card",
            "/consents/credit_query",
            "/amount_fen",
            "/term_months",
        ]
    );
    assert_eq!(app.lending.engines.calls().len(), 0, "a refused request costs no call");
    app.stop().await;
}

#[tokio::test]
async fn fault_23_fields_that_look_like_results_are_refused() {
    let app = TestApp::start().await;
    let borrower = signed_in(&app).await;
    for field in ["score", "status", "decision"] {
        let mut body = borrower.body(&quick());
        body[field] = json!(900);
        let (status, problem) = post(&app, &borrower, Some("k"), body.to_string()).await;
        assert_eq!((status, pointers(&problem)), (422, vec![format!("/{field}").as_str()]));
    }
    app.stop().await;
}

#[tokio::test]
async fn fault_25_bodies_that_are_not_plain_json_are_refused() {
    let app = TestApp::start().await;
    let borrower = signed_in(&app).await;
    let good = borrower.body(&quick()).to_string();
    let twice = good.replacen('{', r#"{"amount_fen": 1,"#, 1);
    let nan = good.replace("10000000", "NaN");
    let deep = format!("{}{}", "[".repeat(17), "]".repeat(17));
    let large = format!("{good}{}", " ".repeat(64 * 1024));
    for (body, expected) in [(twice, 422), (nan, 400), (deep, 422), (large, 413), (String::new(), 400)] {
        let (status, problem) = post(&app, &borrower, Some("k"), body).await;
        assert_eq!(status, expected, "{problem}");
        assert_eq!(problem["status"], expected);
    }
    app.stop().await;
}

#[tokio::test]
async fn the_same_key_and_body_get_the_same_answer_and_another_body_is_refused() {
    let app = TestApp::start().await;
    let borrower = signed_in(&app).await;
    let body = borrower.body(&quick()).to_string();
    let (status, first) = post(&app, &borrower, Some("key"), body.clone()).await;
    assert_eq!(status, 202, "{first}");
    app.settle().await;
    app.clock.advance(SignedDuration::from_mins(1));
    let (status, again) = post(&app, &borrower, Some("key"), body.clone()).await;
    assert_eq!((status, &again), (202, &first));
    let mut other = borrower.body(&quick());
    other["amount_fen"] = 20_000_000.into();
    let (status, problem) = post(&app, &borrower, Some("key"), other.to_string()).await;
    assert_eq!((status, problem["type"].as_str().unwrap()), (422, "/problems/idempotency-key-reused"));
    app.settle().await;
    assert_eq!(app.paid_by_banks().len(), 1);
    let (status, _) = post(&app, &borrower, None, body).await;
    assert_eq!(status, 400);
    app.stop().await;
}

#[tokio::test]
async fn a_repetition_while_the_first_request_still_runs_is_told_to_wait() {
    let app = TestApp::start_with(tests::TestOptions::default()).await;
    let borrower = signed_in(&app).await;
    let body = borrower.body(&quick()).to_string();
    // The first request claims its id (first put) and dies before it writes the journal (second put).
    app.lending.engines.faults().fail("dynamodb:PutItem", 2, local::engines::Fault::Before);
    let (status, _) = post(&app, &borrower, Some("key"), body.clone()).await;
    assert_eq!(status, 503);
    let (status, problem) = post(&app, &borrower, Some("key"), body.clone()).await;
    assert_eq!((status, problem["type"].as_str().unwrap()), (409, "/problems/still-running"));
    app.clock.advance(SignedDuration::from_secs(11));
    let (status, answer) = post(&app, &borrower, Some("key"), body).await;
    assert_eq!(status, 202, "{answer}");
    app.stop().await;
}

#[tokio::test]
async fn fault_23_somebody_elses_application_does_not_exist() {
    let app = TestApp::start().await;
    let borrower = signed_in(&app).await;
    let id = borrower.apply(&quick(), "key").await.unwrap();
    let owner = app.firm(sound_owners().nth(1).unwrap()).await;
    let stranger = app.sign_in(owner.applicant(2, 1000)).await;
    for refused in [stranger.read(&id).await, stranger.explain(&id).await, stranger.cancel(&id).await] {
        let Err(BorrowerError::Refused { status, .. }) = refused else { panic!("a stranger was let in") };
        assert_eq!(status, 404);
    }
    app.stop().await;
}

#[tokio::test]
async fn every_borrower_route_needs_a_session_and_it_ends_after_fifteen_minutes() {
    let app = TestApp::start().await;
    let borrower = signed_in(&app).await;
    for (method, path) in [
        ("GET", "/v1/products"),
        ("GET", "/v1/firms/91350100M000100Y43"),
        ("POST", "/v1/applications"),
        ("GET", "/v1/applications/00000000-0000-8000-8000-000000000001"),
        ("GET", "/v1/applications/00000000-0000-8000-8000-000000000001/explanation"),
        ("POST", "/v1/applications/00000000-0000-8000-8000-000000000001/accept"),
        ("POST", "/v1/applications/00000000-0000-8000-8000-000000000001/cancel"),
    ] {
        for token in ["", "Bearer ", "Bearer eyJhbGciOiJub25lIn0.e30."] {
            let answer = app.lending.stack.request(method, path, &[("authorization", token)], "").await;
            assert_eq!(answer.status, 401, "{method} {path}");
        }
    }
    let bearer = format!("Bearer {}", borrower.token());
    let products =
        async || app.lending.stack.request("GET", "/v1/products", &[("authorization", &bearer)], "").await;
    assert_eq!(products().await.status, 200);
    app.clock.advance(SignedDuration::from_mins(16));
    assert_eq!(products().await.status, 401);
    app.stop().await;
}

#[tokio::test]
async fn fault_22_a_one_time_code_signs_in_once() {
    let app = TestApp::start().await;
    let channel = &app.lending.counterparties.channel_url;
    let who = json!({"channel": "mini_program", "subject": "s", "device": "d", "network": "n"});
    let code: Value =
        app.client.post(format!("{channel}/codes")).json(&who).send().await.unwrap().json().await.unwrap();
    let body = json!({"channel": "mini_program", "code": code["code"]}).to_string();
    let sign_in = async || app.lending.stack.request("POST", "/v1/sessions", &[], body.clone()).await.status;
    assert_eq!(sign_in().await, 201);
    assert_eq!(sign_in().await, 401);
    app.stop().await;
}
