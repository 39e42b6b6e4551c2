//! Quotas: nobody has paid checks started without end, for a firm of their own or for people whom they only name.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use domain::{
    calendar::{day_in_china, end_of_day_in_china},
    person::{Phone, ResidentId},
};
use intake::quotas::{MOST_OF_ACCOUNT, MOST_OF_CARD, MOST_OF_DEVICE, MOST_OF_PERSON, MOST_OF_PHONE};
use local::{
    borrower::{Applicant, Borrower},
    gateway::HttpAnswer,
    people,
};
use ports::Clock as _;
use serde_json::Value;
use tests::{TestApp, beginning, quick, sound_owners};

/// The nth phone of somebody who has never heard of us.
fn stranger(n: u32) -> String {
    format!("139{n:08}")
}

async fn apply(app: &TestApp, borrower: &Borrower, applicant: &Applicant, key: &str) -> HttpAnswer {
    let token = format!("Bearer {}", borrower.token());
    let headers = [("authorization", token.as_str()), ("idempotency-key", key)];
    let body = applicant.application(&quick()).to_string();
    app.lending.stack.request("POST", "/v1/applications", &headers, body).await
}

/// The quota that an answer names, after all that a refusal must be was looked at.
fn refused(app: &TestApp, answer: &HttpAnswer) -> String {
    assert_eq!(answer.status, 429, "{}", String::from_utf8_lossy(&answer.body));
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["type"], "/problems/quota-reached");
    let header = |name: &str| answer.header(name).unwrap().to_owned();
    assert_eq!(header("content-type"), "application/problem+json");
    let wait = end_of_day_in_china(day_in_china(beginning())).duration_since(app.clock.now()).as_secs();
    assert_eq!(header("retry-after"), wait.to_string());
    let detail = problem["detail"].as_str().unwrap();
    let (_, rest) = detail.split_once(" by one ").unwrap();
    rest.split('.').next().unwrap().to_owned()
}

async fn rows(app: &TestApp, table: &str) -> usize {
    app.lending.aws.dynamodb.scan().table_name(table).send().await.unwrap().items().len()
}

async fn begun() -> (TestApp, Applicant) {
    let app = TestApp::start().await;
    let owner = app.firm(sound_owners().next().unwrap()).await;
    let applicant = owner.applicant(1, 1000);
    (app, applicant)
}

#[tokio::test]
async fn fault_26_fresh_keys_do_not_start_checks_of_strangers_phones_without_end() {
    let (app, applicant) = begun().await;
    let borrower = app.sign_in(applicant.clone()).await;
    let calls = |n: u32| Applicant { phone: stranger(n), ..applicant.clone() };
    for n in 0..MOST_OF_ACCOUNT {
        assert_eq!(apply(&app, &borrower, &calls(n), &format!("key-{n}")).await.status, 202, "{n}");
    }
    let known = (rows(&app, "applicants").await, rows(&app, "journeys").await);
    for n in 0..3 {
        let again = apply(&app, &borrower, &calls(100 + n), &format!("fresh-{n}")).await;
        assert_eq!(refused(&app, &again), "account");
    }
    assert_eq!((rows(&app, "applicants").await, rows(&app, "journeys").await), known, "nothing was begun");
    let repeated = apply(&app, &borrower, &calls(0), "key-0").await;
    assert_eq!(repeated.status, 202, "a request that was taken is answered again");
    // One that changes what is asked for under a used key counts as well.
    assert_eq!(refused(&app, &apply(&app, &borrower, &calls(100), "key-0").await), "account");
    app.stop().await;
}

#[tokio::test]
async fn fault_26_a_new_day_begins_with_new_quotas() {
    let (app, applicant) = begun().await;
    let borrower = app.sign_in(applicant.clone()).await;
    for n in 0..MOST_OF_ACCOUNT {
        apply(&app, &borrower, &applicant, &format!("key-{n}")).await;
    }
    assert_eq!(refused(&app, &apply(&app, &borrower, &applicant, "one-more").await), "account");
    app.clock.advance(end_of_day_in_china(day_in_china(beginning())).duration_since(app.clock.now()));
    let borrower = app.sign_in(applicant.clone()).await;
    assert_eq!(apply(&app, &borrower, &applicant, "one-more").await.status, 202);
    app.stop().await;
}

#[tokio::test]
async fn fault_26_many_accounts_on_one_device_share_its_quota() {
    let (app, applicant) = begun().await;
    for n in 0..=MOST_OF_DEVICE {
        let applicant =
            Applicant { subject: format!("account-{n}"), phone: stranger(n), ..applicant.clone() };
        let own = Applicant { resident_id: resident(n), bank_card: people::card(n), ..applicant };
        let borrower = app.sign_in(own.clone()).await;
        let answer = apply(&app, &borrower, &own, "key").await;
        if n < MOST_OF_DEVICE {
            assert_eq!(answer.status, 202, "{n}");
        } else {
            assert_eq!(refused(&app, &answer), "device");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn fault_26_accounts_and_devices_without_number_cannot_ask_on_about_one_person_phone_or_card() {
    let (app, applicant) = begun().await;
    let from = |n: u32| Applicant {
        subject: format!("account-{n}"),
        device: format!("new-device-{n}"),
        ..applicant.clone()
    };
    let quotas =
        [(0, MOST_OF_PERSON, "person"), (1_000, MOST_OF_PHONE, "phone"), (2_000, MOST_OF_CARD, "card")];
    for (first, most, quota) in quotas {
        for n in first..=first + most {
            let own = match quota {
                "person" => Applicant { phone: stranger(n), bank_card: people::card(n), ..from(n) },
                "card" => {
                    let bank_card = people::card(99_999_999);
                    Applicant { phone: stranger(n), resident_id: resident(n), bank_card, ..from(n) }
                }
                // Nobody has this phone, and the answer is the same as if somebody had.
                _ => {
                    let own = Applicant { bank_card: people::card(n), ..from(n) };
                    Applicant { phone: stranger(99_999_999), resident_id: resident(n), ..own }
                }
            };
            let borrower = app.sign_in(own.clone()).await;
            let answer = apply(&app, &borrower, &own, "key").await;
            if n < first + most {
                assert_eq!(answer.status, 202, "{quota} {n}");
            } else {
                assert_eq!(refused(&app, &answer), quota);
            }
        }
    }
    app.stop().await;
}

/// One account cannot use up the day of somebody whom it names: what is over its own quota takes nothing from theirs.
#[tokio::test]
async fn fault_26_whoever_is_refused_takes_nothing_from_the_person_that_is_named() {
    let (app, applicant) = begun().await;
    let attacker = Applicant { subject: "attacker".into(), device: "attackers".into(), ..applicant.clone() };
    let borrower = app.sign_in(attacker.clone()).await;
    for n in 0..MOST_OF_ACCOUNT + MOST_OF_PERSON {
        apply(&app, &borrower, &attacker, &format!("key-{n}")).await;
    }
    let borrower = app.sign_in(applicant.clone()).await;
    assert_eq!(apply(&app, &borrower, &applicant, "key").await.status, 202);
    app.stop().await;
}

#[tokio::test]
async fn the_demos_ring_of_five_on_one_device_is_within_every_quota() {
    let (app, applicant) = begun().await;
    for n in 0..5 {
        let own = Applicant { subject: format!("account-{n}"), phone: stranger(n), ..applicant.clone() };
        let borrower = app.sign_in(own.clone()).await;
        assert_eq!(apply(&app, &borrower, &own, "key").await.status, 202);
    }
    app.stop().await;
}

/// The resident id of the nth person, with the check character that it must have (GB 11643-1999).
fn resident(n: u32) -> String {
    let body = format!("4201021980{:02}{:02}{:03}", n / 28 % 12 + 1, n % 28 + 1, n % 1_000);
    let checks = "0123456789X".chars().map(|check| format!("{body}{check}"));
    checks.into_iter().find(|id| ResidentId::parse(id).is_ok()).unwrap()
}

#[test]
fn strangers_phones_are_phones() {
    assert!((0..3).chain([99_999_999]).all(|n| Phone::parse(&stranger(n)).is_ok()));
}
