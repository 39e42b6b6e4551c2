//! `-- bench rings`: checks on a large relation graph, our algorithms beside others, and the whole graph at once.

mod checks;
mod city;
mod others;
mod table;
mod whole;

use super::AnyError;
use city::{City, Role};
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Of each role, so many are checked warm, cold, and in memory.
const WARM: usize = 1_000;
const COLD: usize = 100;
const IN_MEMORY: usize = 200;
const ROLES: [(&str, Role); 3] =
    [("ordinary", Role::Ordinary), ("at a supernode", Role::Supernode), ("in a planted ring", Role::Ring)];

#[derive(clap::Args)]
pub struct RingsArgs {
    /// Nodes of the graph; it has ten edges for each. A city of a tenth is checked beside it.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..=5_000_000))]
    nodes: u32,
    #[arg(long, default_value_t = 301)]
    seed: u64,
    /// Where loaded cities are kept for the next run: 1.5 GB for 100,000 nodes.
    #[arg(long, value_name = "FOLDER", default_value = "target/bench-rings")]
    cache: PathBuf,
    /// Python of a virtual environment with models/training/ring_speed.txt. Without it only ours is measured.
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Write the export without the store, and label the whole graph from it: for a machine with little disk.
    #[arg(long)]
    only_whole: bool,
    /// Label the export in this folder, and nothing else: what a process of its own is told to do.
    #[arg(long, value_name = "FOLDER", hide = true)]
    label: Option<PathBuf>,
}

/// Measures, and prints everything.
pub async fn run(args: &RingsArgs, out: &mut impl Write) -> Result<(), AnyError> {
    if let Some(exports) = &args.label {
        return whole::label(exports, out).await;
    }
    let city = City::of(args.nodes, args.seed);
    if args.only_whole {
        return print_whole(&table::export(&city, &args.cache, args.nodes, args.seed)?, out);
    }
    let small = City::of(args.nodes / 10, args.seed);
    writeln!(out, "Loading {} nodes, and a tenth of them, unless an earlier run did …", args.nodes)?;
    let (kept, checked) = ((args.cache.as_path(), args.seed), city.checked());
    let loaded_small = table::load(&small, kept, args.nodes / 10, checked).await?;
    let loaded = table::load(&city, kept, args.nodes, checked).await?;
    writeln!(
        out,
        "{} applications, {} nodes, {} rows in {}\n",
        city.applications.len(),
        loaded.nodes,
        loaded.rows,
        loaded.folder.display()
    )?;
    print_checks(&city, &loaded, (&small, &loaded_small), out).await?;
    print_others(&city, &loaded, args.python.as_deref(), out).await?;
    print_whole(&loaded, out)
}

async fn print_checks(
    city: &City,
    loaded: &table::Loaded,
    (small, loaded_small): (&City, &table::Loaded),
    out: &mut impl Write,
) -> Result<(), AnyError> {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "checks",
        "number",
        "ms, p50 / p99 / most",
        "reads, p50 / p99 / most",
        "applications in the ring, p50 / most",
    ]);
    for (name, role) in ROLES {
        let some = |count| city.some(role, city.checked(), count);
        let warm = checks::warm(city, loaded, &some(WARM)).await?;
        table.add_row(warm.row(&format!("{name}, warm")));
        let warm = checks::warm(small, loaded_small, &some(WARM)).await?;
        table.add_row(warm.row(&format!("{name}, warm, a tenth of the table")));
        let cold = checks::cold(city, loaded, &some(COLD)).await?;
        table.add_row(cold.row(&format!("{name}, cold")));
        let cold = checks::cold(small, loaded_small, &some(COLD)).await?;
        table.add_row(cold.row(&format!("{name}, cold, a tenth of the table")));
    }
    writeln!(
        out,
        "Cold: the engine is started anew and the system forgets the file before every check. Both tables are asked for\nthe same applications.\n{table}\n"
    )?;
    Ok(())
}

async fn print_others(
    city: &City,
    loaded: &table::Loaded,
    python: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), AnyError> {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "library",
        "µs a neighbourhood, p50 / p99 / mean",
        "p50, times ours",
        "mean, times ours",
    ]);
    for (name, role) in ROLES {
        let some = city.some(role, city.checked(), IN_MEMORY);
        let all = checks::neighbourhoods(city, loaded, &some).await?;
        let measured = others::measure(&all, python)?;
        for library in &measured {
            let mut row = library.row(&measured[0]);
            row[0] = format!("{name}, {}", row[0]);
            table.add_row(row);
        }
    }
    Ok(writeln!(
        out,
        "Neighbourhoods in memory → ring and features, the same from every library:\n{table}\n"
    )?)
}

fn print_whole(loaded: &table::Loaded, out: &mut impl Write) -> Result<(), AnyError> {
    let took = whole::measure(&loaded.exports())?;
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(["the whole graph", ""]);
    let seconds = |seconds: f64| format!("{seconds:.1} s");
    for (name, value) in [
        ("applications", took.applications.to_string()),
        ("nodes, edges", format!("{}, {}", took.nodes, took.edges)),
        ("rings, applications of the largest", format!("{}, {}", took.rings, took.largest)),
        ("suspicious, written", format!("{}, {}", took.suspicious, took.sightings)),
        ("reading the export, with its checksums", seconds(took.read)),
        ("joining, cutting, labelling", seconds(took.label)),
        ("comparing with an empty book", seconds(took.compare)),
        ("together", seconds(took.read + took.label + took.compare)),
        ("most memory", format!("{:.2} GiB", took.peak_kb as f64 / 1_048_576.0)),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    Ok(writeln!(out, "Labelled from its export in a process of its own:\n{table}")?)
}
