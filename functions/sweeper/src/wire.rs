//! Settings become the function.

use crate::Sweeper;
use aws::Aws;
use lambda_kit::Environment;
use wiring::{Outside, WireError};

const BY: &str = concat!("sweeper/", env!("CARGO_PKG_VERSION"));

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Sweeper, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock and network.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<Sweeper, WireError> {
    let journeys = wiring::journeys(env, aws, outside, BY)?;
    Ok(Sweeper::new(journeys, wiring::journal(env, aws)?, wiring::notices(env, aws)?))
}
