//! A module that keeps its keys to itself takes the place of the software, and nothing else changes. A test binary of its
//! own, since a provider is set once for a process.

#![allow(clippy::unwrap_used, reason = "tests")]

use base64::{Engine, engine::general_purpose::STANDARD};
use signing::{
    KeyError, Sealer, Secret, Signer, Verifier,
    national::{
        self, AlreadyInUse, NationalCrypto, SM2_POINT_BYTES, Sm2PrivateKey, Sm2PublicKey, Sm4GcmKey, Software,
    },
};
use std::sync::Arc;

/// Knows keys by name, as an HSM does; its arithmetic is borrowed from the software.
struct Module;

const SM2_NAME: &[u8] = b"slot-1/river-bank";
const SM4_NAME: &[u8] = b"slot-2/river-bank-bodies";

impl NationalCrypto for Module {
    fn sm2_private_key(&self, key: &[u8]) -> Result<Arc<dyn Sm2PrivateKey>, KeyError> {
        if key == SM2_NAME { Software.sm2_private_key(&[7; 32]) } else { Err(KeyError::NotSm2) }
    }

    fn sm2_public_key(&self, point: &[u8; SM2_POINT_BYTES]) -> Result<Arc<dyn Sm2PublicKey>, KeyError> {
        Software.sm2_public_key(point)
    }

    fn sm4_key(&self, key: &[u8]) -> Result<Arc<dyn Sm4GcmKey>, KeyError> {
        if key == SM4_NAME { Software.sm4_key(&[9; 16]) } else { Err(KeyError::NotSm4) }
    }
}

#[test]
fn keys_that_a_module_holds_sign_and_seal_under_their_names() {
    national::replace(Arc::new(Module)).unwrap();
    let id = "msg_1".parse().unwrap();
    let now = "2026-11-02T08:00:00Z".parse().unwrap();

    let named = format!("whsm2sk_{}", STANDARD.encode(SM2_NAME));
    let headers = Signer::parse([named.as_str()]).unwrap().try_sign(&id, now, b"{}").unwrap();
    let point = Software.sm2_private_key(&[7; 32]).unwrap().public_point();
    let public = format!("whsm2pk_{}", STANDARD.encode(point));
    assert_eq!(Verifier::parse([public.as_str()]).unwrap().verify(&headers, b"{}", now), Ok(id.clone()));

    let named = format!("whenc_sm4gcm_{}", STANDARD.encode(SM4_NAME));
    let sealer = Sealer::parse([named.as_str()]).unwrap();
    let sealed = sealer.seal(&id, b"{}").unwrap();
    assert_eq!(sealer.open(&id, sealed.as_bytes()).unwrap(), b"{}");
    assert_eq!(
        format!("{sealer:?}"),
        format!("[{:?}]", national::key_id(&[9; 16])),
        "the bank's name of the key"
    );

    let unheld = format!("whsm2sk_{}", STANDARD.encode([1; 32]));
    assert_eq!(Secret::parse(&unheld).unwrap_err(), KeyError::NotSm2, "a bare key is no key of the module");
    assert_eq!(national::replace(Arc::new(Software)), Err(AlreadyInUse));
}
