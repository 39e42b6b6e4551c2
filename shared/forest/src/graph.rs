//! What a model's ONNX graph may be, and how it is prepared to run.

use std::sync::Arc;

use model::Manifest;
use tract_onnx::{pb, prelude::*};

use crate::{Explainer, ensemble::LoadError, operator, trees::TreeError};

/// What a graph may be made of. A model is data from outside: it gets no other operator, no loop and no file.
const OPERATORS: [&str; 5] = ["TreeEnsembleRegressor", "Gemm", "Mul", "Add", "Sigmoid"];

/// The graph's outputs, in this order. All have a row for each row of the input; [`Output::Pd`] and
/// [`Output::LogOdds`] have one column, the others one for each learner.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    /// Chance to default.
    Pd,
    /// The same as log odds: the bias and the sum of the parts.
    LogOdds,
    /// Log odds by each learner on its own; without meaning where it knows nothing of the row.
    Margins,
    /// 1 where at least one feature of the learner has a value, else 0.
    Known,
    /// What one unit of each learner's margin adds to the log odds of this row; 0 where it knows nothing.
    Weights,
    /// What each learner adds to the log odds: weight times margin, or its offset where it knows nothing.
    Parts,
}

impl Output {
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Pd, "pd"),
        (Self::LogOdds, "log_odds"),
        (Self::Margins, "margins"),
        (Self::Known, "known"),
        (Self::Weights, "weights"),
        (Self::Parts, "parts"),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    pub fn width(self, learners: usize) -> usize {
        match self {
            Self::Pd | Self::LogOdds => 1,
            Self::Margins | Self::Known | Self::Weights | Self::Parts => learners,
        }
    }
}

/// The graph, ready to run on rows one at a time.
pub(crate) fn plan(manifest: &Manifest, proto: &pb::ModelProto) -> TractResult<Arc<TypedRunnableModel>> {
    let mut onnx = tract_onnx::onnx();
    operator::register(&mut onnx);
    let row = f32::fact([1, manifest.features.len()]);
    onnx.model_for_proto_model(proto)?.with_input_fact(0, row.into())?.into_optimized()?.into_runnable()
}

/// The trees behind the margins, for explanations.
pub(crate) fn explainer(manifest: &Manifest, proto: &pb::ModelProto) -> Result<Explainer, LoadError> {
    let nodes = proto.graph.iter().flat_map(|graph| &graph.node);
    let trees = nodes.into_iter().find(|node| node.output.iter().eq([Output::Margins.name()]));
    let Some(trees) = trees.filter(|node| node.op_type == "TreeEnsembleRegressor") else {
        return Err(LoadError::Graph("the margins do not come from trees".to_owned()));
    };
    let transform = trees.attribute.iter().find(|a| a.name == "post_transform");
    if let Some(transform) = transform.filter(|a| a.s != b"NONE") {
        let value = String::from_utf8_lossy(&transform.s).into_owned();
        return Err(TreeError::Unsupported { name: "post_transform", value }.into());
    }
    let explainer = Explainer::build(&operator::regressor_attributes(trees).map_err(refusal)?)?;
    if explainer.targets() != manifest.learners.len() {
        return Err(LoadError::Graph(format!(
            "{} margins for {} learners",
            explainer.targets(),
            manifest.learners.len()
        )));
    }
    Ok(explainer)
}

/// Refuses what tract would trust: unknown operators, tensors in other files, outputs that nothing produces, and a
/// graph that was trained on other features or in another order than the manifest lists.
pub(crate) fn check(manifest: &Manifest, proto: &pb::ModelProto) -> Result<(), LoadError> {
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
    let names = Output::ALL.map(|(_, name)| name);
    if !graph.output.iter().map(|o| o.name.as_str()).eq(names) {
        return refuse(format!("the outputs must be {names:?}"));
    }
    let produced: Vec<&String> = graph.node.iter().flat_map(|n| &n.output).collect();
    if let Some(output) = graph.output.iter().find(|o| !produced.contains(&&o.name)) {
        return refuse(format!("nothing produces {:?}", output.name));
    }
    let listed = |key: &str| proto.metadata_props.iter().find(|p| p.key == key).map(|p| p.value.as_str());
    let features: Vec<&str> = manifest.features.iter().map(|f| f.name.as_str()).collect();
    let learners: Vec<&str> = manifest.learners.iter().map(|l| l.name.as_str()).collect();
    for (key, names) in [("features", features.join("\n")), ("learners", learners.join("\n"))] {
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
pub(crate) fn refusal(error: TractError) -> LoadError {
    match error.chain().find_map(|cause| cause.downcast_ref::<TreeError>()) {
        Some(tree) => LoadError::Tree(tree.clone()),
        None => LoadError::Graph(format!("{error:#}")),
    }
}
