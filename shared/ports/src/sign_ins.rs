//! Sign-ins.

use crate::PortError;
use async_trait::async_trait;
use domain::{Channel, Subject};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One sign-in, with keyed hashes for everything that points at a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignIn {
    /// Keyed hash of channel and one-time code: the key of the row, so that a code signs in once.
    pub code: String,
    pub channel: Channel,
    pub subject: Subject,
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

/// The record of sign-ins.
#[async_trait]
pub trait SignIns: Send + Sync {
    /// One conditional put.
    async fn record(&self, sign_in: &SignIn) -> Result<Recorded, PortError>;
}
