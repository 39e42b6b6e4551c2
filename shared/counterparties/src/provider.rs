//! Providers of the face check and of the own-number check.

use crate::{json, message_id, not_taken, target};
use async_trait::async_trait;
use contract::{
    names::{FACE_CALLBACK_PATH, PHONE_CALLBACK_PATH, secret, setting},
    provider::{StartCheck, check_id},
};
use delivery::{BadTarget, Delivery, Sender, Target};
use domain::ApplicationId;
use ports::{Clock, PortError, counterparty::CheckProvider};
use signing::Signer;
use std::sync::Arc;

/// Which check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    Face,
    Phone,
}

impl CheckKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            CheckKind::Face => "face",
            CheckKind::Phone => "phone",
        }
    }

    /// Where the provider's answer comes in, below [`setting::PUBLIC_URL`].
    pub const fn callback_path(self) -> &'static str {
        match self {
            CheckKind::Face => FACE_CALLBACK_PATH,
            CheckKind::Phone => PHONE_CALLBACK_PATH,
        }
    }

    /// The setting with the keys that are shared with the provider.
    pub const fn secrets(self) -> &'static str {
        match self {
            CheckKind::Face => secret::FACE_PROVIDER_SECRETS,
            CheckKind::Phone => secret::PHONE_PROVIDER_SECRETS,
        }
    }

    /// The id of one attempt at this check: the same whenever it is started.
    pub fn check_id(self, id: ApplicationId, attempt: u8) -> String {
        check_id(id, self.as_str(), attempt)
    }

    /// The setting with the provider's base URL.
    pub const fn url(self) -> &'static str {
        match self {
            CheckKind::Face => setting::FACE_PROVIDER_URL,
            CheckKind::Phone => setting::PHONE_PROVIDER_URL,
        }
    }

    const fn path(self) -> &'static str {
        match self {
            CheckKind::Face => "/face/checks",
            CheckKind::Phone => "/phone/checks",
        }
    }
}

const STARTING: &str = "starting a check";

/// `POST {provider}/face/checks` or `/phone/checks`. The check's id is the message id too, so that a check that is
/// started again is the same check and is paid for once.
#[derive(Clone)]
pub struct HttpCheckProvider {
    sender: Sender,
    target: Target,
    clock: Arc<dyn Clock>,
}

impl HttpCheckProvider {
    /// `url` is the provider's base URL.
    pub fn new(
        kind: CheckKind,
        sender: Sender,
        url: &str,
        signer: &Signer,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BadTarget> {
        Ok(Self { sender, target: target(url, kind.path(), signer)?, clock })
    }
}

#[async_trait]
impl CheckProvider for HttpCheckProvider {
    async fn start(&self, check: &StartCheck<'_>) -> Result<(), PortError> {
        let id = message_id(STARTING, check.check_id.clone())?;
        let body = json(STARTING, check)?;
        match self.sender.send(&self.target, &id, body, self.clock.now()).await {
            Delivery::Accepted { .. } => Ok(()),
            other => Err(not_taken(STARTING, &other)),
        }
    }
}
