use super::*;
use crate::trees::Keys;
use proptest::prelude::*;

/// A random tree over `FEATURES` features, as the attributes have it.
#[derive(Clone, Debug, Default)]
struct Grown {
    trees: Vec<i64>,
    nodes: Vec<i64>,
    features: Vec<i64>,
    values: Vec<f32>,
    rates: Vec<f32>,
    modes: Vec<&'static str>,
    yes: Vec<i64>,
    no: Vec<i64>,
    missing: Vec<i64>,
    leaves: Vec<i64>,
    targets: Vec<i64>,
    weights: Vec<f32>,
}

const FEATURES: usize = 5;
const TARGETS: usize = 2;

impl Grown {
    /// Splits the leaf `at % leaves` for every instruction: feature, threshold, share of the true side, mode, missing.
    fn grow(splits: &[(usize, usize, i8, u8, usize, bool)]) -> Self {
        let mut grown = Self::default();
        grown.push(1000.0);
        for (at, feature, threshold, share, mode, missing) in splits {
            let leaves: Vec<usize> = (0..grown.nodes.len()).filter(|n| grown.modes[*n] == "LEAF").collect();
            let at = leaves[at % leaves.len()];
            let share = f32::from(*share) / 256.0 * 0.9 + 0.05;
            let rate = grown.rates[at];
            grown.features[at] = *feature as i64;
            grown.values[at] = f32::from(*threshold) / 4.0;
            grown.modes[at] = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"][mode % 4];
            grown.missing[at] = i64::from(*missing);
            grown.yes[at] = grown.push(rate * share);
            grown.no[at] = grown.push(rate - rate * share);
        }
        for node in 0..grown.nodes.len() {
            if grown.modes[node] == "LEAF" {
                grown.leaves.push(node as i64);
                grown.targets.push((node % TARGETS) as i64);
                grown.weights.push((node as f32 * 1.7).sin());
            }
        }
        grown
    }

    fn push(&mut self, rate: f32) -> i64 {
        let node = self.nodes.len() as i64;
        self.trees.push(0);
        self.nodes.push(node);
        self.features.push(0);
        self.values.push(0.0);
        self.rates.push(rate);
        self.modes.push("LEAF");
        self.yes.push(0);
        self.no.push(0);
        self.missing.push(0);
        node
    }

    fn attributes<'a>(&'a self, leaf_trees: &'a [i64]) -> Attributes<'a> {
        Attributes {
            tree_ids: &self.trees,
            node_ids: &self.nodes,
            feature_ids: &self.features,
            values: &self.values,
            hit_rates: &self.rates,
            modes: self.modes.clone(),
            true_ids: &self.yes,
            false_ids: &self.no,
            missing_tracks_true: &self.missing,
            target_tree_ids: leaf_trees,
            target_node_ids: &self.leaves,
            target_ids: &self.targets,
            target_weights: &self.weights,
            targets: TARGETS as i64,
            base_values: &[0.5, -1.0],
            ..Attributes::default()
        }
    }

    /// The weighted sum of the targets when only the features in `known` are, by walking both ways where one is not.
    fn value(&self, at: usize, row: &[f32], known: u32, weights: &[f64]) -> f64 {
        if self.modes[at] == "LEAF" {
            let leaf = self.leaves.iter().position(|leaf| *leaf == at as i64).unwrap();
            return weights[self.targets[leaf] as usize] * f64::from(self.weights[leaf]);
        }
        let (yes, no) = (self.yes[at] as usize, self.no[at] as usize);
        let feature = self.features[at] as usize;
        if known >> feature & 1 == 0 {
            let share = |child: usize| f64::from(self.rates[child]) / f64::from(self.rates[at]);
            return share(yes) * self.value(yes, row, known, weights)
                + share(no) * self.value(no, row, known, weights);
        }
        let (x, t) = (row[feature], self.values[at]);
        let holds = match self.modes[at] {
            _ if x.is_nan() => self.missing[at] == 1,
            "BRANCH_LEQ" => x <= t,
            "BRANCH_LT" => x < t,
            "BRANCH_GT" => x > t,
            _ => x >= t,
        };
        self.value(if holds { yes } else { no }, row, known, weights)
    }

    /// Shapley's formula as it stands, over every set of features.
    fn shapley(&self, feature: usize, row: &[f32], weights: &[f64]) -> f64 {
        let others = (0..1_u32 << FEATURES).filter(|set| set >> feature & 1 == 0);
        let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
        others
            .map(|set| {
                let (size, all) = (set.count_ones(), FEATURES as u32);
                let orders = factorial(size) * factorial(all - size - 1) / factorial(all);
                orders * (self.value(0, row, set | 1 << feature, weights) - self.value(0, row, set, weights))
            })
            .sum()
    }
}

fn splits() -> impl Strategy<Value = Vec<(usize, usize, i8, u8, usize, bool)>> {
    prop::collection::vec((0..64_usize, 0..FEATURES, -8..8_i8, any::<u8>(), 0..4_usize, any::<bool>()), 0..14)
}

fn rows() -> impl Strategy<Value = Vec<f32>> {
    let value = prop_oneof![4 => (-9..9_i8).prop_map(|x| f32::from(x) / 4.0), 1 => Just(f32::NAN)];
    prop::collection::vec(value, FEATURES)
}

proptest! {
    #[test]
    fn contributions_are_shapley_values_by_the_formula_itself(splits in splits(), row in rows()) {
        let grown = Grown::grow(&splits);
        let leaf_trees = vec![0; grown.leaves.len()];
        let explainer = Explainer::build(&grown.attributes(&leaf_trees)).unwrap();
        let weights = [1.5, -0.25];
        let mut found = [0.0; FEATURES];
        explainer.explain(&row, &weights, &mut found).unwrap();
        for (feature, found) in found.into_iter().enumerate() {
            let expected = grown.shapley(feature, &row, &weights);
            prop_assert!((found - expected).abs() < 1e-9, "feature {feature}: {found} instead of {expected}");
        }
    }

    #[test]
    fn contributions_add_up_to_what_the_trees_say(splits in splits(), row in rows()) {
        let grown = Grown::grow(&splits);
        let leaf_trees = vec![0; grown.leaves.len()];
        let attributes = grown.attributes(&leaf_trees);
        let explainer = Explainer::build(&attributes).unwrap();
        let mut targets = [0.0; TARGETS];
        Trees::build(&attributes).unwrap().aggregate(&row, FEATURES, &mut Keys::default(), &mut targets).unwrap();
        for (target, said) in targets.into_iter().enumerate() {
            let mut weights = [0.0; TARGETS];
            weights[target] = 1.0;
            let mut contributions = [0.0; FEATURES];
            explainer.explain(&row, &weights, &mut contributions).unwrap();
            let sum = explainer.expected()[target] + contributions.iter().sum::<f64>();
            prop_assert!((sum - said).abs() < 1e-9, "target {target}: {sum} instead of {said}");
        }
    }
}

#[test]
fn a_path_of_forty_features_is_explained_exactly() {
    // A chain: test i asks for feature i; every false side is a leaf of zero, the end adds one. All pass.
    let tests = 40;
    let mut grown = Grown::default();
    grown.push(1.0);
    let mut at = 0;
    for feature in 0..tests {
        let rate = grown.rates[at];
        grown.features[at] = feature;
        grown.modes[at] = "BRANCH_GT";
        grown.yes[at] = grown.push(rate / 2.0);
        grown.no[at] = grown.push(rate / 2.0);
        at = grown.yes[at] as usize;
    }
    grown.leaves = (0..grown.nodes.len()).filter(|n| grown.modes[*n] == "LEAF").map(|n| n as i64).collect();
    grown.targets = vec![0; grown.leaves.len()];
    grown.weights = grown.leaves.iter().map(|leaf| f32::from(u8::from(*leaf == at as i64))).collect();
    let leaf_trees = vec![0; grown.leaves.len()];
    let explainer = Explainer::build(&grown.attributes(&leaf_trees)).unwrap();
    let mut found = vec![0.0; tests as usize];
    explainer.explain(&vec![1.0; tests as usize], &[1.0, 0.0], &mut found).unwrap();
    // All features play the same part, so each has the same share of the way from 2^-40 to 1.
    let share = (1.0 - 0.5_f64.powi(40)) / 40.0;
    assert!(found.iter().all(|found| (found - share).abs() < 1e-12), "{found:?} instead of {share}");
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let grown = Grown::grow(&[(0, 0, 0, 128, 0, false)]);
    let leaf_trees = [0, 0];
    let refused = |change: fn(&mut Attributes)| {
        let mut attributes = grown.attributes(&leaf_trees);
        change(&mut attributes);
        Explainer::build(&attributes).unwrap_err()
    };
    assert!(matches!(refused(|a| a.hit_rates = &[]), TreeError::Unsupported { name: "nodes_hitrates", .. }));
    assert_eq!(refused(|a| a.hit_rates = &[1.0, 0.0, 1.0]), TreeError::HitRate { tree: 0, node: 1 });
    assert!(matches!(refused(|a| a.modes[0] = "BRANCH_EQ"), TreeError::Unsupported { .. }));
    let average = refused(|a| a.aggregate = crate::trees::Aggregate::Average);
    assert!(matches!(average, TreeError::Unsupported { name: "aggregate_function", .. }));
    let explainer = Explainer::build(&grown.attributes(&leaf_trees)).unwrap();
    let short = explainer.explain(&[], &[1.0, 1.0], &mut []);
    assert_eq!(short, Err(TreeError::Width { found: 0, needed: 0 }));
    let weights = explainer.explain(&[0.0], &[1.0], &mut [0.0]);
    assert_eq!(weights, Err(TreeError::Length { name: "weights", found: 1, expected: 2 }));
}
