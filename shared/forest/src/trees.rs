//! Tree ensembles as ONNX writes them: checked once, laid out flat, and walked eight at a time.
//!
//! Every kind of test becomes `x <= threshold` or `x == threshold` when the ensemble is built, so a walk has no branch
//! on the mode; leaves lead to themselves, so it has none on the depth either. One row is walked by eight trees in
//! step, a batch by eight rows in step: eight independent chains of loads keep the processor busy.

mod layout;
mod shape;

use std::{array, iter::repeat_n};

use layout::{Layout, Tree};
pub(crate) use {layout::Test, shape::Shape};

/// Walks that go in step.
const LANES: usize = 8;
/// Rows of a batch that one tree sees before the next one: they and the tree stay in the first cache.
const BLOCK: usize = 8 * LANES;

/// Why a tree ensemble was refused. None of these goes away by trying again.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TreeError {
    #[error("attribute {name} has {found} entries, expected {expected}")]
    Length { name: &'static str, found: usize, expected: usize },
    #[error("an ensemble needs 1 to {most} nodes, found {found}")]
    Nodes { found: usize, most: usize },
    #[error("an ensemble needs 1 to {most} targets or classes, found {found}")]
    Targets { found: i64, most: i64 },
    #[error("tree {tree} has node {node} twice")]
    Twice { tree: i64, node: i64 },
    #[error("tree {tree} has more than {most} nodes")]
    Large { tree: i64, most: u32 },
    #[error("tree {tree}, node {node}: its child {child} does not exist")]
    Child { tree: i64, node: i64, child: i64 },
    #[error("tree {tree}, node {node} has more than one parent, or is its own ancestor")]
    Parents { tree: i64, node: i64 },
    #[error("tree {tree} starts at its first node, which has a parent")]
    Root { tree: i64 },
    #[error("tree {tree}, node {node} cannot be reached from the root")]
    Unreachable { tree: i64, node: i64 },
    #[error("tree {tree}, node {node}: mode {mode:?} is not known")]
    Mode { tree: i64, node: i64, mode: String },
    #[error("tree {tree}, node {node}: the threshold is not a number")]
    Threshold { tree: i64, node: i64 },
    #[error("tree {tree}, node {node}: feature {feature} is not within 0 to {most}")]
    Feature { tree: i64, node: i64, feature: i64, most: u32 },
    #[error("tree {tree}, node {node}: missing_value_tracks_true is {value}, neither 0 nor 1")]
    Missing { tree: i64, node: i64, value: i64 },
    #[error("tree {tree}, node {node} gets a leaf weight but is not a leaf")]
    NotALeaf { tree: i64, node: i64 },
    #[error("tree {tree}, node {node}: target {target} is out of range")]
    Target { tree: i64, node: i64, target: i64 },
    #[error("tree {tree}, node {node}: a leaf without a weight")]
    NoWeight { tree: i64, node: i64 },
    #[error("a leaf weight or base value is not finite")]
    Weight,
    #[error("tree {tree}, node {node}: the share of rows that reached it is not above zero")]
    HitRate { tree: i64, node: i64 },
    #[error("{name} = {value:?} is not supported")]
    Unsupported { name: &'static str, value: String },
    #[error("rows have {found} values, the trees read feature {needed}")]
    Width { found: usize, needed: usize },
}

/// The attributes of an `ai.onnx.ml` `TreeEnsembleRegressor` or `TreeEnsembleClassifier`, opset 1 or 3, in the
/// standard's own words and order. What a classifier calls `class_…` is `target_…` here.
#[derive(Clone, Debug, Default)]
pub struct Attributes<'a> {
    pub tree_ids: &'a [i64],
    pub node_ids: &'a [i64],
    pub feature_ids: &'a [i64],
    pub values: &'a [f32],
    /// How many rows of the training data reached each node, or their share. Read by [`crate::Explainer`] only; may
    /// be empty.
    pub hit_rates: &'a [f32],
    pub modes: Vec<&'a str>,
    pub true_ids: &'a [i64],
    pub false_ids: &'a [i64],
    /// Empty means: a missing value always takes the false branch.
    pub missing_tracks_true: &'a [i64],
    pub target_tree_ids: &'a [i64],
    pub target_node_ids: &'a [i64],
    pub target_ids: &'a [i64],
    pub target_weights: &'a [f32],
    pub targets: i64,
    /// Empty means zero for every target.
    pub base_values: &'a [f32],
    pub aggregate: Aggregate,
}

/// How the leaves that a row reaches become one number per target. The base value is added to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregate {
    #[default]
    Sum,
    /// The sum over the number of trees, those that say nothing of the target among them.
    Average,
    /// The smallest; zero for a target of which no tree speaks.
    Min,
    Max,
}

/// A checked ensemble. Sums are kept in f64 and rounded once, in one order: a row alone and the same row in a batch
/// give the same bits.
#[derive(Clone, Debug)]
pub struct Trees {
    layout: Layout,
    base: Vec<f64>,
    aggregate: Aggregate,
}

impl Trees {
    /// Checks everything and lays the trees out.
    ///
    /// # Errors
    /// [`TreeError`] for the first thing that is wrong; nothing is guessed or repaired.
    pub fn build(attributes: &Attributes) -> Result<Self, TreeError> {
        let layout = Layout::new(attributes, &Shape::check(attributes)?)?;
        let mut base: Vec<f64> = attributes.base_values.iter().map(|value| f64::from(*value)).collect();
        base.resize(usize::try_from(attributes.targets).unwrap_or_default(), 0.0);
        Ok(Self { layout, base, aggregate: attributes.aggregate })
    }

    /// How many numbers a row gives.
    pub fn targets(&self) -> usize {
        self.base.len()
    }

    /// How many values a row must have at least.
    pub fn width(&self) -> usize {
        self.layout.width
    }

    /// Aggregates rows of `width` values each into `results`, [`Trees::targets`] numbers a row. NaN is a missing value.
    ///
    /// Allocates twice a call and never per row.
    ///
    /// # Errors
    /// [`TreeError::Width`] when rows are too short for the features that the trees read, and
    /// [`TreeError::Length`] when `features` or `results` do not hold the same number of whole rows.
    pub fn aggregate(&self, features: &[f32], width: usize, results: &mut [f64]) -> Result<(), TreeError> {
        let needed = self.layout.width;
        if width < needed || width == 0 {
            return Err(TreeError::Width { found: width, needed: needed.max(1) - 1 });
        }
        let rows = features.len() / width;
        for (name, found, expected) in
            [("features", features.len(), rows * width), ("results", results.len(), rows * self.targets())]
        {
            if found != expected {
                return Err(TreeError::Length { name, found, expected });
            }
        }
        let start = match self.aggregate {
            Aggregate::Sum | Aggregate::Average => 0.0,
            // NaN gives way to any number.
            Aggregate::Min | Aggregate::Max => f64::NAN,
        };
        results.fill(start);
        if self.layout.equality {
            self.walk::<true>(features, width, results);
        } else {
            self.walk::<false>(features, width, results);
        }
        for row in results.chunks_exact_mut(self.targets()) {
            for (result, base) in row.iter_mut().zip(&self.base) {
                *result = base + self.finish(*result);
            }
        }
        Ok(())
    }

    fn finish(&self, result: f64) -> f64 {
        match self.aggregate {
            Aggregate::Sum => result,
            Aggregate::Average => result / self.layout.trees.len() as f64,
            Aggregate::Min | Aggregate::Max => {
                if result.is_nan() {
                    0.0
                } else {
                    result
                }
            }
        }
    }

    fn walk<const EQUALITY: bool>(&self, features: &[f32], width: usize, results: &mut [f64]) {
        let (needed, targets) = (self.layout.width, self.targets());
        // Each row is followed by a missing value, which leaves read.
        let mut padded: Vec<f32> =
            repeat_n(f32::NAN, BLOCK.min(features.len() / width) * (needed + 1)).collect();
        let blocks = features.chunks(BLOCK * width).zip(results.chunks_mut(BLOCK * targets));
        for (features, results) in blocks {
            for (row, copy) in features.chunks_exact(width).zip(padded.chunks_exact_mut(needed + 1)) {
                copy[..needed].copy_from_slice(&row[..needed]);
            }
            let rows = features.len() / width;
            let together = rows - rows % LANES;
            let (block, rest) = results.split_at_mut(together * targets);
            if !block.is_empty() {
                self.walk_block::<EQUALITY>(&padded[..together * (needed + 1)], block);
            }
            let alone = padded[together * (needed + 1)..rows * (needed + 1)].chunks_exact(needed + 1);
            for (row, result) in alone.zip(rest.chunks_exact_mut(targets)) {
                self.walk_row::<EQUALITY>(row, result);
            }
        }
    }

    /// One row, eight trees in step.
    fn walk_row<const EQUALITY: bool>(&self, row: &[f32], result: &mut [f64]) {
        for trees in self.layout.trees.chunks(LANES) {
            // The last lanes of the last chunk walk along and are not counted.
            let mut at: [u32; LANES] = array::from_fn(|lane| trees[lane.min(trees.len() - 1)].root);
            let steps = trees[trees.len() - 1].depth;
            for _ in 0..steps {
                for place in &mut at {
                    *place += self.layout.nodes[*place as usize].next::<EQUALITY>(row);
                }
            }
            for (tree, place) in trees.iter().zip(at) {
                self.add(tree, place, result);
            }
        }
    }

    /// Rows in multiples of eight; every tree sees all of them before the next one does.
    fn walk_block<const EQUALITY: bool>(&self, padded: &[f32], results: &mut [f64]) {
        let (stride, targets) = (self.layout.width + 1, self.targets());
        for tree in &self.layout.trees {
            let groups = padded.chunks_exact(LANES * stride).zip(results.chunks_exact_mut(LANES * targets));
            for (group, results) in groups {
                let mut at = [tree.root; LANES];
                for _ in 0..tree.depth {
                    for (place, row) in at.iter_mut().zip(group.chunks_exact(stride)) {
                        *place += self.layout.nodes[*place as usize].next::<EQUALITY>(row);
                    }
                }
                for (place, result) in at.into_iter().zip(results.chunks_exact_mut(targets)) {
                    self.add(tree, place, result);
                }
            }
        }
    }

    #[inline(always)]
    fn add(&self, tree: &Tree, place: u32, result: &mut [f64]) {
        match tree.target {
            Some(target) => {
                self.merge(&mut result[target as usize], self.layout.nodes[place as usize].weight())
            }
            None => {
                let (from, to) = self.layout.ranges[place as usize];
                for (target, weight) in &self.layout.weights[from as usize..to as usize] {
                    self.merge(&mut result[*target as usize], *weight);
                }
            }
        }
    }

    #[inline(always)]
    fn merge(&self, result: &mut f64, weight: f32) {
        let weight = f64::from(weight);
        match self.aggregate {
            Aggregate::Sum | Aggregate::Average => *result += weight,
            Aggregate::Min => *result = result.min(weight),
            Aggregate::Max => *result = result.max(weight),
        }
    }
}

#[cfg(test)]
mod tests;
