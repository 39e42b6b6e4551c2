//! What a model's ONNX graph may be, and how it becomes a [`Program`].

use std::collections::{HashMap, HashSet};

use model::Manifest;

use crate::{
    ensemble::LoadError,
    explain::check_hit_rates,
    onnx,
    program::{MAX_STEPS, Program, Step, Unsound},
    trees::{TreeError, Trees},
};

/// The graph's only input: a row for each firm, a column for each feature.
const FEATURES: &str = "features";

/// What a graph may be made of. A model is data from outside: it gets no other operator, no loop and no file.
const OPERATORS: [&str; 5] = ["TreeEnsembleRegressor", "Gemm", "Mul", "Add", "Sigmoid"];

/// Where these operators mean what the standard says.
const DOMAINS: [&str; 3] = ["", "ai.onnx", "ai.onnx.ml"];

/// Most numbers in a constant: a fuser has a row and a column for each learner.
const MAX_WEIGHTS: usize = 1 << 16;

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

/// The graph as a program. `check` has been through it.
pub(crate) fn program(manifest: &Manifest, graph: &onnx::Graph) -> Result<Program, LoadError> {
    let reader = Reader { graph };
    let mut steps = Vec::with_capacity(graph.node.len());
    let mut values = HashMap::new();
    for (at, node) in graph.node.iter().enumerate() {
        steps.push(reader.step(node, &values)?);
        let [name] = node.output.as_slice() else {
            return Err(LoadError::Graph(format!("operator {at} must have one output")));
        };
        if values.insert(name.as_str(), at).is_some() {
            return Err(LoadError::Graph(format!("{name:?} is made twice")));
        }
    }
    let mut outputs = [0; Output::ALL.len()];
    for (output, name) in Output::ALL {
        let made = values.get(name).copied();
        outputs[output as usize] =
            made.ok_or_else(|| LoadError::Graph(format!("nothing produces {name:?}")))?;
    }
    Ok(Program::new(manifest.features.len(), manifest.learners.len(), steps, outputs)?)
}

struct Reader<'a> {
    graph: &'a onnx::Graph,
}

impl Reader<'_> {
    fn step(&self, node: &onnx::Node, values: &HashMap<&str, usize>) -> Result<Step, LoadError> {
        let value = |name: &String| {
            let made = values.get(name.as_str()).copied();
            made.ok_or_else(|| {
                LoadError::Graph(format!("{} reads {name:?}, which is not made yet", node.op_type))
            })
        };
        match (node.op_type.as_str(), node.input.as_slice()) {
            ("TreeEnsembleRegressor", [features]) if features == FEATURES => self.trees(node),
            _ if !node.attribute.is_empty() => Err(LoadError::Graph(format!(
                "{} has the attribute {:?}, which is not known",
                node.op_type, node.attribute[0].name
            ))),
            ("Gemm", [from, weights, bias]) => Ok(Step::Gemm {
                value: value(from)?,
                weights: self.constant(weights, None)?,
                bias: self.constant(bias, Some(weights))?,
            }),
            ("Mul", [one, other]) => Ok(Step::Mul(value(one)?, value(other)?)),
            ("Add", [one, other]) => Ok(Step::Add(value(one)?, value(other)?)),
            ("Sigmoid", [from]) => Ok(Step::Sigmoid(value(from)?)),
            (operator, _) => Err(LoadError::Graph(format!("{operator} has other inputs than expected"))),
        }
    }

    fn trees(&self, node: &onnx::Node) -> Result<Step, LoadError> {
        let name = "post_transform";
        if let Some(value) = node.optional(name, onnx::Node::text)?.filter(|value| *value != "NONE") {
            return Err(TreeError::Unsupported { name, value: value.to_owned() }.into());
        }
        let mut attributes = node.regressor_trees()?;
        if node.output.first().is_some_and(|name| name == Output::Margins.name()) {
            check_hit_rates(&attributes)?;
        } else {
            // Only margins are explained.
            attributes.hit_rates = &[];
        }
        Ok(Step::Trees(Trees::build(&attributes)?))
    }

    /// A table of weights; or with `columns_of` the name of a table, a number for each of its columns.
    fn constant(&self, name: &str, columns_of: Option<&str>) -> Result<Vec<f32>, LoadError> {
        let find = |name: &str| self.graph.initializer.iter().find(|tensor| tensor.name == name);
        let refuse = || LoadError::Graph(format!("the constant {name:?} is not there or has another shape"));
        let tensor = find(name).ok_or_else(refuse)?;
        let numbers = tensor.raw_data.len() / size_of::<f32>() + tensor.float_data.len();
        let one_form = tensor.raw_data.is_empty() || tensor.float_data.is_empty();
        if numbers > MAX_WEIGHTS || !one_form {
            return Err(refuse());
        }
        let values = if tensor.raw_data.is_empty() {
            tensor.float_data.clone()
        } else {
            let (numbers, _) = tensor.raw_data.as_chunks::<4>();
            numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        };
        let expected = match (tensor.dims.as_slice(), columns_of.and_then(find)) {
            ([rows, columns], None) => rows.checked_mul(*columns),
            ([columns] | [1, columns], Some(table)) => {
                table.dims.get(1).copied().filter(|expected| expected == columns)
            }
            _ => None,
        };
        let fits = expected.is_some_and(|expected| usize::try_from(expected) == Ok(values.len()));
        if fits { Ok(values) } else { Err(refuse()) }
    }
}

/// Refuses what nothing else would notice: unknown operators, tensors in other files, outputs that nothing produces, and a
/// graph that was trained on other features or in another order than the manifest lists.
pub(crate) fn check<'a>(manifest: &Manifest, proto: &'a onnx::Model) -> Result<&'a onnx::Graph, LoadError> {
    let refuse = |why: String| Err(LoadError::Graph(why));
    let Some(graph) = &proto.graph else { return refuse("there is no graph".to_owned()) };
    if let Some(node) = graph.node.iter().find(|n| !OPERATORS.contains(&n.op_type.as_str())) {
        return refuse(format!("operator {:?} is not allowed", node.op_type));
    }
    if graph.node.len() > MAX_STEPS {
        return refuse(format!("a graph has at most {MAX_STEPS} operators"));
    }
    if let Some(node) = graph.node.iter().find(|n| !DOMAINS.contains(&n.domain.as_str())) {
        return refuse(format!("operator {:?} is of the domain {:?}", node.op_type, node.domain));
    }
    if !proto.functions.is_empty() || !graph.sparse_initializer.is_empty() {
        return refuse("functions and sparse tensors are not allowed".to_owned());
    }
    let mut names = HashSet::new();
    if let Some(tensor) = graph.initializer.iter().find(|tensor| !names.insert(tensor.name.as_str())) {
        return refuse(format!("tensor {:?} is there twice", tensor.name));
    }
    let external = |t: &&onnx::Tensor| !t.external_data.is_empty() || t.data_location != 0;
    if let Some(tensor) = graph.initializer.iter().find(external) {
        return refuse(format!("tensor {:?} lies outside the model file", tensor.name));
    }
    if let Some(tensor) = graph.initializer.iter().find(|tensor| !is_finite(tensor)) {
        return refuse(format!("tensor {:?} is not all finite float32", tensor.name));
    }
    if !graph.input.iter().map(|i| i.name.as_str()).eq([FEATURES]) {
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
    Ok(graph)
}

/// A sum with an infinity in it fits some rows only, so it is caught at the door.
fn is_finite(tensor: &onnx::Tensor) -> bool {
    let float = tensor.data_type == onnx::Tensor::FLOAT;
    let (raw, rest) = tensor.raw_data.as_chunks::<4>();
    let values = raw.iter().map(|bytes| f32::from_le_bytes(*bytes)).chain(tensor.float_data.iter().copied());
    float && rest.is_empty() && values.into_iter().all(f32::is_finite)
}

impl From<Unsound> for LoadError {
    fn from(unsound: Unsound) -> Self {
        match unsound {
            Unsound::Tree(tree) => tree.into(),
            Unsound::Graph(why) => Self::Graph(why),
        }
    }
}
