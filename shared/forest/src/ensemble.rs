//! The loaded ensemble: manifest and graph, checked against each other, ready to score from any thread.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest;
use tract_onnx::{pb, prelude::*, tract_core::internal::TypedSimpleState};

use crate::{
    manifest::{Manifest, ManifestError},
    operator,
    trees::TreeError,
};

/// What a graph may be made of. A model is data from outside: it gets no other operator, no loop and no file.
const OPERATORS: [&str; 4] = ["TreeEnsembleRegressor", "Concat", "Gemm", "Sigmoid"];
/// The graph's outputs, in this order: chance to default `[N,1]`, margins `[N,D]`, one where a dimension is missing
/// `[N,D]`.
const OUTPUTS: [&str; 3] = ["pd", "margins", "missing"];

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
    /// Log odds to default by each dimension on its own, in the manifest's order; `None` where it is missing.
    pub margins: Vec<Option<f32>>,
}

/// One model version in memory. Shared by reference between threads; each call takes a spare state or makes one.
pub struct Ensemble {
    manifest: Manifest,
    plan: Arc<TypedRunnableModel>,
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
        let proto = tract_onnx::onnx().proto_model_for_read(&mut &*onnx).map_err(refusal)?;
        Self::from_proto(manifest, &proto)
    }

    fn from_proto(manifest: Manifest, proto: &pb::ModelProto) -> Result<Self, LoadError> {
        check_graph(&manifest, proto)?;
        let plan = plan(&manifest, proto).map_err(refusal)?;
        let ensemble = Self { manifest, plan, spare: Mutex::new(Vec::new()) };
        // A graph whose outputs have the wrong shape shows it on any row, so it is refused here and not in the night.
        let nothing = vec![f32::NAN; ensemble.manifest.features.len()];
        ensemble.score(&nothing).map_err(|error| LoadError::Graph(error.to_string()))?;
        Ok(ensemble)
    }

    /// What the model reads and how its points are counted.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Scores one firm. `features` are in the manifest's order; NaN is missing, and a dimension of nothing but NaN is
    /// scored as missing, never as zero.
    ///
    /// # Errors
    /// [`ScoreError`]: a row of the wrong length or with an infinite value, or a graph that failed.
    pub fn score(&self, features: &[f32]) -> Result<Scored, ScoreError> {
        let expected = self.manifest.features.len();
        if features.len() != expected {
            return Err(ScoreError::Length { expected, found: features.len() });
        }
        if let Some(at) = features.iter().position(|x| x.is_infinite()) {
            return Err(ScoreError::Infinite(self.manifest.features[at].name.clone()));
        }
        self.run(features).map_err(|error| ScoreError::Run(format!("{error:#}")))
    }

    fn run(&self, features: &[f32]) -> TractResult<Scored> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut state = match spare {
            Some(state) => state,
            None => self.plan.spawn()?,
        };
        let input = Tensor::from_shape(&[1, features.len()], features)?;
        let outputs = state.run(tvec!(input.into_tvalue()))?;
        // Only a state that ran to the end goes back.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(state);
        self.read(&outputs)
    }

    fn read(&self, outputs: &[TValue]) -> TractResult<Scored> {
        let dimensions = self.manifest.dimensions.len();
        let output = |at: usize, length: usize| -> TractResult<&[f32]> {
            let tensor: &Tensor = &outputs[at];
            let values = unwrap_f32(tensor)?;
            let sound = values.len() == length && values.iter().all(|v| v.is_finite());
            if sound {
                Ok(values)
            } else {
                Err(TractError::msg(format!("output {} is not sound", OUTPUTS[at])))
            }
        };
        let pd = f64::from(output(0, 1)?[0]);
        let known = |(margin, missing): (&f32, &f32)| (*missing == 0.0).then_some(*margin);
        let margins = output(1, dimensions)?.iter().zip(output(2, dimensions)?).map(known).collect();
        Ok(Scored { pd, points: self.manifest.scale.points(pd), margins })
    }
}

fn unwrap_f32(tensor: &Tensor) -> TractResult<&[f32]> {
    tensor.try_as_plain_ram()?.as_slice::<f32>()
}

fn plan(manifest: &Manifest, proto: &pb::ModelProto) -> TractResult<Arc<TypedRunnableModel>> {
    let mut onnx = tract_onnx::onnx();
    operator::register(&mut onnx);
    let row = f32::fact([1, manifest.features.len()]);
    onnx.model_for_proto_model(proto)?.with_input_fact(0, row.into())?.into_optimized()?.into_runnable()
}

/// Refuses what tract would trust: unknown operators, tensors in other files, outputs that nothing produces, and a
/// graph that was trained on other features or in another order than the manifest lists.
fn check_graph(manifest: &Manifest, proto: &pb::ModelProto) -> Result<(), LoadError> {
    let refuse = |why: String| Err(LoadError::Graph(why));
    let Some(graph) = &proto.graph else { return refuse("there is no graph".to_owned()) };
    if let Some(node) = graph.node.iter().find(|n| !OPERATORS.contains(&n.op_type.as_str())) {
        return refuse(format!("operator {:?} is not allowed", node.op_type));
    }
    let external = |t: &&pb::TensorProto| !t.external_data.is_empty() || t.data_location.unwrap_or(0) != 0;
    if let Some(tensor) = graph.initializer.iter().find(external) {
        return refuse(format!("tensor {:?} lies outside the model file", tensor.name));
    }
    if let Some(tensor) = graph.initializer.iter().find(|tensor| !is_finite(tensor)) {
        return refuse(format!("tensor {:?} is not all finite float32", tensor.name));
    }
    let factors = graph.node.iter().flat_map(|node| &node.attribute).map(|attribute| attribute.f);
    if !factors.into_iter().all(f32::is_finite) {
        return refuse("an attribute is not finite".to_owned());
    }
    if !graph.input.iter().map(|i| i.name.as_str()).eq(["features"]) {
        return refuse("the only input must be features".to_owned());
    }
    if !graph.output.iter().map(|o| o.name.as_str()).eq(OUTPUTS) {
        return refuse(format!("the outputs must be {OUTPUTS:?}"));
    }
    let produced: Vec<&String> = graph.node.iter().flat_map(|n| &n.output).collect();
    if let Some(output) = graph.output.iter().find(|o| !produced.contains(&&o.name)) {
        return refuse(format!("nothing produces {:?}", output.name));
    }
    let listed = |key: &str| proto.metadata_props.iter().find(|p| p.key == key).map(|p| p.value.as_str());
    let features: Vec<&str> = manifest.features.iter().map(|f| f.name.as_str()).collect();
    for (key, names) in [("features", features.join("\n")), ("dimensions", manifest.dimensions.join("\n"))] {
        if listed(key) != Some(&names) {
            return refuse(format!("the manifest lists other {key}, or in another order"));
        }
    }
    Ok(())
}

/// tract's sigmoid turns NaN into a probability, so a NaN among the fuser's weights has to be caught at the door.
fn is_finite(tensor: &pb::TensorProto) -> bool {
    let float = tensor.data_type == pb::tensor_proto::DataType::Float as i32;
    let (raw, rest) = tensor.raw_data.as_chunks::<4>();
    let values = raw.iter().map(|bytes| f32::from_le_bytes(*bytes)).chain(tensor.float_data.iter().copied());
    float && rest.is_empty() && values.into_iter().all(f32::is_finite)
}

/// tract wraps whatever went wrong; a tree that we refused ourselves is found again by its type.
fn refusal(error: TractError) -> LoadError {
    match error.chain().find_map(|cause| cause.downcast_ref::<TreeError>()) {
        Some(tree) => LoadError::Tree(tree.clone()),
        None => LoadError::Graph(format!("{error:#}")),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
