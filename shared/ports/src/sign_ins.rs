//! Sign-ins.

use crate::PortError;
use async_trait::async_trait;
use domain::Channel;
use jiff::Timestamp;

/// One sign-in, with keyed hashes for everything that points at a person.
#[derive(Clone, Debug, PartialEq)]
pub struct SignIn {
    /// Keyed hash of channel and subject: who signed in.
    pub borrower: String,
    /// Keyed hash of channel and one-time code. A channel gives one code to one subject, so that a code that comes again
    /// comes with the same borrower, and signs in once.
    pub code: String,
    pub channel: Channel,
    pub device: String,
    pub network: String,
    pub place: Option<String>,
    pub at: Timestamp,
}

/// Whether a sign-in was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    Yes,
    /// The one-time code has signed somebody in before.
    CodeUsed,
}

/// Where and when somebody signed in, as far as it has not been erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Keyed hashes.
    pub device: String,
    pub network: String,
    pub at: Timestamp,
}

/// The record of sign-ins.
#[async_trait]
pub trait SignIns: Send + Sync {
    /// One conditional put.
    async fn record(&self, sign_in: &SignIn) -> Result<Recorded, PortError>;

    /// Where and when the borrower signed in, so that what other records have of it can be erased first: it is found by
    /// this alone.
    async fn visits(&self, borrower: &str) -> Result<Vec<Visit>, PortError>;

    /// Erases all that the borrower's sign-ins say, but that their codes were used. Gives how many there were.
    async fn erase(&self, borrower: &str) -> Result<u32, PortError>;
}
