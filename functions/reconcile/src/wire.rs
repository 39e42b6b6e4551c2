//! Settings become the function.

use crate::Reconcile;
use aws::{Aws, DynamoLedger};
use contract::names::setting;
use lambda_kit::Environment;
use std::{sync::Arc, time::Duration};
use wiring::{Outside, WireError};

/// How long the bucket may take.
const BUCKET_WITHIN: Duration = Duration::from_secs(60);

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Reconcile, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<Reconcile, WireError> {
    let products = outside.products()?;
    let files = buckets::open(env.get(setting::STATEMENTS_URL)?, BUCKET_WITHIN)
        .map_err(WireError::other(setting::STATEMENTS_URL))?;
    Ok(Reconcile {
        files: outside.guarded(setting::STATEMENTS_URL, files),
        banks: products.iter().map(|product| product.bank.clone()).collect(),
        ledger: Arc::new(DynamoLedger::new(aws.dynamodb.clone(), env.get(setting::PAYOUTS_TABLE)?)),
        commands: wiring::command_queue(env, aws)?,
        clock: outside.clock.clone(),
    })
}
