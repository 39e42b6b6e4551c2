//! Signatures of files that are kept: models, and the word on which model scores which product.
//!
//! Ed25519 (RFC 8032) over `301-artifact\n<name>\n` and the file's bytes. The name is signed with them, so that one file
//! cannot be passed off as another; unlike a webhook's, such a signature never grows old.

use crate::{
    keys::{KeyError, seed_and_public},
    webhook::MAX_KEYS,
};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, VerificationAlgorithm};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::fmt;

const PRIVATE_PREFIX: &str = "artsk_";
const PUBLIC_PREFIX: &str = "artpk_";
const PUBLIC_BYTES: usize = 32;

/// Nobody whom we trust has signed these bytes under this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not that of a trusted key over these bytes and this name")]
pub struct NotSigned;

/// Signs files. Its `Debug` shows the public half only.
pub struct ArtifactSigner {
    pair: Ed25519KeyPair,
}

impl ArtifactSigner {
    /// Reads `artsk_<base64 of seed and public key>`.
    ///
    /// # Errors
    /// [`KeyError`] for a text that is no such key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let encoded = text.strip_prefix(PRIVATE_PREFIX).ok_or(KeyError::Prefix)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::Encoding)?;
        let (seed, public) = bytes.split_at_checked(PUBLIC_BYTES).ok_or(KeyError::Length)?;
        let pair =
            Ed25519KeyPair::from_seed_and_public_key(seed, public).map_err(|_| KeyError::NotEd25519)?;
        Ok(Self { pair })
    }

    /// The key that verifies what this one signs, as [`ArtifactVerifier::parse`] reads it.
    pub fn public(&self) -> String {
        format!("{PUBLIC_PREFIX}{}", STANDARD.encode(self.pair.public_key()))
    }

    /// The signature as base64.
    pub fn sign(&self, name: &str, bytes: &[u8]) -> String {
        STANDARD.encode(self.pair.sign(&message(name, bytes)))
    }
}

impl fmt::Debug for ArtifactSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactSigner").field("public", &self.public()).finish()
    }
}

/// Knows whose files are trusted: any of its keys, of which there are two while one is being changed.
#[derive(Clone, Debug)]
pub struct ArtifactVerifier {
    keys: Vec<[u8; PUBLIC_BYTES]>,
}

impl ArtifactVerifier {
    /// Reads `artpk_<base64 of the public key>`, one or more, separated by spaces.
    ///
    /// # Errors
    /// [`KeyError`] for the first text that is no such key, for none and for too many.
    pub fn parse(texts: &str) -> Result<Self, KeyError> {
        let keys: Vec<_> = texts.split_whitespace().map(public_key).collect::<Result<_, _>>()?;
        match keys.len() {
            0 => Err(KeyError::Missing),
            1..=MAX_KEYS => Ok(Self { keys }),
            _ => Err(KeyError::TooMany),
        }
    }

    /// # Errors
    /// [`NotSigned`], whatever is wrong.
    pub fn verify(&self, name: &str, bytes: &[u8], signature: &str) -> Result<(), NotSigned> {
        let signature = STANDARD.decode(signature.trim()).map_err(|_| NotSigned)?;
        let message = message(name, bytes);
        let trusted = |key: &[u8; PUBLIC_BYTES]| ED25519.verify_sig(key, &message, &signature).is_ok();
        if self.keys.iter().any(trusted) { Ok(()) } else { Err(NotSigned) }
    }
}

fn public_key(text: &str) -> Result<[u8; PUBLIC_BYTES], KeyError> {
    let encoded = text.strip_prefix(PUBLIC_PREFIX).ok_or(KeyError::Prefix)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::Encoding)?;
    bytes.try_into().map_err(|_| KeyError::Length)
}

fn message(name: &str, bytes: &[u8]) -> Vec<u8> {
    [b"301-artifact\n", name.as_bytes(), b"\n", bytes].concat()
}

/// A new key for [`ArtifactSigner`].
///
/// # Errors
/// [`KeyError::NoRandomness`] where the system gives no random bytes.
pub fn artifact_key() -> Result<String, KeyError> {
    let (seed, public) = seed_and_public()?;
    Ok(format!("{PRIVATE_PREFIX}{}", STANDARD.encode([seed, public].concat())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> ArtifactSigner {
        ArtifactSigner::parse(&artifact_key().unwrap()).unwrap()
    }

    #[test]
    fn what_one_key_signed_is_trusted_by_whoever_trusts_it_among_others() {
        let (ours, old) = (signer(), signer());
        let verifier = ArtifactVerifier::parse(&format!("{} {}", old.public(), ours.public())).unwrap();
        assert_eq!(verifier.verify("models/1", b"manifest", &ours.sign("models/1", b"manifest")), Ok(()));
        assert_eq!(verifier.verify("models/1", b"manifest", &old.sign("models/1", b"manifest")), Ok(()));
        let stranger = signer().sign("models/1", b"manifest");
        assert_eq!(verifier.verify("models/1", b"manifest", &stranger), Err(NotSigned));
    }

    #[test]
    fn a_signature_holds_for_its_own_bytes_under_its_own_name_only() {
        let signer = signer();
        let verifier = ArtifactVerifier::parse(&signer.public()).unwrap();
        let signature = signer.sign("models/1", b"manifest");
        for (name, bytes) in
            [("models/2", &b"manifest"[..]), ("models/1", b"manifesu"), ("models/1\nm", b"anifest")]
        {
            assert_eq!(verifier.verify(name, bytes, &signature), Err(NotSigned), "{name}");
        }
        for broken in ["", "?", &signature[..40]] {
            assert_eq!(verifier.verify("models/1", b"manifest", broken), Err(NotSigned));
        }
    }

    #[test]
    fn keys_of_other_kinds_are_refused_and_no_key_trusts_nobody() {
        let private = artifact_key().unwrap();
        let (webhook, webhook_public) = crate::keys::webhook_key_pair().unwrap();
        assert_eq!(ArtifactSigner::parse(&webhook).unwrap_err(), KeyError::Prefix);
        assert_eq!(ArtifactVerifier::parse(&webhook_public).unwrap_err(), KeyError::Prefix);
        assert_eq!(ArtifactVerifier::parse(&private).unwrap_err(), KeyError::Prefix);
        assert_eq!(ArtifactVerifier::parse(" ").unwrap_err(), KeyError::Missing);
        assert_eq!(ArtifactVerifier::parse("artpk_AAAA").unwrap_err(), KeyError::Length);
        let (half, _) = private.split_at(30);
        assert!(ArtifactSigner::parse(half).is_err());
        assert!(!format!("{:?}", ArtifactSigner::parse(&private).unwrap()).contains(&private[6..20]));
    }
}
