//! The form of the vectors, and what our own verifier and sealer make of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::{Sealer, Signer, Verifier, WebhookHeaders};

/// The whole file.
#[derive(Serialize, Deserialize)]
pub struct Vectors {
    pub about: String,
    /// Unix seconds around which all messages lie.
    pub now: i64,
    pub tolerance_seconds: u64,
    #[serde(default)]
    pub messages: Vec<Message>,
    #[serde(default)]
    pub sealed: Vec<Sealed>,
}

/// A signed message and what its receiver must make of it.
#[derive(Serialize, Deserialize)]
pub struct Message {
    pub name: String,
    /// Which scheme the receiver's keys are of: `hmac`, `ed25519` or `sm2`.
    pub scheme: String,
    /// The receiver's keys.
    pub keys: Vec<String>,
    /// The sender's keys, where the message is as the sender made it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_with: Vec<String>,
    pub headers: Headers,
    pub body: String,
    /// The receiver's clock in Unix seconds.
    pub now: i64,
    pub accepted: bool,
}

/// The three headers.
#[derive(Clone, Serialize, Deserialize)]
pub struct Headers {
    #[serde(rename = "webhook-id")]
    pub id: String,
    #[serde(rename = "webhook-timestamp")]
    pub timestamp: String,
    #[serde(rename = "webhook-signature")]
    pub signature: String,
}

/// A sealed body and what its receiver must make of it.
#[derive(Serialize, Deserialize)]
pub struct Sealed {
    pub name: String,
    pub enc: String,
    pub keys: Vec<String>,
    #[serde(rename = "webhook-id")]
    pub id: String,
    pub jwe: String,
    /// What it opens to; absent when it must not open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// What is wrong with a message, if anything is.
pub fn message(message: &Message) -> Result<(), String> {
    let verifier = Verifier::parse(texts(&message.keys)).map_err(|error| error.to_string())?;
    let headers = WebhookHeaders {
        id: message.headers.id.clone(),
        timestamp: message.headers.timestamp.clone(),
        signature: message.headers.signature.clone(),
    };
    let now = Timestamp::from_second(message.now).map_err(|error| error.to_string())?;
    let verdict = verifier.verify(&headers, message.body.as_bytes(), now);
    if verdict.is_ok() != message.accepted {
        return Err(format!("{verdict:?}"));
    }
    if message.signed_with.is_empty() { Ok(()) } else { signs_the_same(message, &verifier, now) }
}

/// Signing again gives the same signatures, or, for SM2, one that is accepted as well.
fn signs_the_same(message: &Message, verifier: &Verifier, now: Timestamp) -> Result<(), String> {
    let signer = Signer::parse(texts(&message.signed_with)).map_err(|error| error.to_string())?;
    let id = message.headers.id.parse().map_err(|_| "the message id")?;
    let sent = message.headers.timestamp.parse().map_err(|_| "the message time")?;
    let sent = Timestamp::from_second(sent).map_err(|error| error.to_string())?;
    let again = signer.try_sign(&id, sent, message.body.as_bytes()).map_err(|error| error.to_string())?;
    let fixed = |signature: &str| -> Vec<String> {
        signature.split(' ').filter(|entry| !entry.starts_with("v1sm2,")).map(str::to_owned).collect()
    };
    if fixed(&again.signature) != fixed(&message.headers.signature) {
        return Err(format!("signed anew it is {}", again.signature));
    }
    match verifier.verify(&again, message.body.as_bytes(), now).is_ok() == message.accepted {
        true => Ok(()),
        false => Err("signed anew it is judged otherwise".to_owned()),
    }
}

/// What is wrong with a sealed body, if anything is.
pub fn sealed(sealed: &Sealed) -> Result<(), String> {
    let sealer = Sealer::parse(texts(&sealed.keys)).map_err(|error| error.to_string())?;
    let id = sealed.id.parse().map_err(|_| "the message id")?;
    let opened = sealer.open(&id, sealed.jwe.as_bytes());
    match (&opened, &sealed.body) {
        (Ok(opened), Some(body)) if opened == body.as_bytes() => Ok(()),
        (Err(_), None) => Ok(()),
        (Err(error), Some(_)) => Err(error.to_string()),
        (Ok(_), _) => Err("it opens to something else".to_owned()),
    }
}

fn texts(keys: &[String]) -> impl Iterator<Item = &str> {
    keys.iter().map(String::as_str)
}
