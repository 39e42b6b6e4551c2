use super::*;
use crate::testing::{self, Lender, SECRET};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, Ordering};

async fn start_channels() -> ChannelsHandle {
    let config = ChannelsConfig { clock: testing::clock(), ..ChannelsConfig::new(testing::keys(SECRET)) };
    start(config).await.unwrap()
}

fn sign_in() -> Value {
    json!({
        "subject": "u-1", "device": "d-1", "network": "n-1", "place": "Xiamen",
        "verified_person": {"name": "张三", "resident_id": "11010519491231002X"},
    })
}

async fn code_for(lender: &Lender, channels: &ChannelsHandle, sign_in: &Value) -> String {
    let mut request = sign_in.clone();
    request["channel"] = json!("mobile_bank");
    let response = lender.post_plain(&format!("{}/codes", channels.url()), &request).await;
    assert_eq!(response.status(), 200);
    response.json::<Value>().await.unwrap()["code"].as_str().unwrap().to_owned()
}

async fn exchange_code(
    lender: &Lender,
    channels: &ChannelsHandle,
    channel: &str,
    code: &str,
) -> reqwest::Response {
    let request = json!({"channel": channel, "code": code});
    lender.post(&format!("{}/exchange", channels.url()), &request).await
}

#[tokio::test]
async fn a_code_is_exchanged_for_what_the_front_end_told() {
    let (lender, channels) = (Lender::start(SECRET).await, start_channels().await);
    let code = code_for(&lender, &channels, &sign_in()).await;
    let response = exchange_code(&lender, &channels, "mobile_bank", &code).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.json::<Value>().await.unwrap(), sign_in());
    channels.stop().await;
}

#[tokio::test]
async fn what_the_front_end_does_not_know_is_null() {
    let (lender, channels) = (Lender::start(SECRET).await, start_channels().await);
    let told = json!({"subject": "u-1", "device": "d-1", "network": "n-1"});
    let code = code_for(&lender, &channels, &told).await;
    let answer: Value = exchange_code(&lender, &channels, "mobile_bank", &code).await.json().await.unwrap();
    assert_eq!((&answer["place"], &answer["verified_person"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_code_works_once() {
    let (lender, channels) = (Lender::start(SECRET).await, start_channels().await);
    let code = code_for(&lender, &channels, &sign_in()).await;
    assert_eq!(exchange_code(&lender, &channels, "mobile_bank", &code).await.status(), 200);
    assert_eq!(exchange_code(&lender, &channels, "mobile_bank", &code).await.status(), 409);
}

#[tokio::test]
async fn a_code_of_another_channel_or_of_nobody_is_unknown_and_stays_unused() {
    let (lender, channels) = (Lender::start(SECRET).await, start_channels().await);
    let code = code_for(&lender, &channels, &sign_in()).await;
    assert_eq!(exchange_code(&lender, &channels, "mini_program", &code).await.status(), 404);
    assert_eq!(exchange_code(&lender, &channels, "mobile_bank", "guess").await.status(), 404);
    assert_eq!(exchange_code(&lender, &channels, "mobile_bank", &code).await.status(), 200);
}

#[tokio::test]
async fn a_code_expires_after_five_minutes() {
    let lender = Lender::start(SECRET).await;
    let second = Arc::new(AtomicI64::new(1_800_000_000 - 301));
    let moving = Arc::clone(&second);
    let mut config = ChannelsConfig::new(testing::keys(SECRET));
    config.clock = Arc::new(move || Timestamp::from_second(moving.load(Ordering::SeqCst)).unwrap());
    let channels = start(config).await.unwrap();
    let late = code_for(&lender, &channels, &sign_in()).await;
    second.store(1_800_000_000 - 300, Ordering::SeqCst);
    let in_time = code_for(&lender, &channels, &sign_in()).await;
    second.store(1_800_000_000, Ordering::SeqCst);
    assert_eq!(exchange_code(&lender, &channels, "mobile_bank", &late).await.status(), 404);
    assert_eq!(exchange_code(&lender, &channels, "mobile_bank", &in_time).await.status(), 200);
}

#[tokio::test]
async fn only_the_lender_can_exchange() {
    let (lender, channels) = (Lender::start(SECRET).await, start_channels().await);
    let code = code_for(&lender, &channels, &sign_in()).await;
    let request = json!({"channel": "mobile_bank", "code": code});
    let url = format!("{}/exchange", channels.url());
    assert_eq!(lender.post_plain(&url, &request).await.status(), 401);
    let stranger = Lender::start(testing::OTHER_SECRET).await;
    assert_eq!(stranger.post(&url, &request).await.status(), 401);
    assert_eq!(lender.post(&url, &request).await.status(), 200);
}

#[tokio::test]
async fn a_request_in_another_form_is_refused() {
    let (lender, channels) = (Lender::start(SECRET).await, start_channels().await);
    let (codes, exchange) = (format!("{}/codes", channels.url()), format!("{}/exchange", channels.url()));
    assert_eq!(lender.post_plain(&codes, &json!({"channel": "mobile_bank"})).await.status(), 400);
    assert_eq!(lender.post(&exchange, &json!({"code": 1})).await.status(), 400);
}

fn notice(subject: &str) -> Value {
    json!({"application_id": "a-1", "subject": subject, "status": "paid_out", "at": "2026-11-02T08:00:00Z"})
}

async fn tell(lender: &Lender, channels: &ChannelsHandle, subject: &str) -> reqwest::Response {
    lender.post(&format!("{}/notices", channels.url()), &notice(subject)).await
}

#[tokio::test]
async fn a_notice_is_taken_once_however_often_it_comes() {
    let (lender, channels) = (Lender::start(SECRET).await, start_channels().await);
    let url = format!("{}/notices", channels.url());
    for _ in 0..3 {
        assert_eq!(lender.post_as("n-1", &url, &notice("u-1")).await.unwrap().status(), 200);
    }
    assert_eq!(lender.post_as("n-2", &url, &notice("u-1")).await.unwrap().status(), 200);
    let taken = channels.notices();
    let seen: Vec<_> = taken.iter().map(|n| (n.id.as_str(), n.deliveries, n.status.as_str())).collect();
    assert_eq!(seen, [("n-1", 3, "paid_out"), ("n-2", 1, "paid_out")]);
}

#[tokio::test]
async fn only_the_lender_can_tell() {
    let (lender, channels) = (Lender::start(SECRET).await, start_channels().await);
    let url = format!("{}/notices", channels.url());
    assert_eq!(lender.post_plain(&url, &notice("u-1")).await.status(), 401);
    assert!(channels.notices().is_empty());
}

#[tokio::test]
async fn a_subject_decides_how_well_the_channel_listens() {
    let (lender, channels) = (Lender::start(SECRET).await, start_channels().await);
    let url = format!("{}/notices", channels.url());
    let fails_twice = notice("u-1-notices-fail-2");
    for expected in [500, 500, 200] {
        assert_eq!(lender.post_as("n-1", &url, &fails_twice).await.unwrap().status(), expected);
    }
    let later = tell(&lender, &channels, "u-1-notices-later-60").await;
    assert_eq!((later.status().as_u16(), &later.headers()["retry-after"]), (429, &"60".parse().unwrap()));
    assert_eq!(tell(&lender, &channels, "u-1-notices-gone").await.status(), 410);
    channels.listen(Listening::Failing);
    assert_eq!(tell(&lender, &channels, "u-1").await.status(), 500);
    assert_eq!(channels.notices().len(), 1);
}
