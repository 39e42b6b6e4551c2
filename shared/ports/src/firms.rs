//! The firm archive.

use crate::PortError;
use async_trait::async_trait;
use domain::{FirmCode, FirmRecord};

/// Reads the archive.
#[async_trait]
pub trait FirmArchive: Send + Sync {
    /// The firm's record; `None` when the archive has never heard of it.
    async fn get(&self, code: &FirmCode) -> Result<Option<FirmRecord>, PortError>;
}

/// Fills the archive. Held by whatever loads data, never by a function that a borrower can reach.
#[async_trait]
pub trait FirmLoader: Send + Sync {
    /// Writes the records whole, replacing earlier ones.
    async fn put(&self, records: &[FirmRecord]) -> Result<(), PortError>;
}
