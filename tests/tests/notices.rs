//! What channels are told: every offer and every end, at least once, under a name by which a copy is known.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use jiff::SignedDuration;
use local::{borrower::Borrower, engines::Fault};
use ports::endpoints::{EndpointId, EndpointState, Endpoints as _};
use serde_json::{Value, json};
use sim::channels::{Listening, TakenNotice};
use tests::{TestApp, TestOptions, quick, quick_without_acceptance, sound_owners};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A borrower who is about to apply, at a channel that listens well or badly.
async fn borrower(app: &TestApp, listening: Listening) -> Borrower {
    app.lending.counterparties.channels.listen(listening);
    let owner = app.firm(sound_owners().next().unwrap()).await;
    app.sign_in(owner.applicant(1, 1000)).await
}

/// Applies, and lets everything happen.
async fn paid_out(app: &TestApp, listening: Listening) -> String {
    let borrower = borrower(app, listening).await;
    let id = borrower.apply(&quick(), "key").await.unwrap();
    app.settle().await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    id
}

/// Lets time pass, with a run of the schedules every so often.
async fn pass(app: &TestApp, time: SignedDuration, every: SignedDuration) {
    let mut passed = SignedDuration::ZERO;
    while passed < time {
        app.clock.advance(every);
        passed += every;
        app.lending.stack.run_schedule("sweeper").await.unwrap();
        app.settle().await;
        app.lending.stack.run_schedule("notify").await.unwrap();
    }
}

fn taken(app: &TestApp) -> Vec<TakenNotice> {
    app.lending.counterparties.channels.notices()
}

fn statuses(app: &TestApp) -> Vec<String> {
    taken(app).into_iter().map(|notice| notice.status).collect()
}

async fn command(app: &TestApp, command: Value) -> Value {
    app.lending.stack.invoke("notify", command).await.unwrap()
}

#[tokio::test]
async fn a_payout_is_told_once_under_its_name_and_without_anything_personal() {
    let app = TestApp::start().await;
    let id = paid_out(&app, Listening::BySubject).await;
    pass(&app, SignedDuration::from_mins(10), SignedDuration::from_mins(1)).await;
    let notices = taken(&app);
    assert_eq!(notices.len(), 1, "{notices:?}");
    let notice = &notices[0];
    assert!(notice.id.starts_with(&format!("{id}.paid_out.")), "{}", notice.id);
    assert_eq!((notice.application_id.as_str(), notice.subject.as_str()), (id.as_str(), "borrower-000001"));
    assert_eq!(notice.deliveries, 1, "what was taken is not sent again");
    app.stop().await;
}

#[tokio::test]
async fn an_offer_and_the_end_that_follows_it_are_told_apart() {
    let app = TestApp::start().await;
    let borrower = borrower(&app, Listening::BySubject).await;
    borrower.apply(&quick_without_acceptance(), "key").await.unwrap();
    app.settle().await;
    assert_eq!(statuses(&app), ["offered"]);
    pass(&app, SignedDuration::from_hours(25), HOUR).await;
    assert_eq!(statuses(&app), ["offered", "expired"]);
    app.stop().await;
}

#[tokio::test]
async fn an_end_at_the_very_beginning_is_told_too() {
    let app = TestApp::start().await;
    let borrower = borrower(&app, Listening::BySubject).await;
    let wish = local::borrower::Wish { face_recognition: false, ..quick() };
    borrower.apply(&wish, "key").await.unwrap();
    app.settle().await;
    assert_eq!(statuses(&app), ["declined"]);
    app.stop().await;
}

#[tokio::test]
async fn a_channel_that_is_down_for_two_hours_is_told_when_it_is_back() {
    let app = TestApp::start().await;
    paid_out(&app, Listening::Failing).await;
    pass(&app, HOUR * 2, SignedDuration::from_mins(1)).await;
    assert!(taken(&app).is_empty());
    let tried = app.lending.counterparties.channels.deliveries();
    assert!((6..=9).contains(&tried), "the tries thin out: {tried} in two hours");
    app.lending.counterparties.channels.listen(Listening::BySubject);
    pass(&app, HOUR * 3, SignedDuration::from_mins(10)).await;
    assert_eq!(statuses(&app), ["paid_out"]);
    assert_eq!(command(&app, json!({ "list": true })).await, json!({ "pending": [], "dead": [] }));
    app.stop().await;
}

#[tokio::test]
async fn a_notice_that_nobody_took_for_three_days_stays_until_it_is_sent_again() {
    let app = TestApp::start().await;
    let id = paid_out(&app, Listening::Failing).await;
    pass(&app, HOUR * 73, SignedDuration::from_mins(20)).await;
    let rows = command(&app, json!({ "list": true })).await;
    assert_eq!(rows["pending"], json!([]));
    assert_eq!(rows["dead"].as_array().unwrap().len(), 1, "{rows}");
    assert_eq!(rows["dead"][0]["outcome"], "server_error");
    let tried = app.lending.counterparties.channels.deliveries();
    app.lending.counterparties.channels.listen(Listening::BySubject);
    pass(&app, HOUR * 24, HOUR).await;
    assert_eq!(app.lending.counterparties.channels.deliveries(), tried, "it is given up");
    let name = rows["dead"][0]["notice"].as_str().unwrap();
    assert!(name.starts_with(&format!("{id}.paid_out.")));
    let sent = command(&app, json!({ "resend": name })).await;
    assert_eq!((&sent["tried"], &sent["delivered"]), (&json!(1), &json!(1)));
    assert_eq!(taken(&app)[0].id, name);
    app.stop().await;
}

#[tokio::test]
async fn all_dead_notices_are_sent_again_by_one_command() {
    let app = TestApp::start().await;
    app.lending.counterparties.channels.listen(Listening::Failing);
    for place in 0..3 {
        let owner = app.firm(sound_owners().nth(place).unwrap()).await;
        let borrower = app.sign_in(owner.applicant(place as u32 + 1, 1000)).await;
        borrower.apply(&quick(), "key").await.unwrap();
        app.settle().await;
    }
    pass(&app, HOUR * 73, SignedDuration::from_mins(30)).await;
    app.lending.counterparties.channels.listen(Listening::BySubject);
    let sent = command(&app, json!({ "resend_dead": true })).await;
    assert_eq!((&sent["tried"], &sent["delivered"]), (&json!(3), &json!(3)), "{sent}");
    assert_eq!(taken(&app).len(), 3);
    let sent = command(&app, json!({ "resend_dead": true })).await;
    assert_eq!(sent["tried"], 0, "none is left");
    app.stop().await;
}

#[tokio::test]
async fn a_channel_that_closed_its_endpoint_is_told_again_only_after_somebody_enabled_it() {
    let app = TestApp::start().await;
    paid_out(&app, Listening::Gone).await;
    app.lending.counterparties.channels.listen(Listening::BySubject);
    pass(&app, HOUR * 5, SignedDuration::from_mins(10)).await;
    assert_eq!(app.lending.counterparties.channels.deliveries(), 1, "nothing is sent to a closed endpoint");
    let rows = command(&app, json!({ "list": true })).await;
    assert_eq!(rows["pending"][0]["outcome"], "disabled", "{rows}");
    let enabled = command(&app, json!({ "enable": "channel#mini_program" })).await;
    assert_eq!(enabled, json!({ "enabled": "channel#mini_program" }));
    pass(&app, HOUR, SignedDuration::from_mins(10)).await;
    assert_eq!(statuses(&app), ["paid_out"]);
    app.stop().await;
}

#[tokio::test]
async fn a_channel_that_asks_for_time_is_left_alone_until_then() {
    let app = TestApp::start().await;
    paid_out(&app, Listening::Busy { retry_after_s: 1_800 }).await;
    app.lending.counterparties.channels.listen(Listening::BySubject);
    pass(&app, SignedDuration::from_mins(29), SignedDuration::from_mins(1)).await;
    assert_eq!(app.lending.counterparties.channels.deliveries(), 1);
    pass(&app, SignedDuration::from_mins(2), SignedDuration::from_mins(1)).await;
    assert_eq!(statuses(&app), ["paid_out"]);
    app.stop().await;
}

/// The nth message of a journey is not sent, or its sender does not learn that it was.
async fn with_lost_message(nth: u32, fault: Fault) {
    let app = TestApp::start_with(TestOptions::default()).await;
    let borrower = borrower(&app, Listening::BySubject).await;
    app.lending.engines.faults().fail("sqs:SendMessage", nth, fault);
    let mut applied = borrower.apply(&quick(), "key").await;
    if applied.is_err() {
        app.clock.advance(SignedDuration::from_secs(11));
        applied = borrower.apply(&quick(), "key").await;
    }
    let id = applied.unwrap();
    app.settle().await;
    pass(&app, SignedDuration::from_mins(5), SignedDuration::from_mins(1)).await;
    assert_eq!(app.lending.engines.faults().waiting(), 0, "the journey sends {nth} messages");
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    assert_eq!(statuses(&app), ["paid_out"], "message {nth} {fault:?}");
    app.stop().await;
}

#[tokio::test]
async fn fault_5_a_notice_that_was_committed_and_not_sent_is_still_told() {
    // Four commands begin a journey, then it is decided and paid out, then the channel is told.
    for nth in 5..=7 {
        with_lost_message(nth, Fault::Before).await;
        with_lost_message(nth, Fault::After).await;
    }
}

#[tokio::test]
async fn a_command_that_the_journal_does_not_know_tells_nobody_anything() {
    let app = TestApp::start().await;
    let id = paid_out(&app, Listening::BySubject).await;
    for invented in [r#""status":"declined","entry":2"#, r#""status":"paid_out","entry":99"#] {
        let body = format!(r#"{{"application_id":"{id}","command":"notify",{invented}}}"#);
        app.lending.stack.send("notice-requests", &body).await.unwrap();
    }
    app.settle().await;
    assert_eq!(app.lending.stack.dead_letters("notice-requests").await.unwrap().len(), 2);
    assert_eq!(statuses(&app), ["paid_out"]);
    app.stop().await;
}

/// An application whose amount ends on the behaviour of the bank that is wanted.
async fn apply_for(app: &TestApp, place: usize, yuan: u64) -> (Borrower, String) {
    let owner = app.firm(sound_owners().nth(place).unwrap()).await;
    let borrower = app.sign_in(owner.applicant(place as u32 + 1, 1000)).await;
    let wish = local::borrower::Wish { amount_fen: yuan * 100, ..quick() };
    let id = borrower.apply(&wish, "key").await.unwrap();
    app.settle().await;
    (borrower, id)
}

async fn held_against(app: &TestApp, endpoint: &str) -> EndpointState {
    let endpoints = aws::DynamoEndpoints::new(app.lending.aws.dynamodb.clone(), "endpoints");
    let endpoint: EndpointId = endpoint.parse().unwrap();
    endpoints.get(&endpoint).await.unwrap()
}

#[tokio::test]
async fn fault_12_a_bank_that_closed_its_endpoint_gets_nothing_more_until_somebody_enables_it() {
    let app = TestApp::start().await;
    let (gone, id) = apply_for(&app, 0, 100_084).await;
    let answer = gone.read(&id).await.unwrap();
    assert_eq!(
        (&answer["status"], tests::first_reason(&answer)),
        (&json!("payout_failed"), "BANK_UNAVAILABLE")
    );
    assert!(held_against(&app, "bank#river-bank").await.disabled_since.is_some());
    let instructed = app.lending.counterparties.banks["river-bank"].book().len();
    let (next, id) = apply_for(&app, 1, 100_000).await;
    let answer = next.read(&id).await.unwrap();
    assert_eq!(
        (&answer["status"], tests::first_reason(&answer)),
        (&json!("payout_failed"), "BANK_UNAVAILABLE")
    );
    assert_eq!(app.lending.counterparties.banks["river-bank"].book().len(), instructed, "nothing was sent");
    command(&app, json!({ "enable": "bank#river-bank" })).await;
    app.clock.advance(SignedDuration::from_secs(6));
    let (last, id) = apply_for(&app, 2, 100_000).await;
    assert_eq!(last.read(&id).await.unwrap()["status"], "paid_out");
    app.stop().await;
}

#[tokio::test]
async fn fault_12_a_bank_that_asks_for_time_is_given_it_and_pays_once() {
    let app = TestApp::start().await;
    let (borrower, id) = apply_for(&app, 0, 100_081).await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "payout_requested");
    assert!(held_against(&app, "bank#river-bank").await.not_before.is_some());
    app.sweep_after(SignedDuration::from_secs(60)).await;
    assert_eq!(borrower.read(&id).await.unwrap()["status"], "paid_out");
    assert_eq!(app.paid_by_banks().len(), 1);
    app.stop().await;
}
