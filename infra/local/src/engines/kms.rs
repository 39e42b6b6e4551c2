//! The part of KMS that is used here, with the master key in this process: `GenerateDataKey` and `Decrypt`, in the JSON
//! that the SDK speaks. What was wrapped under one key id and encryption context unwraps under the same and no other.
//!
//! KMS's own wrapped form is KMS's secret; here it is a nonce, the key under AES-256-GCM, and the tag.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::fmt;

const DATA_KEY_BYTES: usize = 32;

/// The key under which data keys are wrapped.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey([u8; 32]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(hidden)")
    }
}

impl MasterKey {
    /// A key from its base64; `None` unless it has 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// A new one, which nothing that is kept can have been wrapped under.
    pub(crate) fn generate() -> Option<Self> {
        signing::keys::random_bytes().ok().map(Self)
    }
}

/// Why a call is refused: KMS's own names.
#[derive(Clone, Copy, Debug)]
enum Refused {
    Validation,
    InvalidCiphertext,
    UnknownOperation,
    Internal,
}

impl Refused {
    fn answer(self) -> (u16, String) {
        let (status, kind) = match self {
            Refused::Validation => (400, "ValidationException"),
            Refused::InvalidCiphertext => (400, "InvalidCiphertextException"),
            Refused::UnknownOperation => (400, "UnknownOperationException"),
            Refused::Internal => (500, "KMSInternalException"),
        };
        (status, json!({ "__type": kind, "message": kind }).to_string())
    }
}

/// The engine.
pub(crate) struct Kms(RandomizedNonceKey);

impl Kms {
    /// `None` when the library does not take the key, which has the right length.
    pub(crate) fn new(master: &MasterKey) -> Option<Self> {
        RandomizedNonceKey::new(&AES_256_GCM, &master.0).ok().map(Self)
    }

    /// Status and body of the answer to one call.
    pub(crate) fn respond(&self, operation: &str, body: &[u8]) -> (u16, String) {
        let answer = match serde_json::from_slice::<Value>(body) {
            Err(_) => Err(Refused::Validation),
            Ok(request) => match operation {
                "GenerateDataKey" => self.generate_data_key(&request),
                "Decrypt" => self.decrypt(&request),
                _ => Err(Refused::UnknownOperation),
            },
        };
        answer.map_or_else(Refused::answer, |answer| (200, answer.to_string()))
    }

    fn generate_data_key(&self, request: &Value) -> Result<Value, Refused> {
        if request["KeySpec"] != "AES_256" {
            return Err(Refused::Validation);
        }
        let bound = bound(request)?;
        let plain: [u8; DATA_KEY_BYTES] = signing::keys::random_bytes().map_err(|_| Refused::Internal)?;
        let mut wrapped = plain.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(bound.as_bytes()), &mut wrapped);
        let nonce = nonce.map_err(|_| Refused::Internal)?;
        Ok(json!({
            "KeyId": request["KeyId"],
            "Plaintext": STANDARD.encode(plain),
            "CiphertextBlob": STANDARD.encode([&nonce.as_ref()[..], &wrapped].concat()),
        }))
    }

    fn decrypt(&self, request: &Value) -> Result<Value, Refused> {
        let blob = request["CiphertextBlob"].as_str().and_then(|text| STANDARD.decode(text).ok());
        let blob = blob.filter(|blob| !blob.is_empty()).ok_or(Refused::Validation)?;
        let (nonce, wrapped) = blob.split_at_checked(NONCE_LEN).ok_or(Refused::InvalidCiphertext)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Refused::InvalidCiphertext)?;
        let mut wrapped = wrapped.to_vec();
        let opened = self.0.open_in_place(nonce, Aad::from(bound(request)?.as_bytes()), &mut wrapped);
        let plain = opened.map_err(|_| Refused::InvalidCiphertext)?;
        Ok(json!({ "KeyId": request["KeyId"], "Plaintext": STANDARD.encode(plain) }))
    }
}

/// What a wrapped key is bound to: the key id, and the encryption context with its names in order.
fn bound(request: &Value) -> Result<String, Refused> {
    let key = request["KeyId"].as_str().filter(|key| !key.is_empty()).ok_or(Refused::Validation)?;
    Ok(json!({ "context": request["EncryptionContext"], "key": key }).to_string())
}
