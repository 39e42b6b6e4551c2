//! Sealed bodies, for banks that ask that what they are sent stays secret behind their TLS edge too.
//!
//! A sealed body is a JWE in compact form (RFC 7516, section 7.1): five parts in base64url, separated by dots, of which the
//! second is empty, since both sides hold the key (`alg` `dir`, RFC 7518, section 4.5):
//!
//! ```text
//! protected header . . initialisation vector (12 bytes) . ciphertext . tag (16 bytes)
//! ```
//!
//! | member of the header | value |
//! |---|---|
//! | `alg` | `dir` |
//! | `enc` | `A256GCM` (RFC 7518, section 5.3), or `SM4-GCM` (RFC 8998), which is private: the same layout with SM4 in place of AES |
//! | `kid` | which key: the first 8 bytes of its SHA-256, in lower-case hexadecimal |
//! | `cty` | `json` |
//! | `webhook-id` | private: the id of the message that the body belongs to, so that no body can be moved to another message |
//!
//! The header is the associated data of the seal, so none of this can be changed. Bodies are sealed first and signed then:
//! the webhook signature covers the text of the JWE, and a receiver opens only what it has verified.
//!
//! During a rotation there are two keys: the first seals, any opens. A key may seal 2^32 bodies at most, since the
//! initialisation vectors are random (NIST SP 800-38D, section 8.3); change it long before that.

use crate::{
    keys::{self, KeyError},
    national::{self, GCM_IV_BYTES, GCM_TAG_BYTES, Sm4GcmKey, key_id},
    webhook::{MAX_KEYS, MessageId},
};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// The content type of a sealed body (RFC 7515, section 9.2.1).
pub const CONTENT_TYPE: &str = "application/jose";

/// How every key of this module starts, whichever its algorithm.
pub const KEY_PREFIX: &str = "whenc_";

/// Longest body that is sealed, in bytes. A payout instruction has less than one thousand.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// Longest header that is read, in base64url characters. Ours has less than half of them.
const MAX_HEADER_CHARS: usize = 1024;

/// Longest sealed text that is read: header, 16 characters of initialisation vector, ciphertext, 22 of tag, four dots.
const MAX_SEALED_CHARS: usize = MAX_HEADER_CHARS + 16 + MAX_BODY_BYTES.div_ceil(3) * 4 + 22 + 4;

/// Longest text behind `whenc_sm4gcm_` in bytes: a key has 16, a certified module's name of a key may have more.
const LONGEST_SM4_KEY: usize = 256;

/// The only key management: both sides hold the key already.
const DIRECT: &str = "dir";

/// Why a body could not be sealed or opened. Never carries any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the body is longer than {MAX_BODY_BYTES} bytes, or its sealed form is")]
    Oversized,
    #[error("the body could not be sealed")]
    Unsealed,
    #[error("not a JWE in compact form")]
    Malformed,
    #[error("the header asks for something that is not done here")]
    Unsupported,
    #[error("the body is sealed with a key that is not in use")]
    UnknownKey,
    #[error("the body belongs to another message")]
    OtherMessage,
    #[error("the seal is broken")]
    Broken,
}

/// The protected header, as it is written. The order is that of the members above.
#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    enc: &'static str,
    kid: &'a str,
    cty: &'static str,
    #[serde(rename = "webhook-id")]
    webhook_id: &'a MessageId,
}

/// The protected header, as it is read: other members are passed over (RFC 7516, section 4), but for the two that would
/// change what the rest means.
#[derive(Deserialize)]
struct ReadHeader {
    alg: String,
    enc: String,
    kid: String,
    #[serde(rename = "webhook-id")]
    webhook_id: String,
    crit: Option<serde_json::Value>,
    zip: Option<serde_json::Value>,
}

/// Seals bodies with its first key, opens them with any. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    keys: Arc<[BodyKey]>,
}

impl Sealer {
    /// From 1 to [`MAX_KEYS`] keys in their text forms: `whenc_a256gcm_<base64 of 32 bytes>` or `whenc_sm4gcm_<base64 of
    /// 16 bytes>` (what stands there with a certified module, [`crate::national`] says).
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, KeyError> {
        let keys: Vec<BodyKey> = texts.into_iter().map(BodyKey::parse).collect::<Result<_, _>>()?;
        match keys.len() {
            0 => Err(KeyError::Missing),
            1..=MAX_KEYS => Ok(Self { keys: keys.into() }),
            _ => Err(KeyError::TooMany),
        }
    }

    /// The sealed form of the body of message `id`: the text to send and to sign, of type [`CONTENT_TYPE`].
    ///
    /// Sealing the same body twice gives two texts. `Err` is [`SealError::Oversized`] or [`SealError::Unsealed`].
    pub fn seal(&self, id: &MessageId, body: &[u8]) -> Result<String, SealError> {
        if body.len() > MAX_BODY_BYTES {
            return Err(SealError::Oversized);
        }
        let iv = keys::random_bytes::<GCM_IV_BYTES>().map_err(|_| SealError::Unsealed)?;
        let key = self.keys.first().ok_or(SealError::Unsealed)?;
        let header = Header { alg: DIRECT, enc: key.cipher.enc(), kid: &key.id, cty: "json", webhook_id: id };
        let header = serde_json::to_vec(&header).map_err(|_| SealError::Unsealed)?;
        let header = URL_SAFE_NO_PAD.encode(header);
        let sealed = key.cipher.seal(&iv, header.as_bytes(), body)?;
        let (ciphertext, tag) =
            sealed.split_at_checked(sealed.len().saturating_sub(GCM_TAG_BYTES)).ok_or(SealError::Unsealed)?;
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Ok(format!("{header}..{}.{}.{}", part(&iv), part(ciphertext), part(tag)))
    }

    /// The body of message `id` behind `sealed`. Verify the message's signature first.
    pub fn open(&self, id: &MessageId, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        if sealed.len() > MAX_SEALED_CHARS {
            return Err(SealError::Oversized);
        }
        let [header_text, iv, ciphertext, tag] = parts(sealed)?;
        let header = read_header(header_text)?;
        let key = self.keys.iter().find(|key| key.id == header.kid).ok_or(SealError::UnknownKey)?;
        if header.enc != key.cipher.enc() {
            return Err(SealError::Unsupported);
        }
        let iv = decode(iv)?.try_into().map_err(|_| SealError::Malformed)?;
        let mut sealed = decode(ciphertext)?;
        let tag: [u8; GCM_TAG_BYTES] = decode(tag)?.try_into().map_err(|_| SealError::Malformed)?;
        sealed.extend_from_slice(&tag);
        let body = key.cipher.open(&iv, header_text.as_bytes(), sealed)?;
        // Only now is the header known to be the sender's.
        if header.webhook_id == id.as_str() { Ok(body) } else { Err(SealError::OtherMessage) }
    }
}

impl fmt::Debug for Sealer {
    /// Shows the ids of the keys, which stand in every message anyway.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

/// Header, initialisation vector, ciphertext and tag. The key part between the first two dots must be empty.
fn parts(sealed: &[u8]) -> Result<[&str; 4], SealError> {
    let text = std::str::from_utf8(sealed).map_err(|_| SealError::Malformed)?;
    let mut parts = text.split('.');
    match [(); 6].map(|()| parts.next()) {
        [Some(header), Some(""), Some(iv), Some(ciphertext), Some(tag), None] => {
            Ok([header, iv, ciphertext, tag])
        }
        _ => Err(SealError::Malformed),
    }
}

fn read_header(text: &str) -> Result<ReadHeader, SealError> {
    if text.len() > MAX_HEADER_CHARS {
        return Err(SealError::Oversized);
    }
    let header: ReadHeader = serde_json::from_slice(&decode(text)?).map_err(|_| SealError::Malformed)?;
    if header.alg != DIRECT || header.crit.is_some() || header.zip.is_some() {
        return Err(SealError::Unsupported);
    }
    Ok(header)
}

/// Base64url without padding; stray bits in the last character are refused, so that every text has one meaning.
fn decode(text: &str) -> Result<Vec<u8>, SealError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| SealError::Malformed)
}

/// A key and what the header calls it.
struct BodyKey {
    id: String,
    cipher: Cipher,
}

enum Cipher {
    Aes256(Box<LessSafeKey>),
    Sm4(Arc<dyn Sm4GcmKey>),
}

impl BodyKey {
    fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.strip_prefix(KEY_PREFIX).ok_or(KeyError::Prefix)?;
        if let Some(encoded) = text.strip_prefix("a256gcm_") {
            let bytes = keys::decode_base64(encoded)?;
            let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| KeyError::Length)?;
            return Ok(Self { id: key_id(&bytes), cipher: Cipher::Aes256(Box::new(LessSafeKey::new(key))) });
        }
        let encoded = text.strip_prefix("sm4gcm_").ok_or(KeyError::Prefix)?;
        let bytes = keys::decode_base64(encoded)?;
        if !(1..=LONGEST_SM4_KEY).contains(&bytes.len()) {
            return Err(KeyError::Length);
        }
        let key = national::provider().sm4_key(&bytes)?;
        Ok(Self { id: key.id(), cipher: Cipher::Sm4(key) })
    }
}

impl Cipher {
    /// The name of the algorithm in the header.
    fn enc(&self) -> &'static str {
        match self {
            Self::Aes256(_) => "A256GCM",
            Self::Sm4(_) => "SM4-GCM",
        }
    }

    /// The ciphertext with the tag behind it.
    fn seal(&self, iv: &[u8; GCM_IV_BYTES], header: &[u8], body: &[u8]) -> Result<Vec<u8>, SealError> {
        match self {
            Self::Aes256(key) => {
                let mut text = body.to_vec();
                key.seal_in_place_append_tag(Nonce::assume_unique_for_key(*iv), Aad::from(header), &mut text)
                    .map_err(|_| SealError::Unsealed)?;
                Ok(text)
            }
            Self::Sm4(key) => key.seal(iv, header, body).map_err(|_| SealError::Unsealed),
        }
    }

    /// The body behind a ciphertext with the tag behind it.
    fn open(&self, iv: &[u8; GCM_IV_BYTES], header: &[u8], sealed: Vec<u8>) -> Result<Vec<u8>, SealError> {
        match self {
            Self::Aes256(key) => {
                let mut text = sealed;
                let nonce = Nonce::assume_unique_for_key(*iv);
                let length = key
                    .open_in_place(nonce, Aad::from(header), &mut text)
                    .map_err(|_| SealError::Broken)?
                    .len();
                text.truncate(length);
                Ok(text)
            }
            Self::Sm4(key) => key.open(iv, header, &sealed).map_err(|_| SealError::Broken),
        }
    }
}

#[cfg(test)]
mod tests;
