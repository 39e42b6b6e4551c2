//! Delivers callbacks: signed, and again when the lender does not take them.

use crate::{Clock, Gate, Keys, digest, pause};
use signing::MessageId;
use std::time::Duration;

/// How often a callback is sent again after its first delivery failed.
const REDELIVERIES: u32 = 5;

/// Longest wait for the lender's answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Posts callbacks of one counterparty.
#[derive(Clone)]
pub(crate) struct Courier {
    client: reqwest::Client,
    clock: Clock,
    first_pause: Duration,
    gate: Option<Gate>,
}

impl Courier {
    /// `first_pause` comes before the first redelivery and doubles with each further one.
    pub(crate) fn new(
        clock: Clock,
        first_pause: Duration,
        gate: Option<Gate>,
    ) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self { client, clock, first_pause, gate })
    }

    /// Delivers until the lender answers anything below 500, at most six times. Every delivery has the same id and a
    /// time of its own.
    pub(crate) async fn deliver(&self, keys: &Keys, url: &str, id: &MessageId, body: &[u8]) {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        for redelivery in 0..=REDELIVERIES {
            if redelivery > 0 {
                pause(self.first_pause.saturating_mul(2_u32.pow(redelivery - 1))).await;
            }
            match self.post(keys, url, id, body).await {
                Ok(status) if !status.is_server_error() => {
                    tracing::debug!(message_id = %id, status = status.as_u16(), "callback answered");
                    return;
                }
                Ok(status) => {
                    tracing::debug!(message_id = %id, status = status.as_u16(), "callback not taken")
                }
                Err(_) => tracing::debug!(message_id = %id, "callback not answered"),
            }
        }
        tracing::warn!(message_id = %id, "callback given up");
    }

    async fn post(
        &self,
        keys: &Keys,
        url: &str,
        id: &MessageId,
        body: &[u8],
    ) -> Result<reqwest::StatusCode, reqwest::Error> {
        let mut request = self.client.post(url).header("content-type", "application/json");
        for (name, value) in keys.own.sign(id, (self.clock)(), body).pairs() {
            request = request.header(name, value);
        }
        Ok(request.body(body.to_vec()).send().await?.status())
    }
}

/// The id of a callback: the same whenever the same thing is said again.
pub(crate) fn callback_id(kind: &str, name: &str) -> MessageId {
    MessageId::from(&digest(kind, name))
}

/// Whether a callback can be sent there at all.
pub(crate) fn is_callback_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
