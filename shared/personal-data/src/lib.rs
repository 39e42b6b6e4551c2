//! Personal values at rest: each is encrypted by itself, under a data key of which the master key is kept elsewhere.
//!
//! Triggered by nothing itself; adapters that keep personal values hold a [`PersonalData`]. A row carries the wrapped form
//! of the data key that its fields are sealed with, once; each field is an envelope of its own:
//!
//! | bytes | |
//! |---|---|
//! | 1 | version: `1` is AES-256-GCM (NIST SP 800-38D) with a random nonce |
//! | 8 | which data key: the first bytes of the SHA-256 of its wrapped form |
//! | 12 | nonce |
//! | any | ciphertext, as long as the value |
//! | 16 | tag |
//!
//! The associated data is the version, the key, and the field's place: table, row and name of the field, each with its
//! length in four bytes before it. So an envelope opens where it was written and nowhere else, whoever moves it. The table
//! is named as the code names it, so that what was restored into another table opens still.
//!
//! A data key seals at most [`MOST_ROWS`] rows and is used for at most [`LONGEST_USE`], and so is one that was unwrapped to
//! open. That keeps both the calls to the master key and what one stolen key opens few. Nonces are random: a key seals
//! far fewer than the 2^32 fields that they allow.

mod envelope;
mod keys_in_use;

pub use envelope::{FieldKey, NotOpened, NotSealed, Place, VERSION};
pub use keys_in_use::{LONGEST_USE, MOST_OPENING, MOST_ROWS, PersonalData};
