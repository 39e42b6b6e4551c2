//! Which model scores an application, and the models in memory: the one that is packaged, and those of the bucket.
//!
//! | in the bucket | |
//! |---|---|
//! | `assignment.json` | which product is scored by which version, and what is tried out beside it; signed |
//! | `registry/<version>/` | a model: manifest, its signature `manifest.sig`, the graph that the manifest names |
//!
//! The assignment is looked at again every minute, so that a model is changed without a cold start. Which model scores is
//! never guessed, and an assignment that was superseded never comes back: an instance takes none that is older than what it
//! has read, nor any below the serial that its settings name, which tells one that has read nothing yet. Where the bucket cannot be read or what lies in it is not signed by a key that we trust, an instance
//! goes on with what it has read before, and one that has read nothing yet fails its records, which come again.

use buckets::{Change, ModelBucket, ModelFileError};
use domain::{ApplicationId, product::Product};
use forest::{Ensemble, LoadError};
use jiff::{SignedDuration, Timestamp};
use model::{Assigned, Assignment, AssignmentError, folder};
use ports::Clock;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::Mutex;

/// How long an assignment is believed before it is looked at again.
const BELIEVED_FOR: SignedDuration = SignedDuration::from_secs(60);
/// Largest files that are read, in bytes.
const MOST_ASSIGNMENT: u64 = 1 << 20;
const MOST_GRAPH: u64 = 8 << 20;

/// Place of the assignment in the bucket, and the name that it is signed under.
pub const ASSIGNMENT: &str = "assignment.json";

/// The assignment as it lies in the bucket: the text that was signed, and the signature, in one file, so that both change
/// at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedAssignment {
    pub assignment: String,
    pub signature: String,
}

/// Why a model is not to be had. The record fails and comes again.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    File(#[from] ModelFileError),
    #[error("{ASSIGNMENT} is not the text of an assignment and its signature")]
    Form(#[source] serde_json::Error),
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    #[error(
        "{ASSIGNMENT} was there before: to go back to the catalogue, assign nothing under a higher serial"
    )]
    Gone,
    #[error("assignment {found} does not come after {held}, which is in force")]
    Older { held: u64, found: u64 },
    #[error("assignment {found} is before {least}, the oldest that counts")]
    Superseded { least: u64, found: u64 },
    #[error("version {version} is refused")]
    Load {
        version: String,
        #[source]
        source: LoadError,
    },
}

/// The models of one application.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub model: Arc<Ensemble>,
    /// Scores in shadow; `None` where none is tried out on this application, or it is not to be had.
    pub challenger: Option<Arc<Ensemble>>,
}

/// The models in memory, and where others are.
pub struct Models {
    bucket: ModelBucket,
    clock: Arc<dyn Clock>,
    packaged: Arc<Ensemble>,
    /// Serial of the oldest assignment that counts; with 0 there may be none at all.
    least: u64,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// `None` until the assignment was read, or was seen not to be there.
    looked_at: Option<Timestamp>,
    tag: Option<String>,
    assignment: Assignment,
    loaded: BTreeMap<String, Arc<Ensemble>>,
    /// Challengers that could not be had; they are tried again when the assignment is looked at again.
    failed: BTreeSet<String>,
}

impl Models {
    pub fn new(packaged: Arc<Ensemble>, bucket: ModelBucket, clock: Arc<dyn Clock>) -> Self {
        Self { bucket, clock, packaged, least: 0, held: Mutex::default() }
    }

    /// The same, refusing every assignment before this serial.
    #[must_use]
    pub fn not_before(self, least: u64) -> Self {
        Self { least, ..self }
    }

    /// The models for an application of a product. Calls the bucket where the assignment was last looked at a minute ago,
    /// and where a version is not in memory yet.
    ///
    /// # Errors
    /// [`ModelError`] when the model that should score cannot be had. A challenger that cannot be had is passed over.
    pub async fn choose(&self, product: &Product, application: ApplicationId) -> Result<Chosen, ModelError> {
        let mut held = self.held.lock().await;
        self.look(&mut held).await?;
        let catalogue = || Assigned { model: product.model.clone(), challenger: None };
        let assigned = held.assignment.products.get(&product.id).cloned().unwrap_or_else(catalogue);
        let model = self.version(&mut held, &assigned.model).await?;
        let tried = assigned.challenger.filter(|challenger| {
            challenger.scores(application.spread()) && !held.failed.contains(&challenger.model)
        });
        let challenger = match tried {
            None => None,
            Some(challenger) => match self.version(&mut held, &challenger.model).await {
                Ok(model) => Some(model),
                Err(error) => {
                    tracing::warn!(error = lambda_kit::chain(&error), "a challenger cannot score");
                    held.failed.insert(challenger.model);
                    None
                }
            },
        };
        Ok(Chosen { model, challenger })
    }

    /// The assignment in force; an empty one where there is none.
    ///
    /// # Errors
    /// [`ModelError`] when it cannot be read or is not signed.
    pub async fn assignment(&self) -> Result<Assignment, ModelError> {
        let mut held = self.held.lock().await;
        self.look(&mut held).await?;
        Ok(held.assignment.clone())
    }

    /// A version, packaged or from the bucket.
    ///
    /// # Errors
    /// [`ModelError`] when it cannot be had.
    pub async fn get(&self, version: &str) -> Result<Arc<Ensemble>, ModelError> {
        self.version(&mut *self.held.lock().await, version).await
    }

    /// Looks at the assignment where that is due.
    async fn look(&self, held: &mut Held) -> Result<(), ModelError> {
        let now = self.clock.now();
        if held.looked_at.is_some_and(|at| now.duration_since(at) < BELIEVED_FOR) {
            return Ok(());
        }
        let found = self.read_assignment(held).await;
        match (found, held.looked_at) {
            (Ok(()), _) => {}
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) => {
                tracing::error!(
                    error = lambda_kit::chain(&error),
                    "the assignment of models stays as it was"
                );
            }
        }
        held.looked_at = Some(now);
        held.failed.clear();
        Ok(())
    }

    async fn read_assignment(&self, held: &mut Held) -> Result<(), ModelError> {
        let change = self.bucket.changed(ASSIGNMENT, MOST_ASSIGNMENT, held.tag.as_deref()).await?;
        let (assignment, tag) = match change {
            Change::Unchanged => return Ok(()),
            Change::Absent if held.tag.is_some() || held.assignment.serial.max(self.least) > 0 => {
                return Err(ModelError::Gone);
            }
            Change::Absent => return Ok(()),
            Change::Changed { bytes, tag } => (self.verified(&bytes)?, tag),
        };
        if assignment.serial < self.least {
            return Err(ModelError::Superseded { least: self.least, found: assignment.serial });
        }
        let is_new = assignment.serial > held.assignment.serial || assignment == held.assignment;
        if !is_new {
            return Err(ModelError::Older { held: held.assignment.serial, found: assignment.serial });
        }
        tracing::info!(serial = assignment.serial, "an assignment of models is in force");
        let named: Vec<&str> = assignment.versions().collect();
        held.loaded.retain(|version, _| named.contains(&version.as_str()));
        (held.assignment, held.tag) = (assignment, tag);
        Ok(())
    }

    fn verified(&self, bytes: &[u8]) -> Result<Assignment, ModelError> {
        let signed: SignedAssignment = serde_json::from_slice(bytes).map_err(ModelError::Form)?;
        let text = signed.assignment.as_bytes();
        self.bucket.verify(ASSIGNMENT, text, &signed.signature)?;
        Ok(Assignment::parse(text)?)
    }

    async fn version(&self, held: &mut Held, version: &str) -> Result<Arc<Ensemble>, ModelError> {
        if self.packaged.manifest().version == version {
            return Ok(self.packaged.clone());
        }
        if let Some(loaded) = held.loaded.get(version) {
            return Ok(loaded.clone());
        }
        let loaded = Arc::new(self.load(version).await?);
        held.loaded.insert(version.to_owned(), loaded.clone());
        Ok(loaded)
    }

    /// Reads a version and checks it: signature, hashes, version, and that it scores.
    async fn load(&self, version: &str) -> Result<Ensemble, ModelError> {
        let (manifest, parsed) = self.bucket.manifest(version).await?;
        let graph = self.bucket.read(&format!("{}/{}", folder(version), parsed.model), MOST_GRAPH).await?;
        let refused = |source| ModelError::Load { version: version.to_owned(), source };
        let ensemble = Ensemble::from_bytes(&manifest, &graph).map_err(refused)?;
        tracing::info!(model = version, "a model is in memory");
        Ok(ensemble)
    }
}

#[cfg(test)]
mod tests;
