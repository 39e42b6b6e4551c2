use super::*;
use proptest::prelude::*;

/// One tree: node 0 tests feature 0, node 1 is the true leaf (10), node 2 the false leaf (20).
struct Stump {
    mode: &'static str,
    threshold: f32,
    missing_true: i64,
}

impl Stump {
    fn answer(&self, x: f32) -> f64 {
        let values = [self.threshold, 0.0, 0.0];
        let tracks = [self.missing_true, 0, 0];
        let attributes = Attributes {
            values: &values,
            modes: vec![self.mode, "LEAF", "LEAF"],
            missing_tracks_true: &tracks,
            ..stump()
        };
        only(&Trees::build(&attributes).unwrap(), &[x])
    }
}

fn only(trees: &Trees, row: &[f32]) -> f64 {
    let mut sums = [f64::NAN];
    trees.aggregate(row, row.len(), &mut Keys::default(), &mut sums).unwrap();
    sums[0]
}

fn stump() -> Attributes<'static> {
    Attributes {
        tree_ids: &[0, 0, 0],
        node_ids: &[0, 1, 2],
        feature_ids: &[0, 0, 0],
        values: &[0.5, 0.0, 0.0],
        hit_rates: &[],
        modes: vec!["BRANCH_LEQ", "LEAF", "LEAF"],
        true_ids: &[1, 0, 0],
        false_ids: &[2, 0, 0],
        missing_tracks_true: &[0, 0, 0],
        target_tree_ids: &[0, 0],
        target_node_ids: &[1, 2],
        target_ids: &[0, 0],
        target_weights: &[10.0, 20.0],
        targets: 1,
        base_values: &[],
        aggregate: Aggregate::Sum,
    }
}

fn refused(change: impl FnOnce(&mut Attributes<'static>)) -> TreeError {
    let mut attributes = stump();
    change(&mut attributes);
    Trees::build(&attributes).unwrap_err()
}

/// What the ONNX standard says about each mode.
fn holds(mode: &str, x: f32, threshold: f32) -> bool {
    match mode {
        "BRANCH_LEQ" => x <= threshold,
        "BRANCH_LT" => x < threshold,
        "BRANCH_GT" => x > threshold,
        "BRANCH_GTE" => x >= threshold,
        "BRANCH_EQ" => x == threshold,
        _ => x != threshold,
    }
}

const MODES: [&str; 6] = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE", "BRANCH_EQ", "BRANCH_NEQ"];

fn check(mode: &'static str, x: f32, threshold: f32) {
    let expected = if holds(mode, x, threshold) { 10.0 } else { 20.0 };
    let found = Stump { mode, threshold, missing_true: 0 }.answer(x);
    assert_eq!(found, expected, "{x:e} {mode} {threshold:e}");
}

#[test]
fn fault_27_every_mode_is_right_at_the_threshold_and_one_ulp_to_either_side() {
    let edges =
        [0.0, -0.0, 0.5, -0.5, 1e-45, -1e-45, 3.1e12, f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY];
    for mode in MODES {
        for threshold in edges {
            for x in [threshold, threshold.next_up(), threshold.next_down(), -threshold] {
                check(mode, x, threshold);
            }
        }
    }
}

#[test]
fn a_missing_value_follows_its_track_in_every_mode() {
    for mode in MODES {
        for threshold in [0.5, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(
                Stump { mode, threshold, missing_true: 1 }.answer(f32::NAN),
                10.0,
                "{mode} {threshold}"
            );
            assert_eq!(
                Stump { mode, threshold, missing_true: 0 }.answer(f32::NAN),
                20.0,
                "{mode} {threshold}"
            );
        }
    }
}

proptest! {
    #[test]
    fn every_mode_agrees_with_the_standard_on_any_pair_of_numbers(x in any::<f32>(), t in any::<f32>()) {
        prop_assume!(!x.is_nan() && !t.is_nan());
        MODES.iter().for_each(|mode| check(mode, x, t));
    }
}

#[test]
fn more_trees_than_lanes_and_different_depths_are_all_counted() {
    // Tree t is a chain of t tests of feature 0 against 0, 1, …: the true leaf of test i adds 1 to target i.
    let trees = 21_i64;
    let (mut tree_ids, mut node_ids, mut values, mut modes) = (vec![], vec![], vec![], vec![]);
    let (mut true_ids, mut false_ids, mut features) = (vec![], vec![], vec![]);
    let (mut leaf_trees, mut leaf_nodes, mut leaf_targets, mut weights) = (vec![], vec![], vec![], vec![]);
    for tree in 0..trees {
        for node in 0..=2 * tree {
            let inner = node % 2 == 0 && node < 2 * tree;
            tree_ids.push(tree);
            node_ids.push(node);
            values.push(node as f32 / 2.0);
            modes.push(if inner { "BRANCH_LEQ" } else { "LEAF" });
            true_ids.push(node + 1);
            false_ids.push(node + 2);
            features.push(0);
            if !inner {
                leaf_trees.push(tree);
                leaf_nodes.push(node);
                leaf_targets.push(node / 2);
                weights.push(1.0);
            }
        }
    }
    let attributes = Attributes {
        tree_ids: &tree_ids,
        node_ids: &node_ids,
        feature_ids: &features,
        values: &values,
        modes,
        true_ids: &true_ids,
        false_ids: &false_ids,
        missing_tracks_true: &[],
        target_tree_ids: &leaf_trees,
        target_node_ids: &leaf_nodes,
        target_ids: &leaf_targets,
        target_weights: &weights,
        targets: trees,
        ..Attributes::default()
    };
    let ensemble = Trees::build(&attributes).unwrap();
    let mut sums = vec![0.0; trees as usize];
    ensemble.aggregate(&[3.0], 1, &mut Keys::default(), &mut sums).unwrap();
    // Trees 0, 1 and 2 end in their last leaf; all others stop at the test against 3.
    let mut expected = vec![0.0; trees as usize];
    (expected[0], expected[1], expected[2], expected[3]) = (1.0, 1.0, 1.0, 18.0);
    assert_eq!(sums, expected);
}

#[test]
fn a_base_value_is_added_once() {
    let ensemble = Trees::build(&Attributes { base_values: &[0.25], ..stump() }).unwrap();
    assert_eq!(only(&ensemble, &[0.0]), 10.25);
}

#[test]
fn a_row_that_is_too_short_is_refused() {
    let ensemble = Trees::build(&Attributes { feature_ids: &[3, 0, 0], ..stump() }).unwrap();
    let answer = ensemble.aggregate(&[0.0; 3], 3, &mut Keys::default(), &mut [0.0]);
    assert_eq!(answer, Err(TreeError::Width { found: 3, needed: 3 }));
}

#[test]
fn attributes_of_unequal_length_are_refused() {
    let length = |name, found, expected| TreeError::Length { name, found, expected };
    assert_eq!(refused(|a| a.tree_ids = &[0, 0]), length("nodes_treeids", 2, 3));
    assert_eq!(refused(|a| a.feature_ids = &[0]), length("nodes_featureids", 1, 3));
    assert_eq!(refused(|a| a.values = &[0.5; 4]), length("nodes_values", 4, 3));
    assert_eq!(refused(|a| a.modes = vec!["LEAF"]), length("nodes_modes", 1, 3));
    assert_eq!(refused(|a| a.true_ids = &[1]), length("nodes_truenodeids", 1, 3));
    assert_eq!(refused(|a| a.false_ids = &[1]), length("nodes_falsenodeids", 1, 3));
    let missing = length("nodes_missing_value_tracks_true", 2, 3);
    assert_eq!(refused(|a| a.missing_tracks_true = &[0, 0]), missing);
    assert_eq!(refused(|a| a.target_weights = &[1.0]), length("target_weights", 1, 2));
    assert_eq!(refused(|a| a.target_node_ids = &[1]), length("target_nodeids", 1, 2));
    assert_eq!(refused(|a| a.base_values = &[1.0, 2.0]), length("base_values", 2, 1));
    assert_eq!(refused(|a| a.node_ids = &[]), TreeError::Nodes { found: 0, most: 4_000_000 });
}

#[test]
fn a_child_that_does_not_exist_is_refused() {
    assert_eq!(refused(|a| a.false_ids = &[3, 0, 0]), TreeError::Child { tree: 0, node: 0, child: 3 });
    assert_eq!(refused(|a| a.true_ids = &[-1, 0, 0]), TreeError::Child { tree: 0, node: 0, child: -1 });
}

#[test]
fn cycles_and_shared_children_are_refused() {
    assert_eq!(refused(|a| a.false_ids = &[1, 0, 0]), TreeError::Parents { tree: 0, node: 1 });
    assert_eq!(refused(|a| a.false_ids = &[0, 0, 0]), TreeError::Root { tree: 0 });
    // Nodes 1 and 2 lead to each other and the root is a leaf of its own.
    let ring = refused(|a| {
        a.tree_ids = &[0; 5];
        a.node_ids = &[0, 1, 2, 3, 4];
        a.feature_ids = &[0; 5];
        a.values = &[0.5; 5];
        a.modes = vec!["LEAF", "BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF"];
        a.true_ids = &[0, 2, 1, 0, 0];
        a.false_ids = &[0, 3, 4, 0, 0];
        a.missing_tracks_true = &[];
        a.target_tree_ids = &[0; 3];
        a.target_node_ids = &[0, 3, 4];
        a.target_ids = &[0; 3];
        a.target_weights = &[1.0; 3];
    });
    assert!(matches!(ring, TreeError::Unreachable { tree: 0, .. }), "{ring}");
}

#[test]
fn fault_27_damaged_nodes_are_refused() {
    assert_eq!(refused(|a| a.node_ids = &[0, 1, 1]), TreeError::Twice { tree: 0, node: 1 });
    assert_eq!(refused(|a| a.tree_ids = &[0, 0, 1]), TreeError::NotALeaf { tree: 0, node: 2 });
    assert_eq!(refused(|a| a.values = &[f32::NAN, 0.0, 0.0]), TreeError::Threshold { tree: 0, node: 0 });
    let feature = TreeError::Feature { tree: 0, node: 0, feature: -1, most: 4094 };
    assert_eq!(refused(|a| a.feature_ids = &[-1, 0, 0]), feature);
    let missing = TreeError::Missing { tree: 0, node: 0, value: 2 };
    assert_eq!(refused(|a| a.missing_tracks_true = &[2, 0, 0]), missing);
    let mode = refused(|a| a.modes = vec!["BRANCH_MEMBER", "LEAF", "LEAF"]);
    assert_eq!(mode, TreeError::Mode { tree: 0, node: 0, mode: "BRANCH_MEMBER".to_owned() });
}

#[test]
fn damaged_leaves_are_refused() {
    assert_eq!(refused(|a| a.target_node_ids = &[1, 0]), TreeError::NotALeaf { tree: 0, node: 0 });
    assert_eq!(refused(|a| a.target_node_ids = &[1, 1]), TreeError::NoWeight { tree: 0, node: 2 });
    assert_eq!(refused(|a| a.target_ids = &[0, 1]), TreeError::Target { tree: 0, node: 2, target: 1 });
    assert_eq!(refused(|a| a.target_weights = &[f32::INFINITY, 1.0]), TreeError::Weight);
    assert_eq!(refused(|a| a.base_values = &[f32::NAN]), TreeError::Weight);
    assert_eq!(refused(|a| a.targets = 0), TreeError::Targets { found: 0, most: 256 });
}
