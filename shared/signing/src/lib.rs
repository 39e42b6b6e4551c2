//! Proofs of who said what: webhook signatures, session tokens and keyed hashes; and bodies that only their receiver reads.
//!
//! Nothing here does I/O or reads a clock. Callers hand in the bytes and the time, so that every edge of a window
//! can be tested. The cryptography is aws-lc-rs, and for the national algorithms (SM2, SM3, SM4) the provider behind
//! [`national`], which a certified module can replace.
//!
//! | module | proves | to whom |
//! |---|---|---|
//! | [`webhook`] | this body left the holder of a key less than five minutes ago (Standard Webhooks) | banks, providers, us |
//! | [`artifact`] | this file was released by the holder of a key, whenever that was | `score` |
//! | [`sealing`] | nothing, but keeps a body secret between us and a bank that asks for it (JWE) | banks |
//! | [`token`] | this borrower signed in through a channel less than fifteen minutes ago (JWT, Ed25519) | our own routes |
//! | [`keyed_hash`] | two records hold the same value, without saying which | relations, journal keys |
//! | [`keys`] | fresh secrets and ids | the local runner's key file, one-time ids |
//!
//! Two guards are the caller's, because they need a store: a verified [`webhook::MessageId`] is acted on once, and
//! a body is acted on only for the application and person that it was asked for.

pub mod artifact;
mod identity;
pub mod keyed_hash;
pub mod keys;
pub mod national;
pub mod sealing;
pub mod token;
pub mod webhook;

pub use artifact::{ArtifactSigner, ArtifactVerifier, NotSigned};
pub use keyed_hash::{KeyedHash, KeyedHasher};
pub use keys::KeyError;
pub use sealing::{SealError, Sealer};
pub use token::{Claims, Session, TokenError, TokenIssuer, TokenVerifier};
pub use webhook::{MessageId, Secret, Signer, Unsigned, Verifier, VerifyError, VerifyKey, WebhookHeaders};
