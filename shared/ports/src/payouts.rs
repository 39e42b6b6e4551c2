//! Payouts: the only place with transactions. Reserve, then post or void on the bank's word.

use crate::PortError;
use async_trait::async_trait;
use domain::{BasisPoints, Fen, PayoutId, Reason};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a payout stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PayoutState {
    /// The money is set aside and the bank's word is awaited.
    Reserved,
    /// The bank has paid.
    Posted { bank_reference: String },
    /// The bank has not paid and will not.
    Voided { reason: Reason },
}

/// One payout row. Kept for ever: it is what makes a second payout impossible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payout {
    pub id: PayoutId,
    pub bank: String,
    pub product: String,
    pub amount_fen: Fen,
    pub annual_rate_bp: BasisPoints,
    pub term_months: u16,
    #[serde(flatten)]
    pub state: PayoutState,
    pub reserved_at: Timestamp,
}

/// What became of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// Reserved now.
    New,
    /// There was a row for this id with the same bank and amount; nothing changed.
    Exists(Box<Payout>),
    /// There was a row for this id with another bank or amount; nothing changed.
    Different(Box<Payout>),
    /// The bank's limit for the product does not allow it; nothing changed.
    LimitReached,
}

/// What became of a post or a void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Done now, or done before in the same way.
    Done,
    /// The payout was resolved the other way before; nothing changed.
    Contradicts(Box<Payout>),
    /// There is no such payout.
    Unknown,
}

/// The payout ledger. `limit counter + payout row` change in one transaction or not at all.
#[async_trait]
pub trait Payouts: Send + Sync {
    /// Reserves `payout.amount_fen` against `limit` of bank and product, and writes the row in the state that it has.
    /// A payout of nothing, voided, fits every limit and closes its id for ever.
    async fn reserve(&self, payout: &Payout, limit: Fen) -> Result<Reservation, PortError>;

    /// The row, strongly consistent.
    async fn get(&self, id: PayoutId) -> Result<Option<Payout>, PortError>;

    /// Records that the bank has paid.
    async fn post(&self, id: PayoutId, bank_reference: &str) -> Result<Resolution, PortError>;

    /// Records that the bank will not pay, and gives the amount back to the limit.
    async fn void(&self, id: PayoutId, reason: Reason) -> Result<Resolution, PortError>;

    /// What is reserved or paid of a bank's product.
    async fn committed(&self, bank: &str, product: &str) -> Result<Fen, PortError>;
}
