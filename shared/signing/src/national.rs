//! The national algorithms behind one seam: SM2 signatures over SM3 (GB/T 32918.2-2016, GB/T 32905-2016) and SM4-GCM
//! (GB/T 32907-2016, GB/T 36624-2018, RFC 8998).
//!
//! Some banks accept these only from a cryptographic module that is certified under GM/T 0028. Such a module, an HSM
//! or a cloud service for it, takes the place of the software here in one step:
//!
//! 1. Write a type that implements [`NationalCrypto`] on the module's interface (GM/T 0018, PKCS#11, a vendor's SDK).
//! 2. Hand it to [`replace`] as the first thing in the function's `main.rs`, before any key is parsed.
//! 3. In the secret store, write the module's name of the key in place of the key: `whsm2sk_<base64 of the name>` and
//!    `whenc_sm4gcm_<base64 of the name>`. What stands behind the prefix goes to the module as it is.
//!
//! Nothing else changes: [`crate::Signer`], [`crate::Verifier`] and [`crate::Sealer`] hold keys of whichever provider
//! is in force. Without a replacement [`Software`] is.

use crate::keys::{KeyError, hex};
use aes_gcm::{
    AesGcm,
    aead::{Aead, KeyInit, Payload, consts::U12},
};
use sm2::dsa::{
    Signature, SigningKey, VerifyingKey,
    signature::{Signer as _, Verifier as _},
};
use sm4::Sm4;
use std::sync::{Arc, OnceLock};

/// The signer's distinguishing id that goes into every SM2 signature: the default of GM/T 0009-2012, section 10.
pub const SM2_USER_ID: &str = "1234567812345678";

/// Bytes of an SM2 public key: `04`, then x and y of 32 bytes each.
pub const SM2_POINT_BYTES: usize = 65;

/// Bytes of an SM2 private key held in software: the scalar, big-endian.
pub const SM2_SCALAR_BYTES: usize = 32;

/// Longest signature in bytes: a DER SEQUENCE of two INTEGERs of up to 33 bytes.
pub const SM2_LONGEST_SIGNATURE: usize = 72;

/// Bytes of an SM4 key held in software.
pub const SM4_KEY_BYTES: usize = 16;

/// Bytes of the tag at the end of what SM4-GCM seals.
pub const GCM_TAG_BYTES: usize = 16;

/// Bytes of an initialisation vector of GCM.
pub const GCM_IV_BYTES: usize = 12;

/// The provider could not do what it was asked. Never carries any part of a key or of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic provider failed")]
pub struct ProviderFailed;

/// A source of keys for the national algorithms: software, or a certified module.
pub trait NationalCrypto: Send + Sync {
    /// The private key behind `key`: the scalar itself, or the name under which a module holds it.
    ///
    /// `Err` is [`KeyError::Length`] or [`KeyError::NotSm2`] when there is no such usable key.
    fn sm2_private_key(&self, key: &[u8]) -> Result<Arc<dyn Sm2PrivateKey>, KeyError>;

    /// The public key at this point of the curve, uncompressed.
    ///
    /// `Err` is [`KeyError::NotSm2`] when the point is not on the curve or is the point at infinity.
    fn sm2_public_key(&self, point: &[u8; SM2_POINT_BYTES]) -> Result<Arc<dyn Sm2PublicKey>, KeyError>;

    /// The SM4 key behind `key`: its 16 bytes, or the name under which a module holds it.
    ///
    /// `Err` is [`KeyError::Length`] or [`KeyError::NotSm4`] when there is no such usable key.
    fn sm4_key(&self, key: &[u8]) -> Result<Arc<dyn Sm4GcmKey>, KeyError>;
}

/// Signs with SM2 over SM3, under the user id [`SM2_USER_ID`].
pub trait Sm2PrivateKey: Send + Sync {
    /// The signature of `content`, as the DER SEQUENCE of r and s that GM/T 0009-2012 gives.
    fn sign(&self, content: &[u8]) -> Result<Vec<u8>, ProviderFailed>;

    /// The public half, uncompressed.
    fn public_point(&self) -> [u8; SM2_POINT_BYTES];
}

/// Checks signatures of SM2 over SM3, under the user id [`SM2_USER_ID`].
pub trait Sm2PublicKey: Send + Sync {
    /// Whether `signature`, in DER, is this key's signature of `content`. A malformed signature is no signature.
    fn verifies(&self, content: &[u8], signature: &[u8]) -> bool;
}

/// Seals and opens with SM4 in Galois/Counter Mode, tags of 16 bytes.
pub trait Sm4GcmKey: Send + Sync {
    /// What the other side calls this key, in the form of [`key_id`].
    fn id(&self) -> String;

    /// The ciphertext with the tag behind it. `iv` must never have been used with this key before.
    fn seal(
        &self,
        iv: &[u8; GCM_IV_BYTES],
        associated: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, ProviderFailed>;

    /// The plaintext of a ciphertext with the tag behind it. `Err` when the tag does not fit.
    fn open(
        &self,
        iv: &[u8; GCM_IV_BYTES],
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, ProviderFailed>;
}

/// The id of a key: the first 8 bytes of its SHA-256, as 16 lower-case hexadecimal digits. Both sides can compute it, and
/// it says nothing of a key that was chosen at random.
pub fn key_id(key: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key);
    hex(&digest.as_ref()[..8])
}

static PROVIDER: OnceLock<Arc<dyn NationalCrypto>> = OnceLock::new();

/// A provider is in force already, because one was set or because a key was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a provider of the national algorithms is already in use")]
pub struct AlreadyInUse;

/// Puts `provider` in the place of [`Software`], for the life of the process.
///
/// Fails once any key of these algorithms was parsed, so that no process ever works with two providers.
pub fn replace(provider: Arc<dyn NationalCrypto>) -> Result<(), AlreadyInUse> {
    PROVIDER.set(provider).map_err(|_| AlreadyInUse)
}

/// The provider in force.
pub(crate) fn provider() -> &'static dyn NationalCrypto {
    PROVIDER.get_or_init(|| Arc::new(Software)).as_ref()
}

/// The RustCrypto implementations, in this process. Not a certified module.
///
/// The nonce of a signature is that of RFC 6979 (HMAC-DRBG over SM3, from the private key and the message's digest), so
/// no weakness of a random generator can give the private key away, and the same content has the same signature. Field
/// arithmetic is the formally verified code of fiat-crypto and takes the same time whatever the secrets are.
#[derive(Debug, Clone, Copy)]
pub struct Software;

impl NationalCrypto for Software {
    fn sm2_private_key(&self, key: &[u8]) -> Result<Arc<dyn Sm2PrivateKey>, KeyError> {
        if key.len() != SM2_SCALAR_BYTES {
            return Err(KeyError::Length);
        }
        let key = SigningKey::from_slice(SM2_USER_ID, key).map_err(|_| KeyError::NotSm2)?;
        // GB/T 32918.1-2016, section 6.1 ends the range at n - 2: with n - 1 no signature exists. Trying tells.
        key.try_sign(b"").map_err(|_: sm2::dsa::signature::Error| KeyError::NotSm2)?;
        Ok(Arc::new(SoftwareSm2(key)))
    }

    fn sm2_public_key(&self, point: &[u8; SM2_POINT_BYTES]) -> Result<Arc<dyn Sm2PublicKey>, KeyError> {
        let key = VerifyingKey::from_sec1_bytes(SM2_USER_ID, point).map_err(|_| KeyError::NotSm2)?;
        Ok(Arc::new(SoftwareSm2Public(key)))
    }

    fn sm4_key(&self, key: &[u8]) -> Result<Arc<dyn Sm4GcmKey>, KeyError> {
        if key.len() != SM4_KEY_BYTES {
            return Err(KeyError::Length);
        }
        let cipher = Sm4Gcm::new_from_slice(key).map_err(|_| KeyError::Length)?;
        Ok(Arc::new(SoftwareSm4 { id: key_id(key), cipher }))
    }
}

struct SoftwareSm2(SigningKey);

impl Sm2PrivateKey for SoftwareSm2 {
    fn sign(&self, content: &[u8]) -> Result<Vec<u8>, ProviderFailed> {
        let signature: Signature = self.0.try_sign(content).map_err(|_| ProviderFailed)?;
        Ok(signature.to_der().as_bytes().to_vec())
    }

    fn public_point(&self) -> [u8; SM2_POINT_BYTES] {
        use sm2::elliptic_curve::sec1::ToSec1Point;
        let mut point = [0; SM2_POINT_BYTES];
        point.copy_from_slice(self.0.verifying_key().to_sec1_point(false).as_bytes());
        point
    }
}

struct SoftwareSm2Public(VerifyingKey);

impl Sm2PublicKey for SoftwareSm2Public {
    fn verifies(&self, content: &[u8], signature: &[u8]) -> bool {
        signature.len() <= SM2_LONGEST_SIGNATURE
            && Signature::from_der(signature)
                .is_ok_and(|signature| self.0.verify(content, &signature).is_ok())
    }
}

type Sm4Gcm = AesGcm<Sm4, U12>;

struct SoftwareSm4 {
    id: String,
    cipher: Sm4Gcm,
}

impl Sm4GcmKey for SoftwareSm4 {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn seal(
        &self,
        iv: &[u8; GCM_IV_BYTES],
        associated: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, ProviderFailed> {
        let payload = Payload { msg: plaintext, aad: associated };
        self.cipher.encrypt(&(*iv).into(), payload).map_err(|_| ProviderFailed)
    }

    fn open(
        &self,
        iv: &[u8; GCM_IV_BYTES],
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, ProviderFailed> {
        let payload = Payload { msg: sealed, aad: associated };
        self.cipher.decrypt(&(*iv).into(), payload).map_err(|_| ProviderFailed)
    }
}

#[cfg(test)]
mod tests;
