//! Where an application stands.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a journey stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Checking,
    Deciding,
    Offered,
    Accepted,
    PayoutRequested,
    PaidOut,
    Declined,
    Expired,
    Cancelled,
    PayoutFailed,
}

impl Status {
    pub const ALL: [Status; 10] = [
        Status::Checking,
        Status::Deciding,
        Status::Offered,
        Status::Accepted,
        Status::PayoutRequested,
        Status::PaidOut,
        Status::Declined,
        Status::Expired,
        Status::Cancelled,
        Status::PayoutFailed,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Checking => "checking",
            Status::Deciding => "deciding",
            Status::Offered => "offered",
            Status::Accepted => "accepted",
            Status::PayoutRequested => "payout_requested",
            Status::PaidOut => "paid_out",
            Status::Declined => "declined",
            Status::Expired => "expired",
            Status::Cancelled => "cancelled",
            Status::PayoutFailed => "payout_failed",
        }
    }

    /// An end: the journey waits for nothing any more. Only a bank that corrects itself can still turn *paid out* into
    /// *payout failed* and back.
    pub const fn is_end(self) -> bool {
        matches!(
            self,
            Status::PaidOut | Status::Declined | Status::Expired | Status::Cancelled | Status::PayoutFailed
        )
    }

    /// Whether the borrower's channel is told when a journey comes here: an offer that waits for the borrower, and every
    /// end.
    pub const fn is_told(self) -> bool {
        self.is_end() || matches!(self, Status::Offered)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
