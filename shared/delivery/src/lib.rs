//! Sends one signed body to a counterparty and tells exactly what happened.
//!
//! Used by every function that speaks to a bank, a provider or a channel. It reads nothing and writes nothing of ours,
//! and it never tries twice: whoever calls knows whether a second try is safe. What it does know is whether the far
//! side *may have acted* ([`Delivery::outcome_unknown`]), which decides between trying again and asking.
//!
//! What a counterparty cannot make us do: follow a redirect, connect to an address inside our network (checked on the
//! addresses that are connected to, so a name that changes its answer gains nothing), read more than
//! [`SenderConfig::max_response_bytes`], or wait longer than [`SenderConfig::total_timeout`].
//!
//! Bodies are never logged, in either direction.

mod address;
mod http;
mod outcome;
mod schedule;
mod sender;
mod transport;

pub use address::is_public;
pub use http::{ClientUnavailable, HttpTransport};
pub use outcome::{Delivery, ResponseBody, Unanswered};
pub use schedule::Schedule;
pub use sender::{BadTarget, Sender, SenderConfig, Target};
pub use transport::{Answer, LONGEST_RETRY_AFTER, SignedRequest, Transport};
