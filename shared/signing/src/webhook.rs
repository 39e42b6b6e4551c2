//! Webhook signatures as the Standard Webhooks specification 1.0.0 has them.
//!
//! What is signed is `{webhook-id}.{webhook-timestamp}.{body}`; the header `webhook-signature` holds one or more
//! values, separated by spaces: `v1,<base64>` for HMAC-SHA256, `v1a,<base64>` for Ed25519, and beyond the specification
//! `v1sm2,<base64>` for SM2 over SM3. Several values let a key be changed without a gap: the sender signs with the old
//! and the new one, the receiver trusts both for a while.
//!
//! An SM2 signature is the DER SEQUENCE of r and s (GM/T 0009-2012), made under the user id
//! [`crate::national::SM2_USER_ID`]. Receivers that know only the specification pass its version over.
//!
//! A verified message is genuine and fresh. Inside its five minutes it can still be sent twice, so the caller records
//! the [`MessageId`] and acts on it once.

use crate::{
    keyed_hash::KeyedHash,
    keys::KeyError,
    national::{self, ProviderFailed, Sm2PrivateKey, Sm2PublicKey},
};
use aws_lc_rs::{
    hmac,
    signature::{ED25519, Ed25519KeyPair, KeyPair, VerificationAlgorithm},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// Names of the three headers, in lower case as HTTP/2 and Lambda hand them over.
pub const ID_HEADER: &str = "webhook-id";
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// Seconds that a message's time may differ from ours, in either direction.
pub const TOLERANCE_SECONDS: u64 = 5 * 60;

/// Most signatures looked at in one message. With [`MAX_KEYS`] this bounds the work that a stranger can cause.
pub const MAX_SIGNATURES: usize = 8;

/// Most keys in use at one moment. A rotation needs two.
pub const MAX_KEYS: usize = 8;

/// Longest symmetric key and shortest, in bytes, as the specification demands.
const SYMMETRIC_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Names one message, and stays the same however often it is delivered: 1 to 128 of `A-Z a-z 0-9 _ . -`.
///
/// The dot also separates the signed parts. That is no ambiguity here, since a timestamp is digits only and its end
/// is therefore known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(String);

/// The text is not 1 to 128 of `A-Z a-z 0-9 _ . -`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message id")]
pub struct NotAMessageId;

impl MessageId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MessageId {
    type Error = NotAMessageId;

    fn try_from(text: String) -> Result<Self, NotAMessageId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(NotAMessageId)
        }
    }
}

impl From<&KeyedHash> for MessageId {
    /// For messages whose id follows from what they say, so that saying it again is the same message.
    fn from(hash: &KeyedHash) -> Self {
        Self(format!("msg_{hash}"))
    }
}

impl std::str::FromStr for MessageId {
    type Err = NotAMessageId;

    fn from_str(text: &str) -> Result<Self, NotAMessageId> {
        Self::try_from(text.to_owned())
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> Self {
        id.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The three headers of one message, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookHeaders {
    pub id: String,
    pub timestamp: String,
    pub signature: String,
}

impl WebhookHeaders {
    /// Picks the three headers out of all of a request's, whatever their case.
    ///
    /// `Err` with [`VerifyError::Missing`] or [`VerifyError::Doubled`]. A gateway that joins doubled headers with a
    /// comma ends in a refusal too: a comma is allowed in none of the three values where it would land.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, VerifyError> {
        let (mut id, mut timestamp, mut signature) = (None, None, None);
        for (name, value) in pairs {
            let slot = match name.to_ascii_lowercase().as_str() {
                ID_HEADER => &mut id,
                TIMESTAMP_HEADER => &mut timestamp,
                SIGNATURE_HEADER => &mut signature,
                _ => continue,
            };
            if slot.replace(value.to_owned()).is_some() {
                return Err(VerifyError::Doubled);
            }
        }
        match (id, timestamp, signature) {
            (Some(id), Some(timestamp), Some(signature)) => Ok(Self { id, timestamp, signature }),
            _ => Err(VerifyError::Missing),
        }
    }

    /// Name and value of each header, ready to be set on a request.
    pub fn pairs(&self) -> [(&'static str, &str); 3] {
        [(ID_HEADER, &self.id), (TIMESTAMP_HEADER, &self.timestamp), (SIGNATURE_HEADER, &self.signature)]
    }
}

/// Longest text behind `whsm2sk_` in bytes: a scalar has 32, a certified module's name of a key may have more.
const LONGEST_SM2_PRIVATE: usize = 256;

/// A key that signs: `whsec_` (HMAC-SHA256, shared with the receiver), `whsk_` (Ed25519 private key) or `whsm2sk_` (SM2
/// private key).
#[derive(Clone)]
pub struct Secret(SecretKind);

#[derive(Clone)]
enum SecretKind {
    Symmetric(Arc<hmac::Key>),
    Ed25519(Arc<Ed25519KeyPair>),
    Sm2(Arc<dyn Sm2PrivateKey>, Arc<dyn Sm2PublicKey>),
}

impl Secret {
    /// Parses `whsec_<base64 of 24 to 64 bytes>`, or `whsk_<base64 of the 32-byte seed, with or without the
    /// 32-byte public key after it>`, or `whsm2sk_<base64 of the 32-byte scalar>` (what stands there with a certified
    /// module, [`crate::national`] says).
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if let Some(encoded) = text.strip_prefix("whsec_") {
            return Ok(Self(SecretKind::Symmetric(Arc::new(symmetric(encoded)?))));
        }
        if let Some(encoded) = text.strip_prefix("whsm2sk_") {
            return Ok(Self(sm2_private(encoded)?));
        }
        let encoded = text.strip_prefix("whsk_").ok_or(KeyError::Prefix)?;
        let bytes = crate::keys::decode_base64(encoded)?;
        let pair = match bytes.len() {
            32 => Ed25519KeyPair::from_seed_unchecked(&bytes),
            64 => Ed25519KeyPair::from_seed_and_public_key(&bytes[..32], &bytes[32..]),
            _ => return Err(KeyError::Length),
        };
        Ok(Self(SecretKind::Ed25519(Arc::new(pair.map_err(|_| KeyError::NotEd25519)?))))
    }

    /// The key with which the other side checks what this one signs.
    pub fn verify_key(&self) -> VerifyKey {
        VerifyKey(match &self.0 {
            SecretKind::Symmetric(key) => VerifyKind::Symmetric(Arc::clone(key)),
            SecretKind::Ed25519(pair) => VerifyKind::Ed25519(pair.public_key().as_ref().to_vec()),
            SecretKind::Sm2(_, public) => VerifyKind::Sm2(Arc::clone(public)),
        })
    }

    /// `Err` only from a certified module: keys in this process always sign.
    fn signature(&self, content: &[u8]) -> Result<String, ProviderFailed> {
        Ok(match &self.0 {
            SecretKind::Symmetric(key) => format!("v1,{}", STANDARD.encode(hmac::sign(key, content))),
            SecretKind::Ed25519(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(content))),
            SecretKind::Sm2(private, _) => format!("v1sm2,{}", STANDARD.encode(private.sign(content)?)),
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// A key that checks: `whsec_` (HMAC-SHA256), `whpk_` (Ed25519 public key) or `whsm2pk_` (SM2 public key).
#[derive(Clone)]
pub struct VerifyKey(VerifyKind);

#[derive(Clone)]
enum VerifyKind {
    Symmetric(Arc<hmac::Key>),
    Ed25519(Vec<u8>),
    Sm2(Arc<dyn Sm2PublicKey>),
}

impl VerifyKey {
    /// Parses `whsec_<base64 of 24 to 64 bytes>`, `whpk_<base64 of 32 bytes>`, or `whsm2pk_<base64 of the 65 bytes of an
    /// uncompressed point>`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if let Some(encoded) = text.strip_prefix("whsec_") {
            return Ok(Self(VerifyKind::Symmetric(Arc::new(symmetric(encoded)?))));
        }
        if let Some(encoded) = text.strip_prefix("whsm2pk_") {
            let bytes = crate::keys::decode_base64(encoded)?;
            let point = bytes.as_slice().try_into().map_err(|_| KeyError::Length)?;
            return Ok(Self(VerifyKind::Sm2(national::provider().sm2_public_key(point)?)));
        }
        let encoded = text.strip_prefix("whpk_").ok_or(KeyError::Prefix)?;
        let bytes = crate::keys::decode_base64(encoded)?;
        if bytes.len() == 32 { Ok(Self(VerifyKind::Ed25519(bytes))) } else { Err(KeyError::Length) }
    }

    /// Whether this signature of this kind fits the content. HMAC is compared in constant time.
    fn accepts(&self, content: &[u8], signature: &Signature) -> bool {
        match (&self.0, signature) {
            (VerifyKind::Symmetric(key), Signature::Hmac(tag)) => hmac::verify(key, content, tag).is_ok(),
            (VerifyKind::Ed25519(key), Signature::Ed25519(bytes)) => {
                ED25519.verify_sig(key, content, bytes).is_ok()
            }
            (VerifyKind::Sm2(key), Signature::Sm2(der)) => key.verifies(content, der),
            _ => false,
        }
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyKey(hidden)")
    }
}

fn symmetric(encoded: &str) -> Result<hmac::Key, KeyError> {
    let bytes = crate::keys::decode_base64(encoded)?;
    if !SYMMETRIC_BYTES.contains(&bytes.len()) {
        return Err(KeyError::Length);
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn sm2_private(encoded: &str) -> Result<SecretKind, KeyError> {
    let bytes = crate::keys::decode_base64(encoded)?;
    if !(1..=LONGEST_SM2_PRIVATE).contains(&bytes.len()) {
        return Err(KeyError::Length);
    }
    let private = national::provider().sm2_private_key(&bytes)?;
    let public = national::provider().sm2_public_key(&private.public_point())?;
    Ok(SecretKind::Sm2(private, public))
}

/// A certified module did not sign. Nothing was sent; the same message may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message could not be signed")]
pub struct Unsigned(#[from] ProviderFailed);

/// Signs messages with every key that is in use, one signature for each. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Signer {
    secrets: Arc<[Secret]>,
}

impl Signer {
    /// From 1 to [`MAX_KEYS`] keys: one, or two during a rotation.
    pub fn new(secrets: Vec<Secret>) -> Result<Self, KeyError> {
        count(secrets.len())?;
        Ok(Self { secrets: secrets.into() })
    }

    /// [`Self::new`] on the keys' text forms.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, KeyError> {
        Self::new(texts.into_iter().map(Secret::parse).collect::<Result<_, _>>()?)
    }

    /// The headers to send with this body.
    ///
    /// `now` is the time of this attempt: a message delivered again keeps its id and gets a new time, or the receiver
    /// would have to refuse it after five minutes.
    ///
    /// Where a key lives in a certified module, use [`Self::try_sign`]: here a signature that the module fails to give is
    /// left out, and a receiver that knows no other key refuses the message.
    pub fn sign(&self, id: &MessageId, now: Timestamp, body: &[u8]) -> WebhookHeaders {
        let (headers, _) = self.signed(id, now, body);
        headers
    }

    /// [`Self::sign`], or [`Unsigned`] when a certified module failed to sign with any of the keys.
    pub fn try_sign(&self, id: &MessageId, now: Timestamp, body: &[u8]) -> Result<WebhookHeaders, Unsigned> {
        match self.signed(id, now, body) {
            (headers, None) => Ok(headers),
            (_, Some(failed)) => Err(failed.into()),
        }
    }

    /// The headers with every signature that could be made, and why one could not.
    fn signed(
        &self,
        id: &MessageId,
        now: Timestamp,
        body: &[u8],
    ) -> (WebhookHeaders, Option<ProviderFailed>) {
        let timestamp = now.as_second().to_string();
        let content = signed_content(id.as_str(), &timestamp, body);
        let (mut signatures, mut failed) = (Vec::new(), None);
        for secret in self.secrets.iter() {
            match secret.signature(&content) {
                Ok(signature) => signatures.push(signature),
                Err(error) => failed = Some(error),
            }
        }
        (WebhookHeaders { id: id.to_string(), timestamp, signature: signatures.join(" ") }, failed)
    }
}

/// Why a message was not accepted. Never carries any part of it. All of these answer 401 and are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("a signature header is missing")]
    Missing,
    #[error("a signature header is there twice")]
    Doubled,
    #[error("the message id is malformed")]
    MalformedId,
    #[error("the message time is malformed")]
    MalformedTimestamp,
    #[error("the signature header is malformed")]
    MalformedSignature,
    #[error("there are more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    #[error("the message is more than {TOLERANCE_SECONDS} seconds old")]
    TooOld,
    #[error("the message is more than {TOLERANCE_SECONDS} seconds ahead")]
    TooNew,
    #[error("no signature matches a key in use")]
    NoMatch,
}

/// Accepts messages signed with any of the keys in use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: Arc<[VerifyKey]>,
}

impl Verifier {
    /// From 1 to [`MAX_KEYS`] keys: one, or two during a rotation.
    pub fn new(keys: Vec<VerifyKey>) -> Result<Self, KeyError> {
        count(keys.len())?;
        Ok(Self { keys: keys.into() })
    }

    /// [`Self::new`] on the keys' text forms.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, KeyError> {
        Self::new(texts.into_iter().map(VerifyKey::parse).collect::<Result<_, _>>()?)
    }

    /// Checks form, time and signature of a message; `body` is the raw bytes, before any parsing.
    ///
    /// Every signature is tried with every key even after one has matched, so that the time taken does not tell which
    /// key is the live one.
    pub fn verify(
        &self,
        headers: &WebhookHeaders,
        body: &[u8],
        now: Timestamp,
    ) -> Result<MessageId, VerifyError> {
        let id: MessageId = headers.id.parse().map_err(|_| VerifyError::MalformedId)?;
        let sent = parse_timestamp(&headers.timestamp)?;
        let signatures = parse_signatures(&headers.signature)?;
        check_window(sent, now)?;
        let content = signed_content(id.as_str(), &headers.timestamp, body);
        let mut matched = false;
        for key in self.keys.iter() {
            for signature in &signatures {
                matched |= key.accepts(&content, signature);
            }
        }
        if matched { Ok(id) } else { Err(VerifyError::NoMatch) }
    }
}

/// One signature of a kind that we know.
enum Signature {
    Hmac(Vec<u8>),
    Ed25519(Vec<u8>),
    Sm2(Vec<u8>),
}

fn count(keys: usize) -> Result<(), KeyError> {
    match keys {
        0 => Err(KeyError::Missing),
        1..=MAX_KEYS => Ok(()),
        _ => Err(KeyError::TooMany),
    }
}

fn signed_content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

/// Digits only, no sign, no leading zero, and a time that a calendar has.
fn parse_timestamp(text: &str) -> Result<Timestamp, VerifyError> {
    let canonical = text == "0" || !text.starts_with('0');
    if text.is_empty() || !canonical || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(VerifyError::MalformedTimestamp);
    }
    let seconds: i64 = text.parse().map_err(|_| VerifyError::MalformedTimestamp)?;
    Timestamp::from_second(seconds).map_err(|_| VerifyError::MalformedTimestamp)
}

/// Exactly [`TOLERANCE_SECONDS`] apart is still inside, one second more is not. Counted in whole seconds, as the
/// header counts.
fn check_window(sent: Timestamp, now: Timestamp) -> Result<(), VerifyError> {
    let (sent, now) = (sent.as_second(), now.as_second());
    if sent.abs_diff(now) <= TOLERANCE_SECONDS {
        Ok(())
    } else if sent < now {
        Err(VerifyError::TooOld)
    } else {
        Err(VerifyError::TooNew)
    }
}

/// Splits `v1,<base64> v1a,<base64> v1sm2,<base64> …`. Versions that are not known yet are passed over, as the specification asks.
fn parse_signatures(header: &str) -> Result<Vec<Signature>, VerifyError> {
    let mut signatures = Vec::new();
    for (index, entry) in header.split(' ').enumerate() {
        if index == MAX_SIGNATURES {
            return Err(VerifyError::TooManySignatures);
        }
        let (version, encoded) = entry.split_once(',').ok_or(VerifyError::MalformedSignature)?;
        let decoded = || STANDARD.decode(encoded).map_err(|_| VerifyError::MalformedSignature);
        match version {
            "v1" => signatures.push(Signature::Hmac(decoded()?)),
            "v1a" => signatures.push(Signature::Ed25519(decoded()?)),
            "v1sm2" => signatures.push(Signature::Sm2(decoded()?)),
            _ => {}
        }
    }
    Ok(signatures)
}

#[cfg(test)]
mod tests;
