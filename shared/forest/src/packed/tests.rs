use super::*;
use crate::{Ensemble, LoadError};
use std::path::Path;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/registry/2026.11.3");

fn manifest() -> Vec<u8> {
    std::fs::read(Path::new(FOLDER).join("manifest.json")).unwrap()
}

fn packed() -> Vec<u8> {
    Ensemble::load(Path::new(FOLDER)).unwrap().pack()
}

fn refused(manifest: &[u8], bytes: &[u8]) -> PackedError {
    match Ensemble::from_packed(manifest, bytes).unwrap_err() {
        LoadError::Packed(error) => error,
        other => panic!("expected a refusal of the packed form, got {other:?}"),
    }
}

/// The body with one thing changed, and the hash that fits it again.
fn rehashed(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = bytes[HEADER..].to_vec();
    change(&mut body);
    [&bytes[..MAGIC.len()], &sha256(&body), &body].concat()
}

const HEADER: usize = MAGIC.len() + 32;

#[test]
fn fault_27_a_changed_byte_is_refused_wherever_it_is() {
    let (manifest, packed) = (manifest(), packed());
    for at in (0..packed.len()).step_by(packed.len() / 50).chain([0, 7, 8, 39, 40, packed.len() - 1]) {
        let mut damaged = packed.clone();
        damaged[at] ^= 1;
        let expected = if at < MAGIC.len() { PackedError::Form } else { PackedError::Hash };
        assert_eq!(refused(&manifest, &damaged), expected, "byte {at}");
    }
}

#[test]
fn a_packed_form_that_ends_early_is_refused() {
    let (manifest, packed) = (manifest(), packed());
    for length in [0, 7, 39] {
        assert_eq!(refused(&manifest, &packed[..length]), PackedError::Form);
    }
    assert_eq!(refused(&manifest, &packed[..packed.len() - 1]), PackedError::Hash);
    let cut = rehashed(&packed, |body| body.truncate(body.len() / 2));
    assert!(matches!(refused(&manifest, &cut), PackedError::Damaged(_)));
    let longer = rehashed(&packed, |body| body.push(0));
    assert_eq!(refused(&manifest, &longer), PackedError::Damaged("the end"));
}

#[test]
fn fault_27_a_packed_form_of_another_graph_is_refused() {
    let packed = packed();
    let mut json: serde_json::Value = serde_json::from_slice(&manifest()).unwrap();
    json["sha256"]["ensemble.onnx"] = "00".repeat(32).into();
    assert_eq!(refused(json.to_string().as_bytes(), &packed), PackedError::Graph);
    let mut json: serde_json::Value = serde_json::from_slice(&manifest()).unwrap();
    json["features"].as_array_mut().unwrap().swap(0, 1);
    assert_eq!(refused(json.to_string().as_bytes(), &packed), PackedError::Names);
}

#[test]
fn whatever_number_is_wrong_the_packed_form_is_refused_or_can_be_run() {
    let (manifest, packed) = (manifest(), packed());
    let numbers = (packed.len() - HEADER) / 4;
    let mut refused = 0;
    for at in (0..numbers).step_by(numbers / 60) {
        for number in [0_u32, 1, 0x7fff_ffff, u32::MAX, 0xff80_0000] {
            let damaged =
                rehashed(&packed, |body| body[4 * at..4 * at + 4].copy_from_slice(&number.to_le_bytes()));
            match Ensemble::from_packed(&manifest, &damaged) {
                Ok(ensemble) => {
                    let row = vec![1.0; ensemble.manifest().features.len()];
                    assert!(ensemble.explain(&row).is_ok());
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 100, "{refused}");
}
