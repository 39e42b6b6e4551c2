//! `simulate`: many seeds with a table of what went wrong on purpose, or one seed with its trace.

use super::{AnyError, FaultKind, Machine, Plan, Report, Safeguard, owners, seeds};
use clap::Args;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use indicatif::{ProgressBar, ProgressStyle};
use std::{io::Write, path::Path, time::Instant};

/// Failing seeds that are told of before a run stops.
const MOST_FAILED: usize = 20;

#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// How many seeds to run.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed alone and print its trace.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    pub seed: Option<u64>,
    /// Turn one safeguard off, to see that it is missed.
    #[arg(long, value_enum)]
    without: Option<Safeguard>,
}

/// Runs the seeds asked for and prints what came of them; an error when something did not hold.
#[expect(clippy::disallowed_methods, reason = "the speed is measured in the machine's own time")]
pub fn run(args: &SimulateArgs, city: &Path, out: &mut impl Write) -> Result<(), AnyError> {
    let owners = owners(city)?;
    let plan = Plan { without: args.without };
    if let Some(seed) = args.seed {
        let report = Machine::new(owners)?.run(seed, plan);
        out.write_all(report.trace.as_bytes())?;
        let failed: &[Report] = if report.violations.is_empty() { &[] } else { &[report] };
        return end(failed, plan, out);
    }
    let bar = ProgressBar::new(args.seeds);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    let begun = Instant::now();
    let range = args.from..args.from.saturating_add(args.seeds);
    let tally = seeds::run(&owners, range, plan, MOST_FAILED, |_| bar.inc(1))?;
    let seconds = begun.elapsed().as_secs_f64();
    bar.finish_and_clear();
    writeln!(
        out,
        "{} seeds, {} applications, {} steps in {seconds:.1} s: {:.0} seeds/s.\n",
        tally.seeds,
        tally.applications,
        tally.steps,
        tally.seeds as f64 / seconds
    )?;
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(["fault injected", "times"]);
    for kind in FaultKind::ALL {
        table.add_row([kind.to_string(), tally.faults.of(*kind).to_string()]);
    }
    writeln!(out, "{table}\n")?;
    end(&tally.failed, plan, out)
}

fn end(failed: &[Report], plan: Plan, out: &mut impl Write) -> Result<(), AnyError> {
    let without =
        plan.without.map(|safeguard| format!(" --without {}", safeguard.name())).unwrap_or_default();
    for report in failed {
        writeln!(out, "seed {}:", report.seed)?;
        for violation in &report.violations {
            writeln!(out, "  {violation}")?;
        }
        writeln!(out, "  replay: cargo run --release -- simulate --seed {}{without}", report.seed)?;
    }
    if failed.is_empty() {
        writeln!(out, "Everything held.")?;
        return Ok(());
    }
    Err(format!("something did not hold in {} seeds", failed.len()).into())
}
