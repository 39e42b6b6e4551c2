//! Time per row, scored and explained, one thread: `cargo run --release -p forest --example score_speed`.

use std::{path::Path, time::Instant};

use forest::Ensemble;

#[allow(clippy::print_stdout, clippy::disallowed_methods)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/registry/2026.11.3");
    let started = Instant::now();
    let ensemble = Ensemble::load(&folder)?;
    println!("load {} µs", started.elapsed().as_micros());
    let width = ensemble.manifest().features.len();
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for line in std::fs::read_to_string(folder.join("golden.csv"))?.lines().skip(1) {
        rows.push(line.split(',').take(width).map(|cell| cell.parse().unwrap_or(f32::NAN)).collect());
    }
    time("scored", &rows, |row| ensemble.score(row).map(drop))?;
    time("explained", &rows, |row| ensemble.explain(row).map(drop))?;
    Ok(())
}

#[allow(clippy::print_stdout, clippy::disallowed_methods)]
fn time(
    what: &str,
    rows: &[Vec<f32>],
    score: impl Fn(&[f32]) -> Result<(), forest::ScoreError>,
) -> Result<(), forest::ScoreError> {
    let mut nanoseconds = Vec::with_capacity(rows.len() * 20);
    for round in 0..24 {
        for row in rows {
            let started = Instant::now();
            std::hint::black_box(score(std::hint::black_box(row)))?;
            // The first rounds warm the caches up.
            if round >= 4 {
                nanoseconds.push(started.elapsed().as_nanos());
            }
        }
    }
    nanoseconds.sort_unstable();
    let at = |share: usize| nanoseconds[(nanoseconds.len() - 1) * share / 1000];
    println!(
        "{what}: {} rows, p50 {} ns, p99 {} ns, p99.9 {} ns",
        nanoseconds.len(),
        at(500),
        at(990),
        at(999)
    );
    Ok(())
}
