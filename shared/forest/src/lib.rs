//! The scoring ensemble: one ONNX graph of tree sub-models and a fuser, checked, and run as a list of steps.
//!
//! Called by `functions/score`. Reads a model folder (or the same bytes built into the binary) once at start-up, and
//! after that nothing; it writes and emits nothing, keeps no state between rows and never retries: a model that does
//! not load never will, and a row that cannot be scored never can.
//!
//! - [`model::Manifest`] says what the inputs are, as data, and [`model::extract`] works them out. Missing is NaN, never zero.
//! - [`Ensemble::score`] gives the chance to default, the points and what each dimension adds; [`Ensemble::explain`] also
//!   where it comes from, feature by feature, and [`Explanation::reasons`] what to tell a borrower.
//! - [`Ensemble::pack`] is the graph in the form that is loaded fastest.
//! - [`trees`] holds flat trees; [`Explainer`] takes them apart into exact Shapley values. [`onnx`] reads the file.
//!
//! No runtime runs the graph. tract's optimizer takes longer to load it than a thousand rows take, each of its runs costs a
//! third of a row, and its kernels differ between processors in the last bit, where a decision must be the same when it is
//! replayed; and it made more than half of the binary. It is the second opinion of the tests instead (`shared/tract-trees`).

mod ensemble;
mod explain;
mod graph;
pub mod onnx;
mod packed;
mod program;
mod reasons;
pub mod trees;

pub use ensemble::{Ensemble, Explanation, LoadError, ScoreError, Scored};
pub use explain::Explainer;
pub use packed::PackedError;
pub use reasons::Reason;
