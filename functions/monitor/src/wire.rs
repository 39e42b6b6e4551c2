//! Settings become the function.

use crate::{Manifests, Monitor, bands::band_edges, metrics::FUNCTION_NAME};
use aws::{Aws, DynamoLoans};
use buckets::ModelBucket;
use contract::names::setting;
use drift::Settings;
use lambda_kit::Environment;
use model::Manifest;
use signing::ArtifactVerifier;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use wiring::{Outside, WireError};

/// What is watched, as packaged with the function.
const SETTINGS: &[u8] = include_bytes!("../../../models/monitoring.json");

/// How long a bucket may take.
const BUCKET_WITHIN: Duration = Duration::from_secs(60);

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Monitor, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock and network.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<Monitor, WireError> {
    let journal = wiring::journal(env, aws)?;
    let files = buckets::open(env.get(setting::STATEMENTS_URL)?, BUCKET_WITHIN)
        .map_err(WireError::other(setting::STATEMENTS_URL))?;
    Ok(Monitor {
        files: outside.guarded(setting::STATEMENTS_URL, files),
        journal: journal.clone(),
        due: journal,
        loans: Arc::new(DynamoLoans::new(aws.dynamodb.clone(), env.get(setting::PAYOUTS_TABLE)?)),
        clock: outside.clock.clone(),
        manifests: manifests(env, outside)?,
        bands: bands(outside)?,
        settings: Settings::parse(SETTINGS).map_err(WireError::other("the packaged settings"))?,
        metrics: outside.metrics.clone(),
        name: env.get(FUNCTION_NAME).unwrap_or("monitor").to_owned(),
    })
}

fn manifests(env: &Environment, outside: &Outside) -> Result<Manifests, WireError> {
    let packaged = Manifest::parse(model::packaged!("manifest.json"));
    let packaged = packaged.map_err(WireError::other("the packaged model's manifest"))?;
    let signers = ArtifactVerifier::parse(env.get(setting::MODEL_SIGNERS)?);
    let bucket = buckets::open(env.get(setting::MODELS_URL)?, BUCKET_WITHIN)
        .map_err(WireError::other(setting::MODELS_URL))?;
    Ok(Manifests {
        packaged: BTreeMap::from([(packaged.version.clone(), packaged)]),
        bucket: ModelBucket::new(
            outside.guarded(setting::MODELS_URL, bucket),
            signers.map_err(WireError::key(setting::MODEL_SIGNERS))?,
        ),
    })
}

/// The edges by which each product decides.
fn bands(outside: &Outside) -> Result<BTreeMap<String, Vec<i32>>, WireError> {
    let products = outside.products()?;
    let bands = products.iter().map(|product| {
        let missing = || format!("there is no strategy {:?}, which a product names", product.strategy);
        let document = outside
            .strategy(&product.strategy)
            .ok_or_else(|| WireError::other("the catalogue")(missing()))?;
        let edges = band_edges(document).map_err(WireError::other("a strategy's bands of points"))?;
        Ok((product.id.clone(), edges.into_iter().collect()))
    });
    bands.collect()
}
