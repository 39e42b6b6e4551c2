//! Exports of a table, for those who read it whole.

use crate::PortError;
use async_trait::async_trait;

/// Where an export is asked for.
#[async_trait]
pub trait TableExports: Send + Sync {
    /// Asks for an export of the table as it is now. It is made while nobody waits, and lies in its bucket once it is
    /// finished. Asking again with the same token, at most 64 printable characters, asks for nothing more.
    async fn ask(&self, token: &str) -> Result<(), PortError>;
}
