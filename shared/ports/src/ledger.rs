//! The payout ledger: the only place with transactions. Reserve, then post, void or expire on the bank's word.

use crate::PortError;
use async_trait::async_trait;
use domain::{
    Fen, PayoutId, Reason,
    ledger::{Dispute, Movement, Payout, Resolution},
};
use jiff::{Timestamp, civil::Date};

/// What became of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// Reserved now.
    New,
    /// There was a row for this id with the same terms, or a closed one; nothing changed.
    Exists(Box<Payout>),
    /// There was a row for this id with another bank, product, firm or amount; nothing changed.
    Different(Box<Payout>),
    /// The bank's limit for the product does not allow it; nothing changed.
    LimitReached,
    /// The firm has another loan that is being paid out or is not settled; nothing changed.
    LoanOutstanding,
}

/// What became of a resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Written now.
    Done,
    /// The payout has been resolved in the meantime, by somebody else or by a call of our own whose answer was lost: read
    /// again, think again.
    Taken,
    /// The bank has reported on the loan, so its payout cannot be reversed; nothing changed.
    LoanReported,
    /// Somebody else may be instructing the bank at this moment ([`Ledger::announce`]), so that the payout cannot be
    /// void on our own word; nothing changed.
    Announced,
}

/// What became of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// It stands, and the bank may be instructed.
    Done,
    /// The payout is resolved: the bank must not be instructed.
    Resolved,
}

/// A payout as it was resolved on one day, for the comparison with the bank's statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedPayout {
    pub id: PayoutId,
    pub product: String,
    pub amount_fen: Fen,
    pub resolution: Resolution,
}

/// The payout ledger. Transfer, the balance of the limit and the firm's claim change together or not at all.
///
/// Everything in it is written once and never changed, but for the balance, which is the sum of the transfers, and the
/// claim. All reads are strongly consistent but [`Ledger::resolved_on`].
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Reserves `payout.amount_fen` against `ceiling`, the bank's limit for the product, and claims the firm for this
    /// loan. `payout` has no resolution and is not closed.
    async fn reserve(&self, payout: &Payout, ceiling: Fen) -> Result<Reservation, PortError>;

    /// Writes the row of a payout that will never be reserved, so that nothing can be reserved under its id. Moves
    /// nothing. [`Reservation::New`] when it is closed now; a row that was there is told like by [`Ledger::reserve`].
    async fn close(&self, payout: &Payout, reason: Reason) -> Result<Reservation, PortError>;

    /// The payout with all that was ever written of it.
    async fn get(&self, id: PayoutId) -> Result<Option<Payout>, PortError>;

    /// Announces an instruction by anybody but whoever reserved the payout. Either it comes before the payout is
    /// resolved, or it does not stand; and once it stands, the payout is no longer void on our own word. That is the
    /// fence between two workers: no clock takes part in it.
    async fn announce(&self, id: PayoutId, at: Timestamp) -> Result<Announced, PortError>;

    /// Writes the next resolution of a payout that was read as `payout`, and makes its movement. A movement back to
    /// the limit gives up the firm's claim; [`Movement::PostLate`] claims the firm again, or waits behind the loan that has
    /// it by now, and has it after that: what is paid is paid. [`Movement::Reverse`] is refused once the bank has reported on
    /// the loan, and a void payout on our own word ([`Resolution::needs_sole_instruction`]) once another instruction has been
    /// announced.
    async fn resolve(
        &self,
        payout: &Payout,
        resolution: &Resolution,
        movement: Movement,
    ) -> Result<Resolved, PortError>;

    /// Puts a contradicting word of the bank on record. The same message twice is one record.
    async fn dispute(&self, id: PayoutId, dispute: &Dispute) -> Result<(), PortError>;

    /// What has been drawn on the bank's limit for a product, in fen: reserved, or paid and not yet repaid.
    async fn drawn(&self, bank: &str, product: &str) -> Result<i128, PortError>;

    /// What was resolved with a bank on one day in China. Eventually consistent: meant for days that are over.
    async fn resolved_on(&self, bank: &str, day: Date) -> Result<Vec<ResolvedPayout>, PortError>;
}
