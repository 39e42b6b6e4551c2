//! Settings become the function.

use crate::LabelRings;
use aws::{Aws, DynamoExports, DynamoRings};
use contract::names::setting;
use lambda_kit::Environment;
use relations::Labels;
use std::{sync::Arc, time::Duration};
use wiring::{Outside, WireError};

/// How long a bucket may take.
const BUCKET_WITHIN: Duration = Duration::from_secs(60);

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<LabelRings, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<LabelRings, WireError> {
    let url = env.get(setting::EXPORTS_URL)?;
    let table_arn = env.get(setting::RELATIONS_ARN)?.to_owned();
    let bucket = buckets::open(url, BUCKET_WITHIN).map_err(WireError::other(setting::EXPORTS_URL))?;
    let bucket = outside.guarded(setting::EXPORTS_URL, bucket);
    let rings = Arc::new(DynamoRings::new(aws.dynamodb.clone(), env.get(setting::RELATIONS_TABLE)?));
    let labels = Labels::in_force().map_err(WireError::other("the packaged labels of rings"))?;
    Ok(LabelRings {
        bucket,
        exports: Arc::new(DynamoExports::new(aws.dynamodb.clone(), &table_arn, url)),
        table_arn,
        journal: wiring::journal(env, aws)?,
        book: rings.clone(),
        names: rings,
        clock: outside.clock.clone(),
        labels,
    })
}
