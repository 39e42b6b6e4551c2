//! Nodes in the order in which a walk reads them, eight bytes each.

use super::{Attributes, Keys, Shape, TreeError};

/// Most features: two places for each in [`Node`], less the one that leaves read.
const MAX_FEATURE: u32 = (1 << (PLACE_BITS - 1)) - 2;
const PLACE_BITS: u32 = 13;
/// Most nodes of one tree.
const MAX_TREE: u32 = (1 << (31 - PLACE_BITS)) - 1;
const EQUAL: u32 = 1 << PLACE_BITS;
/// Stands in a leaf until the number of keys is known.
const LEAF: u32 = EQUAL - 1;

/// The key of a missing value that is to pass every test, and of one that is to fail every test.
const PASSES: i32 = i32::MIN;
const FAILS: i32 = i32::MAX;

/// A number that compares as the float does, with both zeros the same; above [`PASSES`] and below [`FAILS`].
#[inline(always)]
fn key(x: f32) -> i32 {
    let bits = (x + 0.0).to_bits() as i32;
    // A negative float's magnitude counts the other way round.
    bits ^ (((bits >> 31) as u32) >> 1) as i32
}

/// The float that has this key.
fn float(key: i32) -> f32 {
    f32::from_bits((key ^ (((key >> 31) as u32) >> 1) as i32) as u32)
}

/// Writes a row's keys: two for each feature, which differ where it is missing, and behind them one that fails every
/// test, for leaves. A test reads the one that sends a missing value to its side, so it need not ask.
fn write_keys(row: &[f32], keys: &mut [i32]) {
    let (pairs, last) = keys.as_chunks_mut::<2>();
    for (pair, x) in pairs.iter_mut().zip(row) {
        *pair = if x.is_nan() { [PASSES, FAILS] } else { [key(*x); 2] };
    }
    last.fill(FAILS);
}

/// How many keys a row of so many features has.
fn keys_of(width: usize) -> usize {
    2 * width + 1
}

/// One test. The child for *false* stands `offset` places on, the child for *true* right behind it.
///
/// A leaf leads to itself: its offset is zero and it reads the key that fails every test. Its threshold is what it
/// adds, a finite float's bits, which are below that key; or nothing, and [`Layout::ranges`] must be asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Node {
    threshold: i32,
    /// Offset (18 bits), whether the test is for equality, and the place of the key that it reads (13 bits).
    packed: u32,
}

impl Node {
    /// How many places on a walk goes from here.
    #[inline(always)]
    pub fn next<const EQUALITY: bool>(self, keys: &[i32]) -> u32 {
        let key = keys[(self.packed & (EQUAL - 1)) as usize];
        let mut holds = key <= self.threshold;
        if EQUALITY {
            holds &= (self.packed & EQUAL == 0) | (key == self.threshold) | (key == PASSES);
        }
        self.offset() + u32::from(holds)
    }

    /// Zero for a leaf.
    #[inline(always)]
    pub fn offset(self) -> u32 {
        self.packed >> (PLACE_BITS + 1)
    }

    /// What a leaf of a narrow tree adds.
    #[inline(always)]
    pub fn weight(self) -> f32 {
        f32::from_bits(self.threshold as u32)
    }

    /// The test, and where it leads from its place, passed first; `None` for a leaf.
    pub fn follow(self, place: u32) -> Option<(Split, [u32; 2])> {
        let key = self.packed & (EQUAL - 1);
        let threshold = if self.threshold == PASSES { f32::NAN } else { float(self.threshold) };
        let split = Split {
            feature: key / 2,
            threshold,
            missing: key.is_multiple_of(2),
            equal: self.packed & EQUAL != 0,
        };
        match self.offset() {
            0 => None,
            offset => Some((split, [place + offset + 1, place + offset])),
        }
    }

    /// Whether its threshold is one that a float has, or the one that nothing passes.
    pub fn has_threshold(self) -> bool {
        self.threshold == PASSES || !float(self.threshold).is_nan()
    }

    /// Whether it goes nowhere, when rows have so many keys, and adds a finite number.
    pub fn is_leaf(self, keys: usize) -> bool {
        self.packed as usize == keys - 1 && self.weight().is_finite()
    }

    pub fn to_bits(self) -> [u32; 2] {
        [self.threshold as u32, self.packed]
    }

    pub fn from_bits([threshold, packed]: [u32; 2]) -> Self {
        Self { threshold: threshold as i32, packed }
    }
}

/// A test as it is laid out: `x <= threshold`, and whether a missing value passes. Nothing passes a threshold of NaN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Split {
    pub feature: u32,
    pub threshold: f32,
    pub missing: bool,
    /// It is `x == threshold`.
    pub equal: bool,
}

/// One tree: where it starts, how many steps its longest path takes, and what its leaves add to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tree {
    pub root: u32,
    pub depth: u32,
    /// The target of every leaf; `None` for a tree with leaves that add to several, or to different ones.
    pub target: Option<u32>,
}

/// An ONNX test as `x <= threshold` or `x == threshold`, with the children swapped where it is the opposite.
#[derive(Clone, Copy)]
struct Test {
    feature: u32,
    threshold: f32,
    equal: bool,
    swapped: bool,
    /// A missing value takes the child that the ONNX test calls true.
    missing_true: bool,
}

impl Test {
    fn read(at: usize, a: &Attributes) -> Result<Self, TreeError> {
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
pub(crate) struct Layout {
    pub nodes: Vec<Node>,
    pub trees: Vec<Tree>,
    /// How many training rows reached each node; empty when the model does not say.
    pub reached: Vec<f32>,
    /// For leaves of wide trees the range of `weights` that they add; empty when there is no wide tree.
    pub ranges: Vec<(u32, u32)>,
    pub weights: Vec<(u32, f32)>,
    /// Values that a row must have: one more than the highest feature that is read.
    pub width: usize,
    /// Whether any test is for equality.
    pub equality: bool,
}

impl Layout {
    pub(super) fn new(a: &Attributes, shape: &Shape) -> Result<Self, TreeError> {
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
        if a.hit_rates.is_empty() {
            layout.reached = Vec::new();
        }
        // Trees of like depth go together: a walk of eight takes as many steps as the deepest of them.
        layout.trees.sort_by_key(|tree| tree.depth);
        let last = keys_of(layout.width) as u32 - 1;
        for node in layout.nodes.iter_mut().filter(|node| node.packed == LEAF) {
            node.packed = last;
        }
        Ok(layout)
    }

    /// The test at a place, and where it leads, passed first; `None` for a leaf.
    pub fn test(&self, place: u32) -> Option<(Split, [u32; 2])> {
        self.nodes[place as usize].follow(place)
    }

    /// Tells what the leaf at a place adds, target by target.
    pub fn leaf_weights(&self, tree: &Tree, place: u32, mut told: impl FnMut(u32, f32)) {
        match tree.target {
            Some(target) => told(target, self.nodes[place as usize].weight()),
            None => {
                let (from, to) = self.ranges[place as usize];
                self.weights[from as usize..to as usize]
                    .iter()
                    .for_each(|(target, weight)| told(*target, *weight));
            }
        }
    }

    /// Keys of one row.
    pub fn stride(&self) -> usize {
        keys_of(self.width)
    }

    /// The keys of rows of `width` values, in the room of `keys`.
    pub fn keys<'a>(&self, features: &[f32], width: usize, keys: &'a mut Keys) -> &'a [i32] {
        let stride = self.stride();
        let length = features.len() / width * stride;
        if keys.0.len() < length {
            keys.0.resize(length, FAILS);
        }
        for (row, keys) in features.chunks_exact(width).zip(keys.0.chunks_exact_mut(stride)) {
            write_keys(row, keys);
        }
        &keys.0[..length]
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
            self.reached[place as usize] = a.hit_rates.get(at).copied().unwrap_or_default();
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
            let fails = u32::from(test.missing_true == test.swapped);
            let equal = if test.equal { EQUAL } else { 0 };
            let packed = (pair - place) << (PLACE_BITS + 1) | equal | (2 * test.feature + fails);
            let threshold = if test.threshold.is_nan() { PASSES } else { key(test.threshold) };
            self.nodes[place as usize] = Node { threshold, packed };
            let (holds, fails) = if test.swapped { (no, yes) } else { (yes, no) };
            pending.push((fails, pair, depth + 1));
            pending.push((holds, pair + 1, depth + 1));
        }
        Ok(Tree { root: first, depth: deepest, target })
    }

    fn reserve(&mut self, places: usize) -> u32 {
        let first = self.nodes.len();
        self.nodes.resize(first + places, Node { threshold: 0, packed: LEAF });
        self.ranges.resize(first + places, (0, 0));
        self.reached.resize(first + places, 0.0);
        first as u32
    }

    fn leaf(&mut self, at: usize, place: u32, target: Option<u32>, shape: &Shape) {
        let weights = shape.weights(at);
        if target.is_some() {
            self.nodes[place as usize].threshold = weights[0].1.to_bits() as i32;
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
