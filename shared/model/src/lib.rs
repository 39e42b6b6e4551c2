//! A model as a set of files: what its manifest says, and how its inputs are worked out from the firm archive.
//!
//! Pure, and without the runtime that computes scores, so that what watches a model or plays rows to it need not link
//! one. `shared/forest` runs the graph. Reads, writes and emits nothing; what it refuses once it always refuses.

mod assignment;
mod distribution;
mod extract;
mod folder;
mod manifest;
mod packaged;

pub use assignment::{Assigned, Assignment, AssignmentError, Challenger};
pub use distribution::{Distribution, MAX_BINS};
pub use extract::{Sources, extract};
pub use folder::{SIGNATURE, folder};
pub use manifest::{Extract, Feature, Learner, Manifest, ManifestError, Part, Place, SEPARATOR, Scale, Text};
