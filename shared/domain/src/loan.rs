//! A loan after its payout, pure: what the bank reports of it, and what that makes of the loan.
//!
//! The bank keeps the loan account; we keep what it told us. Each report is written once and never changed, and the
//! [`Loan`] is what they add up to. Reports may arrive late and in any order, so:
//!
//! * repayments add up, whenever they arrive;
//! * the overdue state is the one of the latest report by its own time `at`. A repayment speaks of it too: it pays off
//!   what was overdue when it was made. What is older than the state changes nothing about it, because a bank's later
//!   figure has it in already;
//! * a settlement ends the loan. It needs the whole principal repaid: a bank that settles with principal outstanding
//!   (a write-off) contradicts the accounts, in which that principal is still drawn on its limit.

use crate::{ids::PayoutId, label::Label, money::Fen};
use jiff::Timestamp;
use std::fmt;

/// Most days overdue that a report may name: a hundred years.
pub const MAX_OVERDUE_DAYS: u32 = 36_500;

/// What a bank says of a loan, with the bank's own time `at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Money came back, under a reference of its own.
    Repaid { bank_reference: Label, principal_fen: Fen, interest_fen: Fen, at: Timestamp },
    /// So much is due for so many days and has not come; zero of both when nothing is overdue any more. A report of
    /// this kind has no reference, so the message that carried it names it.
    Overdue { message_id: String, days: u32, overdue_fen: Fen, at: Timestamp },
    /// Nothing is owed any more.
    Settled { bank_reference: Label, at: Timestamp },
}

/// Names a report: two reports with one key are one report, told twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReportKey(String);

impl fmt::Display for ReportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Report {
    pub fn at(&self) -> Timestamp {
        match self {
            Report::Repaid { at, .. } | Report::Overdue { at, .. } | Report::Settled { at, .. } => *at,
        }
    }

    /// `repayment#<bank reference>`, `overdue#<message id>` or `settlement#<bank reference>`.
    pub fn key(&self) -> ReportKey {
        ReportKey(match self {
            Report::Repaid { bank_reference, .. } => format!("repayment#{}", bank_reference.as_str()),
            Report::Overdue { message_id, .. } => format!("overdue#{message_id}"),
            Report::Settled { bank_reference, .. } => format!("settlement#{}", bank_reference.as_str()),
        })
    }

    /// Whether this report, told again under the same key, says the same. A repetition may carry another time.
    pub fn repeats(&self, first: &Report) -> bool {
        match (self, first) {
            (
                Report::Repaid { principal_fen, interest_fen, .. },
                Report::Repaid { principal_fen: principal, interest_fen: interest, .. },
            ) => (principal_fen, interest_fen) == (principal, interest),
            (
                Report::Overdue { days, overdue_fen, .. },
                Report::Overdue { days: first_days, overdue_fen: first_fen, .. },
            ) => (days, overdue_fen) == (first_days, first_fen),
            (Report::Settled { .. }, Report::Settled { .. }) => true,
            _ => false,
        }
    }

    /// What comes back to the bank's limit.
    pub fn principal_fen(&self) -> Fen {
        match self {
            Report::Repaid { principal_fen, .. } => *principal_fen,
            Report::Overdue { .. } | Report::Settled { .. } => Fen::ZERO,
        }
    }
}

/// What is overdue, as of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// Zero when nothing is overdue.
    pub days: u32,
    pub amount_fen: Fen,
    /// Of the latest report that spoke of it.
    pub as_of: Timestamp,
}

/// A loan as the bank's reports leave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loan {
    pub id: PayoutId,
    /// What was paid out.
    pub principal_fen: Fen,
    pub repaid_principal_fen: Fen,
    pub repaid_interest_fen: Fen,
    /// `None` until a report speaks of it.
    pub overdue: Option<Overdue>,
    pub settled_at: Option<Timestamp>,
}

/// Why a report is not taken. The loan has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("more principal is repaid than is outstanding")]
    AboveOutstanding,
    #[error("the loan is settled")]
    Settled,
    #[error("the loan cannot be settled while principal is outstanding")]
    PrincipalOutstanding,
    #[error("the repayments are more than an amount can hold")]
    TooMuch,
}

impl Loan {
    /// The loan on the day of its payout.
    pub fn paid_out(id: PayoutId, principal_fen: Fen) -> Self {
        Self {
            id,
            principal_fen,
            repaid_principal_fen: Fen::ZERO,
            repaid_interest_fen: Fen::ZERO,
            overdue: None,
            settled_at: None,
        }
    }

    pub fn outstanding_fen(&self) -> Fen {
        self.principal_fen.checked_sub(self.repaid_principal_fen).unwrap_or_default()
    }

    /// Days overdue by the latest report; zero when nothing is overdue, or nothing is owed.
    pub fn overdue_days(&self) -> u32 {
        self.overdue.map_or(0, |overdue| overdue.days)
    }

    /// The loan after a report that it has not had before.
    pub fn after(&self, report: &Report) -> Result<Loan, Refused> {
        if self.settled_at.is_some() {
            return Err(Refused::Settled);
        }
        let mut loan = self.clone();
        match report {
            Report::Repaid { principal_fen, interest_fen, at, .. } => {
                if *principal_fen > self.outstanding_fen() {
                    return Err(Refused::AboveOutstanding);
                }
                let added = |to: Fen, more: Fen| to.checked_add(more).ok_or(Refused::TooMuch);
                loan.repaid_principal_fen = added(self.repaid_principal_fen, *principal_fen)?;
                loan.repaid_interest_fen = added(self.repaid_interest_fen, *interest_fen)?;
                let paid = added(*principal_fen, *interest_fen)?;
                loan.overdue = self.overdue.map(|overdue| overdue.after_payment(paid, *at));
            }
            Report::Overdue { days, overdue_fen, at, .. } => {
                let known = self.overdue.is_some_and(|overdue| overdue.as_of > *at);
                if !known {
                    loan.overdue = Some(Overdue { days: *days, amount_fen: *overdue_fen, as_of: *at });
                }
            }
            Report::Settled { at, .. } => {
                if self.outstanding_fen() > Fen::ZERO {
                    return Err(Refused::PrincipalOutstanding);
                }
                loan.settled_at = Some(*at);
                loan.overdue = self.overdue.map(|overdue| Overdue {
                    days: 0,
                    amount_fen: Fen::ZERO,
                    as_of: overdue.as_of.max(*at),
                });
            }
        }
        Ok(loan)
    }
}

impl Overdue {
    /// A payment pays off what is overdue first; one from before the state is in it already.
    fn after_payment(self, paid: Fen, at: Timestamp) -> Self {
        if at < self.as_of {
            return self;
        }
        match self.amount_fen.checked_sub(paid) {
            Some(left) if left > Fen::ZERO => Self { amount_fen: left, as_of: at, ..self },
            _ => Self { days: 0, amount_fen: Fen::ZERO, as_of: at },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ApplicationId;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn loan() -> Loan {
        Loan::paid_out(ApplicationId::from_bytes([7; 16]).payout_id(), Fen(1_000))
    }

    fn label(text: &str) -> Label {
        text.to_owned().try_into().unwrap()
    }

    fn repaid(reference: &str, principal: u64, interest: u64, second: i64) -> Report {
        Report::Repaid {
            bank_reference: label(reference),
            principal_fen: Fen(principal),
            interest_fen: Fen(interest),
            at: at(second),
        }
    }

    fn overdue(days: u32, amount: u64, second: i64) -> Report {
        Report::Overdue { message_id: format!("m{second}"), days, overdue_fen: Fen(amount), at: at(second) }
    }

    fn settled(second: i64) -> Report {
        Report::Settled { bank_reference: label("S1"), at: at(second) }
    }

    fn told(reports: &[Report]) -> Loan {
        reports.iter().fold(loan(), |loan, report| loan.after(report).unwrap())
    }

    #[test]
    fn repayments_add_up_to_the_principal_and_not_a_fen_more() {
        let half = told(&[repaid("R1", 400, 30, 1), repaid("R2", 100, 5, 2)]);
        assert_eq!((half.outstanding_fen(), half.repaid_interest_fen), (Fen(500), Fen(35)));
        assert_eq!(half.after(&repaid("R3", 501, 0, 3)), Err(Refused::AboveOutstanding));
        assert_eq!(half.after(&repaid("R3", 500, 0, 3)).unwrap().outstanding_fen(), Fen::ZERO);
    }

    #[test]
    fn sums_never_wrap() {
        let much = told(&[repaid("R1", 0, u64::MAX, 1)]);
        assert_eq!(much.after(&repaid("R2", 0, 1, 2)), Err(Refused::TooMuch));
        assert_eq!(loan().after(&repaid("R1", 1, u64::MAX, 1)), Err(Refused::TooMuch));
    }

    #[test]
    fn a_loan_is_settled_once_its_principal_is_repaid_and_then_takes_nothing_more() {
        assert_eq!(loan().after(&settled(1)), Err(Refused::PrincipalOutstanding));
        let over = told(&[repaid("R1", 1_000, 0, 1), settled(2)]);
        assert_eq!(over.settled_at, Some(at(2)));
        for report in [repaid("R2", 0, 1, 3), overdue(1, 1, 3), settled(3)] {
            assert_eq!(over.after(&report), Err(Refused::Settled));
        }
    }

    #[test]
    fn a_late_report_does_not_move_the_overdue_state_backwards() {
        let state = told(&[overdue(31, 300, 31), overdue(1, 200, 1)]);
        assert_eq!(state.overdue, Some(Overdue { days: 31, amount_fen: Fen(300), as_of: at(31) }));
        let state = told(&[overdue(31, 300, 31), repaid("R1", 300, 0, 5)]);
        assert_eq!(state.overdue_days(), 31, "the bank's later figure has that repayment in it");
        let state = told(&[overdue(31, 300, 31), repaid("R1", 300, 0, 40), overdue(31, 300, 32)]);
        assert_eq!(state.overdue_days(), 0, "what was repaid is not overdue again");
    }

    #[test]
    fn a_repayment_pays_off_what_is_overdue_and_so_does_the_banks_word() {
        let part = told(&[overdue(3, 300, 1), repaid("R1", 200, 0, 2)]);
        assert_eq!(part.overdue, Some(Overdue { days: 3, amount_fen: Fen(100), as_of: at(2) }));
        assert_eq!(part.after(&repaid("R2", 60, 40, 3)).unwrap().overdue_days(), 0);
        assert_eq!(part.after(&overdue(0, 0, 3)).unwrap().overdue_days(), 0);
        let over = told(&[overdue(3, 2_000, 1), repaid("R1", 1_000, 0, 2), settled(2)]);
        assert_eq!(over.overdue_days(), 0, "nothing is owed, so nothing is overdue");
    }

    #[test]
    fn a_repetition_says_the_same_under_the_same_key() {
        let first = repaid("R1", 5, 1, 1);
        assert_eq!(first.key().to_string(), "repayment#R1");
        assert!(repaid("R1", 5, 1, 9).repeats(&first));
        assert!(!repaid("R1", 5, 2, 1).repeats(&first) && !settled(1).repeats(&first));
        assert_eq!(overdue(1, 5, 1).key().to_string(), "overdue#m1");
        assert!(!overdue(2, 5, 1).repeats(&overdue(1, 5, 1)));
        assert_ne!(settled(1).key(), repaid("S1", 1, 0, 1).key());
    }

    fn any_report() -> impl Strategy<Value = Report> {
        let time = 0_i64..50;
        prop_oneof![
            (0_u64..600, 0_u64..50, time.clone()).prop_map(|(p, i, t)| repaid("R", p, i, t)),
            (0_u32..60, 0_u64..400, time.clone()).prop_map(|(d, a, t)| overdue(d, a, t)),
            time.prop_map(settled),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// What is refused changes nothing; what is taken never creates or loses principal, and time never runs back.
        #[test]
        fn principal_is_either_repaid_or_outstanding_and_the_state_never_grows_older(
            reports in prop::collection::vec(any_report(), 0..30),
        ) {
            let mut loan = loan();
            for report in reports {
                let before = loan.clone();
                let Ok(after) = before.after(&report) else { continue };
                prop_assert!(before.settled_at.is_none());
                prop_assert_eq!(
                    after.repaid_principal_fen.0 - before.repaid_principal_fen.0,
                    report.principal_fen().0
                );
                prop_assert_eq!(after.outstanding_fen().0 + after.repaid_principal_fen.0, 1_000);
                let as_of = |loan: &Loan| loan.overdue.map(|overdue| overdue.as_of);
                prop_assert!(as_of(&after) >= as_of(&before));
                if after.settled_at.is_some() {
                    prop_assert_eq!((after.outstanding_fen(), after.overdue_days()), (Fen::ZERO, 0));
                }
                loan = after;
            }
        }

        /// Reports of overdue days alone give the same state in whatever order they arrive.
        #[test]
        fn the_order_in_which_overdue_reports_arrive_changes_nothing(
            (times, shuffled) in prop::collection::btree_set(0_i64..1_000, 1..12)
                .prop_map(|times| times.into_iter().collect::<Vec<_>>())
                .prop_flat_map(|times| (Just(times.clone()), Just(times).prop_shuffle())),
        ) {
            let state = |times: &[i64]| {
                let reports: Vec<Report> =
                    times.iter().map(|t| overdue(u32::try_from(*t).unwrap(), 5, *t)).collect();
                told(&reports).overdue
            };
            prop_assert_eq!(state(&times), state(&shuffled));
        }
    }
}
