//! What the strategy decided.

use crate::{
    money::{BasisPoints, Fen},
    reason::Reason,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The terms that the borrower may accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub amount_fen: Fen,
    /// All-in annual rate.
    pub annual_rate_bp: BasisPoints,
    pub term_months: u16,
    pub expires_at: Timestamp,
}

/// Approve or decline; there is no third way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Decision {
    Approved { offer: Offer, reasons: Vec<Reason> },
    Declined { reasons: Vec<Reason> },
}
