//! What the functions' `wire.rs` have in common: settings become adapters.
//!
//! The same wiring runs on Lambda and in the local runner; only the settings and the SDK configuration differ.

use aws::{Aws, DynamoJournal, QueueUrls, SqsCommandQueue};
use contract::names::setting;
use delivery::{Sender, SenderConfig, Transport};
use domain::product::{Catalogue, CatalogueError};
use lambda_kit::{Environment, EnvironmentError};
use ports::{Clock, SystemClock};
use signing::{KeyError, KeyedHasher, Signer, Verifier};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use steps::Journeys;

/// The products, as packaged with the functions.
const PRODUCTS: &str = include_str!("../../../models/products.json");

/// A function cannot start with these settings. Never carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error("the key or secret in {name} is not usable")]
    Key {
        name: &'static str,
        #[source]
        source: KeyError,
    },
    #[error("the HTTP client cannot be built")]
    Client(#[from] delivery::ClientUnavailable),
    #[error("the product catalogue is not usable")]
    Products(#[from] CatalogueError),
    #[error("{what} is not usable")]
    Other {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl WireError {
    pub fn key(name: &'static str) -> impl FnOnce(KeyError) -> WireError {
        move |source| WireError::Key { name, source }
    }

    pub fn other<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        what: &'static str,
    ) -> impl FnOnce(E) -> WireError {
        move |source| WireError::Other { what, source: source.into() }
    }
}

/// What a function has around it besides AWS: the time, and the network to its counterparties.
#[derive(Clone)]
pub struct Outside {
    pub clock: Arc<dyn Clock>,
    /// A simulated network; `None` for the real one.
    pub network: Option<Arc<dyn Transport>>,
}

impl Outside {
    /// The machine's clock and the real network.
    pub fn real() -> Self {
        Self::at(Arc::new(SystemClock))
    }

    /// A given clock and the real network.
    pub fn at(clock: Arc<dyn Clock>) -> Self {
        Self { clock, network: None }
    }

    /// The sender of signed HTTP, with its time-out in milliseconds where a setting holds one.
    pub fn sender(&self, env: &Environment, timeout_setting: Option<&str>) -> Result<Sender, WireError> {
        if let Some(network) = &self.network {
            return Ok(Sender::over(network.clone()));
        }
        let mut config = SenderConfig {
            allow_private_addresses: env.flag(setting::ALLOW_LOCAL),
            ..SenderConfig::default()
        };
        if let Some(name) = timeout_setting {
            config.total_timeout = Duration::from_millis(env.get_json(name)?);
        }
        Ok(Sender::new(config)?)
    }
}

/// The journal table, behind whichever of its ports a function holds.
pub fn journal(env: &Environment, aws: &Aws) -> Result<Arc<DynamoJournal>, WireError> {
    Ok(Arc::new(DynamoJournal::new(aws.dynamodb.clone(), env.get(setting::JOURNEYS_TABLE)?)))
}

/// The queues that the template gives to this function; a command without a queue is an error when it is sent.
pub fn command_queue(env: &Environment, aws: &Aws) -> Arc<SqsCommandQueue> {
    let url = |name| env.get(name).ok().map(str::to_owned);
    let urls = QueueUrls {
        face_checks: url(setting::FACE_CHECKS_QUEUE),
        phone_checks: url(setting::PHONE_CHECKS_QUEUE),
        scores: url(setting::SCORES_QUEUE),
        graph_checks: url(setting::GRAPH_CHECKS_QUEUE),
        decisions: url(setting::DECISIONS_QUEUE),
        payouts: url(setting::PAYOUTS_QUEUE),
    };
    Arc::new(SqsCommandQueue::new(aws.sqs.clone(), urls))
}

/// The journeys as the function named by `by` sees them, for example `score/0.1.0`.
pub fn journeys(
    env: &Environment,
    aws: &Aws,
    outside: &Outside,
    by: &'static str,
) -> Result<Journeys, WireError> {
    let clock = outside.clock.clone();
    Ok(Journeys { journal: journal(env, aws)?, commands: command_queue(env, aws), clock, by })
}

/// The products and their banks.
pub fn products() -> Result<Catalogue, WireError> {
    Ok(Catalogue::from_json(PRODUCTS)?)
}

/// The keyed hasher of personal values.
pub fn hasher(env: &Environment) -> Result<KeyedHasher, WireError> {
    let key = signing::keys::decode_base64(env.get(setting::HASH_KEY)?)
        .map_err(WireError::key(setting::HASH_KEY))?;
    KeyedHasher::new(&key).map_err(WireError::key(setting::HASH_KEY))
}

/// Signs with the secrets in a setting: all of them while one is being rotated.
pub fn signer(env: &Environment, name: &'static str) -> Result<Signer, WireError> {
    signer_of(name, env.get(name)?)
}

/// Verifies with the secrets in a setting: any of them.
pub fn verifier(env: &Environment, name: &'static str) -> Result<Verifier, WireError> {
    verifier_of(name, env.get(name)?)
}

/// Signs with `secrets`, separated by spaces. Public keys (`whpk_`) check what the other side signs, and are passed over.
pub fn signer_of(name: &'static str, secrets: &str) -> Result<Signer, WireError> {
    let ours = secrets.split_whitespace().filter(|text| !text.starts_with("whpk_"));
    Signer::parse(ours).map_err(WireError::key(name))
}

/// Verifies with `secrets`, separated by spaces. Private keys (`whsk_`) sign what we send, and are passed over.
pub fn verifier_of(name: &'static str, secrets: &str) -> Result<Verifier, WireError> {
    let theirs = secrets.split_whitespace().filter(|text| !text.starts_with("whsk_"));
    Verifier::parse(theirs).map_err(WireError::key(name))
}

/// Where this API is reached from outside, without a trailing slash.
pub fn public_url(env: &Environment) -> Result<Arc<str>, WireError> {
    Ok(env.get(setting::PUBLIC_URL)?.trim_end_matches('/').into())
}

/// A JSON object of bank → text, as in the settings of the banks.
pub fn by_bank(env: &Environment, name: &str) -> Result<BTreeMap<String, String>, WireError> {
    Ok(env.get_json(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use signing::keys::webhook_key_pair;

    #[test]
    fn our_private_and_their_public_key_share_a_setting_and_each_does_its_own_work() {
        let (ours, _) = webhook_key_pair().unwrap();
        let (_, theirs) = webhook_key_pair().unwrap();
        let both = format!("{ours} {theirs}");
        assert!(signer_of("KEYS", &both).is_ok() && verifier_of("KEYS", &both).is_ok());
        assert!(signer_of("KEYS", &theirs).is_err(), "nothing to sign with");
        assert!(verifier_of("KEYS", &ours).is_err(), "nothing to check with");
    }

    #[test]
    fn an_empty_or_unknown_key_is_refused_and_not_repeated() {
        for text in ["", "  ", "sk_live_secret", "whsec_"] {
            let error = signer_of("KEYS", text).unwrap_err();
            assert!(matches!(error, WireError::Key { name: "KEYS", .. }), "{text}");
            assert!(!format!("{error:?}").contains("secret"), "{text}");
        }
    }
}
