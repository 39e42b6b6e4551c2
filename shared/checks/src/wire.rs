//! Settings become one of the two functions.

use crate::Checks;
use aws::Aws;
use counterparties::{CheckKind, HttpCheckProvider};
use lambda_kit::Environment;
use ports::Clock;
use std::sync::Arc;
use wiring::WireError;

/// Builds the function that runs this kind of check; `by` is its name and version.
pub fn wire_at(
    env: &Environment,
    aws: &Aws,
    clock: Arc<dyn Clock>,
    kind: CheckKind,
    by: &'static str,
) -> Result<Checks, WireError> {
    let sender = wiring::sender(env, None)?;
    let signer = wiring::signer(env, kind.secrets())?;
    let provider = HttpCheckProvider::new(kind, sender, env.get(kind.url())?, &signer, clock.clone())
        .map_err(WireError::other("the address of the provider"))?;
    Ok(Checks {
        kind,
        journeys: wiring::journeys(env, aws, clock, by)?,
        applicants: wiring::journal(env, aws)?,
        provider: Arc::new(provider),
        verifier: wiring::verifier(env, kind.secrets())?,
        public_url: wiring::public_url(env)?,
    })
}
