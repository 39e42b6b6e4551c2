//! Settings become the function.

use crate::{Models, Scorer};
use aws::{Aws, DynamoFirms};
use buckets::ModelBucket;
use contract::names::setting;
use forest::Ensemble;
use lambda_kit::Environment;
use signing::ArtifactVerifier;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use wiring::{Outside, WireError};

const BY: &str = concat!("score/", env!("CARGO_PKG_VERSION"));

/// The model, as packaged with the function. The graph is in its packed form, which a test holds to the ONNX file.
const MANIFEST: &[u8] = model::packaged!("manifest.json");
const PACKED: &[u8] = model::packaged!("ensemble.packed");

/// How long the bucket of models may take: a third of the function's time-out, so that a warm instance goes on with the
/// models that it has while the bucket does not answer.
const BUCKET_WITHIN: Duration = Duration::from_secs(3);

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Scorer, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock and network.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<Scorer, WireError> {
    Ok(Scorer {
        journeys: wiring::journeys(env, aws, outside, BY)?,
        firms: Arc::new(DynamoFirms::new(aws.dynamodb.clone(), env.get(setting::FIRMS_TABLE)?)),
        products: Arc::new(outside.products()?),
        models: Arc::new(models(env, outside)?),
    })
}

fn models(env: &Environment, outside: &Outside) -> Result<Models, WireError> {
    let bucket = buckets::open(env.get(setting::MODELS_URL)?, BUCKET_WITHIN)
        .map_err(WireError::other(setting::MODELS_URL))?;
    let bucket = outside.guarded(setting::MODELS_URL, bucket);
    let signers = ArtifactVerifier::parse(env.get(setting::MODEL_SIGNERS)?)
        .map_err(WireError::key(setting::MODEL_SIGNERS))?;
    let least = env.get_json(setting::LEAST_ASSIGNMENT)?;
    Ok(Models::new(ensemble()?, ModelBucket::new(bucket, signers), outside.clock.clone()).not_before(least))
}

/// The packaged ensemble, loaded and checked once per process.
pub fn ensemble() -> Result<Arc<Ensemble>, WireError> {
    static LOADED: OnceLock<Arc<Ensemble>> = OnceLock::new();
    if let Some(ensemble) = LOADED.get() {
        return Ok(ensemble.clone());
    }
    let ensemble = Ensemble::from_packed(MANIFEST, PACKED).map_err(WireError::other("the packaged model"))?;
    Ok(LOADED.get_or_init(|| Arc::new(ensemble)).clone())
}
