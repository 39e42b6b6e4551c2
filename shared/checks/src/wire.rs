//! Settings become one of the two functions.

use crate::Checks;
use aws::{Aws, DynamoRelations};
use contract::names::setting;
use counterparties::{CheckKind, HttpCheckProvider};
use lambda_kit::Environment;
use std::sync::Arc;
use wiring::{Outside, WireError};

/// Builds the function that runs this kind of check; `by` is its name and version.
pub fn wire_in(
    env: &Environment,
    aws: &Aws,
    outside: &Outside,
    kind: CheckKind,
    by: &str,
) -> Result<Checks, WireError> {
    let sender = outside.sender(env, setting::COUNTERPARTY_TIMEOUT_MS)?;
    let signer = wiring::signer(env, kind.secrets())?;
    let provider = HttpCheckProvider::new(kind, sender, env.get(kind.url())?, &signer, outside.clock.clone())
        .map_err(WireError::other("the address of the provider"))?;
    Ok(Checks {
        kind,
        journeys: wiring::journeys(env, aws, outside, by)?,
        applicants: wiring::applicants(env, aws, outside)?,
        acts: Arc::new(DynamoRelations::new(aws.dynamodb.clone(), env.get(setting::RELATIONS_TABLE)?)),
        provider: Arc::new(provider),
        verifier: wiring::verifier(env, kind.secrets())?,
        public_url: wiring::public_url(env)?,
    })
}
