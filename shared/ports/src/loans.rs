//! Loans after their payout: what the banks report of them, and which firm has one.

use crate::PortError;
use async_trait::async_trait;
use domain::{
    FirmCode, PayoutId,
    ledger::Payout,
    loan::{Loan, Report, ReportKey},
};

/// A loan as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLoan {
    pub loan: Loan,
    /// How many reports have been recorded. Tells the later of two states of one loan.
    pub version: u64,
}

impl KeptLoan {
    /// The loan of a payout of which nothing has been reported.
    pub fn unreported(payout: &Payout) -> Self {
        Self { loan: Loan::paid_out(payout.id, payout.amount_fen), version: 0 }
    }
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportRecorded {
    /// Written now.
    Done,
    /// Nothing was written: another report came in between, this very report is there, or the payout was resolved
    /// anew. Read again, think again.
    Overtaken,
}

/// Loans, read only.
#[async_trait]
pub trait Loans: Send + Sync {
    /// The loan of a payout, strongly consistent; `None` before its first report.
    async fn get(&self, id: PayoutId) -> Result<Option<KeptLoan>, PortError>;

    /// The payout for which the firm is claimed: a loan that is being paid out, or is not settled. Eventually
    /// consistent, so it may lag; it saves the borrower a useless wait and protects nothing. The ledger does.
    async fn outstanding(&self, firm: &FirmCode) -> Result<Option<PayoutId>, PortError>;
}

/// The reports on loans. Report, loan, the balance of the limit and the firm's claim change in one transaction or not at all.
#[async_trait]
pub trait LoanReports: Send + Sync {
    /// A recorded report, strongly consistent.
    async fn find(&self, id: PayoutId, key: &ReportKey) -> Result<Option<Report>, PortError>;

    /// Records a report that makes `after` of the loan read as `before` ([`KeptLoan::unreported`] for its first), of a
    /// payout that was read as `payout` and is posted. Repaid principal goes back to the bank's limit; a settlement
    /// gives up the firm's claim. From the first report on the payout cannot be reversed.
    async fn record(
        &self,
        payout: &Payout,
        report: &Report,
        before: &KeptLoan,
        after: &Loan,
    ) -> Result<ReportRecorded, PortError>;
}
