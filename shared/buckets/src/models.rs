//! The bucket of models, read with mistrust: no file larger than it may be, and no manifest but one that somebody whom we
//! trust signed under its own version.

use model::{Manifest, ManifestError, SIGNATURE, folder};
use object_store::{Error, GetOptions, ObjectStore, path::Path};
use signing::{ArtifactVerifier, NotSigned};
use std::sync::Arc;

/// Largest files that are read, in bytes.
const MOST_MANIFEST: u64 = 8 << 20;
const MOST_SIGNATURE: u64 = 1 << 10;

/// Why a file of a model is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    #[error("{place} cannot be read")]
    Read {
        place: String,
        #[source]
        source: Error,
    },
    #[error("{place} is not there")]
    Absent { place: String },
    #[error("{place} is larger than {most} bytes")]
    Size { place: String, most: u64 },
    #[error("{place} is not signed as it should be")]
    Signature {
        place: String,
        #[source]
        source: NotSigned,
    },
    #[error("the manifest in {folder} is refused")]
    Manifest {
        folder: String,
        #[source]
        source: ManifestError,
    },
    #[error("{folder} holds version {found}")]
    OtherVersion { folder: String, found: String },
}

impl ModelFileError {
    /// Whether the bucket could not be read, so that the same file may be had another time.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Read { .. })
    }
}

/// What became of a file since it was read.
pub enum Change {
    Absent,
    Unchanged,
    Changed { bytes: Vec<u8>, tag: Option<String> },
}

/// The bucket, and whose models are trusted.
pub struct ModelBucket {
    bucket: Arc<dyn ObjectStore>,
    signers: ArtifactVerifier,
}

impl ModelBucket {
    pub fn new(bucket: Arc<dyn ObjectStore>, signers: ArtifactVerifier) -> Self {
        Self { bucket, signers }
    }

    /// Calls `GetObject`, once; a file that still has the tag `unless` is not sent again.
    ///
    /// # Errors
    /// [`ModelFileError::Read`] and [`ModelFileError::Size`].
    pub async fn changed(
        &self,
        place: &str,
        most: u64,
        unless: Option<&str>,
    ) -> Result<Change, ModelFileError> {
        let failed = |source| ModelFileError::Read { place: place.to_owned(), source };
        let options = GetOptions { if_none_match: unless.map(str::to_owned), ..GetOptions::default() };
        let found = match self.bucket.get_opts(&Path::from(place), options).await {
            Ok(found) => found,
            Err(Error::NotModified { .. }) => return Ok(Change::Unchanged),
            Err(Error::NotFound { .. }) => return Ok(Change::Absent),
            Err(source) => return Err(failed(source)),
        };
        if found.meta.size > most {
            return Err(ModelFileError::Size { place: place.to_owned(), most });
        }
        let tag = found.meta.e_tag.clone();
        let bytes = found.bytes().await.map_err(failed)?.to_vec();
        Ok(Change::Changed { bytes, tag })
    }

    /// A file that has to be there. Calls `GetObject`, once.
    ///
    /// # Errors
    /// As [`Self::changed`], and [`ModelFileError::Absent`].
    pub async fn read(&self, place: &str, most: u64) -> Result<Vec<u8>, ModelFileError> {
        match self.changed(place, most, None).await? {
            Change::Changed { bytes, .. } => Ok(bytes),
            Change::Absent | Change::Unchanged => Err(ModelFileError::Absent { place: place.to_owned() }),
        }
    }

    /// # Errors
    /// [`ModelFileError::Signature`] unless a trusted key signed the bytes under this name.
    pub fn verify(&self, name: &str, bytes: &[u8], signature: &str) -> Result<(), ModelFileError> {
        let refused = |source| ModelFileError::Signature { place: name.to_owned(), source };
        self.signers.verify(name, bytes, signature).map_err(refused)
    }

    /// The manifest of a version, as bytes and as what they say. Calls `GetObject`, twice.
    ///
    /// # Errors
    /// [`ModelFileError`] of every kind.
    pub async fn manifest(&self, version: &str) -> Result<(Vec<u8>, Manifest), ModelFileError> {
        let folder = folder(version);
        let bytes = self.read(&format!("{folder}/manifest.json"), MOST_MANIFEST).await?;
        let signature = self.read(&format!("{folder}/{SIGNATURE}"), MOST_SIGNATURE).await?;
        self.verify(&folder, &bytes, &String::from_utf8_lossy(&signature))?;
        let manifest = match Manifest::parse(&bytes) {
            Ok(manifest) => manifest,
            Err(source) => return Err(ModelFileError::Manifest { folder, source }),
        };
        match manifest.version == version {
            true => Ok((bytes, manifest)),
            false => Err(ModelFileError::OtherVersion { folder, found: manifest.version }),
        }
    }
}
