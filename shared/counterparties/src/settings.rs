//! From settings to keys and targets.

use contract::names::setting;
use delivery::{Sender, SenderConfig, Target};
use lambda_kit::{Environment, EnvironmentError};
use signing::{KeyError, Signer, Verifier};
use std::{collections::HashMap, time::Duration};

/// A function cannot be wired with the settings that it was given. Never carries a value.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error("the keys in {setting} cannot be used")]
    Keys {
        setting: &'static str,
        #[source]
        source: KeyError,
    },
    #[error("the address in {setting} cannot be used")]
    Address {
        setting: &'static str,
        #[source]
        source: delivery::BadTarget,
    },
    #[error("{setting} says nothing about a bank that has an address")]
    BankWithoutKeys { setting: &'static str },
    #[error(transparent)]
    Client(#[from] delivery::ClientUnavailable),
}

/// Signs what we send. `secrets` is space-separated; public keys (`whpk_`), which are there to check what the other side
/// signs, are passed over.
pub fn signer(setting: &'static str, secrets: &str) -> Result<Signer, WireError> {
    let ours = secrets.split_ascii_whitespace().filter(|text| !text.starts_with("whpk_"));
    Signer::parse(ours).map_err(|source| WireError::Keys { setting, source })
}

/// Checks what the other side signed. `secrets` is space-separated; private keys (`whsk_`), which are there to sign what
/// we send, are passed over.
pub fn verifier(setting: &'static str, secrets: &str) -> Result<Verifier, WireError> {
    let theirs = secrets.split_ascii_whitespace().filter(|text| !text.starts_with("whsk_"));
    Verifier::parse(theirs).map_err(|source| WireError::Keys { setting, source })
}

/// The verifier of every bank that has keys.
pub fn bank_verifiers(env: &Environment) -> Result<HashMap<String, Verifier>, WireError> {
    let secrets: HashMap<String, String> = env.get_json(setting::BANK_SECRETS)?;
    secrets.into_iter().map(|(bank, keys)| Ok((bank, verifier(setting::BANK_SECRETS, &keys)?))).collect()
}

/// Where our callbacks are reached, without a trailing slash.
pub fn public_url(env: &Environment) -> Result<String, WireError> {
    Ok(env.get(setting::PUBLIC_URL)?.trim_end_matches('/').to_owned())
}

/// A sender with the usual limits, or with its own limit on the whole delivery.
pub(crate) fn sender(env: &Environment, total_timeout: Option<Duration>) -> Result<Sender, WireError> {
    let usual = SenderConfig::default();
    let total_timeout = total_timeout.unwrap_or(usual.total_timeout);
    let allow_private_addresses = env.flag(setting::ALLOW_LOCAL);
    Ok(Sender::new(SenderConfig { total_timeout, allow_private_addresses, ..usual })?)
}

/// `path` below the base URL.
pub(crate) fn target(
    setting: &'static str,
    base: &str,
    path: &str,
    signer: &Signer,
) -> Result<Target, WireError> {
    let url = format!("{}{path}", base.trim_end_matches('/'));
    Target::new(&url, signer.clone()).map_err(|source| WireError::Address { setting, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use signing::keys::{webhook_key_pair, webhook_secret};

    #[test]
    fn a_pair_of_private_and_foreign_public_key_signs_with_one_and_checks_with_the_other() {
        let (ours, _) = webhook_key_pair().unwrap();
        let (_, theirs) = webhook_key_pair().unwrap();
        let both = format!("{ours} {theirs}");
        assert!(signer("KEYS", &both).is_ok());
        assert!(verifier("KEYS", &both).is_ok());
        assert!(signer("KEYS", &theirs).is_err(), "nothing to sign with");
        assert!(verifier("KEYS", &ours).is_err(), "nothing to check with");
    }

    #[test]
    fn an_empty_or_unknown_key_is_refused_and_not_repeated() {
        for text in ["", "  ", "sk_live_very_secret", "whsec_"] {
            let error = signer("KEYS", text).unwrap_err();
            assert!(matches!(error, WireError::Keys { setting: "KEYS", .. }), "{text}");
            assert!(!format!("{error:?}").contains("very_secret"));
        }
        assert!(signer("KEYS", &webhook_secret().unwrap()).is_ok());
    }
}
