//! The real network: one connection pool, one attempt, one answer.

use crate::{
    address::{NotPublic, PublicOnly},
    outcome::Delivery,
    sender::SenderConfig,
    transport::{Answer, SignedRequest, Transport},
};
use async_trait::async_trait;
use reqwest::{Client, Response, header};
use std::{error::Error, sync::Arc};

/// The HTTP client could not be built: no usable TLS roots or invalid settings.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be built")]
pub struct ClientUnavailable(#[from] reqwest::Error);

/// Posts over HTTP/1.1 and TLS. Follows no redirect, uses no proxy, and connects to the addresses that were judged.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: Client,
    config: SenderConfig,
}

impl HttpTransport {
    pub fn new(config: SenderConfig) -> Result<Self, ClientUnavailable> {
        // The AWS SDK brings this one; a second would only make the binaries larger. An error says that there is one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
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
        Ok(Self { client: builder.build()?, config })
    }

    async fn exchange(&self, request: SignedRequest) -> Delivery {
        let signed_at = request.signed_at;
        let mut post = self.client.post(request.url).header(header::CONTENT_TYPE, request.content_type);
        for (name, value) in request.headers {
            post = post.header(name, value);
        }
        match post.body(request.body).send().await {
            Ok(response) => match self.read(response).await {
                Ok(answer) => answer.delivery(signed_at),
                Err(delivery) => delivery,
            },
            Err(error) => failure(&error),
        }
    }

    /// Reads as much of the answer as its status needs.
    async fn read(&self, mut response: Response) -> Result<Answer, Delivery> {
        let status = response.status().as_u16();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|text| text.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while Answer::body_matters(status) {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > self.config.max_response_bytes => {
                    return Err(Delivery::Oversized { status });
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) if error.is_timeout() => return Err(Delivery::TimedOut),
                Err(_) => return Err(Delivery::Broken),
            }
        }
        Ok(Answer { status, retry_after, body })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn post(&self, request: SignedRequest) -> Delivery {
        let exchange = self.exchange(request);
        tokio::time::timeout(self.config.total_timeout, exchange).await.unwrap_or(Delivery::TimedOut)
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
