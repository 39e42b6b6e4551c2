//! One value, sealed into its place.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest::{SHA256, digest},
};
use ports::data_keys::PlainKey;
use std::fmt;

/// The one version of the envelope.
pub const VERSION: u8 = 1;

const REFERENCE_BYTES: usize = 8;
const HEADER_BYTES: usize = 1 + REFERENCE_BYTES;

/// Where a field is: the associated data of its seal.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The table as the code names it.
    pub table: &'a str,
    /// The row's whole key.
    pub row: &'a str,
    pub field: &'a str,
}

/// A value could not be sealed. Never carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value could not be sealed")]
pub struct NotSealed;

/// Why an envelope does not open. Never carries any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    #[error("not an envelope of a version that is known here")]
    Malformed,
    #[error("the envelope is sealed with another key than its row names")]
    OtherKey,
    #[error("the seal is broken: the envelope was changed, or belongs to another field, row or table")]
    Broken,
}

/// A data key, ready for use.
pub struct FieldKey {
    key: RandomizedNonceKey,
    wrapped: Vec<u8>,
    header: [u8; HEADER_BYTES],
}

impl fmt::Debug for FieldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FieldKey(hidden)")
    }
}

impl FieldKey {
    pub(crate) fn new(plain: &PlainKey, wrapped: Vec<u8>) -> Result<Self, NotSealed> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, plain.bytes()).map_err(|_| NotSealed)?;
        let mut header = [VERSION; HEADER_BYTES];
        header[1..].copy_from_slice(&digest(&SHA256, &wrapped).as_ref()[..REFERENCE_BYTES]);
        Ok(Self { key, wrapped, header })
    }

    /// The form in which the key is stored beside what it sealed.
    pub fn wrapped(&self) -> &[u8] {
        &self.wrapped
    }

    /// The envelope of a value. Sealing the same value twice gives two envelopes.
    pub fn seal(&self, place: Place<'_>, value: &str) -> Result<Vec<u8>, NotSealed> {
        let mut sealed = value.as_bytes().to_vec();
        let associated = Aad::from(self.associated(place));
        let nonce = self.key.seal_in_place_append_tag(associated, &mut sealed).map_err(|_| NotSealed)?;
        Ok([&self.header[..], nonce.as_ref(), &sealed].concat())
    }

    /// The value that was sealed into this place.
    pub fn open(&self, place: Place<'_>, envelope: &[u8]) -> Result<String, NotOpened> {
        let (header, rest) = envelope.split_at_checked(HEADER_BYTES).ok_or(NotOpened::Malformed)?;
        if header[0] != VERSION {
            return Err(NotOpened::Malformed);
        }
        if header != self.header {
            return Err(NotOpened::OtherKey);
        }
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or(NotOpened::Malformed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotOpened::Malformed)?;
        let mut sealed = sealed.to_vec();
        let associated = Aad::from(self.associated(place));
        let opened = self.key.open_in_place(nonce, associated, &mut sealed).map_err(|_| NotOpened::Broken)?;
        let length = opened.len();
        sealed.truncate(length);
        String::from_utf8(sealed).map_err(|_| NotOpened::Broken)
    }

    fn associated(&self, Place { table, row, field }: Place<'_>) -> Vec<u8> {
        let mut associated = self.header.to_vec();
        for part in [table, row, field] {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            associated.extend_from_slice(&length.to_be_bytes());
            associated.extend_from_slice(part.as_bytes());
        }
        associated
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: Place<'static> = Place { table: "applicants", row: "1", field: "phone" };

    fn key(byte: u8) -> FieldKey {
        FieldKey::new(&PlainKey::from_slice(&[byte; 32]).unwrap(), vec![byte; 40]).unwrap()
    }

    #[test]
    fn an_envelope_is_the_version_the_key_the_nonce_the_ciphertext_and_the_tag() {
        let sealed = key(1).seal(HERE, "13800138000").unwrap();
        assert_eq!(sealed.len(), 1 + 8 + 12 + 11 + 16);
        assert_eq!(sealed[0], 1);
        // python3: hashlib.sha256(bytes([1]) * 40).digest()[:8].hex()
        let reference: String = sealed[1..9].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(reference, "2432dbb70926df29");
    }

    #[test]
    fn fault_32_an_envelope_that_was_moved_to_another_table_row_or_field_does_not_open() {
        let sealed = key(1).seal(HERE, "13800138000").unwrap();
        assert_eq!(key(1).open(HERE, &sealed).unwrap(), "13800138000");
        let moved = [
            Place { table: "sign-ins", ..HERE },
            Place { row: "2", ..HERE },
            Place { field: "bank_card", ..HERE },
            // The same letters, cut elsewhere.
            Place { table: "applicants1", row: "", ..HERE },
            Place { row: "1phone", field: "", ..HERE },
        ];
        for place in moved {
            assert_eq!(key(1).open(place, &sealed), Err(NotOpened::Broken), "{place:?}");
        }
    }

    #[test]
    fn another_key_another_version_and_a_cut_envelope_do_not_open() {
        let sealed = key(1).seal(HERE, "13800138000").unwrap();
        assert_eq!(key(2).open(HERE, &sealed), Err(NotOpened::OtherKey));
        let newer = [&[2][..], &sealed[1..]].concat();
        assert_eq!(key(1).open(HERE, &newer), Err(NotOpened::Malformed));
        for length in 0..sealed.len() {
            assert!(key(1).open(HERE, &sealed[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn the_same_value_twice_gives_two_envelopes() {
        assert_ne!(key(1).seal(HERE, "x").unwrap(), key(1).seal(HERE, "x").unwrap());
    }

    #[test]
    fn printing_a_key_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", key(1)), "FieldKey(hidden)");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_value_opens_as_it_was_sealed_and_with_any_bit_changed_not_at_all(
            value in ".{0,60}", place in 0_usize..10_000, bit in 0_u32..8,
        ) {
            let mut sealed = key(1).seal(HERE, &value).unwrap();
            prop_assert_eq!(key(1).open(HERE, &sealed), Ok(value));
            let place = place % sealed.len();
            sealed[place] ^= 1 << bit;
            prop_assert!(key(1).open(HERE, &sealed).is_err());
        }

        #[test]
        fn no_bytes_open_or_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(key(1).open(HERE, &bytes).is_err());
        }
    }
}
