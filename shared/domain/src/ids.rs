//! One type per kind of id, so that no id stands in for another.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Names one application for ever. Derived from the borrower and the idempotency key, so that a repeated
/// request names the same application; unguessable because the derivation is keyed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApplicationId(Uuid);

impl ApplicationId {
    /// An id from 16 bytes that already are unpredictable (a keyed hash or random bytes), as UUID version 8.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// A number that is spread evenly over applications and always the same for one: for shares of all of them.
    pub fn spread(self) -> u64 {
        self.0.as_u64_pair().1
    }

    /// The trace of this application through all functions.
    pub fn trace_id(self) -> TraceId {
        TraceId(self.0.as_u128())
    }

    /// The payout of this application. There is exactly one, so the id is the same id.
    pub fn payout_id(self) -> PayoutId {
        PayoutId(self.0)
    }

    /// The ring that is called after this application, should it be the first of one.
    pub fn ring_id(self) -> RingId {
        RingId(self.0)
    }
}

/// Names the one trace of an application. It is the application's own id: every function knows it without being told,
/// and nothing has to be carried from one to the next.
///
/// Printed as X-Ray writes the trace ids of W3C: 8 and 24 hexadecimal digits, of which it does not ask that the first 8
/// be a time (X-Ray API, `PutTraceSegments`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

impl TraceId {
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1-{:08x}-{:024x}", self.0 >> 96, self.0 & ((1 << 96) - 1))
    }
}

/// Names the one payout that an application can have; the key under which the bank is instructed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PayoutId(Uuid);

impl PayoutId {
    pub fn application_id(self) -> ApplicationId {
        ApplicationId(self.0)
    }
}

/// Names a ring of applications for ever: it is called after its first known member. Where two rings turn out to be one,
/// the smaller name stays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RingId(Uuid);

/// The text was not an id in its one canonical form (lower-case, hyphenated UUID).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id in canonical form")]
pub struct NotAnId;

fn canonical(text: &str) -> Result<Uuid, NotAnId> {
    let id = Uuid::try_parse(text).map_err(|_| NotAnId)?;
    if id.hyphenated().to_string() == text { Ok(id) } else { Err(NotAnId) }
}

macro_rules! id_text {
    ($name:ident) => {
        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                canonical(text).map($name)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}
id_text!(ApplicationId);
id_text!(PayoutId);
id_text!(RingId);

/// The borrower's account as the channel names it: opaque to us, at most 128 printable ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(String);

impl Subject {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Subject {
    type Error = NotAnId;
    fn try_from(text: String) -> Result<Self, NotAnId> {
        let printable = text.bytes().all(|b| b.is_ascii_graphic());
        if (1..=128).contains(&text.len()) && printable { Ok(Self(text)) } else { Err(NotAnId) }
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> String {
        subject.0
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = ApplicationId::from_bytes([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse::<ApplicationId>(), Err(NotAnId));
        assert_eq!(id.to_string().replace('-', "").parse::<ApplicationId>(), Err(NotAnId));
    }

    #[test]
    fn the_trace_of_an_application_is_its_id_in_the_form_of_x_ray() {
        let id: ApplicationId = "4efaaf4d-1e87-80b3-9541-901950019ee5".parse().unwrap();
        assert_eq!(id.trace_id().to_string(), "1-4efaaf4d-1e8780b39541901950019ee5");
        assert_eq!(ApplicationId::from_bytes([0; 16]).trace_id().to_string().len(), 35);
    }

    #[test]
    fn the_payout_of_an_application_is_always_the_same() {
        let id = ApplicationId::from_bytes([9; 16]);
        assert_eq!(id.payout_id().application_id(), id);
    }
}
