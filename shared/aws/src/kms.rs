//! Data keys from KMS.

use crate::failure::port_error;
use async_trait::async_trait;
use aws_sdk_kms::{
    Client,
    primitives::Blob,
    types::{DataKeySpec, EncryptionAlgorithmSpec},
};
use ports::{
    PortError,
    data_keys::{DataKey, DataKeys, PlainKey},
};
use std::collections::HashMap;
use zeroize::Zeroizing;

const GENERATING: &str = "asking for a data key";
const UNWRAPPING: &str = "unwrapping a data key";

/// What the keys are for goes into their wrapping (KMS's encryption context), so that no key that was wrapped for
/// anything else unwraps here. It shows in CloudTrail.
const PURPOSE: (&str, &str) = ("purpose", "personal-data");

/// The data keys under one KMS key.
#[derive(Clone, Debug)]
pub struct KmsDataKeys {
    client: Client,
    key: String,
}

/// KMS gave something other than a key of 32 bytes.
#[derive(Debug, thiserror::Error)]
#[error("the answer holds no data key of 32 bytes")]
struct NoKey;

impl KmsDataKeys {
    /// Under the KMS key with this id, ARN or alias.
    pub fn new(client: Client, key: impl Into<String>) -> Self {
        Self { client, key: key.into() }
    }
}

fn purpose() -> Option<HashMap<String, String>> {
    Some(HashMap::from([(PURPOSE.0.to_owned(), PURPOSE.1.to_owned())]))
}

fn plain(attempted: &'static str, blob: Option<Blob>) -> Result<PlainKey, PortError> {
    let bytes = blob.map(|blob| Zeroizing::new(blob.into_inner()));
    let key = bytes.and_then(|bytes| PlainKey::from_slice(&bytes));
    key.ok_or_else(|| PortError::broken(attempted, NoKey))
}

#[async_trait]
impl DataKeys for KmsDataKeys {
    /// Calls `GenerateDataKey`, once.
    async fn generate(&self) -> Result<DataKey, PortError> {
        let answer = self
            .client
            .generate_data_key()
            .key_id(&self.key)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(purpose())
            .send()
            .await
            .map_err(|error| port_error(GENERATING, &error))?;
        let wrapped = answer.ciphertext_blob.map(Blob::into_inner).filter(|wrapped| !wrapped.is_empty());
        let wrapped = wrapped.ok_or_else(|| PortError::broken(GENERATING, NoKey))?;
        Ok(DataKey { plain: plain(GENERATING, answer.plaintext)?, wrapped })
    }

    /// Calls `Decrypt`, once.
    async fn unwrap(&self, wrapped: &[u8]) -> Result<PlainKey, PortError> {
        let answer = self
            .client
            .decrypt()
            .key_id(&self.key)
            .ciphertext_blob(Blob::new(wrapped))
            .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
            .set_encryption_context(purpose())
            .send()
            .await
            .map_err(|error| port_error(UNWRAPPING, &error))?;
        plain(UNWRAPPING, answer.plaintext)
    }
}
