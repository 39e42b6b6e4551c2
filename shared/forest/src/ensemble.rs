//! The loaded ensemble: manifest and graph, checked against each other, ready to score from any thread.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest;
use model::{Manifest, ManifestError};
use tract_onnx::{pb, prelude::*, tract_core::internal::TypedSimpleState};

use crate::{
    explain::Explainer,
    graph::{self, Output},
    trees::TreeError,
};

/// Why a model was refused. None of these goes away by trying again, except perhaps [`LoadError::Read`].
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the manifest is refused")]
    Manifest(#[from] ManifestError),
    #[error("{file} does not have the SHA-256 that the manifest lists")]
    Hash { file: String },
    #[error("the graph is refused: {0}")]
    Graph(String),
    #[error("a tree is refused")]
    Tree(#[from] TreeError),
}

/// Why a row was refused. The same row will be refused again.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScoreError {
    #[error("expected {expected} features, got {found}")]
    Length { expected: usize, found: usize },
    #[error("feature {0} is infinite")]
    Infinite(String),
    #[error("the graph failed: {0}")]
    Run(String),
}

/// What the ensemble says about one firm.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Chance to default within the manifest's target, 0 to 1.
    pub pd: f64,
    /// The same on the manifest's scale; more is better.
    pub points: i32,
    /// What the learners of each dimension add to the log odds to default, in the manifest's order; `None` where none
    /// of them knows anything of the firm.
    pub dimensions: Vec<Option<f64>>,
}

/// Where the log odds of one firm come from. All numbers are log odds to default: above zero speaks against the firm.
///
/// `base + contributions + missing` add up to the firm's own. Contributions are exact path-dependent Shapley values of
/// the trees, times the weights of the fuser (see [`Explainer`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What is expected of a firm of which just as much is known, before any value is looked at.
    pub base: f64,
    /// What each feature's value adds, in the manifest's order. A missing value has its own.
    pub contributions: Vec<f64>,
    /// What it adds that a learner of the dimension knows nothing of the firm, in the manifest's order.
    pub missing: Vec<f64>,
}

/// One model version in memory. Shared by reference between threads; each call takes a spare state or makes one.
pub struct Ensemble {
    manifest: Manifest,
    plan: Arc<TypedRunnableModel>,
    explainer: Explainer,
    /// States between calls: setting one up costs more than scoring a row.
    spare: Mutex<Vec<TypedSimpleState>>,
}

/// The version says it all; the trees would fill a log.
impl fmt::Debug for Ensemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ensemble").field("version", &self.manifest.version).finish_non_exhaustive()
    }
}

impl Ensemble {
    /// Loads `manifest.json` and the graph that it names from one folder.
    ///
    /// # Errors
    /// [`LoadError`]: a file cannot be read, a hash differs, or the manifest or the graph is damaged.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| LoadError::Read { path, source })
        };
        let json = read("manifest.json")?;
        let onnx = read(&Manifest::parse(&json)?.model)?;
        Self::from_bytes(&json, &onnx)
    }

    /// The same from bytes, for a binary that carries its model.
    ///
    /// # Errors
    /// [`LoadError`], as for [`Ensemble::load`].
    pub fn from_bytes(manifest: &[u8], onnx: &[u8]) -> Result<Self, LoadError> {
        let manifest = Manifest::parse(manifest)?;
        let listed = manifest.sha256.get(&manifest.model);
        if listed != Some(&hexadecimal(digest::digest(&digest::SHA256, onnx).as_ref())) {
            return Err(LoadError::Hash { file: manifest.model });
        }
        let proto = tract_onnx::onnx().proto_model_for_read(&mut &*onnx).map_err(graph::refusal)?;
        Self::from_proto(manifest, &proto)
    }

    fn from_proto(manifest: Manifest, proto: &pb::ModelProto) -> Result<Self, LoadError> {
        graph::check(&manifest, proto)?;
        let plan = graph::plan(&manifest, proto).map_err(graph::refusal)?;
        let explainer = graph::explainer(&manifest, proto)?;
        let ensemble = Self { manifest, plan, explainer, spare: Mutex::new(Vec::new()) };
        // A graph whose outputs have the wrong shape shows it on any row, so it is refused here and not in the night.
        let nothing = vec![f32::NAN; ensemble.manifest.features.len()];
        ensemble.score(&nothing).map_err(|error| LoadError::Graph(error.to_string()))?;
        Ok(ensemble)
    }

    /// What the model reads and how its points are counted.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Scores one firm. `features` are in the manifest's order; NaN is missing, and a learner that gets nothing but NaN
    /// is scored as missing, never as zero.
    ///
    /// # Errors
    /// [`ScoreError`]: a row of the wrong length or with an infinite value, or a graph that failed.
    pub fn score(&self, features: &[f32]) -> Result<Scored, ScoreError> {
        let outputs = self.run(features)?;
        Ok(self.scored(&self.read(&outputs)?))
    }

    /// Scores one firm and says where the score comes from.
    ///
    /// # Errors
    /// [`ScoreError`], as for [`Ensemble::score`].
    pub fn explain(&self, features: &[f32]) -> Result<(Scored, Explanation), ScoreError> {
        let outputs = self.run(features)?;
        let said = self.read(&outputs)?;
        let weights: Vec<f64> = said.weights.iter().map(|weight| f64::from(*weight)).collect();
        let mut contributions = vec![0.0; features.len()];
        self.explainer
            .explain(features, &weights, &mut contributions)
            .map_err(|error| ScoreError::Run(error.to_string()))?;
        let mut base = f64::from(said.log_odds) - said.parts.iter().map(|part| f64::from(*part)).sum::<f64>();
        base += weights
            .iter()
            .zip(self.explainer.expected())
            .map(|(weight, expected)| weight * expected)
            .sum::<f64>();
        let mut missing = vec![0.0; self.manifest.dimensions.len()];
        for (at, learner) in
            self.manifest.learners.iter().enumerate().filter(|(at, _)| said.known[*at] == 0.0)
        {
            match &learner.dimension {
                Some(name) => missing[self.manifest.dimension(name)] += f64::from(said.parts[at]),
                // Nothing at all is known, so no dimension is to blame.
                None => base += f64::from(said.parts[at]),
            }
        }
        Ok((self.scored(&said), Explanation { base, contributions, missing }))
    }

    fn run(&self, features: &[f32]) -> Result<TVec<TValue>, ScoreError> {
        let expected = self.manifest.features.len();
        if features.len() != expected {
            return Err(ScoreError::Length { expected, found: features.len() });
        }
        if let Some(at) = features.iter().position(|x| x.is_infinite()) {
            return Err(ScoreError::Infinite(self.manifest.features[at].name.clone()));
        }
        self.run_plan(features).map_err(|error| ScoreError::Run(format!("{error:#}")))
    }

    fn run_plan(&self, features: &[f32]) -> TractResult<TVec<TValue>> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut state = match spare {
            Some(state) => state,
            None => self.plan.spawn()?,
        };
        let input = Tensor::from_shape(&[1, features.len()], features)?;
        let outputs = state.run(tvec!(input.into_tvalue()))?;
        // Only a state that ran to the end goes back.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(state);
        Ok(outputs)
    }

    fn read<'a>(&self, outputs: &'a [TValue]) -> Result<Said<'a>, ScoreError> {
        let output = |output: Output| -> Result<&'a [f32], ScoreError> {
            let unsound = || ScoreError::Run(format!("output {} is not sound", output.name()));
            let tensor: &Tensor = outputs.get(output as usize).ok_or_else(unsound)?;
            let values =
                tensor.try_as_plain_ram().and_then(|ram| ram.as_slice::<f32>()).map_err(|_| unsound())?;
            let sound = values.len() == output.width(self.manifest.learners.len())
                && values.iter().all(|v| v.is_finite());
            if sound { Ok(values) } else { Err(unsound()) }
        };
        output(Output::Margins)?;
        Ok(Said {
            pd: output(Output::Pd)?[0],
            log_odds: output(Output::LogOdds)?[0],
            known: output(Output::Known)?,
            weights: output(Output::Weights)?,
            parts: output(Output::Parts)?,
        })
    }

    fn scored(&self, said: &Said) -> Scored {
        let mut dimensions = vec![None; self.manifest.dimensions.len()];
        for (at, learner) in
            self.manifest.learners.iter().enumerate().filter(|(at, _)| said.known[*at] != 0.0)
        {
            if let Some(name) = &learner.dimension {
                *dimensions[self.manifest.dimension(name)].get_or_insert(0.0) += f64::from(said.parts[at]);
            }
        }
        let pd = f64::from(said.pd);
        Scored { pd, points: self.manifest.scale.points(pd), dimensions }
    }
}

/// The outputs of one run that are looked at, by learner where they are lists.
struct Said<'a> {
    pd: f32,
    log_odds: f32,
    known: &'a [f32],
    weights: &'a [f32],
    parts: &'a [f32],
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
