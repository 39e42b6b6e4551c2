//! The traits that handlers need from the world outside, and the suite that every adapter must pass
//! (`conformance`, behind the feature of that name). A port has few methods; its docs name the errors that an
//! adapter must return, and a function's role grants exactly the calls behind the ports it holds.

pub mod applicants;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod counterparty;
pub mod data_keys;
pub mod endpoints;
pub mod exports;
pub mod firms;
pub mod journal;
pub mod ledger;
pub mod loans;
pub mod notices;
pub mod observer;
pub mod quotas;
pub mod relation;
pub mod ring_names;
pub mod rings;
pub mod secrets;
pub mod sign_ins;

pub use clock::{Clock, FixedClock, SystemClock};

/// What went wrong behind a port, when no caller could do anything but try again or give up.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Throttled, timed out, or the answer was lost. The effect may have happened.
    #[error("{attempted}: not available")]
    Unavailable {
        attempted: &'static str,
        #[source]
        source: Source,
    },
    /// The other side refused the call, or what it holds cannot be read. Trying again will not help.
    #[error("{attempted}: refused or unreadable")]
    Broken {
        attempted: &'static str,
        #[source]
        source: Source,
    },
}

/// The error underneath; it must never carry personal data.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

impl PortError {
    pub fn unavailable(attempted: &'static str, source: impl Into<Source>) -> Self {
        PortError::Unavailable { attempted, source: source.into() }
    }

    pub fn broken(attempted: &'static str, source: impl Into<Source>) -> Self {
        PortError::Broken { attempted, source: source.into() }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, PortError::Unavailable { .. })
    }
}
