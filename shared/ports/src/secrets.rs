//! The secrets of one function, in one place that can be changed while it runs.

use crate::PortError;
use async_trait::async_trait;
use std::{collections::BTreeMap, fmt};

/// The secrets as they were read, each under the name of the setting that it stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Changes whenever a value does.
    pub version: String,
    pub values: BTreeMap<String, String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Where a function's secrets are kept.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The secrets as they are now. [`PortError::Broken`] when there are none, or they are not in the right form.
    async fn read(&self) -> Result<Secrets, PortError>;
}
