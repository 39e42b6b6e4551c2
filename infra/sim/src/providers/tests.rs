use super::*;
use crate::testing::{self, Lender, OTHER_SECRET, SECRET};
use serde_json::{Value, json};

const GOOD_RESIDENT_ID: &str = "11010519491231002X";

async fn start_with(change: impl FnOnce(&mut ProvidersConfig)) -> Handle {
    let mut config = ProvidersConfig::new(testing::keys(SECRET), testing::keys(SECRET));
    config.delay = Delay::NONE;
    config.redelivery_pause = Duration::ZERO;
    config.clock = testing::clock();
    change(&mut config);
    start(config).await.unwrap()
}

fn request(lender: &Lender, phone: &str, attempt: u32) -> Value {
    json!({
        "check_id": "c-1",
        "application_id": "a-1",
        "attempt": attempt,
        "callback_url": lender.callback_url,
        "person_ref": "ref-1",
        "person": {
            "name": "张三", "resident_id": GOOD_RESIDENT_ID, "phone": phone, "bank_card": "6222020000000000000",
        },
        "device": "d-1",
    })
}

/// Starts one check and returns the answers that were called back.
async fn answers(kind: &str, phone: &str, attempt: u32) -> Vec<String> {
    let (lender, providers) = (Lender::start(SECRET).await, start_with(|_| ()).await);
    let url = format!("{}/{kind}/checks", providers.url());
    let response = lender.post(&url, &request(&lender, phone, attempt)).await;
    assert_eq!(response.status(), 202);
    providers.idle().await;
    lender.received().iter().map(|callback| callback.body["answer"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_check_is_accepted_and_its_answer_called_back_with_everything_the_request_named() {
    let (lender, providers) = (Lender::start(SECRET).await, start_with(|_| ()).await);
    let url = format!("{}/face/checks", providers.url());
    let response = lender.post(&url, &request(&lender, "13912345678", 1)).await;
    assert_eq!(response.status(), 202);
    assert_eq!(response.json::<Value>().await.unwrap(), json!({"accepted": true}));
    providers.idle().await;
    let expected = json!({
        "check_id": "c-1", "application_id": "a-1", "attempt": 1, "person_ref": "ref-1", "answer": "match",
        "checked_at": "2027-01-15T08:00:00Z",
    });
    let received = lender.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].body, expected);
    providers.stop().await;
}

#[tokio::test]
async fn the_last_four_digits_decide_the_phone_check() {
    for (phone, attempt, expected) in [
        ("13900000001", 1, vec!["unknown"]),
        ("13900000001", 3, vec!["unknown"]),
        ("13900000002", 1, vec!["unknown"]),
        ("13900000002", 2, vec!["match"]),
        ("13900000003", 1, vec!["mismatch"]),
        ("13900000004", 1, vec!["match"]),
        ("13900000005", 1, vec!["match", "match"]),
        ("13900000006", 1, vec![]),
        ("13900000006", 2, vec!["match"]),
    ] {
        assert_eq!(answers("phone", phone, attempt).await, expected, "{phone}, attempt {attempt}");
    }
}

#[tokio::test]
async fn the_last_four_digits_decide_the_face_check() {
    for (phone, attempt, expected) in [
        ("13900000001", 1, vec!["match"]),
        ("13900000003", 1, vec!["match"]),
        ("13900000004", 1, vec!["mismatch"]),
        ("13900000005", 1, vec!["match", "match"]),
        ("13900000007", 1, vec![]),
        ("13900000007", 2, vec!["match"]),
    ] {
        assert_eq!(answers("face", phone, attempt).await, expected, "{phone}, attempt {attempt}");
    }
}

#[tokio::test]
async fn a_face_does_not_match_a_resident_id_with_a_wrong_check_character() {
    let (lender, providers) = (Lender::start(SECRET).await, start_with(|_| ()).await);
    let mut body = request(&lender, "13912345678", 1);
    body["person"]["resident_id"] = json!("110105194912310021");
    lender.post(&format!("{}/face/checks", providers.url()), &body).await;
    providers.idle().await;
    assert_eq!(lender.received()[0].body["answer"], "mismatch");
}

#[tokio::test]
async fn a_named_person_is_treated_as_configured() {
    let lender = Lender::start(SECRET).await;
    let steer: Steer = "face:13912345678=mismatch".parse().unwrap();
    let providers = start_with(|config| config.behaviours.extend([steer.into_entry()])).await;
    for kind in ["face", "phone"] {
        let url = format!("{}/{kind}/checks", providers.url());
        lender.post(&url, &request(&lender, "13912345678", 1)).await;
        providers.idle().await;
    }
    let answers: Vec<_> = lender.received().iter().map(|callback| callback.body["answer"].clone()).collect();
    assert_eq!(answers, [json!("mismatch"), json!("match")]);
}

#[tokio::test]
async fn a_check_that_is_started_again_sends_the_same_callback_under_the_same_id() {
    let (lender, providers) = (Lender::start(SECRET).await, start_with(|_| ()).await);
    let url = format!("{}/phone/checks", providers.url());
    for _ in 0..2 {
        assert_eq!(lender.post(&url, &request(&lender, "13912345678", 1)).await.status(), 202);
        providers.idle().await;
    }
    let received = lender.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0], received[1]);
}

#[tokio::test]
async fn another_attempt_and_the_other_check_are_other_messages() {
    let (lender, providers) = (Lender::start(SECRET).await, start_with(|_| ()).await);
    for (kind, attempt) in [("phone", 1), ("phone", 2), ("face", 1)] {
        let url = format!("{}/{kind}/checks", providers.url());
        lender.post(&url, &request(&lender, "13912345678", attempt)).await;
    }
    providers.idle().await;
    let ids: std::collections::HashSet<_> =
        lender.received().into_iter().map(|callback| callback.message_id).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn the_same_check_for_somebody_else_is_a_conflict() {
    let (lender, providers) = (Lender::start(SECRET).await, start_with(|_| ()).await);
    let url = format!("{}/face/checks", providers.url());
    lender.post(&url, &request(&lender, "13912345678", 1)).await;
    let mut other = request(&lender, "13912345678", 1);
    other["person_ref"] = json!("ref-2");
    assert_eq!(lender.post(&url, &other).await.status(), 409);
}

#[tokio::test]
async fn a_callback_is_delivered_again_until_it_is_taken() {
    let (lender, providers) = (Lender::start(SECRET).await, start_with(|_| ()).await);
    lender.answer_next(&[500, 503, 502, 500, 500, 204]);
    lender.post(&format!("{}/face/checks", providers.url()), &request(&lender, "13912345678", 1)).await;
    providers.idle().await;
    let received = lender.received();
    assert_eq!(received.len(), 6);
    assert!(received.iter().all(|callback| *callback == received[0]));
}

#[tokio::test]
async fn a_callback_that_is_never_taken_is_given_up_after_five_redeliveries() {
    let (lender, providers) = (Lender::start(SECRET).await, start_with(|_| ()).await);
    lender.answer_next(&[500; 20]);
    lender.post(&format!("{}/face/checks", providers.url()), &request(&lender, "13912345678", 1)).await;
    providers.idle().await;
    assert_eq!(lender.received().len(), 6);
}

#[tokio::test]
async fn a_callback_that_is_refused_is_not_delivered_again() {
    let (lender, providers) = (Lender::start(SECRET).await, start_with(|_| ()).await);
    lender.answer_next(&[401]);
    lender.post(&format!("{}/face/checks", providers.url()), &request(&lender, "13912345678", 1)).await;
    providers.idle().await;
    assert_eq!(lender.received().len(), 1);
}

#[tokio::test]
async fn each_check_has_keys_of_its_own_in_both_directions() {
    let providers = start_with(|config| config.phone_keys = testing::keys(OTHER_SECRET)).await;
    let (face, phone) = (Lender::start(SECRET).await, Lender::start(OTHER_SECRET).await);
    let (face_url, phone_url) =
        (format!("{}/face/checks", providers.url()), format!("{}/phone/checks", providers.url()));
    assert_eq!(face.post(&phone_url, &request(&face, "13912345678", 1)).await.status(), 401);
    assert_eq!(phone.post(&face_url, &request(&phone, "13912345678", 1)).await.status(), 401);
    assert_eq!(face.post(&face_url, &request(&face, "13912345678", 1)).await.status(), 202);
    assert_eq!(phone.post(&phone_url, &request(&phone, "13912345678", 1)).await.status(), 202);
    providers.idle().await;
    assert_eq!((face.received().len(), phone.received().len()), (1, 1));
}

#[tokio::test]
async fn an_unsigned_malformed_or_unusable_request_starts_nothing() {
    let (lender, providers) = (Lender::start(SECRET).await, start_with(|_| ()).await);
    let url = format!("{}/face/checks", providers.url());
    let good = request(&lender, "13912345678", 1);
    assert_eq!(lender.post_plain(&url, &good).await.status(), 401);
    assert_eq!(lender.post(&url, &json!({"check_id": "c-1"})).await.status(), 400);
    for (field, value) in
        [("attempt", json!(0)), ("check_id", json!("")), ("callback_url", json!("file:///x"))]
    {
        let mut bad = good.clone();
        bad[field] = value;
        assert_eq!(lender.post(&url, &bad).await.status(), 422, "{field}");
    }
    providers.idle().await;
    assert_eq!(lender.received(), []);
}

#[tokio::test]
async fn stopping_drops_callbacks_that_are_still_due() {
    let lender = Lender::start(SECRET).await;
    let hour = Duration::from_secs(3600);
    let providers = start_with(|config| config.delay = Delay { shortest: hour, longest: hour }).await;
    lender.post(&format!("{}/face/checks", providers.url()), &request(&lender, "13912345678", 1)).await;
    providers.stop().await;
    assert_eq!(lender.received(), []);
}

#[test]
fn a_delay_stays_within_its_bounds_and_is_the_same_for_the_same_message() {
    let delay = Delay::default();
    for name in 0..1000 {
        let name = name.to_string();
        let chosen = delay.of(&name);
        assert!(delay.shortest <= chosen && chosen <= delay.longest);
        assert_eq!(chosen, delay.of(&name));
    }
    assert_eq!(Delay::NONE.of("x"), Duration::ZERO);
}

#[test]
fn a_steer_names_the_check_the_phone_and_a_known_behaviour() {
    let entry = "phone:13900000000=unknown-once".parse::<Steer>().unwrap().into_entry();
    assert_eq!(entry, ((Kind::Phone, "13900000000".to_owned()), Behaviour::UnknownOnce));
    for bad in ["", "phone", "phone:1", "voice:1=match", "face:1=maybe"] {
        assert!(bad.parse::<Steer>().is_err(), "{bad}");
    }
}

#[test]
fn only_a_resident_id_with_the_right_check_character_is_one() {
    assert!(is_resident_id(GOOD_RESIDENT_ID) && is_resident_id("11010519491231002x"));
    for bad in ["", "110105194912310021", "1101051949123100", "11010519491231002XX", "1101051949123100二"] {
        assert!(!is_resident_id(bad), "{bad}");
    }
}
