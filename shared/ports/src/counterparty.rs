//! The world outside: channels, check providers, banks. Each speaks signed HTTP.

use crate::PortError;
use async_trait::async_trait;
use contract::{
    bank::{PayoutInstruction, PayoutState},
    channel::ExchangeAnswer,
    provider::StartCheck,
};
use domain::{Channel, PayoutId};

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
