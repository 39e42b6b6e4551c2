//! `-- secrets`: prints what belongs into the secret of a function, from the key file, for whoever puts it into Secrets
//! Manager.

use crate::keys::Keys;
use contract::names::secret;
use std::{io::Write, path::Path};

/// What stands for the template's parameter in place of a function's name.
const HASH_KEY_ID: &str = "hash-key-id";

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What can be printed: a function that has a secret, or the id of the hashing key.
pub fn choices() -> impl Iterator<Item = &'static str> {
    secret::BY_FUNCTION.into_iter().map(|(function, _)| function).chain([HASH_KEY_ID])
}

/// Prints one of [`choices`], as it stands in the key file: that of the state folder, made when it is not there, or a given
/// one.
pub fn run(what: &str, state: &Path, keys: Option<&Path>, out: &mut impl Write) -> Result<(), AnyError> {
    std::fs::create_dir_all(state)?;
    let products = wiring::products()?;
    let keys = Keys::given_or_own(keys, state, products.iter().map(|product| product.bank.as_str()))?;
    match keys.secret_of(what) {
        Some(secret) => writeln!(out, "{secret}")?,
        None => writeln!(out, "{}", keys.hash_key_id()?)?,
    }
    Ok(())
}
