//! When the personal data of an application may be erased, pure.
//!
//! Whoever withdraws consent ends an application that still runs: without it nothing may be checked, and nothing was paid.
//! From the moment that a payout is requested on, the bank may be about to pay to the person's card, and a loan that is
//! paid out is owed by somebody; nor is a payout that failed over at once, since its bank may correct itself. After the loan
//! the law asks whoever took part to be able to say who it was.

use crate::{
    journey::{Journey, Status},
    loan::Loan,
};
use jiff::{SignedDuration, Timestamp};

/// How long it must be known after the end of a loan who borrowed: ten years, as we understand the Anti-Money Laundering Law
/// of the People's Republic of China in force since 1 January 2025. Not held against its text: whoever deploys this
/// has that confirmed first.
pub const KEPT_AFTER_SETTLEMENT: SignedDuration = SignedDuration::from_hours(24 * 3_653);

/// How long after a payout failed its bank may still turn out to have paid: the bank's own answer corrects the ledger and the
/// journal ([`crate::ledger::Payout::next`]), and what makes us ask is a contradicting callback or the bank's daily file.
/// Callbacks are repeated for days, and a file may be late or compared again; after a month nothing is under way any more.
pub const MAY_STILL_BE_PAID_FOR: SignedDuration = SignedDuration::from_hours(24 * 30);

/// How long a person is known whose application no payout followed: asked for or not, the row forgets itself. Longer than any
/// application takes to come to its payout, from which moment on the person is kept.
pub const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(24 * 30);

/// What follows when erasure is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// The application is to be cancelled first, and then looked at again.
    CancelFirst,
    Now,
    Kept(KeptBecause),
}

/// Why personal data is not erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptBecause {
    /// The bank may be paying at this moment; ask again once it has said what became of it.
    PayoutUnderWay,
    /// It failed, and until then the bank may correct itself.
    PayoutMayBeCorrected {
        until: Timestamp,
    },
    /// Until the loan is settled, and then as the law says.
    LoanOutstanding,
    Law {
        until: Timestamp,
    },
}

/// What follows when the personal data behind `journey` is to be erased. `loan` is the loan as its bank has reported it,
/// when the journey is paid out and it has.
pub fn erasure(journey: &Journey, loan: Option<&Loan>, now: Timestamp) -> Erasure {
    match journey.status {
        Status::Checking | Status::Deciding | Status::Offered | Status::Accepted => Erasure::CancelFirst,
        Status::PayoutRequested => Erasure::Kept(KeptBecause::PayoutUnderWay),
        Status::PaidOut => match loan.and_then(|loan| loan.settled_at) {
            None => Erasure::Kept(KeptBecause::LoanOutstanding),
            Some(settled_at) => {
                // No word of a bank is older than its payout.
                let until = settled_at
                    .max(journey.updated_at)
                    .checked_add(KEPT_AFTER_SETTLEMENT)
                    .unwrap_or(Timestamp::MAX);
                if now < until { Erasure::Kept(KeptBecause::Law { until }) } else { Erasure::Now }
            }
        },
        Status::PayoutFailed => {
            let until = journey.updated_at.checked_add(MAY_STILL_BE_PAID_FOR).unwrap_or(Timestamp::MAX);
            if now < until {
                Erasure::Kept(KeptBecause::PayoutMayBeCorrected { until })
            } else {
                Erasure::Now
            }
        }
        Status::Declined | Status::Expired | Status::Cancelled => Erasure::Now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ApplicationId, Fen,
        journey::{Event, transition},
        samples,
    };

    fn journey(status: Status) -> Journey {
        let received = Event::Received { application: Box::new(samples::application()) };
        let (journey, _) = transition(None, &received, Timestamp::UNIX_EPOCH).unwrap();
        Journey { status, ..journey }
    }

    fn loan(settled_at: Option<Timestamp>) -> Loan {
        let id = ApplicationId::from_bytes([1; 16]).payout_id();
        Loan { settled_at, ..Loan::paid_out(id, Fen::yuan(200_000)) }
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn what_runs_is_cancelled_first_and_what_ended_without_a_payout_is_erased() {
        for status in [Status::Checking, Status::Deciding, Status::Offered, Status::Accepted] {
            assert_eq!(erasure(&journey(status), None, NOW), Erasure::CancelFirst, "{status}");
        }
        for status in [Status::Declined, Status::Expired, Status::Cancelled] {
            assert_eq!(erasure(&journey(status), None, NOW), Erasure::Now, "{status}");
        }
    }

    #[test]
    fn a_payout_under_way_and_a_loan_that_is_not_settled_keep_the_borrower() {
        let under_way = erasure(&journey(Status::PayoutRequested), None, NOW);
        assert_eq!(under_way, Erasure::Kept(KeptBecause::PayoutUnderWay));
        for loan in [None, Some(&loan(None))] {
            let kept = erasure(&journey(Status::PaidOut), loan, Timestamp::MAX);
            assert_eq!(kept, Erasure::Kept(KeptBecause::LoanOutstanding), "reported on or not");
        }
    }

    #[test]
    fn a_payout_that_failed_keeps_its_borrower_while_the_bank_may_correct_itself() {
        let until = NOW + MAY_STILL_BE_PAID_FOR;
        let at = |now| erasure(&journey(Status::PayoutFailed), None, now);
        for early in [NOW, until - SignedDuration::from_secs(1)] {
            assert_eq!(at(early), Erasure::Kept(KeptBecause::PayoutMayBeCorrected { until }));
        }
        assert_eq!(at(until), Erasure::Now);
    }

    #[test]
    fn a_settled_loan_keeps_its_borrower_for_ten_years_to_the_second() {
        let settled = loan(Some(NOW));
        let until = NOW + KEPT_AFTER_SETTLEMENT;
        let at = |now| erasure(&journey(Status::PaidOut), Some(&settled), now);
        assert_eq!(at(until - SignedDuration::from_secs(1)), Erasure::Kept(KeptBecause::Law { until }));
        assert_eq!(at(until), Erasure::Now);
    }
}
