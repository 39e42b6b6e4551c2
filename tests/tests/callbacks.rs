//! Callbacks count only with a valid signature inside the window, for the person and application they were started for.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use jiff::SignedDuration;
use local::engines::Fault;
use ports::Clock as _;
use serde_json::{Value, json};
use signing::{MessageId, Signer};
use tests::{TestApp, TestOptions, quick, quick_without_acceptance, sound_owners};

/// Posts a callback signed as of `age` ago.
async fn call_back(app: &TestApp, path: &str, secret: &str, age: SignedDuration, body: &Value) -> u16 {
    let body = body.to_string();
    let signed_at = app.clock.now().checked_sub(age).unwrap();
    let signer = Signer::parse(secret.split_whitespace()).unwrap();
    let id = MessageId::try_from("message-1".to_owned()).unwrap();
    let headers = signer.sign(&id, signed_at, body.as_bytes());
    app.lending.stack.request("POST", path, &headers.pairs(), body).await.status
}

/// An application that waits for its checks, and the face callback that it waits for.
async fn waiting(app: &TestApp, place: usize) -> (local::borrower::Borrower, String, Value) {
    let owner = app.firm(sound_owners().nth(place).unwrap()).await;
    let applicant = owner.applicant(place as u32 + 1, 1000);
    let hasher_key = signing::keys::decode_base64(&app.lending.keys.hash_key).unwrap();
    let hasher = signing::KeyedHasher::new(&hasher_key).unwrap();
    let person = hasher.person(&applicant.resident_id.clone().try_into().unwrap());
    let borrower = app.sign_in(applicant).await;
    let id = borrower.apply(&quick_without_acceptance(), "key").await.unwrap();
    let callback = json!({
        "check_id": format!("{id}.face.1"),
        "application_id": id,
        "attempt": 1,
        "person_ref": person.to_string(),
        "answer": "match",
        "checked_at": app.clock.now().to_string(),
    });
    (borrower, id, callback)
}

async fn events(borrower: &local::borrower::Borrower, id: &str) -> Vec<String> {
    let explanation = borrower.explain(id).await.unwrap();
    let steps = explanation["timeline"].as_array().unwrap();
    steps.iter().map(|s| s["event"].as_str().unwrap().to_owned()).collect()
}

const NOW: SignedDuration = SignedDuration::ZERO;

#[tokio::test]
async fn fault_19_a_callback_counts_once_and_only_with_its_own_key_inside_the_window() {
    let app = TestApp::start().await;
    let (borrower, id, callback) = waiting(&app, 0).await;
    let keys = app.lending.keys.clone();
    let path = "/v1/callbacks/face";
    let before = events(&borrower, &id).await;
    assert_eq!(call_back(&app, path, &keys.phone_provider, NOW, &callback).await, 401);
    assert_eq!(
        call_back(&app, path, &keys.face_provider, SignedDuration::from_secs(301), &callback).await,
        401
    );
    assert_eq!(
        call_back(&app, path, &keys.face_provider, SignedDuration::from_secs(-301), &callback).await,
        401
    );
    assert_eq!(events(&borrower, &id).await, before);
    assert_eq!(
        call_back(&app, path, &keys.face_provider, SignedDuration::from_secs(300), &callback).await,
        200
    );
    let after = events(&borrower, &id).await;
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(call_back(&app, path, &keys.face_provider, NOW, &callback).await, 200);
    assert_eq!(events(&borrower, &id).await, after, "a replay changes nothing");
    app.stop().await;
}

#[tokio::test]
async fn fault_20_a_face_that_passed_for_one_person_does_not_count_for_another() {
    let app = TestApp::start().await;
    let (_, _, of_a) = waiting(&app, 0).await;
    let (borrower, id, of_b) = waiting(&app, 1).await;
    let before = events(&borrower, &id).await;
    let mut attached = of_b.clone();
    attached["person_ref"] = of_a["person_ref"].clone();
    let secret = app.lending.keys.face_provider.clone();
    assert_eq!(call_back(&app, "/v1/callbacks/face", &secret, NOW, &attached).await, 403);
    let mut attached = of_b;
    attached["check_id"] = of_a["check_id"].clone();
    assert_eq!(call_back(&app, "/v1/callbacks/face", &secret, NOW, &attached).await, 403);
    assert_eq!(events(&borrower, &id).await, before);
    app.stop().await;
}

#[tokio::test]
async fn fault_21_a_callback_before_intake_is_not_found_and_one_after_the_end_changes_nothing() {
    let app = TestApp::start().await;
    let (borrower, id, mut callback) = waiting(&app, 0).await;
    let secret = app.lending.keys.face_provider.clone();
    borrower.cancel(&id).await.unwrap();
    let before = events(&borrower, &id).await;
    assert_eq!(call_back(&app, "/v1/callbacks/face", &secret, NOW, &callback).await, 200);
    assert_eq!(events(&borrower, &id).await, before);
    let nobody = "00000000-0000-8000-8000-000000000001";
    callback["application_id"] = nobody.into();
    callback["check_id"] = format!("{nobody}.face.1").into();
    assert_eq!(call_back(&app, "/v1/callbacks/face", &secret, NOW, &callback).await, 404);
    app.stop().await;
}

/// The kinds of failed checks that the relation graph knows.
async fn remembered(app: &TestApp) -> Vec<String> {
    let rows = app.lending.aws.dynamodb.scan().table_name("relations").send().await.unwrap();
    let kinds = rows.items().iter().filter_map(|row| row.get("kind")?.as_s().ok().cloned());
    kinds.filter(|kind| kind.ends_with("mismatch")).collect()
}

#[tokio::test]
async fn a_mismatch_that_could_not_be_remembered_is_when_its_callback_comes_again() {
    for fault in [Fault::Before, Fault::After] {
        let app = TestApp::start_with(TestOptions::default()).await;
        let (borrower, id, mut callback) = waiting(&app, 0).await;
        callback["answer"] = "mismatch".into();
        let secret = app.lending.keys.face_provider.clone();
        app.lending.engines.faults().fail("dynamodb:UpdateItem", 1, fault);
        assert_eq!(call_back(&app, "/v1/callbacks/face", &secret, NOW, &callback).await, 503);
        assert_eq!(borrower.read(&id).await.unwrap()["status"], "declined");
        assert_eq!(call_back(&app, "/v1/callbacks/face", &secret, NOW, &callback).await, 200);
        assert_eq!(remembered(&app).await, ["face_mismatch"]);
        assert_eq!(call_back(&app, "/v1/callbacks/face", &secret, NOW, &callback).await, 200);
        assert_eq!(remembered(&app).await, ["face_mismatch"]);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_bank_speaks_for_its_own_payouts_and_cannot_take_its_word_back() {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let borrower = app.sign_in(owner.applicant(1, 1000)).await;
    let id = borrower.apply(&quick(), "key").await.unwrap();
    app.settle().await;
    let paid = borrower.read(&id).await.unwrap();
    assert_eq!(paid["status"], "paid_out");
    let word = |outcome: &str, amount_fen: u64| {
        json!({
            "payout_id": id, "application_id": id, "outcome": outcome, "amount_fen": amount_fen,
            "bank_reference": paid["bank_reference"], "at": app.clock.now().to_string(),
        })
    };
    let river = app.lending.keys.banks["river-bank"].clone();
    let lake = app.lending.keys.banks["lake-bank"].clone();
    let own = "/v1/callbacks/banks/river-bank";
    assert_eq!(call_back(&app, own, &lake, NOW, &word("paid", 10_000_000)).await, 401);
    assert_eq!(
        call_back(&app, "/v1/callbacks/banks/lake-bank", &lake, NOW, &word("failed", 10_000_000)).await,
        403
    );
    assert_eq!(call_back(&app, own, &river, NOW, &word("failed", 10_000_000)).await, 409);
    assert_eq!(call_back(&app, own, &river, NOW, &word("paid", 1)).await, 422);
    assert_eq!(call_back(&app, own, &river, NOW, &word("paid", 10_000_000)).await, 200);
    assert_eq!(borrower.read(&id).await.unwrap(), paid);
    app.stop().await;
}
