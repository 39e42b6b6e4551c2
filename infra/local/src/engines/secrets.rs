//! The part of Secrets Manager that is used here: `GetSecretValue`, in the JSON that the SDK speaks.

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// The engine: each secret's text by its name, with how often it was put.
#[derive(Default)]
pub(crate) struct SecretsManager(Mutex<BTreeMap<String, (u32, String)>>);

impl SecretsManager {
    /// Makes the secret, or a new version of it.
    pub(crate) fn put(&self, name: &str, text: String) {
        let mut secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = secrets.entry(name.to_owned()).or_default();
        *secret = (secret.0 + 1, text);
    }

    /// Status and body of the answer to one call.
    pub(crate) fn respond(&self, operation: &str, body: &[u8]) -> (u16, String) {
        let refuse = |kind: &str| (400, json!({ "__type": kind, "message": kind }).to_string());
        if operation != "GetSecretValue" {
            return refuse("InvalidRequestException");
        }
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = request["SecretId"].as_str().unwrap_or_default();
        let secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match secrets.get(name) {
            Some((version, text)) => {
                let version = format!("00000000-0000-4000-8000-{version:012}");
                let answer = json!({
                    "ARN": name, "Name": name, "VersionId": version, "VersionStages": ["AWSCURRENT"],
                    "SecretString": text,
                });
                (200, answer.to_string())
            }
            None => refuse("ResourceNotFoundException"),
        }
    }
}
