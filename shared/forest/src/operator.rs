//! [`Trees`] as an operator in tract: read from the ONNX node, checked, and run row by row.

use std::{iter::repeat_n, sync::Arc};

use tract_onnx::{
    Onnx,
    model::ParsingContext,
    pb::NodeProto,
    tract_hir::{internal::*, tract_core::internal::TypedOp},
};

use crate::trees::{Attributes, TreeError, Trees};

/// Attributes of `TreeEnsembleRegressor` (`ai.onnx.ml`, opset 3) that are read here or cannot change a result.
const KNOWN: [&str; 17] = [
    "aggregate_function",
    "base_values",
    "n_targets",
    "nodes_falsenodeids",
    "nodes_featureids",
    "nodes_hitrates",
    "nodes_missing_value_tracks_true",
    "nodes_modes",
    "nodes_nodeids",
    "nodes_treeids",
    "nodes_truenodeids",
    "nodes_values",
    "post_transform",
    "target_ids",
    "target_nodeids",
    "target_treeids",
    "target_weights",
];

/// Teaches `onnx` the operator, in the place of tract's own (which refuses it).
pub(crate) fn register(onnx: &mut Onnx) {
    onnx.op_register.insert("TreeEnsembleRegressor", regressor);
}

fn regressor(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let trees = Trees::build(&attributes(node)?)?;
    Ok((expand(TreeEnsembleRegressor { trees: Arc::new(trees) }), vec![]))
}

fn attributes(node: &NodeProto) -> TractResult<Attributes<'_>> {
    if let Some(other) = node.attribute.iter().find(|a| !KNOWN.contains(&a.name.as_str())) {
        return Err(TreeError::Unsupported { name: "attribute", value: other.name.clone() }.into());
    }
    for (name, only) in [("aggregate_function", "SUM"), ("post_transform", "NONE")] {
        let value = node.get_attr_opt::<&str>(name)?.unwrap_or(only);
        if value != only {
            return Err(TreeError::Unsupported { name, value: value.to_owned() }.into());
        }
    }
    Ok(Attributes {
        tree_ids: node.get_attr_slice("nodes_treeids")?,
        node_ids: node.get_attr_slice("nodes_nodeids")?,
        feature_ids: node.get_attr_slice("nodes_featureids")?,
        values: node.get_attr_slice("nodes_values")?,
        modes: node.get_attr_vec("nodes_modes")?,
        true_ids: node.get_attr_slice("nodes_truenodeids")?,
        false_ids: node.get_attr_slice("nodes_falsenodeids")?,
        missing_tracks_true: node.get_attr_opt_slice("nodes_missing_value_tracks_true")?.unwrap_or_default(),
        target_tree_ids: node.get_attr_slice("target_treeids")?,
        target_node_ids: node.get_attr_slice("target_nodeids")?,
        target_ids: node.get_attr_slice("target_ids")?,
        target_weights: node.get_attr_slice("target_weights")?,
        targets: node.get_attr("n_targets")?,
        base_values: node.get_attr_opt_slice("base_values")?.unwrap_or_default(),
    })
}

#[derive(Clone, Debug)]
struct TreeEnsembleRegressor {
    trees: Arc<Trees>,
}

/// tract compares operators to merge equal ones; the same trees are the same object.
impl PartialEq for TreeEnsembleRegressor {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.trees, &other.trees)
    }
}

impl Eq for TreeEnsembleRegressor {}

impl Expansion for TreeEnsembleRegressor {
    fn name(&self) -> StaticName {
        "TreeEnsembleRegressor".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[0].datum_type, DatumType::F32)?;
        s.equals(&inputs[0].rank, 2)?;
        s.equals(&outputs[0].datum_type, DatumType::F32)?;
        s.equals(&outputs[0].rank, 2)?;
        s.equals(&outputs[0].shape[0], &inputs[0].shape[0])?;
        s.equals(&outputs[0].shape[1], self.trees.targets().to_dim())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for TreeEnsembleRegressor {
    fn name(&self) -> StaticName {
        "TreeEnsembleRegressor".into()
    }

    op_as_typed_op!();
}

impl EvalOp for TreeEnsembleRegressor {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let &[rows, width] = input.shape() else {
            bail!("features must be a table, got {:?}", input.shape())
        };
        let features = input.try_as_plain_ram()?.as_slice::<f32>()?;
        let targets = self.trees.targets();
        let mut sums: TVec<f64> = repeat_n(0.0, targets).collect();
        let mut output = Tensor::zero::<f32>(&[rows, targets])?;
        let mut view = output.try_as_plain_ram_mut()?;
        let results = view.as_slice_mut::<f32>()?;
        for (row, result) in features.chunks_exact(width).zip(results.chunks_exact_mut(targets)) {
            self.trees.sum(row, &mut sums)?;
            for (place, sum) in result.iter_mut().zip(&sums) {
                *place = *sum as f32;
            }
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for TreeEnsembleRegressor {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let [rows, width] = inputs[0].shape.dims() else { bail!("features must be a table") };
        if let Ok(width) = width.to_usize() {
            let needed = self.trees.highest_feature();
            if width <= needed {
                return Err(TreeError::Width { found: width, needed }.into());
            }
        }
        Ok(tvec!(f32::fact(&[rows.clone(), self.trees.targets().to_dim()])))
    }

    as_op!();
}
