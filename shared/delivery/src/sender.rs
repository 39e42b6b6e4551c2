//! Signs a message, judges where it goes, and hands it to the network once.

use crate::{
    address::is_public,
    http::{ClientUnavailable, HttpTransport},
    outcome::{Delivery, Unanswered},
    transport::{SignedRequest, Transport},
};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use signing::{MessageId, Signer};
use std::{fmt, sync::Arc, time::Duration};
use url::{Host, Url};

/// What bodies are unless a target says otherwise.
const JSON: &str = "application/json";

/// Limits on every delivery.
#[derive(Debug, Clone)]
pub struct SenderConfig {
    /// For the name, TCP and TLS together. Must be shorter than `total_timeout`, or a slow connection would count as
    /// a request that may have arrived.
    pub connect_timeout: Duration,
    /// From the start to the last byte of the answer, however slowly bytes drip.
    pub total_timeout: Duration,
    pub max_response_bytes: usize,
    /// `true` for simulated counterparties and tests: allows `http` and addresses inside our network.
    pub allow_private_addresses: bool,
}

impl Default for SenderConfig {
    /// 2 s to connect, 4 s in all, 64 KiB, public addresses only.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            total_timeout: Duration::from_secs(4),
            max_response_bytes: 64 * 1024,
            allow_private_addresses: false,
        }
    }
}

/// Where a message goes and who signs it.
#[derive(Clone)]
pub struct Target {
    url: Url,
    signer: Signer,
    content_type: &'static str,
}

/// The text is not a URL that a message can be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an http or https URL with a host and without a password")]
pub struct BadTarget;

impl Target {
    /// `url` comes from our own configuration; names and passwords in it are refused, since URLs end up in logs.
    pub fn new(url: &str, signer: Signer) -> Result<Self, BadTarget> {
        let url = Url::parse(url).map_err(|_| BadTarget)?;
        let plain = url.username().is_empty() && url.password().is_none();
        if matches!(url.scheme(), "http" | "https") && url.has_host() && plain {
            Ok(Self { url, signer, content_type: JSON })
        } else {
            Err(BadTarget)
        }
    }

    /// The same for bodies of another type, for example sealed ones.
    #[must_use]
    pub fn with_content_type(self, content_type: &'static str) -> Self {
        Self { content_type, ..self }
    }

    pub fn url(&self) -> &str {
        self.url.as_str()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// Sends messages. Clones share one network, and so one connection pool: build one per process.
#[derive(Clone)]
pub struct Sender {
    transport: Arc<dyn Transport>,
    allow_private_addresses: bool,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl Sender {
    /// Over the real network.
    pub fn new(config: SenderConfig) -> Result<Self, ClientUnavailable> {
        let allow_private_addresses = config.allow_private_addresses;
        Ok(Self { transport: Arc::new(HttpTransport::new(config)?), allow_private_addresses })
    }

    /// Over a given network, whose addresses are its own affair.
    pub fn over(transport: Arc<dyn Transport>) -> Self {
        Self { transport, allow_private_addresses: true }
    }

    /// Signs `body` as of `now` and posts it once. Never fails: whatever happens is one of [`Delivery`].
    ///
    /// `message_id` must be the same for every delivery of the same message.
    pub async fn send(
        &self,
        target: &Target,
        message_id: &MessageId,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Delivery {
        let delivery = match target.signer.try_sign(message_id, now, &body) {
            _ if !self.permits(&target.url) => Delivery::AddressRefused,
            Ok(signed) => {
                let headers = signed.pairs().map(|(name, value)| (name, value.to_owned()));
                let (url, content_type) = (target.url.clone(), target.content_type);
                self.transport.post(SignedRequest { url, headers, content_type, body, signed_at: now }).await
            }
            Err(error) => {
                tracing::error!(%message_id, %error, "a message could not be signed, and was not sent");
                Delivery::Unreachable
            }
        };
        tracing::debug!(
            message_id = %message_id,
            outcome = delivery.name(),
            status = delivery.status(),
            "delivered"
        );
        delivery
    }

    /// Sends a question and parses the answer, as for a bank's state of a payout or a channel's one-time code.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        target: &Target,
        message_id: &MessageId,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Result<T, Unanswered> {
        self.send(target, message_id, body, now).await.parse()
    }

    /// Addresses written as numbers never reach the resolver, so they are judged here.
    fn permits(&self, url: &Url) -> bool {
        let public = match url.host() {
            Some(Host::Ipv4(address)) => is_public(address.into()),
            Some(Host::Ipv6(address)) => is_public(address.into()),
            Some(Host::Domain(_)) => true,
            None => false,
        };
        self.allow_private_addresses || (public && url.scheme() == "https")
    }
}

#[cfg(test)]
mod tests;
