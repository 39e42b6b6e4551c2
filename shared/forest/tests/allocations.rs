//! Nothing is allocated for a row: what a call needs is kept for the next one.

// The lint lets test functions unwrap, but not what they call.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use allocation_counter::measure;
use forest::{
    Ensemble,
    trees::{Aggregate, Attributes, Keys, Trees},
};

fn model() -> PathBuf {
    let registry = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/registry");
    let folders = std::fs::read_dir(registry).unwrap().map(|entry| entry.unwrap().path());
    folders.filter(|path| path.is_dir()).max().unwrap()
}

#[test]
fn trees_allocate_nothing() {
    let attributes = Attributes {
        tree_ids: &[0; 3],
        node_ids: &[0, 1, 2],
        feature_ids: &[0; 3],
        values: &[0.5, 0.0, 0.0],
        modes: vec!["BRANCH_LEQ", "LEAF", "LEAF"],
        true_ids: &[1, 0, 0],
        false_ids: &[2, 0, 0],
        target_tree_ids: &[0; 2],
        target_node_ids: &[1, 2],
        target_ids: &[0; 2],
        target_weights: &[10.0, 20.0],
        targets: 1,
        aggregate: Aggregate::Sum,
        ..Attributes::default()
    };
    let (trees, mut keys) = (Trees::build(&attributes).unwrap(), Keys::default());
    let (rows, mut results) = ([0.0_f32; 1000], [0.0; 1000]);
    trees.aggregate(&rows, 1, &mut keys, &mut results).unwrap();
    let counted = measure(|| {
        trees.aggregate(&rows[..1], 1, &mut keys, &mut results[..1]).unwrap();
        trees.aggregate(&rows, 1, &mut keys, &mut results).unwrap();
    });
    assert_eq!(counted.count_total, 0);
    assert_eq!(results, [10.0; 1000]);
}

#[test]
fn a_score_allocates_its_answer_and_nothing_else() {
    let ensemble = Ensemble::load(&model()).unwrap();
    let row = vec![1.0; ensemble.manifest().features.len()];
    let first = ensemble.score(&row).unwrap();
    let mut second = None;
    let counted = measure(|| second = Some(ensemble.score(&row).unwrap()));
    // The list of dimensions.
    assert_eq!(counted.count_total, 1);
    assert_eq!(second, Some(first));
}
