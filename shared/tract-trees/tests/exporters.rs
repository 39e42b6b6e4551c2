//! Both operators against onnxruntime and the libraries themselves, on what their exporters write.
//!
//! `operators/make.py` makes the models and the answers.

// The lint lets test functions unwrap, but not what they call.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tract_onnx::prelude::*;

const TOLERANCE: f64 = 1e-5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operators")
}

fn models() -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut models: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "onnx")).collect();
    models.sort();
    models
}

/// The columns of a file of answers, by the letter that their names start with.
fn columns(model: &Path) -> (BTreeMap<char, Vec<Vec<f32>>>, Vec<String>) {
    let mut file = csv::Reader::from_path(model.with_extension("csv")).unwrap();
    let names: Vec<char> = file.headers().unwrap().iter().map(|name| name.chars().next().unwrap()).collect();
    let (mut numbers, mut labels) = (BTreeMap::<char, Vec<Vec<f32>>>::new(), Vec::new());
    for record in file.records() {
        let record = record.unwrap();
        let mut row = BTreeMap::<char, Vec<f32>>::new();
        for (name, cell) in names.iter().zip(&record) {
            match name {
                'l' => labels.push(cell.to_owned()),
                name => row.entry(*name).or_default().push(cell.parse().unwrap_or(f32::NAN)),
            }
        }
        for (name, values) in row {
            numbers.entry(name).or_default().push(values);
        }
    }
    (numbers, labels)
}

/// What a model says about a batch: labels as texts (none for a regressor), and rows of scores.
fn run(model: &Path, rows: &[Vec<f32>]) -> TractResult<(Vec<String>, Vec<f32>)> {
    let mut onnx = tract_onnx::onnx();
    tract_trees::register(&mut onnx);
    // Exporters declare the shapes of their outputs by guess.
    let mut proto = onnx.proto_model_for_path(model)?;
    let graph = proto.graph.as_mut().unwrap();
    graph.output.iter_mut().chain(&mut graph.value_info).for_each(|value| value.r#type = None);
    let shape = [rows.len(), rows[0].len()];
    let plan =
        onnx.model_for_proto_model(&proto)?.with_input_fact(0, f32::fact(shape).into())?.into_optimized()?;
    let input = Tensor::from_shape(&shape, &rows.concat())?;
    let outputs = plan.into_runnable()?.run(tvec!(input.into_tvalue()))?;
    let scores = outputs[outputs.len() - 1].try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
    let labels = match (outputs.len(), outputs[0].datum_type()) {
        (1, _) => vec![String::new(); rows.len()],
        (_, DatumType::String) => outputs[0].try_as_plain_ram()?.as_slice::<String>()?.to_vec(),
        // tract takes what a Cast to i64 gives for dimensions.
        _ => outputs[0]
            .cast_to::<i64>()?
            .try_as_plain_ram()?
            .as_slice::<i64>()?
            .iter()
            .map(i64::to_string)
            .collect(),
    };
    Ok((labels, scores))
}

#[test]
fn every_export_scores_as_onnxruntime_and_its_library_do() {
    let models = models();
    assert!(models.len() >= 44, "{}", models.len());
    let mut wrong = Vec::new();
    for model in models {
        let name = model.file_stem().unwrap().to_string_lossy().into_owned();
        let (numbers, expected_labels) = columns(&model);
        let (labels, scores) = run(&model, &numbers[&'f']).unwrap();
        let mut largest = BTreeMap::new();
        for runtime in ['s', 'n'] {
            let expected = numbers.get(&runtime).map(|rows| rows.concat()).unwrap_or_default();
            assert!(expected.is_empty() || expected.len() == scores.len(), "{name}: {} scores", scores.len());
            // Only onnxruntime answers rows at a threshold.
            let differences = expected.iter().zip(&scores).map(|(a, b)| f64::from(a - b).abs());
            largest.insert(runtime, differences.filter(|d| !d.is_nan()).fold(0.0, f64::max));
        }
        println!(
            "{name}: largest difference to onnxruntime {:.1e}, to the library {:.1e}",
            largest[&'s'], largest[&'n']
        );
        if largest.values().any(|d| *d > TOLERANCE) || labels != expected_labels {
            let row = (0..labels.len()).find(|row| labels[*row] != expected_labels[*row]);
            let told = row.map(|row| (row, &labels[row], &expected_labels[row]));
            wrong.push(format!("{name}: {largest:?}, first other label {told:?}"));
        }
        assert!(scores.iter().all(|score| !score.is_nan()), "{name}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_row_alone_gives_the_same_bits_as_in_a_batch() {
    for model in models() {
        let (numbers, _) = columns(&model);
        let rows = &numbers[&'f'];
        let (_, batch) = run(&model, rows).unwrap();
        let width = batch.len() / rows.len();
        for at in [0, 7, 8, 63, 64, 119, 179] {
            let (_, alone) = run(&model, &rows[at..=at]).unwrap();
            assert_eq!(alone, batch[at * width..(at + 1) * width], "{} row {at}", model.display());
        }
    }
}

#[test]
fn two_base_values_with_weights_for_one_class_are_refused() {
    let mut onnx = tract_onnx::onnx();
    tract_trees::register(&mut onnx);
    let mut proto = onnx.proto_model_for_path(folder().join("made_binary_mixed_none_1.onnx")).unwrap();
    let attributes = &mut proto.graph.as_mut().unwrap().node[0].attribute;
    attributes.iter_mut().find(|a| a.name == "base_values").unwrap().floats.push(1.0);
    let error = onnx.model_for_proto_model(&proto).unwrap_err();
    assert!(format!("{error:#}").contains("base_values"), "{error:#}");
}
