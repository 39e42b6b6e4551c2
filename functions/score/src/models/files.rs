//! Reads files of the bucket, none larger than it may be.

use super::ModelError;
use object_store::{Error, GetOptions, ObjectStore, path::Path};
use std::sync::Arc;

/// The bucket.
pub(super) struct Files(pub Arc<dyn ObjectStore>);

/// What became of a file since it was read.
pub(super) enum Change {
    Absent,
    Unchanged,
    Changed { bytes: Vec<u8>, tag: Option<String> },
}

impl Files {
    /// Calls `GetObject`, once; a file that still has the tag `unless` is not sent again.
    pub(super) async fn changed(
        &self,
        place: &str,
        most: u64,
        unless: Option<&str>,
    ) -> Result<Change, ModelError> {
        let failed = |source| ModelError::Read { place: place.to_owned(), source };
        let options = GetOptions { if_none_match: unless.map(str::to_owned), ..GetOptions::default() };
        let found = match self.0.get_opts(&Path::from(place), options).await {
            Ok(found) => found,
            Err(Error::NotModified { .. }) => return Ok(Change::Unchanged),
            Err(Error::NotFound { .. }) => return Ok(Change::Absent),
            Err(source) => return Err(failed(source)),
        };
        if found.meta.size > most {
            return Err(ModelError::Size { place: place.to_owned(), most });
        }
        let tag = found.meta.e_tag.clone();
        let bytes = found.bytes().await.map_err(failed)?.to_vec();
        Ok(Change::Changed { bytes, tag })
    }

    /// A file that has to be there. Calls `GetObject`, once.
    pub(super) async fn read(&self, place: &str, most: u64) -> Result<Vec<u8>, ModelError> {
        match self.changed(place, most, None).await? {
            Change::Changed { bytes, .. } => Ok(bytes),
            Change::Absent | Change::Unchanged => Err(ModelError::Absent { place: place.to_owned() }),
        }
    }
}
