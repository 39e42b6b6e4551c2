//! Settings become the function.

use crate::Analyst;
use aws::{Aws, DynamoRings};
use contract::names::setting;
use lambda_kit::Environment;
use std::sync::Arc;
use wiring::{Outside, WireError};

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Analyst, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function; it needs neither a clock nor a network.
pub fn wire_in(env: &Environment, aws: &Aws, _: &Outside) -> Result<Analyst, WireError> {
    let book = DynamoRings::new(aws.dynamodb.clone(), env.get(setting::RELATIONS_TABLE)?);
    Ok(Analyst { book: Arc::new(book) })
}
