//! Writes `ensemble.packed` beside a model's graph: `cargo run --release -p forest --example pack -- <folder>…`.

use std::path::PathBuf;

use forest::Ensemble;

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    for folder in std::env::args_os().skip(1).map(PathBuf::from) {
        let (path, packed) = (folder.join("ensemble.packed"), Ensemble::load(&folder)?.pack());
        std::fs::write(&path, &packed)?;
        println!("{}: {} bytes", path.display(), packed.len());
    }
    Ok(())
}
