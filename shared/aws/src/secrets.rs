//! A function's secrets in Secrets Manager.

use crate::failure::port_error;
use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use ports::{
    PortError,
    secrets::{SecretStore, Secrets},
};

const READING: &str = "reading the secrets";

/// One secret whose text is a JSON object: name of a setting → its value.
#[derive(Clone, Debug)]
pub struct SecretsManager {
    client: Client,
    secret: String,
}

/// The secret is not in the right form. Never carries any of it.
#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error("the secret has no text or no version")]
    Empty,
    #[error("the secret is not a JSON object of texts (column {0})")]
    Json(usize),
}

impl SecretsManager {
    /// The secret of this ARN or name.
    pub fn new(client: Client, secret: impl Into<String>) -> Self {
        Self { client, secret: secret.into() }
    }
}

#[async_trait]
impl SecretStore for SecretsManager {
    /// Calls `GetSecretValue`, once.
    async fn read(&self) -> Result<Secrets, PortError> {
        let answer = self
            .client
            .get_secret_value()
            .secret_id(&self.secret)
            .send()
            .await
            .map_err(|error| port_error(READING, &error))?;
        let broken = |why| PortError::broken(READING, why);
        let (Some(text), Some(version)) = (answer.secret_string, answer.version_id) else {
            return Err(broken(Malformed::Empty));
        };
        let values = serde_json::from_str(&text).map_err(|error| broken(Malformed::Json(error.column())))?;
        Ok(Secrets { version, values })
    }
}
