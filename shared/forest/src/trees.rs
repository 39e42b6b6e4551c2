//! Tree ensembles as ONNX writes them: checked once, laid out flat, and walked eight at a time.
//!
//! # What a tree says
//!
//! The first node of each tree is its root. A test compares one feature with a threshold (`BRANCH_LEQ`, `LT`, `GT`,
//! `GTE`, `EQ`, `NEQ`) and leads to its true or its false child; a missing value, which is NaN, goes to the true one
//! where `nodes_missing_value_tracks_true` is 1 and else to the false one, under every mode. Both zeros are the same
//! number. The leaf at the end adds weights to targets, which are aggregated over the trees; the base value is added
//! last.
//!
//! # What is refused
//!
//! [`Trees::build`] guesses and repairs nothing. Lists of unequal length, a node that is there twice, a child that is
//! not, a second parent, a cycle, a node that no root leads to, an unknown mode, a threshold of NaN, a track that is
//! neither 0 nor 1, a leaf without a weight, a weight on a test, a target out of range, a weight that is not finite: each
//! is a [`TreeError`] that names the node. There are limits to nodes, targets, features and the size of one tree, so a
//! damaged count allocates nothing.
//!
//! # How a row is walked
//!
//! Every test becomes `key <= threshold` between two i32 when the ensemble is built, of keys that sort as the floats do.
//! `<` is `<=` of the next float down, and the opposites have their children swapped. A missing value has two keys, the
//! lowest and the highest number there is, and each test reads the one that takes it to its side. Leaves lead to
//! themselves. So a step is one load of eight bytes, one of a key, a comparison and an addition, without a branch on
//! mode, missing or depth; and eight walks go in step (eight trees of one row, or eight rows of a batch), so that the
//! processor waits for eight loads at once.
//!
//! A row costs a step for each tree times its depth, where trees of like depth are walked together; a tree of `n` leaves
//! takes `8 * (2n - 1)` bytes. Building takes time and room in proportion to the nodes. No call allocates for a row.

mod layout;
mod packed;
mod shape;

use std::array;

use layout::Layout;
pub(crate) use layout::{Split, Tree};
use shape::Shape;

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

/// Rows as the walk reads them. Kept between calls, so that a call need not allocate.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<i32>);

/// A checked ensemble. Sums are kept in f64 and rounded once, in one order: a row alone and the same row in a batch
/// give the same bits.
#[derive(Clone, Debug)]
pub struct Trees {
    pub(crate) layout: Layout,
    pub(crate) base: Vec<f64>,
    pub(crate) aggregate: Aggregate,
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
    /// Allocates nothing but `keys`, and those only until they have been as long as a block of rows needs.
    ///
    /// # Errors
    /// [`TreeError::Width`] when rows are too short for the features that the trees read, and
    /// [`TreeError::Length`] when `features` or `results` do not hold the same number of whole rows.
    pub fn aggregate(
        &self,
        features: &[f32],
        width: usize,
        keys: &mut Keys,
        results: &mut [f64],
    ) -> Result<(), TreeError> {
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
        let blocks = features.chunks(BLOCK * width).zip(results.chunks_mut(BLOCK * self.targets()));
        for (features, results) in blocks {
            let keys = self.layout.keys(features, width, keys);
            if self.layout.equality {
                self.walk::<true>(keys, results);
            } else {
                self.walk::<false>(keys, results);
            }
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

    /// A block of rows: eight in step as long as there are eight, the others alone.
    fn walk<const EQUALITY: bool>(&self, keys: &[i32], results: &mut [f64]) {
        let (stride, targets) = (self.layout.stride(), self.targets());
        let rows = keys.len() / stride;
        let together = rows - rows % LANES;
        let (block, rest) = results.split_at_mut(together * targets);
        if !block.is_empty() {
            self.walk_block::<EQUALITY>(&keys[..together * stride], block);
        }
        let alone = keys[together * stride..].chunks_exact(stride);
        for (row, result) in alone.zip(rest.chunks_exact_mut(targets)) {
            self.walk_row::<EQUALITY>(row, result);
        }
    }

    /// One row, eight trees in step.
    fn walk_row<const EQUALITY: bool>(&self, row: &[i32], result: &mut [f64]) {
        let nodes = self.layout.nodes.as_slice();
        for trees in self.layout.trees.chunks(LANES) {
            // The last lanes of the last chunk walk along and are not counted.
            let mut at: [u32; LANES] = array::from_fn(|lane| trees[lane.min(trees.len() - 1)].root);
            for _ in 0..trees[trees.len() - 1].depth {
                for place in &mut at {
                    *place += nodes[*place as usize].next::<EQUALITY>(row);
                }
            }
            for (tree, place) in trees.iter().zip(at) {
                self.add(tree, place, result);
            }
        }
    }

    /// Rows in multiples of eight; every tree sees all of them before the next one does.
    fn walk_block<const EQUALITY: bool>(&self, keys: &[i32], results: &mut [f64]) {
        let (stride, targets) = (self.layout.stride(), self.targets());
        let nodes = self.layout.nodes.as_slice();
        for tree in &self.layout.trees {
            let groups = keys.chunks_exact(LANES * stride).zip(results.chunks_exact_mut(LANES * targets));
            for (group, results) in groups {
                let mut at = [tree.root; LANES];
                for _ in 0..tree.depth {
                    for (place, row) in at.iter_mut().zip(group.chunks_exact(stride)) {
                        *place += nodes[*place as usize].next::<EQUALITY>(row);
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
