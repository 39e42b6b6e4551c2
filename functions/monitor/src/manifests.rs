//! The manifests of models: those that are packaged, and those of the bucket of models.

use model::{Manifest, SIGNATURE, folder};
use object_store::{Error, ObjectStore, ObjectStoreExt as _, path::Path};
use signing::ArtifactVerifier;
use std::{collections::BTreeMap, sync::Arc};

/// Largest files that are read, in bytes.
const MOST_MANIFEST: u64 = 8 << 20;
const MOST_SIGNATURE: u64 = 1 << 10;

/// Where manifests are.
pub struct Manifests {
    /// By version.
    pub packaged: BTreeMap<String, Manifest>,
    /// Models, each in its [`folder`].
    pub bucket: Arc<dyn ObjectStore>,
    pub signers: ArtifactVerifier,
}

impl Manifests {
    /// The manifest of a version. `None` where it is nowhere, or where what lies in its place is not a manifest of that
    /// version signed by a key that we trust: its model cannot score either.
    ///
    /// # Errors
    /// When the bucket cannot be read.
    pub(crate) async fn get(&self, version: &str) -> Result<Option<Manifest>, Error> {
        if let Some(packaged) = self.packaged.get(version) {
            return Ok(Some(packaged.clone()));
        }
        // A version comes out of a journal, and becomes a path.
        if !domain::product::is_version(version) {
            return Ok(None);
        }
        let folder = folder(version);
        let manifest = self.read(&format!("{folder}/manifest.json"), MOST_MANIFEST).await?;
        let signature = self.read(&format!("{folder}/{SIGNATURE}"), MOST_SIGNATURE).await?;
        let (Some(manifest), Some(signature)) = (manifest, signature) else { return Ok(None) };
        let signature = String::from_utf8_lossy(&signature);
        if self.signers.verify(&folder, &manifest, &signature).is_err() {
            tracing::error!(model = version, "a manifest is not signed as it should be");
            return Ok(None);
        }
        match Manifest::parse(&manifest) {
            Ok(manifest) => Ok(Some(manifest).filter(|manifest| manifest.version == version)),
            Err(error) => {
                tracing::error!(model = version, error = lambda_kit::chain(&error), "a manifest is refused");
                Ok(None)
            }
        }
    }

    /// A file that is no larger than it may be. Calls `GetObject`, once.
    async fn read(&self, place: &str, most: u64) -> Result<Option<Vec<u8>>, Error> {
        match self.bucket.get(&Path::from(place)).await {
            Ok(found) if found.meta.size <= most => Ok(Some(found.bytes().await?.to_vec())),
            Ok(_) | Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
