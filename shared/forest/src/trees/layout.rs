//! Nodes in the order in which a walk reads them, eight bytes each.

use super::{Attributes, Shape, TreeError};

/// Most features: what fits beside the offset in [`Node`], less the one that leaves read.
const MAX_FEATURE: u32 = (1 << FEATURE_BITS) - 2;
const FEATURE_BITS: u32 = 12;
/// Most nodes of one tree.
const MAX_TREE: u32 = (1 << (30 - FEATURE_BITS)) - 1;
const MISSING: u32 = 0b10;
const EQUAL: u32 = 0b01;

/// One test. The child for *false* stands `offset` places on, the child for *true* right behind it.
///
/// A leaf leads to itself: its offset is zero and it reads a feature that is always missing, so its test is false. Its
/// threshold is what it adds, or the sign that [`Layout::ranges`] must be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    threshold: f32,
    /// Offset (18 bits), feature (12 bits), whether a missing value counts as true, whether the test is for equality.
    packed: u32,
}

impl Node {
    /// Where a walk goes from here. `row` ends with a NaN of its own, for leaves.
    #[inline(always)]
    pub fn next<const EQUALITY: bool>(self, row: &[f32]) -> u32 {
        let x = row[(self.packed >> 2) as usize & ((1 << FEATURE_BITS) - 1)];
        let mut holds = x <= self.threshold;
        if EQUALITY {
            holds &= (self.packed & EQUAL == 0) | (x == self.threshold);
        }
        let missing = x.is_nan() & (self.packed & MISSING != 0);
        (self.packed >> (2 + FEATURE_BITS)) + u32::from(holds | missing)
    }

    /// What a leaf of a narrow tree adds.
    #[inline(always)]
    pub fn weight(self) -> f32 {
        self.threshold
    }
}

/// One tree: where it starts, how many steps its longest path takes, and what its leaves add to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree {
    pub root: u32,
    pub depth: u32,
    /// The target of every leaf; `None` for a tree with leaves that add to several, or to different ones.
    pub target: Option<u32>,
}

/// An ONNX test as `x <= threshold` or `x == threshold`, with the children swapped where it is the opposite.
#[derive(Clone, Copy)]
pub(crate) struct Test {
    pub feature: u32,
    pub threshold: f32,
    pub equal: bool,
    pub swapped: bool,
    /// A missing value takes the child that the ONNX test calls true.
    pub missing_true: bool,
}

impl Test {
    pub fn read(at: usize, a: &Attributes) -> Result<Self, TreeError> {
        let (tree, node, value, feature) = (a.tree_ids[at], a.node_ids[at], a.values[at], a.feature_ids[at]);
        if value.is_nan() {
            return Err(TreeError::Threshold { tree, node });
        }
        let index = u32::try_from(feature).ok().filter(|feature| *feature <= MAX_FEATURE);
        let index = index.ok_or(TreeError::Feature { tree, node, feature, most: MAX_FEATURE })?;
        let missing_true = match a.missing_tracks_true.get(at).copied().unwrap_or(0) {
            value @ 0..=1 => value == 1,
            value => return Err(TreeError::Missing { tree, node, value }),
        };
        let (threshold, equal, swapped) = match a.modes[at] {
            "BRANCH_LEQ" => (value, false, false),
            "BRANCH_LT" => (below(value), false, false),
            "BRANCH_GT" => (value, false, true),
            "BRANCH_GTE" => (below(value), false, true),
            "BRANCH_EQ" => (value, true, false),
            "BRANCH_NEQ" => (value, true, true),
            mode => return Err(TreeError::Mode { tree, node, mode: mode.to_owned() }),
        };
        Ok(Self { feature: index, threshold, equal, swapped, missing_true })
    }
}

/// The threshold for which `x <= below(t)` says what `x < t` says, for every `x`: the next number down. Nothing is
/// less than negative infinity, and nothing compares to NaN, so NaN stands for *never*.
fn below(t: f32) -> f32 {
    if t == f32::NEG_INFINITY { f32::NAN } else { t.next_down() }
}

/// All trees, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub nodes: Vec<Node>,
    pub trees: Vec<Tree>,
    /// For leaves of wide trees the range of `weights` that they add; empty when there is no wide tree.
    pub ranges: Vec<(u32, u32)>,
    pub weights: Vec<(u32, f32)>,
    /// Values that a row must have: one more than the highest feature that is read.
    pub width: usize,
    /// Whether any test is for equality.
    pub equality: bool,
}

impl Layout {
    pub fn new(a: &Attributes, shape: &Shape) -> Result<Self, TreeError> {
        let mut layout = Self::default();
        let targets: Vec<_> = shape.roots.iter().map(|root| only_target(*root, shape)).collect();
        let wide = targets.iter().any(Option::is_none);
        for (root, target) in shape.roots.iter().zip(targets) {
            let tree = layout.place(*root, target, a, shape)?;
            layout.trees.push(tree);
        }
        if !wide {
            layout.ranges = Vec::new();
        }
        // Trees of like depth go together: a walk of eight takes as many steps as the deepest of them.
        layout.trees.sort_by_key(|tree| tree.depth);
        let never = layout.width as u32;
        for node in layout.nodes.iter_mut().filter(|node| node.packed == u32::MAX) {
            node.packed = never << 2;
        }
        Ok(layout)
    }

    /// Lays out one tree: a pair of children next to each other, the pair of the true child right behind.
    fn place(
        &mut self,
        root: usize,
        target: Option<u32>,
        a: &Attributes,
        shape: &Shape,
    ) -> Result<Tree, TreeError> {
        let first = self.reserve(1);
        let mut deepest = 0;
        let mut pending = vec![(root, first, 0)];
        while let Some((at, place, depth)) = pending.pop() {
            let Some([yes, no]) = shape.children(at) else {
                self.leaf(at, place, target, shape);
                deepest = deepest.max(depth);
                continue;
            };
            let pair = self.reserve(2);
            if pair - first > MAX_TREE {
                return Err(TreeError::Large { tree: a.tree_ids[at], most: MAX_TREE });
            }
            let test = Test::read(at, a)?;
            self.width = self.width.max(test.feature as usize + 1);
            self.equality |= test.equal;
            let missing = if test.missing_true != test.swapped { MISSING } else { 0 };
            let equal = if test.equal { EQUAL } else { 0 };
            let packed = (pair - place) << (2 + FEATURE_BITS) | test.feature << 2 | missing | equal;
            self.nodes[place as usize] = Node { threshold: test.threshold, packed };
            let (holds, fails) = if test.swapped { (no, yes) } else { (yes, no) };
            pending.push((fails, pair, depth + 1));
            pending.push((holds, pair + 1, depth + 1));
        }
        Ok(Tree { root: first, depth: deepest, target })
    }

    fn reserve(&mut self, places: usize) -> u32 {
        let first = self.nodes.len();
        self.nodes.resize(first + places, Node { threshold: f32::NAN, packed: u32::MAX });
        self.ranges.resize(first + places, (0, 0));
        first as u32
    }

    fn leaf(&mut self, at: usize, place: u32, target: Option<u32>, shape: &Shape) {
        let weights = shape.weights(at);
        if target.is_some() {
            self.nodes[place as usize].threshold = weights[0].1;
            return;
        }
        let from = self.weights.len() as u32;
        self.weights.extend(weights);
        self.ranges[place as usize] = (from, self.weights.len() as u32);
    }
}

/// The one target that every leaf of a tree adds to, once.
fn only_target(root: usize, shape: &Shape) -> Option<u32> {
    let mut only = None;
    let mut pending = vec![root];
    while let Some(at) = pending.pop() {
        match (shape.children(at), shape.weights(at)) {
            (Some(pair), _) => pending.extend(pair),
            (None, [(target, _)]) if only.is_none_or(|only| only == *target) => only = Some(*target),
            (None, _) => return None,
        }
    }
    only
}
