//! Flat trees: what a `TreeEnsembleRegressor` node describes, checked once and laid out to be walked fast.
//!
//! Every kind of test is turned into `x <= threshold` when the ensemble is built, so the walk has one comparison and
//! no branch on the mode. Leaves point at themselves: eight trees take as many steps as the deepest of them needs.

use std::collections::HashMap;

/// Trees that are walked together. Eight independent chains of loads keep the processor busy.
const LANES: usize = 8;
/// Far above any model that fits in a Lambda package; a damaged length cannot make us allocate more.
const MAX_NODES: usize = 4_000_000;
/// Most targets that one operator may have.
const MAX_TARGETS: usize = 256;

/// Why a tree ensemble was refused. None of these goes away by trying again.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TreeError {
    #[error("attribute {name} has {found} entries, expected {expected}")]
    Length { name: &'static str, found: usize, expected: usize },
    #[error("an ensemble needs 1 to {MAX_NODES} nodes, found {0}")]
    Nodes(usize),
    #[error("an ensemble needs 1 to {MAX_TARGETS} targets, found {0}")]
    Targets(i64),
    #[error("tree {tree} has node {node} twice")]
    Twice { tree: i64, node: i64 },
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
    #[error("tree {tree}, node {node}: feature {feature} is out of range")]
    Feature { tree: i64, node: i64, feature: i64 },
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
    #[error("{name} = {value:?} is not supported")]
    Unsupported { name: &'static str, value: String },
    #[error("rows have {found} values, the trees read feature {needed}")]
    Width { found: usize, needed: usize },
}

/// The attributes of an `ai.onnx.ml` `TreeEnsembleRegressor`, opset 3, in the standard's own words and order.
#[derive(Clone, Debug, Default)]
pub struct Attributes<'a> {
    pub tree_ids: &'a [i64],
    pub node_ids: &'a [i64],
    pub feature_ids: &'a [i64],
    pub values: &'a [f32],
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
}

/// `x <= threshold ? children[1] : children[0]`; a missing `x` takes `children[1]` when `missing` is 1.
#[derive(Clone, Copy, Debug)]
struct Node {
    threshold: f32,
    /// Index of the feature, shifted left by one; the lowest bit says where a missing value goes.
    feature_and_missing: u32,
    children: [u32; 2],
}

/// A checked ensemble. Sums are kept in f64 and rounded once, so the order of the trees does not show.
#[derive(Clone, Debug)]
pub struct Trees {
    nodes: Vec<Node>,
    /// For each node the range of `weights` that it adds; empty for inner nodes.
    leaves: Vec<(u32, u32)>,
    weights: Vec<(u32, f64)>,
    groups: Vec<Group>,
    base: Vec<f64>,
    highest_feature: usize,
}

/// Up to eight trees of similar depth; empty places repeat the first and are not counted.
#[derive(Clone, Debug)]
struct Group {
    roots: [u32; LANES],
    trees: usize,
    steps: usize,
}

impl Trees {
    /// Checks everything and lays the trees out.
    ///
    /// # Errors
    /// [`TreeError`] for the first thing that is wrong; nothing is guessed or repaired.
    pub fn build(attributes: &Attributes) -> Result<Self, TreeError> {
        check_lengths(attributes)?;
        let index = index_nodes(attributes)?;
        let leaf_weights = leaf_weights(attributes, &index)?;
        let mut layout = Layout::default();
        let roots = check_shape(attributes, &index)?;
        let mut trees = Vec::with_capacity(roots.len());
        for root in roots {
            trees.push(layout.place(root, attributes, &index, &leaf_weights)?);
        }
        // Trees of like depth go together: the walk takes as many steps as the deepest of eight.
        trees.sort_by_key(|(_, depth)| *depth);
        let groups = trees.chunks(LANES).map(group).collect();
        let mut base: Vec<f64> = attributes.base_values.iter().map(|v| f64::from(*v)).collect();
        base.resize(usize::try_from(attributes.targets).unwrap_or_default(), 0.0);
        let Layout { nodes, leaves, weights, highest_feature } = layout;
        Ok(Self { nodes, leaves, weights, groups, base, highest_feature })
    }

    /// How many sums a row gives.
    pub fn targets(&self) -> usize {
        self.base.len()
    }

    /// The largest feature index that any test reads; a row must be wider.
    pub fn highest_feature(&self) -> usize {
        self.highest_feature
    }

    /// Adds up one row. NaN is a missing value. `sums` must have [`Trees::targets`] places; it is overwritten.
    ///
    /// # Errors
    /// [`TreeError::Width`] when the row is too short for the features that the trees read.
    pub fn sum(&self, row: &[f32], sums: &mut [f64]) -> Result<(), TreeError> {
        if row.len() <= self.highest_feature {
            return Err(TreeError::Width { found: row.len(), needed: self.highest_feature });
        }
        sums.copy_from_slice(&self.base);
        for group in &self.groups {
            let mut at = group.roots;
            for _ in 0..group.steps {
                for place in &mut at {
                    *place = self.step(*place, row);
                }
            }
            for leaf in &at[..group.trees] {
                let (from, to) = self.leaves[*leaf as usize];
                for (target, weight) in &self.weights[from as usize..to as usize] {
                    sums[*target as usize] += weight;
                }
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn step(&self, place: u32, row: &[f32]) -> u32 {
        let node = &self.nodes[place as usize];
        let x = row[(node.feature_and_missing >> 1) as usize];
        let missing = x.is_nan() & (node.feature_and_missing & 1 == 1);
        node.children[usize::from((x <= node.threshold) | missing)]
    }
}

fn group(trees: &[(u32, usize)]) -> Group {
    let mut roots = [trees[0].0; LANES];
    for (place, (root, _)) in roots.iter_mut().zip(trees) {
        *place = *root;
    }
    Group { roots, trees: trees.len(), steps: trees.iter().map(|(_, depth)| *depth).max().unwrap_or(0) }
}

/// Where each node of the attributes stands, by tree id and node id.
type Index = HashMap<(i64, i64), usize>;

fn check_lengths(a: &Attributes) -> Result<(), TreeError> {
    let nodes = a.node_ids.len();
    if !(1..=MAX_NODES).contains(&nodes) {
        return Err(TreeError::Nodes(nodes));
    }
    if !(1..=MAX_TARGETS as i64).contains(&a.targets) {
        return Err(TreeError::Targets(a.targets));
    }
    let length = |name, found, expected| {
        if found == expected { Ok(()) } else { Err(TreeError::Length { name, found, expected }) }
    };
    length("nodes_treeids", a.tree_ids.len(), nodes)?;
    length("nodes_featureids", a.feature_ids.len(), nodes)?;
    length("nodes_values", a.values.len(), nodes)?;
    length("nodes_modes", a.modes.len(), nodes)?;
    length("nodes_truenodeids", a.true_ids.len(), nodes)?;
    length("nodes_falsenodeids", a.false_ids.len(), nodes)?;
    if !a.missing_tracks_true.is_empty() {
        length("nodes_missing_value_tracks_true", a.missing_tracks_true.len(), nodes)?;
    }
    let leaves = a.target_ids.len();
    length("target_treeids", a.target_tree_ids.len(), leaves)?;
    length("target_nodeids", a.target_node_ids.len(), leaves)?;
    length("target_weights", a.target_weights.len(), leaves)?;
    if !a.base_values.is_empty() {
        length("base_values", a.base_values.len(), usize::try_from(a.targets).unwrap_or_default())?;
    }
    let numbers = a.target_weights.iter().chain(a.base_values);
    if numbers.into_iter().all(|w| w.is_finite()) { Ok(()) } else { Err(TreeError::Weight) }
}

fn index_nodes(a: &Attributes) -> Result<Index, TreeError> {
    let mut index = Index::with_capacity(a.node_ids.len());
    for (at, (tree, node)) in a.tree_ids.iter().zip(a.node_ids).enumerate() {
        if index.insert((*tree, *node), at).is_some() {
            return Err(TreeError::Twice { tree: *tree, node: *node });
        }
    }
    Ok(index)
}

/// For each node the `(target, weight)` pairs that it adds. A node that gets one must be a leaf.
fn leaf_weights(a: &Attributes, index: &Index) -> Result<Vec<Vec<(u32, f64)>>, TreeError> {
    let mut weights = vec![Vec::new(); a.node_ids.len()];
    for (at, target) in a.target_ids.iter().enumerate() {
        let (tree, node) = (a.target_tree_ids[at], a.target_node_ids[at]);
        let leaf = index.get(&(tree, node)).filter(|leaf| a.modes[**leaf] == "LEAF");
        let leaf = *leaf.ok_or(TreeError::NotALeaf { tree, node })?;
        if !(0..a.targets).contains(target) {
            return Err(TreeError::Target { tree, node, target: *target });
        }
        weights[leaf].push((*target as u32, f64::from(a.target_weights[at])));
    }
    Ok(weights)
}

/// The children of an inner node, true first, as positions in the attributes; `None` for a leaf.
fn children(at: usize, a: &Attributes, index: &Index) -> Result<Option<[usize; 2]>, TreeError> {
    let (tree, node) = (a.tree_ids[at], a.node_ids[at]);
    if a.modes[at] == "LEAF" {
        return Ok(None);
    }
    let find = |child| index.get(&(tree, child)).copied().ok_or(TreeError::Child { tree, node, child });
    Ok(Some([find(a.true_ids[at])?, find(a.false_ids[at])?]))
}

/// Every tree must be a tree: its first node is the root, and each other node has exactly one parent. With that, a
/// node that the walk in [`Layout::place`] does not reach can only be part of a cycle.
fn check_shape(a: &Attributes, index: &Index) -> Result<Vec<usize>, TreeError> {
    let mut has_parent = vec![false; a.node_ids.len()];
    for at in 0..a.node_ids.len() {
        for child in children(at, a, index)?.into_iter().flatten() {
            if std::mem::replace(&mut has_parent[child], true) {
                return Err(TreeError::Parents { tree: a.tree_ids[child], node: a.node_ids[child] });
            }
        }
    }
    let mut root_of: HashMap<i64, usize> = HashMap::new();
    let mut roots = Vec::new();
    for (at, tree) in a.tree_ids.iter().enumerate() {
        let first = *root_of.entry(*tree).or_insert_with(|| {
            roots.push(at);
            at
        });
        if first == at && has_parent[at] {
            return Err(TreeError::Root { tree: *tree });
        }
        if first != at && !has_parent[at] {
            return Err(TreeError::Unreachable { tree: *tree, node: a.node_ids[at] });
        }
    }
    check_no_cycle(a, index, &roots)?;
    Ok(roots)
}

fn check_no_cycle(a: &Attributes, index: &Index, roots: &[usize]) -> Result<(), TreeError> {
    let mut reached = vec![false; a.node_ids.len()];
    let mut pending = roots.to_vec();
    while let Some(at) = pending.pop() {
        reached[at] = true;
        pending.extend(children(at, a, index)?.into_iter().flatten());
    }
    match reached.iter().position(|r| !r) {
        Some(at) => Err(TreeError::Unreachable { tree: a.tree_ids[at], node: a.node_ids[at] }),
        None => Ok(()),
    }
}

/// One ONNX test as one or two tests `x <= threshold`. `yes` and `no` are where the ONNX test leads.
enum Test {
    /// `x <= t`; swapped when the ONNX test is the opposite.
    One { threshold: f32, swapped: bool },
    /// `x <= t` and not `x <= below(t)`: equality; swapped for inequality.
    Equal { threshold: f32, swapped: bool },
}

fn test(at: usize, a: &Attributes) -> Result<Test, TreeError> {
    let (tree, node, value) = (a.tree_ids[at], a.node_ids[at], a.values[at]);
    if value.is_nan() {
        return Err(TreeError::Threshold { tree, node });
    }
    match a.modes[at] {
        "BRANCH_LEQ" => Ok(Test::One { threshold: value, swapped: false }),
        "BRANCH_LT" => Ok(Test::One { threshold: below(value), swapped: false }),
        "BRANCH_GT" => Ok(Test::One { threshold: value, swapped: true }),
        "BRANCH_GTE" => Ok(Test::One { threshold: below(value), swapped: true }),
        "BRANCH_EQ" => Ok(Test::Equal { threshold: value, swapped: false }),
        "BRANCH_NEQ" => Ok(Test::Equal { threshold: value, swapped: true }),
        mode => Err(TreeError::Mode { tree, node, mode: mode.to_owned() }),
    }
}

/// The threshold for which `x <= below(t)` says what `x < t` says, for every `x`: the next number down. Nothing is
/// less than negative infinity, and nothing compares to NaN, so NaN stands for *never*.
fn below(t: f32) -> f32 {
    if t == f32::NEG_INFINITY { f32::NAN } else { t.next_down() }
}

#[derive(Default)]
struct Layout {
    nodes: Vec<Node>,
    leaves: Vec<(u32, u32)>,
    weights: Vec<(u32, f64)>,
    highest_feature: usize,
}

impl Layout {
    /// Lays out one tree, parents before children; gives its root and its depth in steps.
    fn place(
        &mut self,
        root: usize,
        a: &Attributes,
        index: &Index,
        weights: &[Vec<(u32, f64)>],
    ) -> Result<(u32, usize), TreeError> {
        let first = self.nodes.len() as u32;
        // (position in the attributes, depth, the child pointers that lead here)
        let mut pending = vec![(root, 0, Vec::new())];
        let mut deepest = 0;
        while let Some((at, depth, pointers)) = pending.pop() {
            let place = self.nodes.len() as u32;
            for (node, side) in pointers {
                let node: &mut Node = &mut self.nodes[node as usize];
                node.children[side as usize] = place;
            }
            let Some([yes, no]) = children(at, a, index)? else {
                self.leaf(at, a, weights)?;
                deepest = deepest.max(depth);
                continue;
            };
            let (steps, to_yes, to_no) = self.inner(at, a)?;
            pending.push((no, depth + steps, to_no));
            pending.push((yes, depth + steps, to_yes));
        }
        Ok((first, deepest))
    }

    fn leaf(&mut self, at: usize, a: &Attributes, weights: &[Vec<(u32, f64)>]) -> Result<(), TreeError> {
        if weights[at].is_empty() {
            return Err(TreeError::NoWeight { tree: a.tree_ids[at], node: a.node_ids[at] });
        }
        let from = self.weights.len() as u32;
        self.weights.extend(&weights[at]);
        let own = self.nodes.len() as u32;
        self.push(Node { threshold: 0.0, feature_and_missing: 0, children: [own, own] });
        self.leaves[own as usize] = (from, self.weights.len() as u32);
        Ok(())
    }

    /// Adds the node or nodes of one ONNX test; gives the steps they take and the pointers that lead to yes and no.
    #[allow(clippy::type_complexity)]
    fn inner(
        &mut self,
        at: usize,
        a: &Attributes,
    ) -> Result<(usize, Vec<(u32, u8)>, Vec<(u32, u8)>), TreeError> {
        let (tree, node, feature) = (a.tree_ids[at], a.node_ids[at], a.feature_ids[at]);
        let index = u32::try_from(feature).ok().filter(|f| *f < 1 << 20);
        let index = index.ok_or(TreeError::Feature { tree, node, feature })?;
        self.highest_feature = self.highest_feature.max(index as usize);
        let missing_yes = match a.missing_tracks_true.get(at).copied().unwrap_or(0) {
            value @ 0..=1 => value == 1,
            value => return Err(TreeError::Missing { tree, node, value }),
        };
        let own = self.nodes.len() as u32;
        let make = |threshold, missing_true| Node {
            threshold,
            feature_and_missing: index << 1 | u32::from(missing_true),
            children: [own, own],
        };
        match test(at, a)? {
            Test::One { threshold, swapped } => {
                self.push(make(threshold, missing_yes != swapped));
                let (low, high) = (vec![(own, 1)], vec![(own, 0)]);
                Ok(if swapped { (1, high, low) } else { (1, low, high) })
            }
            Test::Equal { threshold, swapped } => {
                // Missing reaches the second test only when it counts as equal, and there it is not below.
                self.push(make(threshold, missing_yes != swapped));
                self.push(make(below(threshold), false));
                self.nodes[own as usize].children[1] = own + 1;
                let (equal, other) = (vec![(own + 1, 0)], vec![(own, 0), (own + 1, 1)]);
                Ok(if swapped { (2, other, equal) } else { (2, equal, other) })
            }
        }
    }

    fn push(&mut self, node: Node) {
        self.nodes.push(node);
        self.leaves.push((0, 0));
    }
}

#[cfg(test)]
mod tests;
