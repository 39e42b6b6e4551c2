//! Exact Shapley values of tree ensembles, path-dependent: what a feature is unknown to a tree, it takes both ways in
//! the proportion in which the training rows took them. That is LightGBM's `pred_contrib` and `shap`'s
//! `tree_path_dependent`; no background data is needed.
//!
//! For one leaf the game is a product over the features on its path: a feature that is known gives 1 or 0 (the row
//! passes its tests or not), one that is unknown the share `z` of training rows that passed them. The Shapley value of
//! a product is an integral over the chance `t` that another feature is known,
//!
//! ```text
//! phi(i) = weight * (o(i) - z(i)) * integral from 0 to 1 of product over j != i of (z(j) + t * (o(j) - z(j))) dt
//! ```
//!
//! whose integrand is a polynomial, so Gauss-Legendre quadrature with half as many points as the path has features is
//! exact. (Lundberg et al. 2020 for the values, Bifet et al. 2022, Linear TreeShap, for the polynomial.) A leaf costs its
//! features times those points, without recursion, and in numbers that are all between 0 and 1.

use std::sync::LazyLock;

use crate::trees::{Aggregate, Attributes, Split, Tree, TreeError, Trees};

/// Most different features on one path.
const MAX_FEATURES_ON_PATH: usize = 64;

/// The paths of every leaf of an ensemble, ready to explain rows.
#[derive(Clone, Debug)]
pub struct Explainer {
    /// By the number of quadrature points that they need: 1, 2, 4, 8, 16 and 32.
    classes: [Paths; 6],
    expected: Vec<f64>,
    width: usize,
}

/// What is to be done on the way through a tree.
enum Step {
    /// Go to a node, by the side of its parent's test that is passed or not, as that share of the training rows did.
    Down { place: u32, by: Option<(Split, bool, f64)> },
    /// Leave a node: put back what stood in the path, or take its last feature away.
    Up(Option<(usize, OnPath)>),
}

/// The leaves that need the same number of points, and behind one another the features on their paths.
#[derive(Clone, Debug, Default)]
struct Paths {
    leaves: Vec<Leaf>,
    features: Vec<OnPath>,
}

#[derive(Clone, Copy, Debug)]
struct Leaf {
    weight: f32,
    target: u16,
    features: u16,
}

/// All tests of one feature on the way to a leaf: `low < x <= high`.
#[derive(Clone, Copy, Debug)]
struct OnPath {
    low: f32,
    high: f32,
    feature: u16,
    /// Whether a missing value passes all of them.
    missing: bool,
    /// Share of the training rows that passed, of those that got to the tests.
    share: f64,
}

impl OnPath {
    fn holds(&self, x: f32) -> bool {
        // A `low` of NaN stands for no bound.
        let too_low = x <= self.low;
        if x.is_nan() { self.missing } else { !too_low && x <= self.high }
    }
}

impl Explainer {
    /// Reads the paths out of an ensemble that sums its leaves. `nodes_hitrates` must say how many training rows reached
    /// each node.
    ///
    /// # Errors
    /// [`TreeError`]: what [`Trees::build`] refuses, an aggregate other than the sum, tests for equality, nodes that no
    /// training row reached, and paths with more than 64 features.
    pub fn build(a: &Attributes) -> Result<Self, TreeError> {
        let trees = Trees::build(a)?;
        check_hit_rates(a)?;
        Self::of(&trees)
    }

    /// The same for trees whose hit rates were found to be above zero.
    pub(crate) fn of(trees: &Trees) -> Result<Self, TreeError> {
        check_sums(trees)?;
        let mut explainer =
            Self { classes: Default::default(), expected: trees.base.clone(), width: trees.width() };
        for tree in &trees.layout.trees {
            explainer.add_tree(trees, tree)?;
        }
        Ok(explainer)
    }

    /// Whether [`Explainer::of`] will succeed: without reading the paths, unless there may be one that is too long.
    pub(crate) fn check(trees: &Trees) -> Result<(), TreeError> {
        let deep = trees.layout.trees.iter().any(|tree| tree.depth as usize > MAX_FEATURES_ON_PATH);
        if deep { Self::of(trees).map(drop) } else { check_sums(trees) }
    }

    /// Follows every path, with a list of what is to be done: a tree may be deeper than the stack.
    fn add_tree(&mut self, trees: &Trees, tree: &Tree) -> Result<(), TreeError> {
        let mut path = Vec::new();
        let mut pending = vec![Step::Down { place: tree.root, by: None }];
        while let Some(step) = pending.pop() {
            let (place, by) = match step {
                Step::Down { place, by } => (place, by),
                Step::Up(Some((at, on_path))) => {
                    path[at] = on_path;
                    continue;
                }
                Step::Up(None) => {
                    path.pop();
                    continue;
                }
            };
            if let Some((test, passes, share)) = by {
                pending.push(Step::Up(extend(&mut path, &test, passes, share)));
                if path.len() > MAX_FEATURES_ON_PATH {
                    let value = format!("more than {MAX_FEATURES_ON_PATH} features");
                    return Err(TreeError::Unsupported { name: "a path, in an explanation,", value });
                }
            }
            let Some((test, [passed, failed])) = trees.layout.test(place) else {
                let reached: f64 = path.iter().map(|on_path| on_path.share).product();
                trees.layout.leaf_weights(tree, place, |target, weight| {
                    self.expected[target as usize] += f64::from(weight) * reached;
                    self.add_leaf(target, weight, &path);
                });
                continue;
            };
            let rate = |place: u32| f64::from(trees.layout.reached[place as usize]);
            for (child, passes) in [(failed, false), (passed, true)] {
                let by = Some((test, passes, rate(child) / rate(place)));
                pending.push(Step::Down { place: child, by });
            }
        }
        Ok(())
    }

    fn add_leaf(&mut self, target: u32, weight: f32, path: &[OnPath]) {
        let points = path.len().div_ceil(2).max(1).next_power_of_two();
        let class = &mut self.classes[points.trailing_zeros() as usize];
        class.leaves.push(Leaf { weight, target: target as u16, features: path.len() as u16 });
        class.features.extend_from_slice(path);
    }

    /// How many targets the ensemble has.
    pub fn targets(&self) -> usize {
        self.expected.len()
    }

    /// What each target is when nothing is known about a row.
    pub fn expected(&self) -> &[f64] {
        &self.expected
    }

    /// Adds to `contributions` (one place per feature) what each feature contributes to the sum of the targets, each
    /// times its weight. With all of them, `sum of weights * expected` becomes `sum of weights * target`. A target of
    /// weight zero costs nothing.
    ///
    /// # Errors
    /// [`TreeError::Width`] when `row` or `contributions` has no place for a feature that the trees read, and
    /// [`TreeError::Length`] when `weights` are not one per target.
    pub fn explain(&self, row: &[f32], weights: &[f64], contributions: &mut [f64]) -> Result<(), TreeError> {
        let found = row.len().min(contributions.len());
        if found < self.width {
            return Err(TreeError::Width { found, needed: self.width - 1 });
        }
        let (found, expected) = (weights.len(), self.targets());
        if found != expected {
            return Err(TreeError::Length { name: "weights", found, expected });
        }
        let ([one, two, four, eight, sixteen, thirty_two], rules) = (&self.classes, &*RULES);
        rules.one.explain(one, row, weights, contributions);
        rules.two.explain(two, row, weights, contributions);
        rules.four.explain(four, row, weights, contributions);
        rules.eight.explain(eight, row, weights, contributions);
        rules.sixteen.explain(sixteen, row, weights, contributions);
        rules.thirty_two.explain(thirty_two, row, weights, contributions);
        Ok(())
    }
}

/// Refuses what has no paths to be read.
fn check_sums(trees: &Trees) -> Result<(), TreeError> {
    let unsupported = |name, value: &str| Err(TreeError::Unsupported { name, value: value.to_owned() });
    if trees.aggregate != Aggregate::Sum {
        return unsupported("aggregate_function", "anything but SUM, in an explanation");
    }
    if trees.layout.equality {
        return unsupported("nodes_modes", "a test for equality, in an explanation");
    }
    if trees.layout.reached.is_empty() {
        return unsupported("nodes_hitrates", "none, in an explanation");
    }
    Ok(())
}

/// Refuses nodes that no training row reached.
pub(crate) fn check_hit_rates(a: &Attributes) -> Result<(), TreeError> {
    let ids = a.tree_ids.iter().zip(a.node_ids);
    match a.hit_rates.iter().zip(ids).find(|(rate, _)| !is_reached(**rate)) {
        Some((_, (tree, node))) => Err(TreeError::HitRate { tree: *tree, node: *node }),
        None => Ok(()),
    }
}

/// Shares are quotients of hit rates.
pub(crate) fn is_reached(rate: f32) -> bool {
    rate.is_finite() && rate > 0.0
}

/// One more test on a path: narrows what its feature may be. Gives what stood there before; `None` when the feature is
/// new, and last.
fn extend(path: &mut Vec<OnPath>, test: &Split, passes: bool, share: f64) -> Option<(usize, OnPath)> {
    let feature = test.feature as u16;
    let found = path.iter().position(|on_path| on_path.feature == feature);
    let before = found.map(|at| (at, path[at]));
    let at = found.unwrap_or_else(|| {
        path.push(OnPath { low: f32::NAN, high: f32::INFINITY, feature, missing: true, share: 1.0 });
        path.len() - 1
    });
    let on_path = &mut path[at];
    on_path.share *= share;
    on_path.missing &= test.missing == passes;
    if !passes {
        // `max` takes the number where one side is NaN; a threshold that nothing passes bounds nothing.
        on_path.low = on_path.low.max(test.threshold);
    } else if test.threshold.is_nan() {
        on_path.high = f32::NAN;
    } else if !on_path.high.is_nan() {
        on_path.high = on_path.high.min(test.threshold);
    }
    before
}

/// Gauss-Legendre on 0 to 1: `POINTS` points integrate every polynomial of degree `2 * POINTS - 1` exactly.
struct Quadrature<const POINTS: usize> {
    points: [f64; POINTS],
    weights: [f64; POINTS],
    /// `1 / (1 - point)`
    unknown: [f64; POINTS],
}

/// The rules for every class of paths, worked out once.
struct Rules {
    one: Quadrature<1>,
    two: Quadrature<2>,
    four: Quadrature<4>,
    eight: Quadrature<8>,
    sixteen: Quadrature<16>,
    thirty_two: Quadrature<32>,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
    one: Quadrature::new(),
    two: Quadrature::new(),
    four: Quadrature::new(),
    eight: Quadrature::new(),
    sixteen: Quadrature::new(),
    thirty_two: Quadrature::new(),
});

impl<const POINTS: usize> Quadrature<POINTS> {
    /// Newton's method on the Legendre polynomial.
    fn new() -> Self {
        let (mut points, mut weights) = ([0.0; POINTS], [0.0; POINTS]);
        let degree = POINTS as f64;
        for at in 0..POINTS {
            let mut x = (std::f64::consts::PI * (at as f64 + 0.75) / (degree + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..8 {
                let (mut value, mut before) = (1.0, 0.0);
                for step in 1..=POINTS {
                    let n = step as f64;
                    (value, before) = (((2.0 * n - 1.0) * x * value - (n - 1.0) * before) / n, value);
                }
                slope = degree * (x * value - before) / (x * x - 1.0);
                x -= value / slope;
            }
            points[at] = (1.0 - x) / 2.0;
            weights[at] = 1.0 / ((1.0 - x * x) * slope * slope);
        }
        Self { points, weights, unknown: points.map(|point| 1.0 / (1.0 - point)) }
    }

    fn explain(&self, paths: &Paths, row: &[f32], weights: &[f64], contributions: &mut [f64]) {
        let mut rest = paths.features.as_slice();
        for leaf in &paths.leaves {
            let (path, behind) = rest.split_at(usize::from(leaf.features));
            rest = behind;
            let weight = weights[usize::from(leaf.target)] * f64::from(leaf.weight);
            if weight != 0.0 {
                self.add_leaf(path, weight, row, contributions);
            }
        }
    }

    #[inline(always)]
    fn add_leaf(&self, path: &[OnPath], weight: f64, row: &[f32], contributions: &mut [f64]) {
        let mut product = self.weights.map(|w| w * weight);
        let mut known = 0_u64;
        for (at, on_path) in path.iter().enumerate() {
            let holds = on_path.holds(row[usize::from(on_path.feature)]);
            known |= u64::from(holds) << at;
            let step = f64::from(u8::from(holds)) - on_path.share;
            for (product, point) in product.iter_mut().zip(self.points) {
                *product *= on_path.share + point * step;
            }
        }
        // The same for every feature whose tests the row fails: its own factor is `share * (1 - point)`.
        let fails: f64 = product.iter().zip(self.unknown).map(|(product, unknown)| product * unknown).sum();
        for (at, on_path) in path.iter().enumerate() {
            let contribution = if known >> at & 1 == 1 {
                let step = 1.0 - on_path.share;
                let parts =
                    product.iter().zip(self.points).map(|(p, point)| p / (on_path.share + point * step));
                step * parts.sum::<f64>()
            } else {
                -fails
            };
            contributions[usize::from(on_path.feature)] += contribution;
        }
    }
}

#[cfg(test)]
mod tests;
