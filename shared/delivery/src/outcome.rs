//! What became of one delivery.

use serde::de::DeserializeOwned;
use std::{fmt, time::Duration};

/// What a counterparty answered, at most [`crate::SenderConfig::max_response_bytes`] long. Printing shows its length only.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ResponseBody(Vec<u8>);

impl ResponseBody {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseBody({} bytes)", self.0.len())
    }
}

/// What became of one delivery. Exactly one of these is true, and each leads to a different next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// 2xx: taken. Whether the body makes sense is for the caller to find out.
    Accepted { status: u16, body: ResponseBody },
    /// Any 4xx without a variant of its own: understood and not done. The same message will be refused again.
    Refused { status: u16, body: ResponseBody },
    /// 410: this address is closed for good. Nobody should send here again until a person has looked.
    Gone,
    /// 3xx, not followed: a signed instruction goes where it was addressed or nowhere.
    Redirected { status: u16 },
    /// 429: not done, come back later.
    Throttled { retry_after: Option<Duration> },
    /// 5xx, and any status that HTTP does not define. 503 may say when to come back.
    ServerError { status: u16, retry_after: Option<Duration> },
    /// No complete answer in time, or the answer 408. The request may have arrived.
    TimedOut,
    /// The connection broke after the request had started to leave, or what came back was not HTTP.
    Broken,
    /// No connection (name, TCP or TLS): not one byte of the request left.
    Unreachable,
    /// The answer was longer than we read. `status` did arrive.
    Oversized { status: u16 },
    /// Not `https`, or a host whose address is not public. Nothing was sent.
    AddressRefused,
}

impl Delivery {
    /// Whether the far side may have acted on the message without our knowing.
    ///
    /// If so, the one safe next step is to ask for the state, or to send the same message under the same id. Redirects count
    /// as unknown, because `303` is what some servers answer after they have acted.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Redirected { .. }
            | Self::ServerError { .. }
            | Self::TimedOut
            | Self::Broken
            | Self::Oversized { .. } => true,
            Self::Accepted { .. }
            | Self::Refused { .. }
            | Self::Gone
            | Self::Throttled { .. }
            | Self::Unreachable
            | Self::AddressRefused => false,
        }
    }

    /// Whether the same message may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Throttled { .. }
                | Self::ServerError { .. }
                | Self::TimedOut
                | Self::Broken
                | Self::Unreachable
        )
    }

    /// A word for logs and events: no content, no address.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Refused { .. } => "refused",
            Self::Gone => "gone",
            Self::Redirected { .. } => "redirected",
            Self::Throttled { .. } => "throttled",
            Self::ServerError { .. } => "server_error",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::Unreachable => "unreachable",
            Self::Oversized { .. } => "oversized",
            Self::AddressRefused => "address_refused",
        }
    }

    /// The HTTP status, where one arrived.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Accepted { status, .. }
            | Self::Refused { status, .. }
            | Self::Redirected { status }
            | Self::ServerError { status, .. }
            | Self::Oversized { status } => Some(*status),
            Self::Gone => Some(410),
            Self::Throttled { .. } => Some(429),
            Self::TimedOut | Self::Broken | Self::Unreachable | Self::AddressRefused => None,
        }
    }

    /// How long the far side wants to be left alone, at most [`crate::LONGEST_RETRY_AFTER`].
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } | Self::ServerError { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The accepted body as `T`.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, Unanswered> {
        match self {
            Self::Accepted { status, body } => {
                serde_json::from_slice(body.as_bytes()).map_err(|_| Unanswered::Garbage { status })
            }
            other => Err(Unanswered::NotAccepted(other)),
        }
    }
}

/// A question got no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    #[error("the question was not accepted: {}", .0.name())]
    NotAccepted(Delivery),
    /// 2xx with a body that is not what was agreed. Says nothing of what is in it.
    #[error("the answer with status {status} is not in the agreed form")]
    Garbage { status: u16 },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_a_delivery_never_shows_its_body() {
        let body = ResponseBody::new(b"13900000000".to_vec());
        assert_eq!(
            format!("{:?}", Delivery::Refused { status: 422, body }),
            "Refused { status: 422, body: ResponseBody(11 bytes) }"
        );
    }

    #[test]
    fn an_answer_that_is_not_the_agreed_json_is_garbage_and_not_echoed() {
        let body = ResponseBody::new(b"<html>13900000000</html>".to_vec());
        let unanswered = Delivery::Accepted { status: 200, body }.parse::<Vec<u8>>().unwrap_err();
        assert_eq!(unanswered, Unanswered::Garbage { status: 200 });
        assert!(!unanswered.to_string().contains("139"));
    }

    #[test]
    fn only_outcomes_in_which_the_request_may_have_arrived_are_unknown() {
        let body = ResponseBody::default;
        let unknown = [
            Delivery::Redirected { status: 303 },
            Delivery::ServerError { status: 502, retry_after: None },
            Delivery::TimedOut,
            Delivery::Broken,
            Delivery::Oversized { status: 200 },
        ];
        let known = [
            Delivery::Accepted { status: 202, body: body() },
            Delivery::Refused { status: 422, body: body() },
            Delivery::Gone,
            Delivery::Throttled { retry_after: None },
            Delivery::Unreachable,
            Delivery::AddressRefused,
        ];
        assert!(unknown.iter().all(Delivery::outcome_unknown));
        assert!(!known.iter().any(Delivery::outcome_unknown));
    }
}
