//! What a model says of every row of a file of features, one a line, in the order of the rows:
//! `cargo run --release -p forest --example score_rows -- <model folder> <rows.csv>`.
//!
//! The file has a header and a column for each feature in the manifest's order; an empty cell is missing. A line is the
//! chance to default, the points, and the points that each dimension adds or costs, in the manifest's order.

use std::{io::Write, path::PathBuf};

use forest::Ensemble;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, rows] = arguments.as_slice() else {
        return Err("expected: score_rows <model folder> <rows.csv>".into());
    };
    let ensemble = Ensemble::load(folder)?;
    let mut file = csv::Reader::from_path(rows)?;
    let names = ensemble.manifest().features.iter().map(|f| f.name.as_str());
    if !file.headers()?.iter().eq(names) {
        return Err("the columns are not the model's features in its order".into());
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for record in file.deserialize() {
        let row: Vec<Option<f32>> = record?;
        let features: Vec<f32> = row.into_iter().map(|cell| cell.unwrap_or(f32::NAN)).collect();
        let (scored, explanation) = ensemble.explain(&features)?;
        write!(out, "{} {}", scored.pd, scored.points)?;
        for points in explanation.points_by_dimension(ensemble.manifest()) {
            write!(out, " {}", points.round())?;
        }
        writeln!(out)?;
    }
    out.flush()?;
    Ok(())
}
