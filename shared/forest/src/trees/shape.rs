//! What a tree ensemble's attributes describe, checked: which node is a root, where each test leads, what each leaf adds.

use std::collections::{HashMap, HashSet};

use super::{Attributes, TreeError};

/// Far above any model that fits in a Lambda package; a damaged length cannot make us allocate more.
const MAX_NODES: usize = 4_000_000;
/// Most targets that one operator may have.
const MAX_TARGETS: i64 = 256;

/// The trees as positions in the attributes. Every node is reached from exactly one root by exactly one path.
pub(super) struct Shape {
    /// One per tree, in the order of the attributes.
    pub roots: Vec<usize>,
    /// Where each test leads, true first; `None` for a leaf.
    children: Vec<Option<[u32; 2]>>,
    /// `leaf_weights[at]..leaf_weights[at + 1]` is the range of `weights` that the leaf at `at` adds.
    ranges: Vec<u32>,
    weights: Vec<(u32, f32)>,
}

impl Shape {
    pub fn check(a: &Attributes) -> Result<Self, TreeError> {
        check_lengths(a)?;
        let index = Index::new(a)?;
        let (ranges, weights) = leaf_weights(a, &index)?;
        let children = (0..a.node_ids.len()).map(|at| children(at, a, &index)).collect::<Result<_, _>>()?;
        let mut shape = Self { roots: Vec::new(), children, ranges, weights };
        shape.roots = shape.find_roots(a)?;
        shape.check_reached(a)?;
        Ok(shape)
    }

    /// Where the test at `at` leads, true first; `None` for a leaf.
    pub fn children(&self, at: usize) -> Option<[usize; 2]> {
        self.children[at].map(|pair| pair.map(|child| child as usize))
    }

    /// The `(target, weight)` pairs of a leaf; empty for a test.
    pub fn weights(&self, at: usize) -> &[(u32, f32)] {
        &self.weights[self.ranges[at] as usize..self.ranges[at + 1] as usize]
    }

    /// A tree's first node is its root; each other node has exactly one parent.
    fn find_roots(&self, a: &Attributes) -> Result<Vec<usize>, TreeError> {
        let mut has_parent = vec![false; self.children.len()];
        for child in self.children.iter().flatten().flatten() {
            let child = *child as usize;
            if std::mem::replace(&mut has_parent[child], true) {
                return Err(TreeError::Parents { tree: a.tree_ids[child], node: a.node_ids[child] });
            }
        }
        let mut seen = HashSet::new();
        let mut roots = Vec::new();
        let mut last = None;
        for (at, tree) in a.tree_ids.iter().enumerate() {
            let first = last != Some(*tree) && seen.insert(*tree);
            last = Some(*tree);
            match (first, has_parent[at]) {
                (true, true) => return Err(TreeError::Root { tree: *tree }),
                (true, false) => roots.push(at),
                (false, true) => {}
                (false, false) => {
                    return Err(TreeError::Unreachable { tree: *tree, node: a.node_ids[at] });
                }
            }
        }
        Ok(roots)
    }

    /// With one parent each, a node that no root leads to can only be part of a cycle.
    fn check_reached(&self, a: &Attributes) -> Result<(), TreeError> {
        let mut reached = vec![false; self.children.len()];
        let mut pending = self.roots.clone();
        while let Some(at) = pending.pop() {
            reached[at] = true;
            pending.extend(self.children(at).into_iter().flatten());
        }
        match reached.iter().position(|r| !r) {
            Some(at) => Err(TreeError::Unreachable { tree: a.tree_ids[at], node: a.node_ids[at] }),
            None => Ok(()),
        }
    }
}

fn check_lengths(a: &Attributes) -> Result<(), TreeError> {
    let nodes = a.node_ids.len();
    if !(1..=MAX_NODES).contains(&nodes) {
        return Err(TreeError::Nodes { found: nodes, most: MAX_NODES });
    }
    if !(1..=MAX_TARGETS).contains(&a.targets) {
        return Err(TreeError::Targets { found: a.targets, most: MAX_TARGETS });
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
    for (name, optional) in [
        ("nodes_missing_value_tracks_true", a.missing_tracks_true.len()),
        ("nodes_hitrates", a.hit_rates.len()),
    ] {
        if optional != 0 {
            length(name, optional, nodes)?;
        }
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

/// Where each node stands, by tree id and node id.
///
/// Exporters write a tree's nodes in one run with counted ids, and then a subtraction finds a node; anything else goes
/// through a table.
enum Index {
    Runs(HashMap<i64, Run>),
    Table(HashMap<(i64, i64), usize>),
}

/// Nodes `first..first + length` of one tree stand at `start` and after it.
struct Run {
    start: usize,
    first: i64,
    length: i64,
}

impl Index {
    fn new(a: &Attributes) -> Result<Self, TreeError> {
        match Self::runs(a) {
            Some(runs) => Ok(Self::Runs(runs)),
            None => Self::table(a).map(Self::Table),
        }
    }

    fn runs(a: &Attributes) -> Option<HashMap<i64, Run>> {
        let mut runs = HashMap::new();
        let mut start = 0;
        for trees in a.tree_ids.chunk_by(|one, next| one == next) {
            let ids = &a.node_ids[start..start + trees.len()];
            let counted = ids.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
            let run = Run { start, first: ids[0], length: ids.len() as i64 };
            if !counted || runs.insert(trees[0], run).is_some() {
                return None;
            }
            start += trees.len();
        }
        Some(runs)
    }

    fn table(a: &Attributes) -> Result<HashMap<(i64, i64), usize>, TreeError> {
        let mut table = HashMap::with_capacity(a.node_ids.len());
        for (at, (tree, node)) in a.tree_ids.iter().zip(a.node_ids).enumerate() {
            if table.insert((*tree, *node), at).is_some() {
                return Err(TreeError::Twice { tree: *tree, node: *node });
            }
        }
        Ok(table)
    }

    fn find(&self, tree: i64, node: i64) -> Option<usize> {
        match self {
            Self::Runs(runs) => {
                let run = runs.get(&tree)?;
                let place = node.checked_sub(run.first).filter(|place| (0..run.length).contains(place))?;
                Some(run.start + place as usize)
            }
            Self::Table(table) => table.get(&(tree, node)).copied(),
        }
    }
}

fn children(at: usize, a: &Attributes, index: &Index) -> Result<Option<[u32; 2]>, TreeError> {
    let (tree, node) = (a.tree_ids[at], a.node_ids[at]);
    if a.modes[at] == "LEAF" {
        return Ok(None);
    }
    let find =
        |child| index.find(tree, child).map(|at| at as u32).ok_or(TreeError::Child { tree, node, child });
    Ok(Some([find(a.true_ids[at])?, find(a.false_ids[at])?]))
}

/// Ranges by node into `(target, weight)` pairs. Every leaf has at least one, no test has any.
#[allow(clippy::type_complexity)]
fn leaf_weights(a: &Attributes, index: &Index) -> Result<(Vec<u32>, Vec<(u32, f32)>), TreeError> {
    let mut entries = Vec::with_capacity(a.target_ids.len());
    for (at, target) in a.target_ids.iter().enumerate() {
        let (tree, node) = (a.target_tree_ids[at], a.target_node_ids[at]);
        let leaf = index.find(tree, node).filter(|leaf| a.modes[*leaf] == "LEAF");
        let leaf = leaf.ok_or(TreeError::NotALeaf { tree, node })?;
        if !(0..a.targets).contains(target) {
            return Err(TreeError::Target { tree, node, target: *target });
        }
        entries.push((leaf as u32, (*target as u32, a.target_weights[at])));
    }
    entries.sort_by_key(|(leaf, _)| *leaf);
    let mut ranges = vec![0_u32; a.node_ids.len() + 1];
    for (leaf, _) in &entries {
        ranges[*leaf as usize + 1] += 1;
    }
    for at in 0..a.node_ids.len() {
        if a.modes[at] == "LEAF" && ranges[at + 1] == 0 {
            return Err(TreeError::NoWeight { tree: a.tree_ids[at], node: a.node_ids[at] });
        }
        ranges[at + 1] += ranges[at];
    }
    Ok((ranges, entries.into_iter().map(|(_, weight)| weight).collect()))
}
