//! Holds a model to its own golden rows before it is let in.

use forest::Ensemble;
use std::path::Path;

/// Largest difference to what the training wrote down.
const TOLERANCE: f64 = 1e-5;
/// The columns with the probability that the training's two runtimes gave.
const EXPECTED: [&str; 2] = ["onnxruntime.pd", "lightgbm.pd"];

/// Why a model is not let in.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    #[error("golden.csv cannot be read")]
    Read(#[from] csv::Error),
    #[error("golden.csv has other features than the manifest, or not the columns {EXPECTED:?}")]
    Columns,
    #[error("golden.csv has no rows")]
    Empty,
    #[error("line {line} of golden.csv: a cell is not a number")]
    Cell { line: u64 },
    #[error("line {line} of golden.csv cannot be scored")]
    Score {
        line: u64,
        #[source]
        source: forest::ScoreError,
    },
    #[error("line {line} of golden.csv: the model says {found}, the training said {expected}")]
    Differs { line: u64, found: f64, expected: f64 },
}

/// How many rows there are; all of them agree.
///
/// # Errors
/// [`GoldenError`] for the first row that does not.
pub fn check(ensemble: &Ensemble, folder: &Path) -> Result<usize, GoldenError> {
    let features = &ensemble.manifest().features;
    let mut reader = csv::Reader::from_path(folder.join("golden.csv"))?;
    let header = reader.headers()?.clone();
    let places = EXPECTED.map(|wanted| header.iter().position(|name| name == wanted));
    let named = header.iter().take(features.len()).eq(features.iter().map(|f| f.name.as_str()));
    let ([Some(first), Some(second)], true) = (places, named) else { return Err(GoldenError::Columns) };
    let mut rows = 0;
    for record in reader.records() {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line);
        let row: Vec<f32> = record
            .iter()
            .take(features.len())
            .map(value)
            .collect::<Option<_>>()
            .ok_or(GoldenError::Cell { line })?;
        let found = ensemble.score(&row).map_err(|source| GoldenError::Score { line, source })?.pd;
        for place in [first, second] {
            let expected: f64 = record[place].parse().map_err(|_| GoldenError::Cell { line })?;
            let agrees = (found - expected).abs() <= TOLERANCE;
            if !agrees {
                return Err(GoldenError::Differs { line, found, expected });
            }
        }
        rows += 1;
    }
    if rows == 0 { Err(GoldenError::Empty) } else { Ok(rows) }
}

/// An empty cell is missing.
fn value(cell: &str) -> Option<f32> {
    if cell.is_empty() { Some(f32::NAN) } else { cell.parse().ok() }
}
