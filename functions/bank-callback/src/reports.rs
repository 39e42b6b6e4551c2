//! A bank's report on a loan becomes a row, the loan, and where days overdue change, an outcome in the relation graph.
//!
//! Report and loan are written in one transaction, then the graph. A report whose outcome could not be written fails, so
//! the bank delivers it again; it is found recorded, and the loan's outcome as it stands is written once more.

use domain::{
    PayoutId,
    ledger::{Payout, PayoutStatus},
    loan::{Refused, Report},
};
use jiff::SignedDuration;
use ports::{
    PortError,
    ledger::Ledger,
    loans::{KeptLoan, LoanReports, Loans, ReportRecorded},
    relation::{LoanOutcome, LoanOutcomes, Node},
};
use relations::{is_strong, link_of};
use std::sync::Arc;
use steps::{AdvanceError, Journeys};

/// No bank asks for more interest, or has more overdue, than so many times what it lent. A figure beyond it is a slip of units,
/// and would stand in the way of every later report.
const MOST_TIMES_LENT: u64 = 10;
/// The bank's clock may be so far behind ours.
const BEHIND: SignedDuration = SignedDuration::from_hours(24);
/// How often a report is taken again because another one came in between.
const TRIES: u32 = 8;

/// Why a report was not taken. Nothing has changed, but for [`ReportError::Advance`] and [`ReportError::Port`], after
/// which it may be recorded and missing in the graph.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("there is no such payout")]
    Unknown,
    #[error("the payout belongs to another bank")]
    OtherBank,
    #[error("nothing was paid out, so there is no loan")]
    NotPaid,
    #[error("{field} {problem}")]
    Implausible { field: &'static str, problem: &'static str },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the report says something else than the first under its reference")]
    Different,
    #[error("{TRIES} other reports came in while one was being taken")]
    Contended,
    #[error(transparent)]
    Advance(#[from] AdvanceError),
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Recorded,
    /// It was recorded before.
    Repeated,
}

/// Takes reports on loans.
pub struct LoanDesk {
    pub loans: Arc<dyn Loans>,
    pub reports: Arc<dyn LoanReports>,
    pub outcomes: Arc<dyn LoanOutcomes>,
}

impl LoanDesk {
    /// Records a report of `bank` on the loan of a payout. Repeating it changes nothing.
    pub async fn take(
        &self,
        ledger: &dyn Ledger,
        journeys: &Journeys,
        bank: &str,
        id: PayoutId,
        report: &Report,
    ) -> Result<Taken, ReportError> {
        for _ in 0..TRIES {
            let payout = paid_out_by(bank, ledger.get(id).await?)?;
            let kept = self.loans.get(id).await?;
            let before = kept.unwrap_or_else(|| KeptLoan::unreported(&payout));
            let possible = plausible(report, &payout);
            let after = possible.and_then(|()| Ok(before.loan.after(report)?));
            if let Ok(after) = &after
                && self.reports.record(&payout, report, &before, after).await? == ReportRecorded::Done
            {
                let now = KeptLoan { loan: after.clone(), version: before.version.saturating_add(1) };
                if now.loan.overdue_days() != before.loan.overdue_days() {
                    self.mark(journeys, &now).await?;
                }
                return Ok(Taken::Recorded);
            }
            if let Some(first) = self.reports.find(id, &report.key()).await? {
                return self.repeated(journeys, id, report, &first).await;
            }
            after?;
        }
        Err(ReportError::Contended)
    }

    async fn repeated(
        &self,
        journeys: &Journeys,
        id: PayoutId,
        report: &Report,
        first: &Report,
    ) -> Result<Taken, ReportError> {
        if !report.repeats(first) {
            return Err(ReportError::Different);
        }
        if let Some(kept) = self.loans.get(id).await?
            && kept.loan.overdue.is_some()
        {
            self.mark(journeys, &kept).await?;
        }
        Ok(Taken::Repeated)
    }

    /// Writes how the loan does under each strong node that its application touches: who shares a weak one answers for
    /// nobody.
    async fn mark(&self, journeys: &Journeys, kept: &KeptLoan) -> Result<(), ReportError> {
        let Some(overdue) = kept.loan.overdue else { return Ok(()) };
        let application = kept.loan.id.application_id();
        let loaded = journeys.load(application).await?.ok_or(AdvanceError::NotFound)?;
        let link = link_of(&loaded.journey.application, loaded.journey.received_at);
        let outcome = LoanOutcome {
            payout: kept.loan.id,
            overdue_days: overdue.days,
            at: overdue.as_of,
            version: kept.version,
        };
        let strong: Vec<Node> = link.nodes.into_iter().filter(|node| is_strong(node.kind)).collect();
        Ok(self.outcomes.mark(&strong, &outcome).await?)
    }
}

/// Whether a report can be about this loan at all.
fn plausible(report: &Report, payout: &Payout) -> Result<(), ReportError> {
    let earliest = payout.reserved_at.checked_sub(BEHIND).unwrap_or(payout.reserved_at);
    if report.at() < earliest {
        return Err(ReportError::Implausible { field: "/at", problem: "is before the payout" });
    }
    let most = payout.amount_fen.0.saturating_mul(MOST_TIMES_LENT);
    let (field, amount) = match report {
        Report::Repaid { interest_fen, .. } => ("/interest_fen", interest_fen.0),
        Report::Overdue { overdue_fen, .. } => ("/overdue_fen", overdue_fen.0),
        Report::Settled { .. } => return Ok(()),
    };
    match amount > most {
        true => Err(ReportError::Implausible { field, problem: "is more than ten times what was lent" }),
        false => Ok(()),
    }
}

fn paid_out_by(bank: &str, payout: Option<Payout>) -> Result<Payout, ReportError> {
    let payout = payout.ok_or(ReportError::Unknown)?;
    if payout.bank != bank {
        return Err(ReportError::OtherBank);
    }
    if payout.status() != PayoutStatus::Posted {
        return Err(ReportError::NotPaid);
    }
    Ok(payout)
}
