//! The trees of [`forest`] as operators in tract: `TreeEnsembleRegressor` and `TreeEnsembleClassifier` of `ai.onnx.ml`,
//! opset 1 and 3.
//!
//! [`register`] puts both in the place of tract's own (0.23.9), which refuse regressors, invert the labels of binary
//! exports and read a `BRANCH_GTE` node as a leaf. No function links it: scores are made by [`forest`] itself, and the
//! tests hold it to what tract makes of the same files. Input is a table of f32, a row for each example; output are the
//! scores, and before them the labels of a classifier. Any number of rows goes through in one call.
//!
//! # Semantics
//!
//! What a tree says is told in [`forest::trees`]. Then, row by row: a classifier whose leaves all speak for one of two
//! classes gives the second class the sum `s` and the first `1 - s` when no weight is negative, else `s` and `-s`, and
//! chooses the second when `s` is above 0.5 or 0; otherwise there is a score for each class, and the first of the highest
//! is chosen. `LOGISTIC`, `SOFTMAX` and `SOFTMAX_ZERO` are applied after that. Where the standard is silent this follows
//! onnxruntime, with one exception: onnxruntime lets NaN satisfy `BRANCH_NEQ`, whatever the track says.
//!
//! # What is refused
//!
//! Everything that [`Trees::build`] refuses, when the model is loaded; rows that are too narrow, when their width is
//! known; and by name what the standard allows and no exporter of LightGBM, XGBoost, CatBoost or scikit-learn writes:
//! `PROBIT`, the f64 tensors `…_as_tensor`, two base values for one-sided weights.
//!
//! `TreeEnsemble`, which takes the place of both in opset 5, is left to come: onnxmltools 1.16, skl2onnx 1.20 and CatBoost
//! 1.2.10 write the two operators here, and so does XGBoost 3.2 through onnxmltools.

use std::{iter::repeat_n, sync::Arc};

use forest::{
    LoadError, onnx,
    trees::{Keys, TreeError, Trees},
};
use prost::Message;
use tract_onnx::{
    Onnx,
    model::ParsingContext,
    pb::NodeProto,
    tract_hir::{internal::*, tract_core::internal::TypedOp},
};

/// Teaches `onnx` both operators, in the place of tract's own.
pub fn register(onnx: &mut Onnx) {
    onnx.op_register.insert("TreeEnsembleRegressor", regressor);
    onnx.op_register.insert("TreeEnsembleClassifier", classifier);
}

fn regressor(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let node = ours(node)?;
    let trees = Trees::build(&node.regressor_trees()?)?;
    let transform = Transform::read(&node)?;
    Ok((expand(TreeEnsemble { inner: Arc::new(Inner { trees, transform, classes: None }) }), vec![]))
}

fn classifier(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let node = ours(node)?;
    let labels = Labels::read(&node)?;
    let mut attributes = node.classifier_trees()?;
    attributes.targets = labels.len() as i64;
    let ids = attributes.target_ids;
    // With two classes and weights for one of them, the weights speak for the second, whatever its number.
    let one_sided = labels.len() == 2 && ids.windows(2).all(|pair| pair[0] == pair[1]);
    let zeros: Vec<i64> = if one_sided { vec![0; ids.len()] } else { Vec::new() };
    let classes = if one_sided {
        if ids.first().is_some_and(|id| !(0..2).contains(id)) {
            bail!("class ids must fit two classes");
        }
        if attributes.base_values.len() > 1 {
            // onnxruntime adds the first to the second class's margin and drops the other; the standard is silent.
            let value = "two, with weights for one class only".to_owned();
            return Err(TreeError::Unsupported { name: "base_values", value }.into());
        }
        let chance = attributes.target_weights.iter().all(|w| *w >= 0.0);
        attributes.target_ids = &zeros;
        attributes.targets = 1;
        Classes { labels, sides: if chance { Sides::Chance } else { Sides::Margin } }
    } else {
        Classes { labels, sides: Sides::All }
    };
    let trees = Trees::build(&attributes)?;
    let transform = Transform::read(&node)?;
    Ok((expand(TreeEnsemble { inner: Arc::new(Inner { trees, transform, classes: Some(classes) }) }), vec![]))
}

/// tract's node as [`forest`] reads it.
fn ours(node: &NodeProto) -> TractResult<onnx::Node> {
    Ok(onnx::Node::decode(node.encode_to_vec().as_slice())?)
}

/// What happens to a row's numbers after they were aggregated.
#[derive(Clone, Copy, Debug)]
enum Transform {
    None,
    Logistic,
    Softmax,
    /// As softmax, but a zero stays zero.
    SoftmaxZero,
}

impl Transform {
    fn read(node: &onnx::Node) -> Result<Self, LoadError> {
        let name = "post_transform";
        match node.optional(name, onnx::Node::text)?.unwrap_or("NONE") {
            "NONE" => Ok(Self::None),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            "SOFTMAX_ZERO" => Ok(Self::SoftmaxZero),
            value => Err(TreeError::Unsupported { name, value: value.to_owned() }.into()),
        }
    }

    fn apply(self, row: &mut [f64]) {
        match self {
            Self::None => {}
            Self::Logistic => row.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
            Self::Softmax => softmax(row, |_| false),
            Self::SoftmaxZero => softmax(row, |x| x.abs() <= 1e-7),
        }
    }
}

fn softmax(row: &mut [f64], stays: impl Fn(f64) -> bool) {
    let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for x in row.iter_mut() {
        *x = if stays(*x) { *x * (-highest).exp() } else { (*x - highest).exp() };
    }
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|x| *x /= sum);
}

#[derive(Clone, Debug)]
struct Classes {
    labels: Labels,
    sides: Sides,
}

/// How the numbers of the trees become a score for each class.
#[derive(Clone, Copy, Debug)]
enum Sides {
    /// There is one for each class.
    All,
    /// The only one is the second class's chance: its weights are all positive. The first class has the rest.
    Chance,
    /// The only one is the second class's margin, and the first class has its opposite.
    Margin,
}

#[derive(Clone, Debug)]
enum Labels {
    Numbers(Vec<i64>),
    Texts(Vec<String>),
}

impl Labels {
    fn read(node: &onnx::Node) -> TractResult<Self> {
        let numbers = node.optional("classlabels_int64s", onnx::Node::ints)?.unwrap_or_default();
        let texts = node.optional("classlabels_strings", onnx::Node::texts)?.unwrap_or_default();
        match (numbers, texts.as_slice()) {
            ([_, _, ..], []) => Ok(Self::Numbers(numbers.to_vec())),
            ([], [_, _, ..]) => Ok(Self::Texts(texts.into_iter().map(str::to_owned).collect())),
            _ => bail!("a classifier needs two labels or more, either numbers or texts"),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Numbers(labels) => labels.len(),
            Self::Texts(labels) => labels.len(),
        }
    }

    fn datum_type(&self) -> DatumType {
        match self {
            Self::Numbers(_) => DatumType::I64,
            Self::Texts(_) => DatumType::String,
        }
    }

    fn tensor(&self, chosen: &[usize]) -> Tensor {
        match self {
            Self::Numbers(labels) => tensor1(&chosen.iter().map(|at| labels[*at]).collect::<Vec<_>>()),
            Self::Texts(labels) => tensor1(&chosen.iter().map(|at| labels[*at].clone()).collect::<Vec<_>>()),
        }
    }
}

#[derive(Debug)]
struct Inner {
    trees: Trees,
    transform: Transform,
    /// `None` for a regressor.
    classes: Option<Classes>,
}

impl Inner {
    /// Numbers in a row of the score output.
    fn width(&self) -> usize {
        self.classes.as_ref().map_or(self.trees.targets(), |classes| classes.labels.len())
    }
}

/// Either operator; a classifier gives the labels before the scores.
#[derive(Clone, Debug)]
struct TreeEnsemble {
    inner: Arc<Inner>,
}

/// tract compares operators to merge equal ones; the same trees are the same object.
impl PartialEq for TreeEnsemble {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for TreeEnsemble {}

impl Expansion for TreeEnsemble {
    fn name(&self) -> StaticName {
        Op::name(self)
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(1 + usize::from(self.inner.classes.is_some()))
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, self.nboutputs()?)?;
        s.equals(&inputs[0].datum_type, DatumType::F32)?;
        s.equals(&inputs[0].rank, 2)?;
        if let Some(classes) = &self.inner.classes {
            s.equals(&outputs[0].datum_type, classes.labels.datum_type())?;
            s.equals(&outputs[0].rank, 1)?;
            s.equals(&outputs[0].shape[0], &inputs[0].shape[0])?;
        }
        let scores = &outputs[outputs.len() - 1];
        s.equals(&scores.datum_type, DatumType::F32)?;
        s.equals(&scores.rank, 2)?;
        s.equals(&scores.shape[0], &inputs[0].shape[0])?;
        s.equals(&scores.shape[1], self.inner.width().to_dim())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for TreeEnsemble {
    fn name(&self) -> StaticName {
        if self.inner.classes.is_some() { "TreeEnsembleClassifier" } else { "TreeEnsembleRegressor" }.into()
    }

    op_as_typed_op!();
}

impl EvalOp for TreeEnsemble {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let &[rows, width] = input.shape() else {
            bail!("features must be a table, got {:?}", input.shape())
        };
        let features = input.try_as_plain_ram()?.as_slice::<f32>()?;
        let targets = self.inner.trees.targets();
        let mut numbers: TVec<f64> = repeat_n(0.0, rows * targets).collect();
        self.inner.trees.aggregate(features, width, &mut Keys::default(), &mut numbers)?;
        let mut scores = Tensor::zero::<f32>(&[rows, self.inner.width()])?;
        let mut view = scores.try_as_plain_ram_mut()?;
        let rows = numbers
            .chunks_exact_mut(targets)
            .zip(view.as_slice_mut::<f32>()?.chunks_exact_mut(self.inner.width()));
        let Some(classes) = &self.inner.classes else {
            for (row, result) in rows {
                self.inner.transform.apply(row);
                round(row, result);
            }
            return Ok(tvec!(scores.into_tvalue()));
        };
        let mut chosen = Vec::with_capacity(input.shape()[0]);
        for (row, result) in rows {
            chosen.push(classes.choose(row, self.inner.transform, result));
        }
        Ok(tvec!(classes.labels.tensor(&chosen).into_tvalue(), scores.into_tvalue()))
    }
}

impl Classes {
    /// Writes each class's score and gives the place of the class that is chosen: by the numbers of the trees, before
    /// they are transformed.
    fn choose(&self, row: &mut [f64], transform: Transform, result: &mut [f32]) -> usize {
        let (chosen, mut pair) = match self.sides {
            Sides::All => {
                let highest = (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
                transform.apply(row);
                round(row, result);
                return highest;
            }
            Sides::Chance => (row[0] > 0.5, [1.0 - row[0], row[0]]),
            Sides::Margin => (row[0] > 0.0, [-row[0], row[0]]),
        };
        if let Transform::Logistic = transform {
            pair = [-row[0], row[0]];
        }
        transform.apply(&mut pair);
        round(&pair, result);
        usize::from(chosen)
    }
}

fn round(row: &[f64], result: &mut [f32]) {
    for (place, number) in result.iter_mut().zip(row) {
        *place = *number as f32;
    }
}

impl TypedOp for TreeEnsemble {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [rows, width] = inputs[0].shape.dims() else { bail!("features must be a table") };
        if let Ok(found) = width.to_usize() {
            let needed = self.inner.trees.width();
            if found < needed {
                return Err(TreeError::Width { found, needed: needed - 1 }.into());
            }
        }
        let mut facts = tvec!();
        if let Some(classes) = &self.inner.classes {
            facts.push(classes.labels.datum_type().fact([rows.clone()]));
        }
        facts.push(f32::fact([rows.clone(), self.inner.width().to_dim()]));
        Ok(facts)
    }

    as_op!();
}
