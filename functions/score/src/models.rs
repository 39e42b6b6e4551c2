//! The models that products name, by version.

use forest::Ensemble;
use std::{collections::BTreeMap, sync::Arc};

/// Models in memory, shared by all records of a batch.
#[derive(Clone, Debug)]
pub struct Models {
    by_version: BTreeMap<String, Arc<Ensemble>>,
}

impl Models {
    pub fn new(ensembles: impl IntoIterator<Item = Arc<Ensemble>>) -> Self {
        let versioned = |ensemble: Arc<Ensemble>| (ensemble.manifest().version.clone(), ensemble);
        Self { by_version: ensembles.into_iter().map(versioned).collect() }
    }

    /// The model of a version; `None` when it is not here.
    pub fn get(&self, version: &str) -> Option<Arc<Ensemble>> {
        self.by_version.get(version).cloned()
    }
}
