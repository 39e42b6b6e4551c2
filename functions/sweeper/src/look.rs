//! What one look at a journey asks for, and when to look again. Pure.

use domain::journey::{Journey, Status};
use jiff::{SignedDuration, Timestamp};

/// The shortest and the longest time between two looks at a journey that stands still.
pub const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(15);
pub const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// What a look at a journey asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It has ended.
    Nothing,
    /// Its time is up.
    Expire,
    /// It stands still: send its commands again.
    Send { again_at: Timestamp },
    /// It has moved since, or waits for its borrower.
    Later { again_at: Timestamp },
}

/// Looks at a journey.
pub fn look(journey: &Journey, now: Timestamp) -> Look {
    if journey.status.is_end() {
        return Look::Nothing;
    }
    if journey.has_expired(now) {
        return Look::Expire;
    }
    match journey.due_at() {
        Some(due_at) if due_at > now => Look::Later { again_at: due_at },
        _ => Look::Send { again_at: next_look(journey, now) },
    }
}

/// When to look again at a journey that stands still: after half of the time for which it has stood still, so that the
/// looks thin out, but in time for the end of its checks.
fn next_look(journey: &Journey, now: Timestamp) -> Timestamp {
    let wait = (now.duration_since(journey.updated_at) / 2).clamp(SHORTEST_WAIT, LONGEST_WAIT);
    let next = later(now, wait);
    match journey.status {
        Status::Checking | Status::Deciding => journey.expires_at().map_or(next, |end| next.min(end)),
        _ => next,
    }
}

/// `at` plus `wait`, at most the end of time.
pub fn later(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{application, start};
    use domain::{
        BasisPoints, Fen,
        decision::Offer,
        journey::{Event, transition},
    };

    fn journey(status: Status) -> Journey {
        let received = Event::Received { application: Box::new(application(1)) };
        let (journey, _) = transition(None, &received, start()).unwrap();
        Journey { status, ..journey }
    }

    fn after(wait: SignedDuration) -> Timestamp {
        later(start(), wait)
    }

    const fn secs(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_journey_that_has_moved_since_is_looked_at_when_it_is_due() {
        assert_eq!(
            look(&journey(Status::Checking), after(secs(14))),
            Look::Later { again_at: after(secs(15)) }
        );
        assert_eq!(
            look(&journey(Status::PayoutRequested), after(secs(15))),
            Look::Later { again_at: after(secs(30)) }
        );
    }

    #[test]
    fn the_looks_at_a_journey_that_stands_still_thin_out_to_one_an_hour() {
        let table = [(15, 15), (30, 15), (60, 30), (600, 300), (7_200, 3_600), (86_400, 3_600)];
        for (still, wait) in table {
            let seen = look(&journey(Status::PayoutRequested), after(secs(still.max(30))));
            assert_eq!(seen, Look::Send { again_at: after(secs(still.max(30) + wait)) }, "after {still} s");
        }
    }

    #[test]
    fn checks_are_looked_at_again_just_when_their_time_is_up() {
        let minutes = SignedDuration::from_mins;
        let seen = look(&journey(Status::Checking), after(minutes(12)));
        assert_eq!(seen, Look::Send { again_at: after(minutes(15)) });
        assert_eq!(look(&journey(Status::Checking), after(minutes(15))), Look::Expire);
        assert_eq!(look(&journey(Status::Deciding), after(minutes(15))), Look::Expire);
    }

    #[test]
    fn an_offer_waits_for_its_borrower_until_it_expires() {
        let expires_at = after(SignedDuration::from_hours(24));
        let offer = Offer {
            amount_fen: Fen::yuan(100_000),
            annual_rate_bp: BasisPoints(600),
            term_months: 12,
            expires_at,
        };
        let offered = Journey { offer: Some(offer), ..journey(Status::Offered) };
        assert_eq!(look(&offered, after(secs(60))), Look::Later { again_at: expires_at });
        assert_eq!(look(&offered, expires_at), Look::Expire);
    }

    #[test]
    fn money_that_is_on_its_way_never_expires() {
        for status in [Status::Accepted, Status::PayoutRequested] {
            let seen = look(&journey(status), after(SignedDuration::from_hours(1_000)));
            assert!(matches!(seen, Look::Send { .. }), "{status}");
        }
    }

    #[test]
    fn an_end_asks_for_nothing() {
        for status in
            [Status::PaidOut, Status::Declined, Status::Expired, Status::Cancelled, Status::PayoutFailed]
        {
            assert_eq!(look(&journey(status), after(secs(60))), Look::Nothing, "{status}");
        }
    }
}
