//! Fresh secrets, key pairs and ids, and the text forms in which keys are kept.
//!
//! The local runner uses these to write its key file once. On AWS the same text forms are what the secret store
//! holds, so one parser serves both.

use crate::national::{self, NationalCrypto};
use aws_lc_rs::{
    rand,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::fmt;

/// A key that cannot be used. Never carries any part of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the key has none of the expected prefixes")]
    Prefix,
    #[error("the key is not base64")]
    Encoding,
    #[error("the key has the wrong length")]
    Length,
    #[error("the key is not a usable Ed25519 key")]
    NotEd25519,
    #[error("the key is not a usable SM2 key")]
    NotSm2,
    #[error("the key is not a usable SM4 key")]
    NotSm4,
    #[error("no key was given")]
    Missing,
    #[error("more than {} keys were given", crate::webhook::MAX_KEYS)]
    TooMany,
    #[error("the system gave no random bytes")]
    NoRandomness,
}

/// An Ed25519 key pair for session tokens, both halves as base64.
///
/// The private half is PKCS#8 version 2 (RFC 8410), the public half the 32 raw bytes.
#[derive(Clone)]
pub struct TokenKeyPair {
    pub pkcs8: String,
    pub public: String,
}

impl fmt::Debug for TokenKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeyPair").field("public", &self.public).finish_non_exhaustive()
    }
}

/// A new key pair for [`crate::TokenIssuer`] and [`crate::TokenVerifier`].
pub fn token_key_pair() -> Result<TokenKeyPair, KeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NoRandomness)?;
    let pkcs8 = pair.to_pkcs8().map_err(|_| KeyError::NotEd25519)?;
    Ok(TokenKeyPair {
        pkcs8: STANDARD.encode(pkcs8.as_ref()),
        public: STANDARD.encode(pair.public_key().as_ref()),
    })
}

/// A new symmetric webhook secret of 32 bytes, as `whsec_<base64>`.
pub fn webhook_secret() -> Result<String, KeyError> {
    Ok(format!("whsec_{}", STANDARD.encode(random_bytes::<32>()?)))
}

/// A new Ed25519 webhook key pair, as `(whsk_<base64 of seed and public key>, whpk_<base64 of public key>)`.
pub fn webhook_key_pair() -> Result<(String, String), KeyError> {
    let (seed, public) = seed_and_public()?;
    let private = [seed, public.clone()].concat();
    Ok((format!("whsk_{}", STANDARD.encode(private)), format!("whpk_{}", STANDARD.encode(public))))
}

/// Both halves of a new Ed25519 key, 32 bytes each.
pub(crate) fn seed_and_public() -> Result<(Vec<u8>, Vec<u8>), KeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NoRandomness)?;
    let seed = pair.seed().map_err(|_| KeyError::NotEd25519)?;
    let seed: aws_lc_rs::encoding::Curve25519SeedBin<'_> =
        aws_lc_rs::encoding::AsBigEndian::as_be_bytes(&seed).map_err(|_| KeyError::NotEd25519)?;
    Ok((seed.as_ref().to_vec(), pair.public_key().as_ref().to_vec()))
}

/// A new SM2 webhook key pair, as `(whsm2sk_<base64 of the scalar>, whsm2pk_<base64 of the uncompressed point>)`.
///
/// For keys that live in this process. A certified module makes its own keys and never gives them out; see
/// [`crate::national`].
pub fn sm2_key_pair() -> Result<(String, String), KeyError> {
    // About one in 2^32 scalars lies outside the group, so a second draw is already a curiosity.
    for _ in 0..DRAWS {
        let scalar = random_bytes::<{ national::SM2_SCALAR_BYTES }>()?;
        if let Ok(key) = national::Software.sm2_private_key(&scalar) {
            let public = STANDARD.encode(key.public_point());
            return Ok((format!("whsm2sk_{}", STANDARD.encode(scalar)), format!("whsm2pk_{public}")));
        }
    }
    Err(KeyError::NoRandomness)
}

/// Draws of a scalar before the generator is held to be broken.
const DRAWS: usize = 8;

/// A new AES-256 key for sealed bodies, as `whenc_a256gcm_<base64>`.
pub fn a256gcm_key() -> Result<String, KeyError> {
    Ok(format!("whenc_a256gcm_{}", STANDARD.encode(random_bytes::<32>()?)))
}

/// A new SM4 key for sealed bodies, as `whenc_sm4gcm_<base64>`.
pub fn sm4gcm_key() -> Result<String, KeyError> {
    Ok(format!("whenc_sm4gcm_{}", STANDARD.encode(random_bytes::<{ national::SM4_KEY_BYTES }>()?)))
}

/// A new key of 32 bytes for [`crate::KeyedHasher`], as base64.
pub fn hashing_key() -> Result<String, KeyError> {
    Ok(STANDARD.encode(random_bytes::<32>()?))
}

/// An id that nobody can guess: 128 random bits as 32 lower-case hexadecimal digits.
pub fn random_id() -> Result<String, KeyError> {
    Ok(hex(&random_bytes::<16>()?))
}

/// Unpredictable bytes from the system's generator.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
    Ok(bytes)
}

/// The bytes behind a base64 key text (standard alphabet, padded).
pub fn decode_base64(text: &str) -> Result<Vec<u8>, KeyError> {
    STANDARD.decode(text).map_err(|_| KeyError::Encoding)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{Secret, VerifyKey};
    use std::collections::HashSet;

    #[test]
    fn ids_are_thirty_two_hexadecimal_digits_and_differ() {
        let ids: HashSet<String> = (0..100).map(|_| random_id().unwrap()).collect();
        assert_eq!(ids.len(), 100);
        for id in ids {
            assert_eq!(id.len(), 32);
            assert!(id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
        }
    }

    #[test]
    fn every_generated_key_is_accepted_by_the_parser_that_reads_it_back() {
        Secret::parse(&webhook_secret().unwrap()).unwrap();
        let (private, public) = webhook_key_pair().unwrap();
        Secret::parse(&private).unwrap();
        VerifyKey::parse(&public).unwrap();
        let (private, public) = sm2_key_pair().unwrap();
        Secret::parse(&private).unwrap();
        VerifyKey::parse(&public).unwrap();
        crate::Sealer::parse([a256gcm_key().unwrap().as_str(), &sm4gcm_key().unwrap()]).unwrap();
        let hashing = decode_base64(&hashing_key().unwrap()).unwrap();
        crate::KeyedHasher::new(&hashing).unwrap();
        let token = token_key_pair().unwrap();
        crate::TokenIssuer::new(&decode_base64(&token.pkcs8).unwrap(), "k1", "us", "us").unwrap();
    }

    #[test]
    fn printing_a_key_pair_shows_only_the_public_half() {
        let pair = token_key_pair().unwrap();
        let shown = format!("{pair:?}");
        assert!(shown.contains(&pair.public));
        assert!(!shown.contains(&pair.pkcs8));
    }

    #[test]
    fn hexadecimal_covers_both_nibbles_of_a_byte() {
        assert_eq!(hex(&[0x00, 0x0f, 0xf0, 0xa5]), "000ff0a5");
    }
}
