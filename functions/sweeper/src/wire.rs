//! Settings become the function.

use crate::Sweeper;
use aws::Aws;
use lambda_kit::Environment;
use ports::{Clock, SystemClock};
use std::sync::Arc;
use wiring::WireError;

const BY: &str = concat!("sweeper/", env!("CARGO_PKG_VERSION"));

/// Builds the function on the machine's clock.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Sweeper, WireError> {
    wire_at(env, aws, Arc::new(SystemClock))
}

/// Builds the function on a given clock.
pub fn wire_at(env: &Environment, aws: &Aws, clock: Arc<dyn Clock>) -> Result<Sweeper, WireError> {
    Ok(Sweeper { journeys: wiring::journeys(env, aws, clock, BY)?, due: wiring::journal(env, aws)? })
}
