//! Session tokens: JWT (RFC 7519) signed with Ed25519 (RFC 8037), good for fifteen minutes.
//!
//! The algorithm is pinned on our side, never taken from the token: `none`, or an HMAC made with our public key as
//! its secret, is refused before any key is touched. The library would compare `exp` with the machine's clock, so it is
//! told not to, and every time claim is checked here against the time that the caller hands in.

use crate::keyed_hash::KeyedHash;
use crate::keys::{KeyError, random_id};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Seconds from issue to expiry.
pub const LIFETIME_SECONDS: i64 = 15 * 60;

/// Seconds by which the clock of the machine that issued a token may run ahead of ours. Expiry gets none.
pub const CLOCK_SKEW_SECONDS: i64 = 5;

/// Longest token that is looked at, in bytes. Ours are under 1 KiB.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// What a channel vouched for at sign-in: who, on which device, from where.
///
/// `device`, `network` and `verified_person` are keyed hashes. A token is signed, not encrypted, and phones leak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The borrower's account as the channel names it; opaque to us.
    pub sub: String,
    /// The channel's short name, such as `mini-program`.
    pub channel: String,
    pub device: KeyedHash,
    pub network: KeyedHash,
    /// City or district, never coordinates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// When the channel opened the account, in seconds since 1970, if it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_opened_at: Option<i64>,
    /// Who a bank's own channel has already identified, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_person: Option<KeyedHash>,
}

/// A whole token: the session and the registered claims of RFC 7519 section 4.1. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    #[serde(flatten)]
    pub session: Session,
    pub iss: String,
    pub aud: String,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    /// 128 random bits; names this sign-in in the records.
    pub jti: String,
}

/// Why a token was not accepted. Never carries any part of it. All of these answer 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is not a well-formed session token")]
    Malformed,
    #[error("the token's algorithm is not EdDSA")]
    WrongAlgorithm,
    #[error("the token names no key that is in use")]
    UnknownKey,
    #[error("the token's signature does not match")]
    BadSignature,
    #[error("the token was issued by somebody else")]
    WrongIssuer,
    #[error("the token was issued for somebody else")]
    WrongAudience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token claims a longer life than any that is issued")]
    LivesTooLong,
}

/// Signs sessions. Holds the private key; only the function that exchanges sign-in codes has one.
#[derive(Clone)]
pub struct TokenIssuer {
    key: EncodingKey,
    public_key: Vec<u8>,
    header: Header,
    issuer: String,
    audience: String,
}

/// A session could not be signed: no random bytes for its id, or the signer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session token could not be signed")]
pub struct NotIssued;

impl TokenIssuer {
    /// `pkcs8` is the private key in DER (RFC 8410); `kid` names it, so that the next key can be trusted before the
    /// first token signed with it arrives.
    pub fn new(pkcs8: &[u8], kid: &str, issuer: &str, audience: &str) -> Result<Self, KeyError> {
        if kid.is_empty() {
            return Err(KeyError::Missing);
        }
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::NotEd25519)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(kid.to_owned());
        Ok(Self {
            key: EncodingKey::from_ed_der(pkcs8),
            public_key: pair.public_key().as_ref().to_vec(),
            header,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
        })
    }

    /// The 32 raw bytes that a [`TokenVerifier`] needs.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// A token for this session, valid from `now` for [`LIFETIME_SECONDS`], with its claims for the sign-in record.
    pub fn issue(&self, session: &Session, now: Timestamp) -> Result<(String, Claims), NotIssued> {
        let issued = now.as_second();
        let claims = Claims {
            session: session.clone(),
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            iat: issued,
            nbf: issued,
            exp: issued + LIFETIME_SECONDS,
            jti: random_id().map_err(|_| NotIssued)?,
        };
        let token = encode(&self.header, &claims, &self.key).map_err(|_| NotIssued)?;
        Ok((token, claims))
    }
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer").field("kid", &self.header.kid).finish_non_exhaustive()
    }
}

/// Checks tokens. Holds public keys only.
#[derive(Clone)]
pub struct TokenVerifier {
    keys: BTreeMap<String, DecodingKey>,
    validation: Validation,
}

impl TokenVerifier {
    /// `keys` are pairs of key id and 32 raw public bytes: the current key, and during a rotation also its neighbour.
    pub fn new<'a>(
        keys: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        issuer: &str,
        audience: &str,
    ) -> Result<Self, KeyError> {
        let mut known = BTreeMap::new();
        for (kid, public_key) in keys {
            if kid.is_empty() {
                return Err(KeyError::Missing);
            }
            if public_key.len() != 32 {
                return Err(KeyError::Length);
            }
            known.insert(kid.to_owned(), DecodingKey::from_ed_der(public_key));
        }
        if known.is_empty() {
            return Err(KeyError::Missing);
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        // These two would read the machine's clock. `check_times` does it with the caller's.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Ok(Self { keys: known, validation })
    }

    /// The claims of a token that is ours, unchanged, and valid at `now`.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.alg != Algorithm::EdDSA {
            return Err(TokenError::WrongAlgorithm);
        }
        // RFC 7515 section 4.1.11: an extension that must be understood and is not means refusal.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let key = header.kid.and_then(|kid| self.keys.get(&kid)).ok_or(TokenError::UnknownKey)?;
        let claims =
            decode::<Claims>(token, key, &self.validation).map_err(|error| reason(error.kind()))?.claims;
        check_times(&claims, now.as_second())?;
        Ok(claims)
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("kids", &self.keys.keys()).finish_non_exhaustive()
    }
}

/// The library's reason in our words, which carry nothing from the token.
fn reason(kind: &jsonwebtoken::errors::ErrorKind) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::InvalidSignature => TokenError::BadSignature,
        ErrorKind::InvalidIssuer => TokenError::WrongIssuer,
        ErrorKind::InvalidAudience => TokenError::WrongAudience,
        ErrorKind::InvalidAlgorithm => TokenError::WrongAlgorithm,
        _ => TokenError::Malformed,
    }
}

/// A token is good from `nbf` (less the allowed skew) up to but not including `exp`.
fn check_times(claims: &Claims, now: i64) -> Result<(), TokenError> {
    if now >= claims.exp {
        return Err(TokenError::Expired);
    }
    if claims.nbf.max(claims.iat) > now.saturating_add(CLOCK_SKEW_SECONDS) {
        return Err(TokenError::NotYetValid);
    }
    if claims.exp.saturating_sub(claims.iat) > LIFETIME_SECONDS {
        return Err(TokenError::LivesTooLong);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
