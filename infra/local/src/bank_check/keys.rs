//! The keys of one check.

use signing::{KeyError, Secret, Signer, Verifier, VerifyKey, keys};
use std::{
    fs,
    io::{self, IsTerminal as _, Read as _},
    path::Path,
};

/// Largest key file or prompt that is read, in bytes.
const MOST_BYTES: u64 = 16 * 1024;

/// What signs our requests, what checks the bank's callbacks, and a key that the bank has never heard of.
#[derive(Clone)]
pub struct CheckKeys {
    pub(super) ours: Signer,
    pub(super) bank: Verifier,
    pub(super) stranger: Signer,
}

/// The keys cannot be used. Never carries any part of one.
#[derive(Debug, thiserror::Error)]
pub enum CheckKeysError {
    #[error("the keys cannot be read ({0})")]
    Unread(io::ErrorKind),
    #[error("the keys are longer than {MOST_BYTES} bytes")]
    TooLong,
    #[error("key {place} is not usable")]
    Unusable { place: usize, source: KeyError },
    #[error("there is no key that signs our requests: whsec_, whsk_ or whsm2sk_")]
    NothingSigns,
    #[error("there is no key that checks the bank's callbacks: whsec_, whpk_ or whsm2pk_")]
    NothingChecks,
    #[error("too many keys, or no stranger's key could be made")]
    Set(#[from] KeyError),
}

impl CheckKeys {
    /// Keys separated by white space. A shared secret (`whsec_`) works in both directions; a private key signs our
    /// requests, a public key checks the bank's callbacks.
    pub fn parse(text: &str) -> Result<Self, CheckKeysError> {
        let (mut signing, mut checking) = (Vec::new(), Vec::new());
        for (place, text) in text.split_whitespace().enumerate() {
            let (secret, key) = (Secret::parse(text), VerifyKey::parse(text));
            // A key of the other kind has the wrong prefix; any other complaint is about the key itself.
            let source = match (&secret, &key) {
                (Err(KeyError::Prefix), Err(error)) | (Err(error), Err(_)) => Some(*error),
                _ => None,
            };
            if let Some(source) = source {
                return Err(CheckKeysError::Unusable { place: place + 1, source });
            }
            signing.extend(secret);
            checking.extend(key);
        }
        let stranger = Secret::parse(&stranger_of(text)?)?;
        if signing.is_empty() {
            return Err(CheckKeysError::NothingSigns);
        }
        if checking.is_empty() {
            return Err(CheckKeysError::NothingChecks);
        }
        Ok(Self {
            ours: Signer::new(signing)?,
            bank: Verifier::new(checking)?,
            stranger: Signer::new(vec![stranger])?,
        })
    }

    /// Reads a key file.
    pub fn read(path: &Path) -> Result<Self, CheckKeysError> {
        // The path is not repeated: somebody may have given the key itself.
        let file = fs::File::open(path).map_err(|error| CheckKeysError::Unread(error.kind()))?;
        Self::parse(&limited(file)?)
    }

    /// Asks for the keys at the terminal, without an echo, or reads them from a pipe.
    pub fn prompt() -> Result<Self, CheckKeysError> {
        if !io::stdin().is_terminal() {
            return Self::parse(&limited(io::stdin())?);
        }
        let terminal = console::Term::stderr();
        let unread = |error: io::Error| CheckKeysError::Unread(error.kind());
        terminal.write_str("Keys shared with the bank (not shown): ").map_err(unread)?;
        Self::parse(&terminal.read_secure_line().map_err(unread)?)
    }
}

fn limited(source: impl io::Read) -> Result<String, CheckKeysError> {
    let mut text = String::new();
    let read = source.take(MOST_BYTES + 1).read_to_string(&mut text);
    let bytes = read.map_err(|error| CheckKeysError::Unread(error.kind()))?;
    if bytes as u64 > MOST_BYTES { Err(CheckKeysError::TooLong) } else { Ok(text) }
}

/// A new key of the kind of the first that signs, so that only the key is wrong and not the scheme.
fn stranger_of(text: &str) -> Result<String, KeyError> {
    let kind = |prefix: &str| text.split_whitespace().any(|key| key.starts_with(prefix));
    if kind("whsec_") {
        keys::webhook_secret()
    } else if kind("whsm2sk_") {
        Ok(keys::sm2_key_pair()?.0)
    } else {
        Ok(keys::webhook_key_pair()?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_secret_works_in_both_directions_and_a_pair_in_one_each() {
        let shared = keys::webhook_secret().unwrap();
        assert!(CheckKeys::parse(&shared).is_ok());
        assert!(CheckKeys::parse(&format!("{shared}\n{}\n", keys::webhook_secret().unwrap())).is_ok());
        for pair in [keys::webhook_key_pair, keys::sm2_key_pair] {
            let ((ours, _), (_, theirs)) = (pair().unwrap(), pair().unwrap());
            assert!(CheckKeys::parse(&format!("{ours} {theirs}")).is_ok());
            assert!(matches!(CheckKeys::parse(&ours), Err(CheckKeysError::NothingChecks)));
            assert!(matches!(CheckKeys::parse(&theirs), Err(CheckKeysError::NothingSigns)));
        }
    }

    #[test]
    fn a_key_that_is_not_usable_is_named_by_its_place_and_never_shown() {
        let good = keys::webhook_secret().unwrap();
        for (bad, reason) in [
            ("whsec_c2hvcnQ=", KeyError::Length),
            ("whpk_c2hvcnQ=", KeyError::Length),
            ("secret123", KeyError::Prefix),
        ] {
            let Err(error) = CheckKeys::parse(&format!("{good} {bad}")) else { panic!("{bad} was taken") };
            assert!(
                matches!(error, CheckKeysError::Unusable { place: 2, source } if source == reason),
                "{error:?}"
            );
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("c2hvcnQ") && !shown.contains("secret123"));
        }
        assert!(matches!(CheckKeys::parse(" \n"), Err(CheckKeysError::NothingSigns)));
    }

    #[test]
    fn a_key_file_is_read_up_to_a_limit_and_its_name_is_not_repeated() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), keys::webhook_secret().unwrap() + "\n").unwrap();
        assert!(CheckKeys::read(file.path()).is_ok());
        fs::write(file.path(), "x".repeat(MOST_BYTES as usize + 1)).unwrap();
        assert!(matches!(CheckKeys::read(file.path()), Err(CheckKeysError::TooLong)));
        let Err(error) = CheckKeys::read(Path::new("/nowhere/whsec_x")) else { panic!("it is there") };
        assert!(!format!("{error} {error:?}").contains("whsec_x"));
    }
}
