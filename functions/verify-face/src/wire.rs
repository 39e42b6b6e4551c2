//! Settings become the function.

use aws::Aws;
use checks::Checks;
use counterparties::CheckKind;
use lambda_kit::Environment;
use ports::{Clock, SystemClock};
use std::sync::Arc;
use wiring::WireError;

const BY: &str = concat!("verify-face/", env!("CARGO_PKG_VERSION"));

/// Builds the function on the machine's clock.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Checks, WireError> {
    wire_at(env, aws, Arc::new(SystemClock))
}

/// Builds the function on a given clock.
pub fn wire_at(env: &Environment, aws: &Aws, clock: Arc<dyn Clock>) -> Result<Checks, WireError> {
    checks::wire_at(env, aws, clock, CheckKind::Face, BY)
}
