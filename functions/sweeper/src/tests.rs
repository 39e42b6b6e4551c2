//! Whole runs over ports in memory.

use crate::{
    Summary, later,
    testing::{Memory, id, start},
};
use domain::{
    BasisPoints, Channel, Fen, Reason, Subject,
    checks::{CheckAnswer, ElementsAnswer, GraphFeatures, Score},
    decision::{Decision, Offer},
    journey::{AcceptedBy, Command, Event, Status},
};
use jiff::SignedDuration;
use ports::notices::{Notice, NoticeId, NoticeState, Notices as _};
use std::sync::Arc;

const fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

fn memory() -> Arc<Memory> {
    Arc::new(Memory::default())
}

#[tokio::test]
async fn a_journey_that_stands_still_gets_its_commands_again_and_a_later_due_time() {
    let memory = memory();
    memory.received(1, secs(15));
    let summary = memory.sweeper(secs(20)).sweep().await.unwrap();
    assert_eq!(summary, Summary { looked_at: 1, sent: 1, expired: 0, failed: 0 });
    let sent = memory.sent.lock().unwrap().clone();
    assert_eq!(sent[0].0, id(1));
    assert!(sent[0].1.contains(&Command::Score) && sent[0].1.len() == 4, "{sent:?}");
    assert_eq!(memory.due_at(1), later(start(), secs(35)));
    assert_eq!(memory.swept_until(), Some(later(start(), secs(20))));
}

#[tokio::test]
async fn a_journey_whose_time_is_up_expires_and_is_not_looked_at_any_more() {
    let memory = memory();
    memory.received(1, secs(15));
    let summary = memory.sweeper(secs(15 * 60)).sweep().await.unwrap();
    assert_eq!(summary, Summary { looked_at: 1, sent: 0, expired: 1, failed: 0 });
    let summary = memory.sweeper(secs(15 * 60 + 30)).sweep().await.unwrap();
    assert_eq!(summary, Summary::default());
}

#[tokio::test]
async fn fault_13_the_first_run_finds_what_has_been_due_for_days() {
    let memory = memory();
    memory.received(1, secs(15));
    let summary = memory.sweeper(SignedDuration::from_hours(76)).sweep().await.unwrap();
    assert_eq!((summary.looked_at, summary.expired), (1, 1));
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_holds_up_neither_its_neighbours_nor_the_cursor() {
    let memory = memory();
    memory.received(1, secs(15));
    memory.received(2, secs(16));
    memory.unreadable.lock().unwrap().insert(id(1));
    let summary = memory.sweeper(secs(20)).sweep().await.unwrap();
    assert_eq!(summary, Summary { looked_at: 2, sent: 1, expired: 0, failed: 1 });
    assert_eq!(memory.due_at(1), later(start(), secs(20 + 3_600)), "it is looked at again later");
    assert_eq!(memory.swept_until(), Some(later(start(), secs(20))));
}

#[tokio::test]
async fn the_cursor_waits_before_an_entry_that_got_no_new_due_time() {
    let memory = memory();
    memory.received(1, secs(15));
    memory.received(2, secs(16));
    memory.received(3, secs(17));
    memory.stuck.lock().unwrap().insert(id(2));
    assert!(memory.sweeper(secs(20)).sweep().await.is_err());
    assert_eq!(memory.sent.lock().unwrap().len(), 3, "the others were looked after");
    assert_eq!(memory.swept_until(), Some(later(start(), secs(16))));
    memory.stuck.lock().unwrap().clear();
    let summary = memory.sweeper(secs(30)).sweep().await.unwrap();
    assert_eq!((summary.looked_at, summary.sent), (1, 1), "it is looked at again");
}

#[tokio::test]
async fn an_acceptance_takes_over_from_the_entry_before_it() {
    let memory = memory();
    memory.received(1, secs(15));
    memory.write(1, vec![Event::Cancelled]);
    memory.received(2, secs(15));
    let loaded = memory.sweeper(secs(20)).journeys.load(id(2)).await.unwrap().unwrap();
    assert!(!loaded.is_superseded(1));
    let mut accepted = loaded.clone();
    accepted.entries.push(ports::journal::Entry {
        number: 2,
        events: vec![Event::Accepted { by: AcceptedBy::Borrower, revision: 2 }],
        ..loaded.entries[0].clone()
    });
    assert!(accepted.is_superseded(1) && !accepted.is_superseded(2));
}

#[tokio::test]
async fn ended_journeys_that_were_all_due_at_one_instant_do_not_stop_the_run() {
    let memory = memory();
    for n in 1..=700 {
        memory.received(n, secs(15));
        memory.write(n, vec![Event::Cancelled]);
    }
    memory.received(701, secs(16));
    let summary = memory.sweeper(secs(20)).sweep().await.unwrap();
    assert_eq!((summary.looked_at, summary.sent), (701, 1));
}

#[tokio::test]
async fn a_run_goes_on_until_its_time_is_used_and_tells_how_far_behind_it_is() {
    let memory = memory();
    for n in 1..=2_500_u16 {
        memory.received(n, SignedDuration::from_millis(15_000 + i64::from(n)));
        memory.write(n, vec![Event::Cancelled]);
    }
    memory.received(2_501, secs(19));
    // Four pages of 250 fit into 40 s; each begins with the last entry of the one before it.
    *memory.page_takes.lock().unwrap() = secs(10);
    assert_eq!(memory.sweeper(secs(20)).sweep().await.unwrap().looked_at, 997);
    assert!(memory.sent.lock().unwrap().is_empty(), "the last one has not been come to");
    let reached = memory.swept_until().unwrap();
    assert_eq!(reached, later(start(), SignedDuration::from_millis(15_997)));
    assert_eq!(*memory.lag.lock().unwrap(), [later(start(), secs(20)).duration_since(reached)]);
    // A store that answers as it should lets one run do the rest.
    *memory.page_takes.lock().unwrap() = SignedDuration::from_millis(20);
    memory.sweeper(secs(20)).sweep().await.unwrap();
    assert_eq!(memory.sent.lock().unwrap().len(), 1);
    assert_eq!(memory.swept_until(), Some(later(start(), secs(20))));
    assert_eq!(memory.lag.lock().unwrap()[1], SignedDuration::ZERO);
}

/// A journey that was cancelled by an invocation that died before it sent the notice.
async fn cancelled(memory: &Arc<Memory>) -> Command {
    memory.received(1, secs(15));
    let notice = Command::Notify { status: Status::Cancelled, entry: 2 };
    memory.write(1, vec![Event::Cancelled]);
    memory.journals.lock().unwrap().get_mut(&id(1)).unwrap()[1].commands = vec![notice];
    notice
}

#[tokio::test]
async fn the_notice_of_an_end_that_nobody_sent_is_sent_by_the_last_look() {
    let memory = memory();
    let notice = cancelled(&memory).await;
    let summary = memory.sweeper(secs(20)).sweep().await.unwrap();
    assert_eq!(summary, Summary { looked_at: 1, sent: 1, expired: 0, failed: 0 });
    assert_eq!(*memory.sent.lock().unwrap(), [(id(1), vec![notice])]);
}

#[tokio::test]
async fn a_notice_that_has_been_seen_to_is_not_sent_again() {
    let memory = memory();
    cancelled(&memory).await;
    let row = Notice {
        id: NoticeId { application: id(1), status: Status::Cancelled, entry: 2 },
        channel: Channel::MiniProgram,
        subject: Subject::try_from("borrower-1".to_owned()).unwrap(),
        at: start(),
        begun_at: start(),
        attempts: 1,
        outcome: "accepted".into(),
        state: NoticeState::Delivered { at: start() },
    };
    memory.record(&row).await.unwrap();
    let summary = memory.sweeper(secs(20)).sweep().await.unwrap();
    assert_eq!(summary, Summary { looked_at: 1, sent: 0, expired: 0, failed: 0 });
}

#[tokio::test]
async fn what_a_run_has_seen_the_end_of_the_next_one_passes_over() {
    let memory = memory();
    memory.received(1, secs(15));
    memory.write(1, vec![Event::Cancelled]);
    let sweeper = memory.sweeper(secs(20));
    let looked_at = [sweeper.sweep().await.unwrap(), sweeper.sweep().await.unwrap()].map(|run| run.looked_at);
    assert_eq!(looked_at, [1, 0]);
    let another = memory.sweeper(secs(30)).sweep().await.unwrap();
    assert_eq!(another.looked_at, 1, "it is in the memory of one instance only");
}

#[tokio::test]
async fn a_notice_that_was_sent_again_is_looked_for_once_more() {
    let memory = memory();
    cancelled(&memory).await;
    let sweeper = memory.sweeper(secs(20));
    for _ in 0..2 {
        assert_eq!(sweeper.sweep().await.unwrap(), Summary { looked_at: 1, sent: 1, expired: 0, failed: 0 });
    }
}

/// A journey whose payout was requested at the start, and of which the bank says nothing.
fn requested(memory: &Arc<Memory>, n: u16) {
    memory.received(n, secs(15));
    let score = Score {
        model: "m".into(),
        default_probability: 0.01,
        points: 700,
        dimensions: Vec::new(),
        reasons: Vec::new(),
        firm_age_days: None,
        supported_amount_fen: None,
        features: domain::FeatureRow::default(),
        challenger: None,
    };
    let features: GraphFeatures = serde_json::from_value(serde_json::json!({
        "ring_size": 1, "ring_firms": 1, "device_applications": 1, "card_applications": 1,
        "phone_applications": 1, "network_applications": 1, "cut_off": false, "evidence": [],
    }))
    .unwrap();
    let (attempt, answer, message_id) = (1, CheckAnswer::Match, String::new());
    let offer = Offer {
        amount_fen: Fen::yuan(100_000),
        annual_rate_bp: BasisPoints(600),
        term_months: 12,
        expires_at: later(start(), SignedDuration::from_hours(24)),
    };
    let decision = Decision::Approved { offer, reasons: Vec::new() };
    memory.write(
        n,
        vec![
            Event::ElementsChecked { answer: ElementsAnswer::Match },
            Event::FaceChecked { attempt, answer, message_id: message_id.clone() },
            Event::PhoneChecked { attempt, answer, message_id },
            Event::Scored { score },
            Event::GraphChecked { features },
            Event::Decided { revision: 2, strategy: "s".into(), decision },
            Event::Accepted { by: AcceptedBy::InAdvance, revision: 2 },
            Event::PayoutRequested { payout_id: id(n).payout_id() },
        ],
    );
}

/// Runs once a minute, and gives what each run told.
async fn minutes(memory: &Arc<Memory>, minutes: std::ops::RangeInclusive<i64>) -> Vec<usize> {
    for minute in minutes {
        memory.sweeper(SignedDuration::from_mins(minute)).sweep().await.unwrap();
    }
    std::mem::take(&mut *memory.unknown.lock().unwrap())
}

#[tokio::test]
async fn a_payout_counts_as_unknown_from_the_sixth_minute_until_its_end_is_known() {
    let memory = memory();
    requested(&memory, 1);
    requested(&memory, 2);
    assert_eq!(minutes(&memory, 1..=8).await, [0, 0, 0, 0, 0, 2, 2, 2]);
    memory.write(1, vec![Event::PaidOut { bank_reference: "R1".into(), resolution: 1 }]);
    assert_eq!(minutes(&memory, 9..=9).await, [1], "long before its own next look");
    memory.write(2, vec![Event::PayoutFailed { reason: Reason::BankFailed, resolution: 1 }]);
    assert_eq!(minutes(&memory, 10..=11).await, [0, 0]);
    assert_eq!(memory.cursor.lock().unwrap().as_ref().unwrap().payouts_in_doubt, []);
}

#[tokio::test]
async fn a_payout_that_cannot_be_read_stays_unknown() {
    let memory = memory();
    requested(&memory, 1);
    minutes(&memory, 1..=6).await;
    memory.unreadable.lock().unwrap().insert(id(1));
    assert_eq!(minutes(&memory, 7..=7).await, [1]);
}
