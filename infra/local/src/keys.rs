//! The key file of the local runner: every secret that the functions and the simulated counterparties share.
//!
//! Made once, readable by its owner alone, kept in the state folder so that tokens and hashes survive a restart.
//! A real bank or provider takes the place of a simulated one when its secret stands in this file.

use crate::{engines::MasterKey, gateway::AccessKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use contract::names::secret;
use serde::{Deserialize, Serialize};
use signing::{ArtifactSigner, KeyError, national::key_id};
use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

/// The function that checks what banks sign and sends them nothing.
const VERIFIES_ONLY: &str = "bank-callback";
/// Beginnings of the keys with which something is sent and nothing is checked: private keys, and keys of sealed bodies.
const ONLY_SENDS: [&str; 3] = ["whsk_", "whsm2sk_", signing::sealing::KEY_PREFIX];

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
    /// Wraps the data keys of personal data, in place of KMS; as `models` for older files. Whoever loses it cannot read the
    /// applicants any more.
    #[serde(default)]
    pub personal_data: String,
    /// `<access key id>:<secret access key>` with which an analyst signs, in place of an identity of IAM; as `models` for
    /// older files.
    #[serde(default)]
    pub analyst: String,
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
    #[error("there is no key file {0}")]
    NotThere(String),
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
            personal_data: master_key()?,
            analyst: access_key()?,
        })
    }

    /// Reads the file, or makes it when it is not there. Its mode is 600 from then on.
    pub fn load_or_generate<'a>(
        path: &Path,
        banks: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, KeysError> {
        let shown = || path.display().to_string();
        let file = |source| KeysError::File { path: shown(), source };
        if path.exists() {
            keep_private(path);
            let text = fs::read_to_string(path).map_err(file)?;
            let mut keys: Self =
                serde_json::from_str(&text).map_err(|e| KeysError::Form { path: shown(), line: e.line() })?;
            let missing = [&keys.models, &keys.personal_data, &keys.analyst].map(String::is_empty);
            if missing[0] {
                keys.models = signing::artifact::artifact_key()?;
            }
            if missing[1] {
                keys.personal_data = master_key()?;
            }
            if missing[2] {
                keys.analyst = access_key()?;
            }
            if missing.contains(&true) {
                fs::write(path, keys.to_json(path)?).map_err(file)?;
            }
            return Ok(keys);
        }
        let keys = Self::generate(banks)?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        options.mode(0o600);
        let text = keys.to_json(path)?;
        options.open(path).and_then(|mut f| f.write_all(text.as_bytes())).map_err(file)?;
        Ok(keys)
    }

    /// Reads the key file that is given, or else that of the state folder, which is made when it is not there.
    pub fn given_or_own<'a>(
        given: Option<&Path>,
        state: &Path,
        banks: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, KeysError> {
        match given {
            // A mistyped name must not make new keys that nobody trusts.
            Some(path) if !path.exists() => Err(KeysError::NotThere(path.display().to_string())),
            Some(path) => Self::load_or_generate(path, banks),
            None => Self::load_or_generate(&state.join("keys.json"), banks),
        }
    }

    fn to_json(&self, path: &Path) -> Result<String, KeysError> {
        let path = path.display().to_string();
        serde_json::to_string_pretty(self).map_err(|e| KeysError::Form { path, line: e.line() })
    }

    /// What the secret of a function holds, as the JSON that Secrets Manager keeps; `None` for a function that has none.
    pub fn secret_of(&self, function: &str) -> Option<String> {
        let (_, names) = secret::BY_FUNCTION.iter().find(|(named, _)| *named == function)?;
        let mut values: BTreeMap<&str, String> = names.iter().map(|name| (*name, self.value(name))).collect();
        if function == VERIFIES_ONLY {
            values.insert(secret::BANK_SECRETS, serde_json::json!(self.banks_to_verify()).to_string());
        }
        Some(serde_json::json!(values).to_string())
    }

    /// Of each bank's secrets those that its words are checked with. What signs or seals what we send, whoever only listens
    /// need not have. A shared secret does both, and stays.
    fn banks_to_verify(&self) -> BTreeMap<&str, String> {
        let only_sends = |text: &&str| ONLY_SENDS.iter().any(|prefix| text.starts_with(prefix));
        let checks = |secrets: &String| {
            secrets.split_whitespace().filter(|text| !only_sends(text)).collect::<Vec<_>>().join(" ")
        };
        self.banks.iter().map(|(bank, secrets)| (bank.as_str(), checks(secrets))).collect()
    }

    fn value(&self, name: &str) -> String {
        match name {
            secret::FACE_PROVIDER_SECRETS => self.face_provider.clone(),
            secret::PHONE_PROVIDER_SECRETS => self.phone_provider.clone(),
            secret::CHANNEL_SECRETS => self.channels.clone(),
            secret::BANK_SECRETS => serde_json::json!(self.banks).to_string(),
            secret::HASH_KEY => self.hash_key.clone(),
            secret::TOKEN_KEY => self.token_key.clone(),
            _ => String::new(),
        }
    }

    /// The id by which the template names the one hashing key.
    pub fn hash_key_id(&self) -> Result<String, KeysError> {
        Ok(key_id(&signing::keys::decode_base64(&self.hash_key)?))
    }

    /// The key in place of KMS.
    pub fn master_key(&self) -> Result<MasterKey, KeysError> {
        MasterKey::parse(&self.personal_data).ok_or(KeysError::Make(KeyError::Length))
    }

    /// The pair with which an analyst signs.
    pub fn analyst(&self) -> Result<AccessKey, KeysError> {
        AccessKey::parse(&self.analyst).ok_or(KeysError::Make(KeyError::Length))
    }

    /// The public half of the key of models.
    pub fn model_signer(&self) -> Result<String, KeysError> {
        Ok(ArtifactSigner::parse(&self.models)?.public())
    }
}

fn master_key() -> Result<String, KeyError> {
    Ok(STANDARD.encode(signing::keys::random_bytes::<32>()?))
}

/// As AWS makes them: 20 and 40 characters, though none that a shell takes for its own.
fn access_key() -> Result<String, KeyError> {
    let id = signing::keys::random_bytes::<8>()?;
    let id: String = id.iter().map(|byte| format!("{byte:02X}")).collect();
    let secret = STANDARD.encode(signing::keys::random_bytes::<30>()?);
    Ok(format!("AKLO{id}:{secret}"))
}

/// Takes the file away from everybody but its owner, where it is ours to take.
fn keep_private(path: &Path) {
    let open = fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0);
    if open && let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(0o600)) {
        tracing::warn!(path = %path.display(), %error, "others can read the keys");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_of_every_function_has_a_value() {
        let keys = Keys::generate(["river-bank"]).unwrap();
        for (function, names) in secret::BY_FUNCTION {
            let text = keys.secret_of(function).unwrap();
            let values: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
            assert!(values.keys().eq(names.iter()) && values.values().all(|v| !v.is_empty()), "{function}");
        }
        assert_eq!(keys.secret_of("score"), None);
    }

    #[test]
    fn who_only_checks_a_banks_words_gets_no_key_that_signs_or_seals_ours() {
        let mut keys = Keys::generate(["river-bank", "lake-bank"]).unwrap();
        let shared = keys.banks["lake-bank"].clone();
        let (ours, _) = signing::keys::webhook_key_pair().unwrap();
        let (our_sm2, _) = signing::keys::sm2_key_pair().unwrap();
        let (_, theirs) = signing::keys::webhook_key_pair().unwrap();
        let (_, their_sm2) = signing::keys::sm2_key_pair().unwrap();
        let body = signing::keys::a256gcm_key().unwrap();
        let all = format!("{ours} {theirs} {our_sm2} {their_sm2} {body}");
        keys.banks.insert("river-bank".to_owned(), all.clone());
        let of = |function: &str| -> BTreeMap<String, String> {
            let secret: BTreeMap<String, String> =
                serde_json::from_str(&keys.secret_of(function).unwrap()).unwrap();
            serde_json::from_str(&secret[secret::BANK_SECRETS]).unwrap()
        };
        assert_eq!(of("bank-callback")["river-bank"], format!("{theirs} {their_sm2}"));
        assert_eq!(of("bank-callback")["lake-bank"], shared, "what is shared signs and checks");
        assert_eq!(of("payout")["river-bank"], all);
    }

    #[test]
    fn a_key_file_is_for_its_owner_alone_and_one_of_before_gets_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let made = Keys::load_or_generate(&path, ["river-bank"]).unwrap();
        // One that others may read is taken away from them.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        Keys::load_or_generate(&path, ["river-bank"]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut older: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for newer in ["personal_data", "analyst"] {
            older.as_object_mut().unwrap().remove(newer);
        }
        fs::write(&path, older.to_string()).unwrap();
        let completed = Keys::load_or_generate(&path, ["river-bank"]).unwrap();
        assert!(completed.master_key().is_ok() && completed.personal_data != made.personal_data);
        assert!(completed.analyst().is_ok() && completed.analyst != made.analyst);
        assert_eq!(completed.hash_key, made.hash_key);
        let again = Keys::load_or_generate(&path, ["river-bank"]).unwrap();
        assert_eq!(again.personal_data, completed.personal_data, "made once");
    }
}
