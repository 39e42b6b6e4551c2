//! Notices to the channels' back end.

use crate::{
    guard::{Guard, Passage},
    json, message_id, target,
};
use async_trait::async_trait;
use contract::channel::Notice;
use delivery::{BadTarget, Delivery, Sender, Target};
use domain::Channel;
use ports::{
    Clock, PortError,
    counterparty::{ChannelNotices, Told},
    endpoints::EndpointId,
    notices::NoticeId,
};
use signing::Signer;
use std::sync::Arc;

const TELLING: &str = "telling a channel";

/// `POST {channel}/notices`. The notice's name is the message id, so that a channel knows a copy when it sees one.
pub struct HttpChannelNotices {
    sender: Sender,
    target: Target,
    guard: Guard,
    clock: Arc<dyn Clock>,
}

impl HttpChannelNotices {
    /// `url` is the base URL of the channels' back end. What each channel asks for is kept apart.
    pub fn new(
        sender: Sender,
        url: &str,
        signer: &Signer,
        guard: Guard,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BadTarget> {
        Ok(Self { sender, target: target(url, "/notices", signer)?, guard, clock })
    }
}

#[async_trait]
impl ChannelNotices for HttpChannelNotices {
    async fn tell(&self, channel: Channel, id: &NoticeId, notice: &Notice) -> Result<Told, PortError> {
        let endpoint = EndpointId::channel(channel);
        match self.guard.passage(&endpoint).await? {
            Passage::Open => {}
            Passage::HeldBack { until } => return Ok(Told::HeldBack { until }),
            Passage::Disabled => return Ok(Told::Disabled),
        }
        let message = message_id(TELLING, id.to_string())?;
        let body = json(TELLING, notice)?;
        let delivery = self.sender.send(&self.target, &message, body, self.clock.now()).await;
        tracing::info!(
            application_id = %id.application,
            notice = %id,
            delivery = delivery.name(),
            status = delivery.status(),
            "a channel was told"
        );
        self.guard.note(&endpoint, &delivery).await;
        let wanted = delivery.retry_after().and_then(|after| self.clock.now().checked_add(after).ok());
        Ok(match delivery {
            Delivery::Accepted { .. } => Told::Taken,
            other => Told::NotTaken { outcome: other.name(), not_before: wanted },
        })
    }
}
