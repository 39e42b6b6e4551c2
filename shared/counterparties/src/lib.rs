//! The world outside, over signed HTTP: channels, check providers and banks as adapters of [`ports::counterparty`],
//! and the way in for what providers and banks call back with ([`callbacks`]).
//!
//! | | |
//! |---|---|
//! | triggered by | nothing itself; held by `intake`, `verify-face`, `verify-phone`, `payout`, `bank-callback`, `notify` |
//! | reads, writes | `endpoints`, by the guard of `payout` and `notify`; nothing else of ours |
//! | emits | one signed POST per call, under a message id that is the same whenever the same thing is said again |
//! | retries | never: whoever calls knows whether a second try is safe |
//!
//! Bodies hold personal data on their way to those who need it. They are built here, sent, and never logged.

mod bank;
pub mod callbacks;
mod channel;
mod guard;
mod guarded;
mod notices;
mod provider;

pub use bank::HttpBanks;
pub use channel::HttpChannelExchange;
pub use guard::{BELIEVED_FOR, Guard, Passage};
pub use guarded::GuardedBanks;
pub use notices::HttpChannelNotices;
pub use provider::{CheckKind, HttpCheckProvider};

use delivery::{BadTarget, Delivery, Target};
use ports::PortError;
use serde::Serialize;
use signing::{MessageId, Signer};

/// A delivery that did not end as hoped. Says how, never what was in it.
#[derive(Debug, thiserror::Error)]
#[error("the delivery ended as {outcome}, status {status:?}")]
struct NotTaken {
    outcome: &'static str,
    status: Option<u16>,
}

/// The port error for a delivery that was not accepted: *unavailable* when the same message may be taken later.
fn not_taken(attempted: &'static str, delivery: &Delivery) -> PortError {
    let source = NotTaken { outcome: delivery.name(), status: delivery.status() };
    if delivery.is_retryable() {
        PortError::unavailable(attempted, source)
    } else {
        PortError::broken(attempted, source)
    }
}

/// `path` below a base URL, with or without a slash at its end.
fn target(base: &str, path: &str, signer: &Signer) -> Result<Target, BadTarget> {
    Target::new(&format!("{}{path}", base.trim_end_matches('/')), signer.clone())
}

fn json(attempted: &'static str, body: &impl Serialize) -> Result<Vec<u8>, PortError> {
    serde_json::to_vec(body).map_err(|error| PortError::broken(attempted, error))
}

fn message_id(attempted: &'static str, text: String) -> Result<MessageId, PortError> {
    MessageId::try_from(text).map_err(|error| PortError::broken(attempted, error))
}

/// An id for a message that is said only once, such as a question: a receiver that drops or replays messages by their
/// id would otherwise answer it with an old state.
fn fresh_message_id(attempted: &'static str, prefix: &str) -> Result<MessageId, PortError> {
    let random = signing::keys::random_id().map_err(|error| PortError::unavailable(attempted, error))?;
    message_id(attempted, format!("{prefix}.{random}"))
}
