//! Settings become the function.

use crate::GraphChecker;
use aws::{Aws, DynamoRelations, DynamoRings};
use contract::names::setting;
use lambda_kit::Environment;
use relations::Labels;
use std::sync::Arc;
use wiring::{Outside, WireError};

const BY: &str = concat!("graph-check/", env!("CARGO_PKG_VERSION"));

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<GraphChecker, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock and network.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<GraphChecker, WireError> {
    let labels = Labels::in_force().map_err(WireError::other("the packaged labels of rings"))?;
    let relations = Arc::new(DynamoRelations::new(aws.dynamodb.clone(), env.get(setting::RELATIONS_TABLE)?));
    Ok(GraphChecker {
        journeys: wiring::journeys(env, aws, outside, BY)?,
        graph: relations.clone(),
        ties: relations.clone(),
        acts: relations,
        labels: Arc::new(labels),
        rings: Arc::new(DynamoRings::new(aws.dynamodb.clone(), env.get(setting::RELATIONS_TABLE)?)),
    })
}
