//! What we hold against an endpoint of a counterparty: it wants to be left alone for a while, or it is closed.

use crate::PortError;
use async_trait::async_trait;
use domain::Channel;
use jiff::Timestamp;
use std::{fmt, str::FromStr};

/// The longest name of a counterparty.
const LONGEST_NAME: usize = 64;

/// Names an endpoint: `bank#<name>` or `channel#<name>`, the name in lower-case letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(String);

/// The text does not name an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint is called bank#<name> or channel#<name>")]
pub struct NotAnEndpoint;

impl EndpointId {
    /// Where a bank takes instructions and questions.
    pub fn bank(name: &str) -> Self {
        Self(format!("bank#{name}"))
    }

    /// Where a channel takes notices.
    pub fn channel(channel: Channel) -> Self {
        Self(format!("channel#{}", channel.as_str()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EndpointId {
    type Err = NotAnEndpoint;

    fn from_str(text: &str) -> Result<Self, NotAnEndpoint> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        match text.split_once('#') {
            Some(("bank" | "channel", name))
                if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(NotAnEndpoint),
        }
    }
}

/// What is held against an endpoint; nothing at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointState {
    /// It answered 410, first at this time. Nothing is sent there until somebody has enabled it.
    pub disabled_since: Option<Timestamp>,
    /// It asked with `Retry-After` to be left alone until then. To the millisecond, rounded up.
    pub not_before: Option<Timestamp>,
}

/// What is held against endpoints, shared by all instances of all functions. Written only when something changes.
#[async_trait]
pub trait Endpoints: Send + Sync {
    /// What is held against an endpoint, strongly consistent.
    async fn get(&self, endpoint: &EndpointId) -> Result<EndpointState, PortError>;

    /// Sends nothing there before `until`. Never brings an earlier promise forward.
    async fn hold_back(&self, endpoint: &EndpointId, until: Timestamp) -> Result<(), PortError>;

    /// Sends nothing there any more. The first time stays.
    async fn disable(&self, endpoint: &EndpointId, since: Timestamp) -> Result<(), PortError>;

    /// Forgets what was held against the endpoint.
    async fn enable(&self, endpoint: &EndpointId) -> Result<(), PortError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_one_spelling() {
        for id in [EndpointId::bank("river-bank"), EndpointId::channel(Channel::MiniProgram)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "bank#", "river-bank", "shop#x", "bank#River", "bank#a b", "bank#a#b"] {
            assert_eq!(text.parse::<EndpointId>(), Err(NotAnEndpoint), "{text}");
        }
        assert_eq!(format!("bank#{}", "x".repeat(65)).parse::<EndpointId>(), Err(NotAnEndpoint));
    }
}
