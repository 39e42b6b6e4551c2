//! Settings become the function.

use crate::{
    Monitor,
    bands::band_edges,
    metrics::{FUNCTION_NAME, MetricLog, StandardOutput, Traced},
};
use aws::{Aws, DynamoLoans};
use contract::names::setting;
use drift::Settings;
use lambda_kit::Environment;
use model::Manifest;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use wiring::{Outside, WireError};

/// What is watched, as packaged with the function.
const SETTINGS: &[u8] = include_bytes!("../../../models/monitoring.json");

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Monitor, WireError> {
    Ok(Monitor { metrics: Arc::new(StandardOutput), ..wire_in(env, aws, &Outside::real())? })
}

/// Builds the function on a given clock, outside of Lambda.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<Monitor, WireError> {
    let journal = wiring::journal(env, aws)?;
    let files = buckets::open(env.get(setting::STATEMENTS_URL)?);
    let metrics: Arc<dyn MetricLog> = Arc::new(Traced);
    Ok(Monitor {
        files: files.map_err(WireError::other(setting::STATEMENTS_URL))?,
        journal: journal.clone(),
        due: journal,
        loans: Arc::new(DynamoLoans::new(aws.dynamodb.clone(), env.get(setting::PAYOUTS_TABLE)?)),
        clock: outside.clock.clone(),
        manifests: manifests()?,
        bands: bands(outside)?,
        settings: Settings::parse(SETTINGS).map_err(WireError::other("the packaged settings"))?,
        metrics,
        name: env.get(FUNCTION_NAME).unwrap_or("monitor").to_owned(),
    })
}

/// The manifests that are packaged, by version.
fn manifests() -> Result<BTreeMap<String, Manifest>, WireError> {
    let packaged = Manifest::parse(model::packaged!("manifest.json"));
    let packaged = packaged.map_err(WireError::other("the packaged model's manifest"))?;
    Ok(BTreeMap::from([(packaged.version.clone(), packaged)]))
}

/// The edges by which the products that use a model decide, by version of the model.
fn bands(outside: &Outside) -> Result<BTreeMap<String, Vec<i32>>, WireError> {
    let mut bands: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for product in outside.products()?.iter() {
        let missing = || format!("there is no strategy {:?}, which a product names", product.strategy);
        let document = outside
            .strategy(&product.strategy)
            .ok_or_else(|| WireError::other("the catalogue")(missing()))?;
        let edges = band_edges(document).map_err(WireError::other("a strategy's bands of points"))?;
        bands.entry(product.model.clone()).or_default().extend(edges);
    }
    Ok(bands.into_iter().map(|(model, edges)| (model, edges.into_iter().collect())).collect())
}
