//! Hashes that say *same* or *different* and nothing else.
//!
//! A plain hash of a phone number or a resident id is the number itself to anyone with an afternoon: there are few
//! enough to try them all. HMAC with a key that stays in our secret store closes that. 128 bits keep the chance of two
//! people sharing a hash out of reach (2^64 values before a collision is likely) at half the storage.

use crate::keys::{KeyError, hex};
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes kept of the 32 that HMAC-SHA256 gives.
const KEPT: usize = 16;

/// Fewest bytes in a hashing key: the strength of SHA-256's output, RFC 2104 section 3.
const SHORTEST_KEY: usize = 32;

/// Hashes values under one key. Cheap to clone.
#[derive(Clone)]
pub struct KeyedHasher {
    key: hmac::Key,
}

impl KeyedHasher {
    /// Refuses a key under 32 bytes, so that an unset environment variable can never become a key.
    pub fn new(key: &[u8]) -> Result<Self, KeyError> {
        if key.len() < SHORTEST_KEY {
            return Err(KeyError::Length);
        }
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) })
    }

    /// The hash of one value of one kind (`"phone"`, `"device"`, …).
    ///
    /// Hashes of different kinds never meet: the input is the kind's length in four bytes, the kind, the value. So a phone
    /// number that somebody uses as a device name links nothing.
    ///
    /// The value is hashed byte for byte. Bring it to its one canonical form first.
    pub fn hash(&self, kind: &str, value: &str) -> KeyedHash {
        let mut context = hmac::Context::with_key(&self.key);
        let kind_length = u32::try_from(kind.len()).unwrap_or(u32::MAX);
        context.update(&kind_length.to_be_bytes());
        context.update(kind.as_bytes());
        context.update(value.as_bytes());
        KeyedHash(hex(&context.sign().as_ref()[..KEPT]))
    }
}

impl From<[u8; SHORTEST_KEY]> for KeyedHasher {
    fn from(key: [u8; SHORTEST_KEY]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key) }
    }
}

impl fmt::Debug for KeyedHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHasher(hidden)")
    }
}

/// 128 bits of HMAC-SHA256 as 32 lower-case hexadecimal digits.
///
/// Without the key it cannot be turned back into the value, so it may stand in keys, queue messages and logs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyedHash(String);

impl KeyedHash {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 16 bytes, for ids that are derived from a hash.
    pub fn to_bytes(&self) -> [u8; KEPT] {
        let nibble = |digit: u8| if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 };
        let mut bytes = [0; KEPT];
        for (byte, pair) in bytes.iter_mut().zip(self.0.as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
        }
        bytes
    }
}

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a keyed hash")]
pub struct NotAKeyedHash;

impl TryFrom<String> for KeyedHash {
    type Error = NotAKeyedHash;

    fn try_from(text: String) -> Result<Self, NotAKeyedHash> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == KEPT * 2 && text.bytes().all(is_digit) { Ok(Self(text)) } else { Err(NotAKeyedHash) }
    }
}

impl std::str::FromStr for KeyedHash {
    type Err = NotAKeyedHash;

    fn from_str(text: &str) -> Result<Self, NotAKeyedHash> {
        Self::try_from(text.to_owned())
    }
}

impl From<KeyedHash> for String {
    fn from(hash: KeyedHash) -> Self {
        hash.0
    }
}

impl fmt::Display for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher() -> KeyedHasher {
        KeyedHasher::new(&[7; 32]).unwrap()
    }

    #[test]
    fn the_same_value_of_the_same_kind_has_the_same_hash() {
        assert_eq!(hasher().hash("phone", "13900000000"), hasher().hash("phone", "13900000000"));
    }

    #[test]
    fn another_value_another_kind_or_another_key_changes_the_hash() {
        let hash = hasher().hash("phone", "13900000000");
        assert_ne!(hash, hasher().hash("phone", "13900000001"));
        assert_ne!(hash, hasher().hash("device", "13900000000"));
        assert_ne!(hash, KeyedHasher::new(&[8; 32]).unwrap().hash("phone", "13900000000"));
    }

    #[test]
    fn moving_letters_between_kind_and_value_changes_the_hash() {
        assert_ne!(hasher().hash("phone1", "39"), hasher().hash("phone", "139"));
    }

    #[test]
    fn the_hash_is_hmac_sha256_over_the_length_the_kind_and_the_value() {
        // python3: hmac.new(bytes([7]) * 32, b"\0\0\0\x05phone13900000000", "sha256").hexdigest()[:32]
        assert_eq!(hasher().hash("phone", "13900000000").as_str(), "c523c6a0bd46f36221f8e9c0ae2835aa");
    }

    #[test]
    fn a_short_or_empty_key_is_refused() {
        assert_eq!(KeyedHasher::new(&[]).unwrap_err(), KeyError::Length);
        assert_eq!(KeyedHasher::new(&[7; 31]).unwrap_err(), KeyError::Length);
    }

    #[test]
    fn only_thirty_two_lower_case_hexadecimal_digits_parse() {
        let text = hasher().hash("phone", "13900000000").to_string();
        assert!(text.parse::<KeyedHash>().is_ok());
        for wrong in [String::new(), text[1..].to_owned(), format!("{text}0"), text.replace(&text[..1], "G")]
        {
            assert_eq!(wrong.parse::<KeyedHash>(), Err(NotAKeyedHash));
        }
        assert!(serde_json::from_str::<KeyedHash>("\"ABCDEFABCDEFABCDEFABCDEFABCDEFAB\"").is_err());
    }

    #[test]
    fn the_bytes_of_a_hash_spell_the_same_digits() {
        let hash = hasher().hash("firm", "91350211M000100Y43");
        assert_eq!(hex(&hash.to_bytes()), hash.as_str());
    }

    #[test]
    fn printing_a_hasher_shows_nothing_of_its_key() {
        assert_eq!(format!("{:?}", hasher()), "KeyedHasher(hidden)");
    }
}
