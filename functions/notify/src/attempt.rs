//! What an attempt at a notice leaves behind. Pure.

use delivery::Schedule;
use jiff::{SignedDuration, Timestamp};
use ports::{
    counterparty::Told,
    notices::{Notice, NoticeState},
};

/// How soon a notice is looked at again whose endpoint is disabled.
const LOOKED_AT_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// The notice after an attempt that ended at `now`.
///
/// What was not sent is no attempt. While an endpoint is disabled its notices are looked at every hour, so that they go
/// out soon after it is enabled; their three days pass all the same.
pub(crate) fn after(notice: Notice, told: &Told, now: Timestamp) -> Notice {
    let attempts = notice.attempts.saturating_add(1);
    match *told {
        Told::Taken => Notice {
            attempts,
            outcome: "accepted".into(),
            state: NoticeState::Delivered { at: now },
            ..notice
        },
        Told::NotTaken { outcome, not_before } => {
            let state = next(&notice, not_before, now);
            Notice { attempts, outcome: outcome.into(), state, ..notice }
        }
        Told::Disabled => {
            let in_an_hour = now.checked_add(LOOKED_AT_AGAIN).unwrap_or(Timestamp::MAX);
            let state = match next(&notice, None, now) {
                NoticeState::Pending { due_at } => NoticeState::Pending { due_at: due_at.min(in_an_hour) },
                end => end,
            };
            Notice { outcome: "disabled".into(), state, ..notice }
        }
        Told::HeldBack { until } => {
            let state = no_later_than_the_end(&notice, until, now);
            Notice { outcome: "held_back".into(), state, ..notice }
        }
    }
}

/// The next attempt of the schedule, put off until `not_before`.
fn next(notice: &Notice, not_before: Option<Timestamp>, now: Timestamp) -> NoticeState {
    match Schedule::of(&notice.id.to_string()).next(notice.begun_at, now) {
        None => NoticeState::Dead { since: now },
        Some(at) => no_later_than_the_end(notice, not_before.map_or(at, |earliest| at.max(earliest)), now),
    }
}

fn no_later_than_the_end(notice: &Notice, due_at: Timestamp, now: Timestamp) -> NoticeState {
    if due_at.duration_since(notice.begun_at) > Schedule::WITHIN {
        NoticeState::Dead { since: now }
    } else {
        NoticeState::Pending { due_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ApplicationId, Channel, Subject, journey::Status};
    use ports::notices::NoticeId;

    fn start() -> Timestamp {
        "2026-11-02T08:00:00Z".parse().unwrap()
    }

    fn notice() -> Notice {
        Notice {
            id: NoticeId {
                application: ApplicationId::from_bytes([7; 16]),
                status: Status::PaidOut,
                entry: 9,
            },
            channel: Channel::MiniProgram,
            subject: Subject::try_from("borrower-1".to_owned()).unwrap(),
            at: start(),
            begun_at: start(),
            attempts: 0,
            outcome: String::new(),
            state: NoticeState::Pending { due_at: start() },
        }
    }

    const FAILED: Told = Told::NotTaken { outcome: "server_error", not_before: None };

    #[test]
    fn what_was_taken_is_delivered() {
        let after = after(notice(), &Told::Taken, start());
        assert_eq!(after.state, NoticeState::Delivered { at: start() });
        assert_eq!((after.attempts, after.outcome.as_str()), (1, "accepted"));
    }

    #[test]
    fn a_notice_that_is_never_taken_is_tried_for_three_days_and_then_dead() {
        let (mut notice, mut now) = (notice(), start());
        loop {
            notice = after(notice, &FAILED, now);
            match notice.state {
                NoticeState::Pending { due_at } => {
                    assert!(due_at > now);
                    now = due_at;
                }
                NoticeState::Dead { since } => break assert_eq!(since, now),
                NoticeState::Delivered { .. } => panic!("nobody took it"),
            }
        }
        assert_eq!(notice.attempts, 17, "the first and sixteen more");
        let lasted = now.duration_since(start());
        assert!(lasted > SignedDuration::from_hours(62) && lasted <= Schedule::WITHIN);
    }

    #[test]
    fn a_channel_that_asks_for_time_is_given_it() {
        let wanted = start() + SignedDuration::from_mins(40);
        let throttled = Told::NotTaken { outcome: "throttled", not_before: Some(wanted) };
        let after_it = after(notice(), &throttled, start());
        assert_eq!(after_it.state, NoticeState::Pending { due_at: wanted });
        assert_eq!(after_it.attempts, 1);
        let held = after(after_it, &Told::HeldBack { until: wanted }, start());
        assert_eq!(held.state, NoticeState::Pending { due_at: wanted });
        assert_eq!(held.attempts, 1, "nothing was sent");
    }

    #[test]
    fn the_notices_of_a_disabled_endpoint_are_looked_at_every_hour() {
        let late = start() + SignedDuration::from_hours(23);
        let after_it = after(notice(), &Told::Disabled, late);
        assert_eq!(after_it.state, NoticeState::Pending { due_at: late + LOOKED_AT_AGAIN });
        assert_eq!((after_it.attempts, after_it.outcome.as_str()), (0, "disabled"));
    }

    #[test]
    fn a_disabled_or_throttling_channel_does_not_keep_a_notice_alive_for_ever() {
        let late = start() + SignedDuration::from_hours(71);
        let until = late + SignedDuration::from_hours(2);
        let throttled = Told::NotTaken { outcome: "throttled", not_before: Some(until) };
        for told in [Told::HeldBack { until }, throttled] {
            assert_eq!(after(notice(), &told, late).state, NoticeState::Dead { since: late }, "{told:?}");
        }
        let over = start() + Schedule::WITHIN;
        assert_eq!(after(notice(), &Told::Disabled, over).state, NoticeState::Dead { since: over });
    }
}
