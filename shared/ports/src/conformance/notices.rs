//! What the memory of notices promises.

use super::{application, at};
use crate::notices::{DueNotices, Notice, NoticeId, NoticeState, Notices, Recorded};
use domain::{Channel, Subject, journey::Status};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

fn id(n: u8) -> NoticeId {
    NoticeId { application: application(n), status: Status::PaidOut, entry: 7 }
}

/// Row times are kept to the millisecond, rounded up.
fn kept(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(at(milliseconds).as_millisecond() + 1).unwrap()
}

fn pending(n: u8, due_at: i64) -> Notice {
    Notice {
        id: id(n),
        channel: Channel::MobileBank,
        subject: Subject::try_from(format!("borrower-{n}")).unwrap(),
        at: at(0),
        begun_at: at(1),
        attempts: 1,
        outcome: "timed_out".to_owned(),
        state: NoticeState::Pending { due_at: kept(due_at) },
    }
}

pub async fn a_notice_reads_back_as_it_was_recorded(notices: &(impl Notices + DueNotices)) {
    assert_eq!(notices.get(id(1)).await.unwrap(), None);
    let delivered = Notice { state: NoticeState::Delivered { at: kept(9) }, ..pending(2, 0) };
    let dead = Notice { state: NoticeState::Dead { since: kept(9) }, ..pending(3, 0) };
    for notice in [pending(1, 5), delivered, dead] {
        assert_eq!(notices.record(&notice).await.unwrap(), Recorded::Yes);
        assert_eq!(notices.get(notice.id).await.unwrap(), Some(notice));
    }
}

pub async fn a_notice_is_recorded_once_and_the_first_row_stays(notices: &(impl Notices + DueNotices)) {
    let first = pending(1, 5);
    let later = Notice { attempts: 9, ..pending(1, 50) };
    assert_eq!(notices.record(&first).await.unwrap(), Recorded::Yes);
    assert_eq!(notices.record(&later).await.unwrap(), Recorded::Known);
    assert_eq!(notices.get(first.id).await.unwrap(), Some(first));
}

pub async fn pending_notices_are_due_earliest_first_and_never_early(notices: &(impl Notices + DueNotices)) {
    for n in 1..=20_u8 {
        notices.record(&pending(n, i64::from(n) * 7 % 23 * 10)).await.unwrap();
    }
    let all = notices.due(kept(1_000), 100).await.unwrap();
    assert_eq!(all.len(), 20);
    let due_at = |notice: &Notice| match notice.state {
        NoticeState::Pending { due_at } => due_at,
        other => panic!("{other:?} is not due"),
    };
    assert!(all.is_sorted_by_key(due_at));
    assert_eq!(notices.due(kept(1_000), 3).await.unwrap(), all[..3]);
    let half = notices.due(due_at(&all[10]), 100).await.unwrap();
    assert_eq!(half, all[..=10]);
    let early = due_at(&all[10]) - SignedDuration::from_nanos(1);
    assert_eq!(notices.due(early, 100).await.unwrap(), all[..10]);
}

pub async fn what_is_delivered_or_dead_is_not_due(notices: &(impl Notices + DueNotices)) {
    let delivered = Notice { state: NoticeState::Delivered { at: kept(1) }, ..pending(1, 0) };
    let dead = Notice { state: NoticeState::Dead { since: kept(1) }, ..pending(2, 0) };
    notices.record(&delivered).await.unwrap();
    notices.record(&dead).await.unwrap();
    assert_eq!(notices.due(kept(1_000), 100).await.unwrap(), []);
    assert_eq!(notices.dead(100).await.unwrap(), [dead]);
}

pub async fn of_racing_claims_exactly_one_holds_the_notice(notices: &(impl Notices + DueNotices)) {
    notices.record(&pending(1, 5)).await.unwrap();
    let claims = join_all((0..8).map(|n| notices.claim(id(1), kept(5), kept(1_000 + n)))).await;
    let held: Vec<Notice> = claims.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(held.len(), 1);
    assert_eq!(notices.get(id(1)).await.unwrap(), held.into_iter().next());
    assert_eq!(notices.claim(id(2), kept(5), kept(10)).await.unwrap(), None, "there is no such notice");
}

pub async fn whoever_lost_the_claim_changes_nothing_but_may_say_that_it_was_delivered(
    notices: &(impl Notices + DueNotices),
) {
    notices.record(&pending(1, 5)).await.unwrap();
    let slow = notices.claim(id(1), kept(5), kept(100)).await.unwrap().unwrap();
    let next = notices.claim(id(1), kept(100), kept(200)).await.unwrap().unwrap();
    let failed = Notice { attempts: 2, state: NoticeState::Pending { due_at: kept(500) }, ..slow.clone() };
    assert!(!notices.conclude(&failed, kept(100)).await.unwrap());
    assert_eq!(notices.get(id(1)).await.unwrap(), Some(next.clone()));
    let delivered = Notice { attempts: 2, state: NoticeState::Delivered { at: kept(150) }, ..slow };
    assert!(notices.conclude(&delivered, kept(100)).await.unwrap());
    assert_eq!(notices.get(id(1)).await.unwrap(), Some(delivered.clone()));
    let dead = Notice { attempts: 3, state: NoticeState::Dead { since: kept(190) }, ..next };
    assert!(!notices.conclude(&dead, kept(200)).await.unwrap());
    assert_eq!(notices.get(id(1)).await.unwrap(), Some(delivered));
}

pub async fn an_attempt_that_failed_is_due_later_and_at_last_dead(notices: &(impl Notices + DueNotices)) {
    notices.record(&pending(1, 5)).await.unwrap();
    let held = notices.claim(id(1), kept(5), kept(100)).await.unwrap().unwrap();
    let outcome = "server_error".to_owned();
    let later = Notice { attempts: 2, outcome, state: NoticeState::Pending { due_at: kept(300) }, ..held };
    assert!(notices.conclude(&later, kept(100)).await.unwrap());
    assert_eq!(notices.due(kept(299), 100).await.unwrap(), []);
    assert_eq!(notices.due(kept(300), 100).await.unwrap(), std::slice::from_ref(&later));
    notices.claim(id(1), kept(300), kept(400)).await.unwrap().unwrap();
    let dead = Notice { attempts: 3, state: NoticeState::Dead { since: kept(310) }, ..later };
    assert!(notices.conclude(&dead, kept(400)).await.unwrap());
    assert_eq!(notices.dead(100).await.unwrap(), [dead]);
    assert_eq!(notices.due(kept(9_000), 100).await.unwrap(), []);
}

pub async fn a_notice_is_sent_again_whatever_became_of_it(notices: &(impl Notices + DueNotices)) {
    assert_eq!(notices.revive(id(9), at(50), kept(60)).await.unwrap(), None);
    let delivered = Notice { state: NoticeState::Delivered { at: kept(1) }, ..pending(1, 0) };
    let dead = Notice { state: NoticeState::Dead { since: kept(1) }, ..pending(2, 0) };
    for notice in [delivered, dead, pending(3, 5)] {
        notices.record(&notice).await.unwrap();
        let state = NoticeState::Pending { due_at: kept(60) };
        let expected = Notice { state, begun_at: at(50), attempts: 0, ..notice };
        let revived = notices.revive(expected.id, at(50), kept(60)).await.unwrap();
        assert_eq!(revived, Some(expected.clone()));
        assert_eq!(notices.get(expected.id).await.unwrap(), Some(expected));
    }
    assert_eq!(notices.dead(100).await.unwrap(), []);
    assert_eq!(notices.due(kept(60), 100).await.unwrap().len(), 3);
}
