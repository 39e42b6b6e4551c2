//! The network under a [`crate::Sender`].
//!
//! [`HttpTransport`] is the real one. A simulation hands in a network of its own: what it is given are the very bytes
//! and signatures that would have left, and [`Answer::delivery`] sorts what comes back exactly as for the real one.

use crate::outcome::{Delivery, ResponseBody};
use async_trait::async_trait;
use jiff::{Timestamp, fmt::rfc2822};
use std::{fmt, time::Duration};
use url::Url;

/// Longest `Retry-After` that is believed. A counterparty may slow us down, not switch us off.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Carries one request over and tells what became of it.
///
/// It must not try twice, must not follow redirects, and must come to an end in bounded time. Whether the URL may be
/// posted to at all is settled before; what its name leads to is the transport's to judge.
#[async_trait]
pub trait Transport: Send + Sync {
    async fn post(&self, request: SignedRequest) -> Delivery;
}

/// A request that is ready to leave. Printing shows where it goes and how long it is, never what is in it.
#[derive(Clone)]
pub struct SignedRequest {
    pub url: Url,
    /// The three headers of Standard Webhooks.
    pub headers: [(&'static str, String); 3],
    pub content_type: &'static str,
    pub body: Vec<u8>,
    /// The time of the signature, against which a `Retry-After` date is counted.
    pub signed_at: Timestamp,
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("host", &self.url.host_str())
            .field("content_type", &self.content_type)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A complete HTTP answer, its body cut to what we are ready to read.
#[derive(Clone, Default)]
pub struct Answer {
    pub status: u16,
    /// The header `Retry-After` as it came.
    pub retry_after: Option<String>,
    pub body: Vec<u8>,
}

impl Answer {
    /// What the answer means for the delivery. `now` turns a `Retry-After` date into a span.
    pub fn delivery(self, now: Timestamp) -> Delivery {
        let status = self.status;
        let retry_after = || self.retry_after.as_deref().and_then(|text| retry_after(text, now));
        match status {
            410 => Delivery::Gone,
            408 => Delivery::TimedOut,
            429 => Delivery::Throttled { retry_after: retry_after() },
            503 => Delivery::ServerError { status, retry_after: retry_after() },
            200..=299 => Delivery::Accepted { status, body: ResponseBody::new(self.body) },
            300..=399 => Delivery::Redirected { status },
            400..=499 => Delivery::Refused { status, body: ResponseBody::new(self.body) },
            _ => Delivery::ServerError { status, retry_after: None },
        }
    }

    /// Whether the meaning of a status depends on the body that comes with it.
    pub(crate) fn body_matters(status: u16) -> bool {
        matches!(status, 200..=299 | 400..=499) && !matches!(status, 408 | 410 | 429)
    }
}

/// Seconds, or the preferred form of an HTTP date (RFC 9110, section 10.2.3), at most [`LONGEST_RETRY_AFTER`]. A date in
/// the past is no time at all; the two obsolete forms of dates are not read.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a very long time.
        text.parse().map_or(LONGEST_RETRY_AFTER, Duration::from_secs)
    } else {
        let date = rfc2822::DateTimeParser::new()
            .parse_timestamp(text.strip_suffix("GMT")?.to_owned() + "+0000")
            .ok()?;
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-02T08:00:00Z".parse().unwrap()
    }

    fn answer(status: u16, retry_after: Option<&str>) -> Delivery {
        Answer { status, retry_after: retry_after.map(str::to_owned), body: Vec::new() }.delivery(now())
    }

    #[test]
    fn a_retry_after_is_read_as_seconds_or_as_a_date_and_never_beyond_an_hour() {
        let seconds = |n| Some(Duration::from_secs(n));
        for (text, expected) in [
            ("0", seconds(0)),
            ("7", seconds(7)),
            (" 7 ", seconds(7)),
            ("3601", seconds(3600)),
            ("99999999999999999999999999", seconds(3600)),
            ("Mon, 02 Nov 2026 08:00:30 GMT", seconds(30)),
            ("Mon, 02 Nov 2026 07:59:00 GMT", seconds(0)),
            ("Fri, 31 Dec 2027 23:59:59 GMT", seconds(3600)),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("Mon, 02 Nov 2026 08:00:30", None),
            ("Sun, 02 Nov 2026 08:00:30 GMT", None),
        ] {
            assert_eq!(retry_after(text, now()), expected, "{text}");
        }
    }

    #[test]
    fn only_too_many_requests_and_service_unavailable_speak_of_a_time() {
        let after = Some(Duration::from_secs(9));
        assert_eq!(answer(429, Some("9")), Delivery::Throttled { retry_after: after });
        assert_eq!(answer(503, Some("9")), Delivery::ServerError { status: 503, retry_after: after });
        assert_eq!(answer(500, Some("9")).retry_after(), None);
        assert_eq!(answer(422, Some("9")).retry_after(), None);
        assert!(answer(503, Some("9")).outcome_unknown());
    }

    #[test]
    fn printing_a_request_shows_neither_its_body_nor_its_signature() {
        let request = SignedRequest {
            url: "https://bank.test/payouts".parse().unwrap(),
            headers: [("a", "v1,secret".into()), ("b", String::new()), ("c", String::new())],
            content_type: "application/json",
            body: b"13900000000".to_vec(),
            signed_at: now(),
        };
        let shown = format!("{request:?}");
        assert!(!shown.contains("139") && !shown.contains("secret") && !shown.contains("payouts"), "{shown}");
    }
}
