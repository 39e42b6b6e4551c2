//! The keys that personal data is encrypted with, and whoever gives them out.

use crate::PortError;
use async_trait::async_trait;
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a data key: AES-256.
pub const KEY_BYTES: usize = 32;

/// A data key in clear. It stays in memory and is wiped when it is dropped.
pub struct PlainKey(Zeroizing<[u8; KEY_BYTES]>);

impl PlainKey {
    /// `None` unless there are [`KEY_BYTES`] of them.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for PlainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainKey(hidden)")
    }
}

/// A new data key.
#[derive(Debug)]
pub struct DataKey {
    pub plain: PlainKey,
    /// The same key, encrypted under the master key: the form in which it is stored beside what it encrypts.
    pub wrapped: Vec<u8>,
}

/// Gives out data keys under one master key that nobody ever sees.
#[async_trait]
pub trait DataKeys: Send + Sync {
    /// A new key; no two are the same.
    async fn generate(&self) -> Result<DataKey, PortError>;

    /// The key behind its wrapped form. [`PortError::Broken`] when it was not wrapped under this master key for this
    /// purpose, or has been changed.
    async fn unwrap(&self, wrapped: &[u8]) -> Result<PlainKey, PortError>;
}
