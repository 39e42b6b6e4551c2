//! The world outside: channels, check providers, banks. Each speaks signed HTTP.

use crate::{PortError, notices::NoticeId};
use async_trait::async_trait;
use contract::{
    bank::{PayoutInstruction, PayoutState},
    channel::{ExchangeAnswer, Notice},
    provider::StartCheck,
};
use domain::{Channel, PayoutId};
use jiff::Timestamp;

/// Why a one-time code did not sign anybody in.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error("the channel does not accept the code")]
    CodeRefused,
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A channel's exchange of one-time codes.
#[async_trait]
pub trait ChannelExchange: Send + Sync {
    async fn exchange(&self, channel: Channel, code: &str) -> Result<ExchangeAnswer, ExchangeError>;
}

/// What became of telling a channel something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The channel has taken it.
    Taken,
    /// It was not taken, or nobody knows. `outcome` is the name of the delivery's outcome; `not_before` is when the
    /// channel may be told again at the earliest, where it says so.
    NotTaken { outcome: &'static str, not_before: Option<Timestamp> },
    /// Nothing was sent: the channel has asked for time.
    HeldBack { until: Timestamp },
    /// Nothing was sent: the channel's endpoint is disabled.
    Disabled,
}

/// A channel's back end, as a listener.
#[async_trait]
pub trait ChannelNotices: Send + Sync {
    /// Delivers a notice once, under its name. Delivering the same notice again does no harm.
    async fn tell(&self, channel: Channel, id: &NoticeId, notice: &Notice) -> Result<Told, PortError>;
}

/// A provider of the face or the phone check.
#[async_trait]
pub trait CheckProvider: Send + Sync {
    /// Starts a check; its answer comes back as a callback. Starting the same check again does no harm.
    async fn start(&self, check: &StartCheck<'_>) -> Result<(), PortError>;
}

/// How a bank took an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructed {
    /// The bank holds it.
    Taken,
    /// The bank refused it with a 4xx and has not acted on it.
    Refused,
    /// The bank has closed the endpoint (410) and has not acted on it.
    Closed,
    /// The bank was never reached: nothing was sent.
    NotSent,
    /// The bank has asked for time, or hangs, and is left alone for now: nothing was sent.
    HeldBack,
    /// The bank may or may not have acted: time-out, 5xx, redirect, garbage, broken connection. Ask it.
    Unknown,
}

/// A bank.
#[async_trait]
pub trait Bank: Send + Sync {
    /// Sends the instruction. The payout id is the key: the bank pays it once, however often it is sent.
    async fn instruct(
        &self,
        bank: &str,
        instruction: &PayoutInstruction<'_>,
    ) -> Result<Instructed, PortError>;

    /// Asks where a payout stands; `None` when no usable answer came.
    async fn ask(&self, bank: &str, payout: PayoutId) -> Result<Option<PayoutState>, PortError>;
}
