//! The exchange of one-time codes at the channel.

use crate::{fresh_message_id, json, not_taken, target};
use async_trait::async_trait;
use contract::channel::{ExchangeAnswer, ExchangeRequest};
use delivery::{BadTarget, Delivery, Sender, Target};
use domain::Channel;
use ports::{
    Clock, PortError,
    counterparty::{ChannelExchange, ExchangeError},
};
use signing::Signer;
use std::sync::Arc;

const EXCHANGING: &str = "exchanging a one-time code";

/// `POST {channel}/exchange`.
#[derive(Clone)]
pub struct HttpChannelExchange {
    sender: Sender,
    target: Target,
    clock: Arc<dyn Clock>,
}

impl HttpChannelExchange {
    /// `url` is the base URL of the channels' back end.
    pub fn new(sender: Sender, url: &str, signer: Signer, clock: Arc<dyn Clock>) -> Result<Self, BadTarget> {
        Ok(Self { sender, target: target(url, "/exchange", &signer)?, clock })
    }
}

#[async_trait]
impl ChannelExchange for HttpChannelExchange {
    async fn exchange(&self, channel: Channel, code: &str) -> Result<ExchangeAnswer, ExchangeError> {
        let id = fresh_message_id(EXCHANGING, "exchange")?;
        let body = json(EXCHANGING, &ExchangeRequest { channel, code })?;
        answer(self.sender.send(&self.target, &id, body, self.clock.now()).await)
    }
}

/// A 4xx speaks of the code, except the two that speak of us: a channel that does not know our signature must not tell
/// every borrower that the code is wrong.
fn answer(delivery: Delivery) -> Result<ExchangeAnswer, ExchangeError> {
    match delivery {
        Delivery::Refused { status, .. } if !matches!(status, 401 | 403) => Err(ExchangeError::CodeRefused),
        accepted @ Delivery::Accepted { .. } => {
            // The code is used up, so that asking again could only be told so.
            accepted.parse().map_err(|error| PortError::broken(EXCHANGING, error).into())
        }
        other => Err(not_taken(EXCHANGING, &other).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use delivery::ResponseBody;

    fn refused(status: u16) -> Result<ExchangeAnswer, ExchangeError> {
        answer(Delivery::Refused { status, body: ResponseBody::default() })
    }

    #[test]
    fn a_refused_code_is_the_borrowers_matter_and_a_refused_signature_is_ours() {
        for status in [400, 404, 409, 422] {
            assert!(matches!(refused(status), Err(ExchangeError::CodeRefused)), "{status}");
        }
        for status in [401, 403] {
            assert!(
                matches!(refused(status), Err(ExchangeError::Port(PortError::Broken { .. }))),
                "{status}"
            );
        }
    }

    #[test]
    fn garbage_signs_nobody_in_and_is_not_asked_for_again() {
        let garbage = Delivery::Accepted { status: 200, body: ResponseBody::default() };
        assert!(matches!(answer(garbage), Err(ExchangeError::Port(PortError::Broken { .. }))));
    }

    #[test]
    fn silence_signs_nobody_in_and_may_be_tried_again() {
        for delivery in [Delivery::TimedOut, Delivery::ServerError { status: 502, retry_after: None }] {
            let Err(ExchangeError::Port(error)) = answer(delivery) else { panic!("must be a port error") };
            assert!(error.is_retryable());
        }
    }
}
