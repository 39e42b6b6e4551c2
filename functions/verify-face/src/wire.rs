//! Settings become the function.

use aws::Aws;
use checks::Checks;
use counterparties::CheckKind;
use lambda_kit::Environment;
use wiring::{Outside, WireError};

const BY: &str = concat!("verify-face/", env!("CARGO_PKG_VERSION"));

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Checks, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock and network.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<Checks, WireError> {
    checks::wire_in(env, aws, outside, CheckKind::Face, BY)
}
