//! The committed model against what onnxruntime and LightGBM said about it, and the archive against Python's reading.

// The lint lets test functions unwrap, but not what they call.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs::read_dir,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{SHA256, digest};
use forest::Ensemble;
use model::{Extract, Feature, Sources, extract};
use serde_json::{Map, Value};
use tract_onnx::prelude::*;

/// Largest difference allowed to either runtime, in log odds and in probability.
const TOLERANCE: f64 = 1e-5;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every model in the registry is held to its own golden rows.
fn models() -> Vec<PathBuf> {
    let folders = read_dir(root().join("models/registry")).unwrap().map(|entry| entry.unwrap().path());
    let models: Vec<_> = folders.filter(|path| path.is_dir()).collect();
    assert!(!models.is_empty());
    models
}

/// A golden row: the features, and each runtime's answers by column name.
struct Row {
    features: Vec<f32>,
    answers: BTreeMap<String, Option<f64>>,
}

/// The outputs of the graph over all rows, by tract: chance to default, its log odds, margins, known, weights, parts.
fn by_tract(model: &Path, rows: &[Row]) -> Vec<Vec<Vec<f32>>> {
    let mut onnx = tract_onnx::onnx();
    tract_trees::register(&mut onnx);
    let shape = [rows.len(), rows[0].features.len()];
    let graph = onnx.model_for_path(model.join("ensemble.onnx")).unwrap();
    let graph = graph.with_input_fact(0, f32::fact(shape).into()).unwrap().into_optimized().unwrap();
    let features: Vec<f32> = rows.iter().flat_map(|row| row.features.iter().copied()).collect();
    let input = Tensor::from_shape(&shape, &features).unwrap();
    let outputs = graph.into_runnable().unwrap().run(tvec!(input.into_tvalue())).unwrap();
    let table = |output: &TValue| {
        let values = output.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec();
        values.chunks(values.len() / rows.len()).map(<[f32]>::to_vec).collect()
    };
    outputs.iter().map(table).collect()
}

fn golden(model: &Path, ensemble: &Ensemble) -> Vec<Row> {
    let names: Vec<&str> = ensemble.manifest().features.iter().map(|f| f.name.as_str()).collect();
    let mut file = csv::Reader::from_path(model.join("golden.csv")).unwrap();
    let header = file.headers().unwrap().clone();
    assert!(header.iter().take(names.len()).eq(names.iter().copied()));
    let read = |cell: &str| (!cell.is_empty()).then(|| cell.parse::<f32>().unwrap());
    let rows = file.records().map(|record| {
        let record = record.unwrap();
        let features = record.iter().take(names.len()).map(|c| read(c).unwrap_or(f32::NAN)).collect();
        let answers = header.iter().zip(&record).skip(names.len());
        let answers = answers.map(|(name, cell)| (name.to_owned(), read(cell).map(f64::from))).collect();
        Row { features, answers }
    });
    rows.collect()
}

#[test]
fn scores_agree_with_onnxruntime_and_lightgbm() {
    for model in models() {
        let ensemble = Ensemble::load(&model).unwrap();
        let rows = golden(&model, &ensemble);
        let holed = rows.iter().filter(|row| row.features.iter().any(|x| x.is_nan())).count();
        assert!(rows.len() >= 2000 && holed >= 500, "{} rows, {holed} with missing values", rows.len());
        let mut largest = BTreeMap::<String, f64>::new();
        let learners: Vec<&str> = ensemble.manifest().learners.iter().map(|l| l.name.as_str()).collect();
        for (row, margins) in rows.iter().zip(by_tract(&model, &rows).swap_remove(2)) {
            let scored = ensemble.score(&row.features).unwrap();
            let margins = learners.iter().copied().zip(margins.into_iter().map(f64::from));
            for (name, found) in margins.chain([("pd", scored.pd)]) {
                for runtime in ["onnxruntime", "lightgbm"] {
                    let column = format!("{runtime}.{name}");
                    let difference = row.answers[&column].map_or(0.0, |expected| (found - expected).abs());
                    let entry = largest.entry(column).or_default();
                    *entry = entry.max(difference);
                }
            }
        }
        println!("{}: largest differences over {} rows: {largest:#?}", model.display(), rows.len());
        assert!(largest.values().all(|difference| *difference <= TOLERANCE), "{largest:?}");
    }
}

#[test]
fn tract_says_the_same_of_the_graph() {
    for model in models() {
        let ensemble = Ensemble::load(&model).unwrap();
        let rows = golden(&model, &ensemble);
        let [pd, _, _, known, _, parts] = by_tract(&model, &rows).try_into().unwrap();
        let manifest = ensemble.manifest();
        let mut largest = 0.0_f64;
        for (at, row) in rows.iter().enumerate() {
            let scored = ensemble.score(&row.features).unwrap();
            largest = largest.max((scored.pd - f64::from(pd[at][0])).abs());
            for (dimension, found) in manifest.dimensions.iter().zip(&scored.dimensions) {
                let mut expected = None;
                for (place, learner) in manifest.learners.iter().enumerate() {
                    if learner.dimension.as_ref() == Some(dimension) && known[at][place] != 0.0 {
                        *expected.get_or_insert(0.0) += f64::from(parts[at][place]);
                    }
                }
                assert_eq!(found.is_some(), expected.is_some(), "row {at}, {dimension}");
                largest = largest.max((found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs());
            }
        }
        println!("{}: tract differs by at most {largest:.1e} over {} rows", model.display(), rows.len());
        assert!(largest <= TOLERANCE, "{largest}");
    }
}

#[test]
fn the_packed_form_is_that_of_the_graph_and_gives_the_same_bits() {
    let packed: Vec<_> =
        models().into_iter().filter(|model| model.join("ensemble.packed").exists()).collect();
    assert!(!packed.is_empty(), "the model that score carries is packed");
    for model in packed {
        let read = |name: &str| std::fs::read(model.join(name)).unwrap();
        let (manifest, packed) = (read("manifest.json"), read("ensemble.packed"));
        let (ensemble, again) =
            (Ensemble::load(&model).unwrap(), Ensemble::from_packed(&manifest, &packed).unwrap());
        let how = format!("cargo run --release -p forest --example pack -- {}", model.display());
        assert!(ensemble.pack() == packed, "pack it again: {how}");
        for row in golden(&model, &ensemble) {
            assert_eq!(ensemble.explain(&row.features), again.explain(&row.features));
        }
    }
}

#[test]
fn rows_together_give_the_same_bits_as_each_alone() {
    for model in models() {
        let ensemble = Ensemble::load(&model).unwrap();
        let rows = golden(&model, &ensemble);
        let alone: Vec<_> = rows.iter().map(|row| ensemble.score(&row.features).unwrap()).collect();
        let features: Vec<f32> = rows.iter().flat_map(|row| row.features.iter().copied()).collect();
        assert_eq!(ensemble.score_all(&features).unwrap(), alone);
        assert!(ensemble.score_all(&features[1..]).is_err());
    }
}

#[test]
fn contributions_are_those_of_lightgbm_and_add_up_to_the_log_odds() {
    for model in models() {
        let ensemble = Ensemble::load(&model).unwrap();
        let rows = golden(&model, &ensemble);
        let mut file = csv::Reader::from_path(model.join("contributions.csv")).unwrap();
        let expected: Vec<Vec<f64>> = file.deserialize().map(|row| row.unwrap()).collect();
        assert!(expected.len() >= 200);
        let every = rows.len() / expected.len();
        let (mut largest, mut gap) = (0.0_f64, 0.0_f64);
        for (row, expected) in rows.iter().step_by(every).zip(&expected) {
            let (scored, explanation) = ensemble.explain(&row.features).unwrap();
            for (found, expected) in explanation.contributions.iter().zip(expected) {
                largest = largest.max((found - expected).abs());
            }
            let parts = explanation.contributions.iter().chain(&explanation.missing);
            let log_odds = explanation.base + parts.sum::<f64>();
            gap = gap.max((1.0 / (1.0 + (-log_odds).exp()) - scored.pd).abs());
            let odds = (scored.pd / (1.0 - scored.pd)).ln();
            // Where the chance is not so near to zero or one that its odds are lost in rounding.
            if odds.abs() < 5.0 {
                gap = gap.max((log_odds - odds).abs());
            }
        }
        println!("{}: contributions differ by at most {largest:.1e}, sums by {gap:.1e}", model.display());
        assert!(largest <= TOLERANCE && gap <= TOLERANCE, "{largest} {gap}");
    }
}

#[test]
fn a_missing_dimension_is_not_scored_as_zeros() {
    for model in models() {
        let ensemble = Ensemble::load(&model).unwrap();
        let manifest = ensemble.manifest();
        let complete = golden(&model, &ensemble).into_iter().map(|row| row.features);
        let row = complete.into_iter().find(|row| !row.iter().any(|x| x.is_nan())).unwrap();
        for (at, dimension) in manifest.dimensions.iter().enumerate() {
            let with = |value: f32| {
                let mut row = row.clone();
                for (place, feature) in row.iter_mut().zip(&manifest.features) {
                    *place = if feature.dimension == *dimension { value } else { *place };
                }
                ensemble.explain(&row).unwrap()
            };
            let ((missing, of_missing), (zeros, of_zeros)) = (with(f32::NAN), with(0.0));
            assert_eq!(missing.dimensions[at], None, "{dimension}");
            assert!(zeros.dimensions[at].is_some(), "{dimension}");
            assert_ne!(missing.pd, zeros.pd, "{dimension}");
            assert_ne!(of_missing.missing[at], 0.0, "{dimension}");
            assert_eq!(of_zeros.missing[at], 0.0, "{dimension}");
        }
    }
}

#[test]
fn a_dimension_that_is_missing_hands_its_weight_to_the_others() {
    for model in models() {
        let ensemble = Ensemble::load(&model).unwrap();
        let manifest = ensemble.manifest();
        let rows = golden(&model, &ensemble).into_iter().map(|row| row.features);
        let row = rows.into_iter().find(|row| !row.iter().any(|x| x.is_nan())).unwrap();
        let whole = ensemble.score(&row).unwrap();
        let grown = manifest.dimensions.iter().any(|dimension| {
            let mut holed = row.clone();
            for (place, feature) in holed.iter_mut().zip(&manifest.features) {
                *place = if feature.dimension == *dimension { f32::NAN } else { *place };
            }
            let holed = ensemble.score(&holed).unwrap();
            let pairs = whole.dimensions.iter().zip(&holed.dimensions);
            pairs.filter_map(|(one, other)| Some((*one)?.abs() < (*other)?.abs())).any(|grown| grown)
        });
        assert!(grown, "{}", model.display());
    }
}

#[test]
fn one_value_is_enough_to_know_a_dimension() {
    for model in models() {
        let ensemble = Ensemble::load(&model).unwrap();
        let manifest = ensemble.manifest();
        for (at, feature) in manifest.features.iter().enumerate() {
            let mut row = vec![f32::NAN; manifest.features.len()];
            row[at] = 0.0;
            let scored = ensemble.score(&row).unwrap();
            for (dimension, part) in manifest.dimensions.iter().zip(scored.dimensions) {
                assert_eq!(part.is_some(), *dimension == feature.dimension, "{} {dimension}", feature.name);
            }
        }
    }
}

#[test]
fn every_file_has_the_hash_that_the_manifest_lists() {
    for model in models() {
        let ensemble = Ensemble::load(&model).unwrap();
        for (name, expected) in &ensemble.manifest().sha256 {
            let bytes = std::fs::read(model.join(name)).unwrap();
            let found: String = digest(&SHA256, &bytes).as_ref().iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(&found, expected, "{name}");
        }
    }
}

/// The committed city: firm code → source → row, with numbers as numbers and empty cells left out.
fn city() -> BTreeMap<String, Sources> {
    let mut firms = BTreeMap::<String, Sources>::new();
    for entry in read_dir(root().join("infra/local/city")).unwrap() {
        let path = entry.unwrap().path();
        let source = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // What ties firms to each other is for the relation graph, and no model reads it.
        if source == "related_parties" {
            continue;
        }
        let mut file = csv::Reader::from_path(&path).unwrap();
        let header = file.headers().unwrap().clone();
        for record in file.records() {
            let record = record.unwrap();
            let typed = |cell: &str| cell.parse::<i64>().map_or_else(|_| Value::from(cell), Value::from);
            let cells = header.iter().zip(&record).skip(1).filter(|(_, cell)| !cell.is_empty());
            let row: Map<String, Value> = cells.map(|(name, cell)| (name.to_owned(), typed(cell))).collect();
            firms.entry(record[0].to_owned()).or_default().insert(source.clone(), row);
        }
    }
    firms
}

/// What Python worked the features out to: of firms, and of rows with awkward cells.
fn parity(model: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(model.join("parity.json")).unwrap()).unwrap()
}

/// What the model's firms have in the archive: `records` in its parity file, or else the committed city.
fn records(parity: &Value) -> BTreeMap<String, Sources> {
    parity.get("records").map_or_else(city, |records| serde_json::from_value(records.clone()).unwrap())
}

/// Holds features to those of Python, bit for bit. Returns how many of the found are missing.
fn assert_same(of: &str, names: &[String], found: &[f32], expected: &Value) -> usize {
    let expected: Vec<Option<f64>> = serde_json::from_value(expected.clone()).unwrap();
    assert_eq!((found.len(), expected.len()), (names.len(), names.len()), "{of}");
    for ((name, found), expected) in names.iter().zip(found).zip(expected) {
        let expected = expected.map_or(f32::NAN, |x| x as f32);
        let same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
        assert!(same, "{of} {name}: {found} instead of {expected}");
    }
    found.iter().filter(|x| x.is_nan()).count()
}

#[test]
fn features_from_the_archive_are_the_ones_that_python_extracts() {
    let mut ahead = 0;
    for model in models() {
        let ensemble = Ensemble::load(&model).unwrap();
        let manifest = ensemble.manifest();
        let names: Vec<String> = manifest.features.iter().map(|f| f.name.clone()).collect();
        let parity = parity(&model);
        let records = records(&parity);
        let as_of = parity["as_of"].as_str().unwrap().parse().unwrap();
        let firms = parity["firms"].as_object().unwrap();
        assert!(firms.len() >= 200);
        let mut missing = 0;
        for (code, expected) in firms {
            let found = extract(manifest, &records[code], as_of);
            missing += assert_same(code, &names, &found, expected);
            let days = manifest.features.iter().zip(&found).filter(|(f, _)| f.unit == "days");
            ahead += days.filter(|(_, days)| **days < 0.0).count();
        }
        assert!(missing > 0, "no feature of any firm is missing");
    }
    assert!(ahead > 0, "no date of any firm lies ahead of the day of scoring");
}

#[test]
fn awkward_cells_make_the_features_that_python_makes_of_them() {
    let mut tried = 0;
    for model in models() {
        let parity = parity(&model);
        let Some(awkward) = parity.get("awkward") else { continue };
        let as_of = parity["as_of"].as_str().unwrap().parse().unwrap();
        let mut manifest = Ensemble::load(&model).unwrap().manifest().clone();
        let form = manifest.features[0].clone();
        let extracts: Vec<Extract> = serde_json::from_value(awkward["extracts"].clone()).unwrap();
        let names: Vec<String> =
            awkward["extracts"].as_array().unwrap().iter().map(|e| e["kind"].to_string()).collect();
        manifest.features = extracts.into_iter().map(|extract| Feature { extract, ..form.clone() }).collect();
        let rows = awkward["rows"].as_array().unwrap();
        let mut known = vec![0; names.len()];
        for row in rows {
            let sources: Sources = serde_json::from_value(row["sources"].clone()).unwrap();
            let found = extract(&manifest, &sources, as_of);
            assert_same(&row["sources"].to_string(), &names, &found, &row["features"]);
            known.iter_mut().zip(&found).for_each(|(count, x)| *count += usize::from(!x.is_nan()));
        }
        // A kind that never has a value, or always, would be held to nothing.
        assert!(known.iter().all(|count| (1..rows.len()).contains(count)), "{names:?} {known:?}");
        tried += rows.len();
    }
    assert!(tried > 50);
}

#[test]
fn every_firm_of_the_archive_gets_a_score() {
    assert_eq!(city().len(), 2000);
    for model in models() {
        let ensemble = Ensemble::load(&model).unwrap();
        let firms = records(&parity(&model));
        let mut points: Vec<i32> = Vec::new();
        for sources in firms.values() {
            let features = extract(ensemble.manifest(), sources, jiff::civil::date(2026, 11, 23));
            points.push(ensemble.score(&features).unwrap().points);
        }
        points.sort_unstable();
        let [low, middle, high] = [5, 50, 95].map(|percent| points[points.len() * percent / 100]);
        println!("points at 5, 50 and 95 %: {low} {middle} {high}");
        // Of any use: the best and the worst twentieth are three doublings of the odds apart.
        assert!(high - low >= 60, "{low} to {high}");
    }
}

#[test]
fn threads_share_one_ensemble() {
    let model = models().remove(0);
    let ensemble = Ensemble::load(&model).unwrap();
    let rows = golden(&model, &ensemble);
    let alone: Vec<_> = rows.iter().map(|row| ensemble.score(&row.features).unwrap()).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (row, expected) in rows.iter().zip(&alone) {
                    assert_eq!(ensemble.score(&row.features).as_ref(), Ok(expected));
                }
            });
        }
    });
}
