//! The loaded ensemble: manifest and graph, checked against each other, ready to score from any thread.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use aws_lc_rs::digest;
use model::{Manifest, ManifestError};

use crate::{
    explain::Explainer,
    graph::{self, Output},
    onnx,
    packed::{self, PackedError},
    program::{Program, State},
    trees::TreeError,
};

/// Most rows that are run at once, whatever a caller hands over.
const MOST_ROWS: usize = 256;

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
    #[error("the packed model is refused")]
    Packed(#[from] PackedError),
}

/// Why a row was refused. The same row will be refused again.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScoreError {
    #[error("expected {expected} features a row, got {found}")]
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
    program: Program,
    /// The paths of the trees, read when the first firm is explained: that takes longer than all else that loading does.
    explainer: OnceLock<Explainer>,
    /// States between calls, so that none allocates one.
    spare: Mutex<Vec<State>>,
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
        if manifest.sha256.get(&manifest.model) != Some(&hexadecimal(&sha256(onnx))) {
            return Err(LoadError::Hash { file: manifest.model });
        }
        Self::from_model(manifest, &onnx::Model::parse(onnx)?)
    }

    /// The same from the packed form of the graph ([`Ensemble::pack`]), in a tenth of the time.
    ///
    /// The ONNX file stays the truth: the packed form names the one that it was made from, and is refused where the
    /// manifest lists another. What it says beside that is believed as far as it can be run, so take it from where
    /// nobody else writes, such as the binary itself.
    ///
    /// # Errors
    /// [`LoadError`], as for [`Ensemble::load`], and [`LoadError::Packed`] for bytes that are damaged, of another form,
    /// or packed from another graph.
    pub fn from_packed(manifest: &[u8], bytes: &[u8]) -> Result<Self, LoadError> {
        let manifest = Manifest::parse(manifest)?;
        let program = packed::read(&manifest, bytes)?;
        Self::from_program(manifest, program)
    }

    /// The packed form; the same bytes for the same model.
    pub fn pack(&self) -> Vec<u8> {
        packed::write(&self.manifest, &self.program)
    }

    fn from_model(manifest: Manifest, model: &onnx::Model) -> Result<Self, LoadError> {
        let graph = graph::check(&manifest, model)?;
        let program = graph::program(&manifest, graph)?;
        Self::from_program(manifest, program)
    }

    fn from_program(manifest: Manifest, program: Program) -> Result<Self, LoadError> {
        Explainer::check(program.margins()?)?;
        let ensemble = Self { manifest, program, explainer: OnceLock::new(), spare: Mutex::new(Vec::new()) };
        // Sums that no number can hold show on any row, so they are refused here and not in the night.
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
        self.check_length(features)?;
        self.run(features, |state| Ok(self.scored(&self.said(0, 1, state)?)))
    }

    /// Scores many firms: rows one behind the other. Each gets the same bits as alone.
    ///
    /// # Errors
    /// [`ScoreError`], as for [`Ensemble::score`], for the first row that is refused.
    pub fn score_all(&self, rows: &[f32]) -> Result<Vec<Scored>, ScoreError> {
        let width = self.manifest.features.len();
        if !rows.len().is_multiple_of(width) {
            return Err(ScoreError::Length { expected: width, found: rows.len() % width });
        }
        let mut scored = Vec::with_capacity(rows.len() / width);
        for rows in rows.chunks(MOST_ROWS * width) {
            let count = rows.len() / width;
            self.run(rows, |state| {
                for row in 0..count {
                    scored.push(self.scored(&self.said(row, count, state)?));
                }
                Ok(())
            })?;
        }
        Ok(scored)
    }

    /// Scores one firm and says where the score comes from.
    ///
    /// # Errors
    /// [`ScoreError`], as for [`Ensemble::score`].
    pub fn explain(&self, features: &[f32]) -> Result<(Scored, Explanation), ScoreError> {
        self.check_length(features)?;
        self.run(features, |state| {
            let said = self.said(0, 1, state)?;
            Ok((self.scored(&said), self.explained(features, &said)?))
        })
    }

    fn explained(&self, features: &[f32], said: &Said) -> Result<Explanation, ScoreError> {
        let weights: Vec<f64> = said.weights.iter().map(|weight| f64::from(*weight)).collect();
        let mut contributions = vec![0.0; features.len()];
        let explainer = self.explainer()?;
        explainer
            .explain(features, &weights, &mut contributions)
            .map_err(|error| ScoreError::Run(error.to_string()))?;
        let mut base = f64::from(said.log_odds) - said.parts.iter().map(|part| f64::from(*part)).sum::<f64>();
        base +=
            weights.iter().zip(explainer.expected()).map(|(weight, expected)| weight * expected).sum::<f64>();
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
        Ok(Explanation { base, contributions, missing })
    }

    fn explainer(&self) -> Result<&Explainer, ScoreError> {
        if let Some(explainer) = self.explainer.get() {
            return Ok(explainer);
        }
        let trees = self.program.margins().map_err(|error| ScoreError::Run(format!("{error:?}")))?;
        let explainer = Explainer::of(trees).map_err(|error| ScoreError::Run(error.to_string()))?;
        Ok(self.explainer.get_or_init(|| explainer))
    }

    fn check_length(&self, features: &[f32]) -> Result<(), ScoreError> {
        let (expected, found) = (self.manifest.features.len(), features.len());
        if found == expected { Ok(()) } else { Err(ScoreError::Length { expected, found }) }
    }

    /// Runs whole rows, and reads what there is to be read before the state is put away.
    fn run<T>(
        &self,
        features: &[f32],
        read: impl FnOnce(&State) -> Result<T, ScoreError>,
    ) -> Result<T, ScoreError> {
        if let Some(at) = features.iter().position(|x| x.is_infinite()) {
            let feature = at % self.manifest.features.len();
            return Err(ScoreError::Infinite(self.manifest.features[feature].name.clone()));
        }
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut state = spare.unwrap_or_default();
        let run = self.program.run(features, &mut state);
        let told = run.map_err(|error| ScoreError::Run(error.to_string())).and_then(|()| read(&state));
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(state);
        told
    }

    fn said<'a>(&self, row: usize, rows: usize, state: &'a State) -> Result<Said<'a>, ScoreError> {
        let output = |output: Output| {
            let values = self.program.read(output, rows, state);
            let width = values.len() / rows;
            let values = &values[row * width..(row + 1) * width];
            let sound = values.iter().all(|value| value.is_finite());
            if sound {
                Ok(values)
            } else {
                Err(ScoreError::Run(format!("output {} is not sound", output.name())))
            }
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

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
