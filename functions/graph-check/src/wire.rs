//! Settings become the function.

use crate::GraphChecker;
use aws::{Aws, DynamoRelations};
use contract::names::setting;
use lambda_kit::Environment;
use ports::{Clock, SystemClock};
use std::sync::Arc;
use wiring::WireError;

const BY: &str = concat!("graph-check/", env!("CARGO_PKG_VERSION"));

/// Builds the function on the machine's clock.
pub fn wire(env: &Environment, aws: &Aws) -> Result<GraphChecker, WireError> {
    wire_at(env, aws, Arc::new(SystemClock))
}

/// Builds the function on a given clock.
pub fn wire_at(env: &Environment, aws: &Aws, clock: Arc<dyn Clock>) -> Result<GraphChecker, WireError> {
    Ok(GraphChecker {
        journeys: wiring::journeys(env, aws, clock, BY)?,
        graph: Arc::new(DynamoRelations::new(aws.dynamodb.clone(), env.get(setting::RELATIONS_TABLE)?)),
    })
}
