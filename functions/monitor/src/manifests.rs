//! The manifests of models: those that are packaged, and those of the bucket of models.

use buckets::{ModelBucket, ModelFileError};
use model::Manifest;
use std::collections::BTreeMap;

/// Where manifests are.
pub struct Manifests {
    /// By version.
    pub packaged: BTreeMap<String, Manifest>,
    pub bucket: ModelBucket,
}

impl Manifests {
    /// The manifest of a version. `None` where it is nowhere, or where what lies in its place is not a manifest of that
    /// version signed by a key that we trust: its model cannot score either.
    ///
    /// # Errors
    /// When the bucket cannot be read.
    pub(crate) async fn get(&self, version: &str) -> Result<Option<Manifest>, ModelFileError> {
        if let Some(packaged) = self.packaged.get(version) {
            return Ok(Some(packaged.clone()));
        }
        // A version comes out of a journal, and becomes a path.
        if !domain::product::is_version(version) {
            return Ok(None);
        }
        match self.bucket.manifest(version).await {
            Ok((_, manifest)) => Ok(Some(manifest)),
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                tracing::error!(
                    model = version,
                    error = lambda_kit::chain(&error),
                    "a manifest is not at hand"
                );
                Ok(None)
            }
        }
    }
}
