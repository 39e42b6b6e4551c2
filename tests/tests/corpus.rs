//! What fuzzing has found worth keeping, through the same parsers, on every run. `tests/fuzz/run` looks for more.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use std::{collections::BTreeSet, fs, path::Path};

#[path = "../fuzz/src/lib.rs"]
mod targets;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"))
}

#[test]
fn bytes_from_outside_never_break_a_parser() {
    for (name, target) in targets::TARGETS {
        let files: Vec<_> = fs::read_dir(folder().join("corpus").join(name)).unwrap().collect();
        assert!(files.len() > 1, "{name} has no corpus");
        for file in files {
            target(&fs::read(file.unwrap().path()).unwrap());
        }
    }
}

#[test]
fn every_target_is_fuzzed() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let built: BTreeSet<&str> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"targets/")?.strip_suffix(".rs\""))
        .collect();
    assert_eq!(built, targets::TARGETS.iter().map(|(name, _)| *name).collect());
}
