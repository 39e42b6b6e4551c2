//! Quotas: how many applications one account, device, person, phone or card may stand in on one day.

use crate::PortError;
use async_trait::async_trait;
use jiff::civil::Date;

/// What a quota counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaKind {
    /// The borrower's account at a channel.
    Account,
    Device,
    Person,
    Phone,
    /// The bank card that the loan is to be paid to.
    Card,
}

impl QuotaKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            QuotaKind::Account => "account",
            QuotaKind::Device => "device",
            QuotaKind::Person => "person",
            QuotaKind::Phone => "phone",
            QuotaKind::Card => "card",
        }
    }
}

/// The quota of somebody or something on a day in China.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    pub kind: QuotaKind,
    /// Keyed hash.
    pub of: String,
    pub day: Date,
    /// How many attempts it holds, at least one. Few: each is kept.
    pub most: u32,
}

/// Whether an attempt is within a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    Within,
    /// The quota was full of others; nothing changed.
    Full,
}

/// The record of quotas. It is one for all instances, and forgets a day once it is over.
#[async_trait]
pub trait Quotas: Send + Sync {
    /// Counts an attempt, by an id that says nothing. The same attempt again counts once, and is within even a quota that is
    /// full by now.
    async fn count(&self, quota: &Quota, attempt: &str) -> Result<Counted, PortError>;
}
