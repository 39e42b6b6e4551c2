//! The key file of the local runner: every secret that the functions and the simulated counterparties share.
//!
//! Made once, readable by its owner alone, kept in the state folder so that tokens and hashes survive a restart.
//! A real bank or provider takes the place of a simulated one when its secret stands in this file.

use serde::{Deserialize, Serialize};
use signing::{ArtifactSigner, KeyError};
use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

/// All secrets. Each webhook secret may be several, separated by spaces, while one is being rotated.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    pub hash_key: String,
    pub token_key: String,
    pub face_provider: String,
    pub phone_provider: String,
    pub channels: String,
    pub banks: BTreeMap<String, String>,
    /// Signs models, and the word on which of them scores which product. A file of before there was one gets one.
    #[serde(default)]
    pub models: String,
}

/// The key file cannot be used. Never carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("the key file {path} cannot be read or written")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the key file {path} is not in the right form (line {line})")]
    Form { path: String, line: usize },
    #[error("no key could be made")]
    Make(#[from] KeyError),
}

impl Keys {
    /// New random keys for these banks.
    pub fn generate<'a>(banks: impl IntoIterator<Item = &'a str>) -> Result<Self, KeysError> {
        let secret = signing::keys::webhook_secret;
        let banks = banks
            .into_iter()
            .map(|bank| Ok((bank.to_owned(), secret()?)))
            .collect::<Result<_, KeyError>>()?;
        Ok(Self {
            hash_key: signing::keys::hashing_key()?,
            token_key: signing::keys::token_key_pair()?.pkcs8,
            face_provider: secret()?,
            phone_provider: secret()?,
            channels: secret()?,
            banks,
            models: signing::artifact::artifact_key()?,
        })
    }

    /// Reads the file, or makes it with mode 600 when it is not there.
    pub fn load_or_generate<'a>(
        path: &Path,
        banks: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, KeysError> {
        let shown = || path.display().to_string();
        let file = |source| KeysError::File { path: shown(), source };
        if path.exists() {
            let text = fs::read_to_string(path).map_err(file)?;
            let mut keys: Self =
                serde_json::from_str(&text).map_err(|e| KeysError::Form { path: shown(), line: e.line() })?;
            if keys.models.is_empty() {
                keys.models = signing::artifact::artifact_key()?;
                fs::write(path, keys.to_json(path)?).map_err(file)?;
            }
            return Ok(keys);
        }
        let keys = Self::generate(banks)?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let text = keys.to_json(path)?;
        options.open(path).and_then(|mut f| f.write_all(text.as_bytes())).map_err(file)?;
        Ok(keys)
    }

    fn to_json(&self, path: &Path) -> Result<String, KeysError> {
        let path = path.display().to_string();
        serde_json::to_string_pretty(self).map_err(|e| KeysError::Form { path, line: e.line() })
    }

    /// The public half of the key of models.
    pub fn model_signer(&self) -> Result<String, KeysError> {
        Ok(ArtifactSigner::parse(&self.models)?.public())
    }
}
