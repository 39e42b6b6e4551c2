//! One connection pool, one attempt, one answer.

use crate::{
    address::{NotPublic, PublicOnly, is_public},
    outcome::{Delivery, ResponseBody, Unanswered},
};
use jiff::Timestamp;
use reqwest::{Client, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use signing::{MessageId, Signer};
use std::{error::Error, fmt, sync::Arc, time::Duration};
use url::{Host, Url};

/// Longest `Retry-After` that is believed. A counterparty may slow us down, not switch us off.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

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
    /// 3 s to connect, 10 s in all, 64 KiB, public addresses only.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            total_timeout: Duration::from_secs(10),
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
            Ok(Self { url, signer })
        } else {
            Err(BadTarget)
        }
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

/// The HTTP client could not be built: no usable TLS roots or invalid settings.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be built")]
pub struct ClientUnavailable(#[from] reqwest::Error);

/// Sends messages. Clones share one connection pool, so build one per process.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Client,
    config: Arc<SenderConfig>,
}

impl Sender {
    pub fn new(config: SenderConfig) -> Result<Self, ClientUnavailable> {
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .referer(false)
            .user_agent(concat!("lending/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.connect_timeout.min(config.total_timeout / 2))
            .https_only(!config.allow_private_addresses);
        if !config.allow_private_addresses {
            builder = builder.dns_resolver(Arc::new(PublicOnly));
        }
        Ok(Self { client: builder.build()?, config: Arc::new(config) })
    }

    /// Signs `body` as of `now` and posts it once. Never fails: whatever happens is one of [`Delivery`].
    ///
    /// `body` is JSON. `message_id` must be the same for every delivery of the same message.
    pub async fn send(
        &self,
        target: &Target,
        message_id: &MessageId,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Delivery {
        let delivery = if self.permits(&target.url) {
            tokio::time::timeout(self.config.total_timeout, self.post(target, message_id, body, now))
                .await
                .unwrap_or(Delivery::TimedOut)
        } else {
            Delivery::AddressRefused
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
        self.config.allow_private_addresses || (public && url.scheme() == "https")
    }

    async fn post(&self, target: &Target, message_id: &MessageId, body: Vec<u8>, now: Timestamp) -> Delivery {
        let mut request =
            self.client.post(target.url.clone()).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in target.signer.sign(message_id, now, &body).pairs() {
            request = request.header(name, value);
        }
        match request.body(body).send().await {
            Ok(response) => self.read(response).await,
            Err(error) => failure(&error),
        }
    }

    async fn read(&self, response: Response) -> Delivery {
        let status = response.status();
        match status {
            StatusCode::GONE => Delivery::Gone,
            StatusCode::REQUEST_TIMEOUT => Delivery::TimedOut,
            StatusCode::TOO_MANY_REQUESTS => Delivery::Throttled { retry_after: retry_after(&response) },
            _ if status.is_redirection() => Delivery::Redirected { status: status.as_u16() },
            _ if status.is_success() || status.is_client_error() => self.read_body(response).await,
            _ => Delivery::ServerError { status: status.as_u16() },
        }
    }

    async fn read_body(&self, mut response: Response) -> Delivery {
        let (status, success) = (response.status().as_u16(), response.status().is_success());
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > self.config.max_response_bytes => {
                    return Delivery::Oversized { status };
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) if error.is_timeout() => return Delivery::TimedOut,
                Err(_) => return Delivery::Broken,
            }
        }
        let body = ResponseBody::new(body);
        if success { Delivery::Accepted { status, body } } else { Delivery::Refused { status, body } }
    }
}

/// Sorts a failed request by whether anything may have left. When in doubt, it may have.
fn failure(error: &reqwest::Error) -> Delivery {
    if is_caused_by::<NotPublic>(error) {
        Delivery::AddressRefused
    } else if error.is_connect() || error.is_builder() {
        Delivery::Unreachable
    } else if error.is_timeout() {
        Delivery::TimedOut
    } else {
        Delivery::Broken
    }
}

fn is_caused_by<E: Error + 'static>(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<E>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds: u64 = text.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests;
