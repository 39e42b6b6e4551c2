//! `bench memory`: the processor's time that an invocation of each function takes, from which the memory sizes of the
//! template follow.
//!
//! Lambda gives a function processor in proportion to its memory, one whole at 1,769 MB. So what an invocation computes in a
//! millisecond here takes more than 13 at 128 MB, while what it waits for takes as long at any size. Every function runs in
//! the process that would be deployed ([`crate::processes`]); borrowers come one after the other and are all paid out. Those
//! that run once a day work on a day that is made for them ([`daily`]).
//!
//! Left out: TLS to AWS, and that Lambda's processors are not this one.

mod daily;

use super::{AnyError, QUICK, play, sound_owners};
use crate::{
    counterparties::CounterpartyOptions,
    lending::{Lending, LendingOptions},
    processes::{Processes, Used},
};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use ports::Clock as _;
use std::{
    collections::BTreeMap,
    io::Write,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU32},
};

/// Applications before anything is counted, so that connections are open and pages are in memory.
const WARM_UP: u32 = 10;
/// Memory, in megabytes, at which Lambda gives one whole processor.
const ONE_PROCESSOR_MB: f64 = 1_769.0;
const SIZES_MB: [u32; 5] = [128, 256, 512, 1_024, 1_769];

/// What is measured.
#[derive(Args)]
pub struct MemoryArgs {
    /// Where `cargo lambda build` left the binaries; or a folder of plain ones.
    #[arg(long, default_value = "target/lambda")]
    binaries: PathBuf,
    /// Where the functions' logs are written, a file for each.
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=390))]
    applications: u32,
    /// Loans of the day on which those functions work that run once a day; they are left out without it.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    daily: u32,
    /// An export of the relation graph that `label-rings` is to label whole: the folder `exports` that `bench rings` leaves.
    #[arg(long, value_name = "FOLDER", conflicts_with = "daily")]
    exports: Option<PathBuf>,
}

/// Plays the applications and prints the table.
pub async fn run(args: &MemoryArgs, out: &mut impl Write) -> Result<(), AnyError> {
    let processes = Arc::new(Processes::of(&args.binaries, args.logs.clone()));
    let counterparties = CounterpartyOptions { delay: Some(sim::Delay::NONE), ..Default::default() };
    let options =
        LendingOptions { counterparties, processes: Some(Arc::clone(&processes)), ..Default::default() };
    let lending = Arc::new(Lending::start(options).await?);
    let today = domain::calendar::day_in_china(ports::SystemClock.now());
    let owners = Arc::new(sound_owners(&lending, today).await?);
    let serial = Arc::new(AtomicU32::new(1));
    play(&lending, &owners, &serial, 1, WARM_UP, QUICK).await?;
    let before = processes.used()?;
    let played = play(&lending, &owners, &serial, 1, args.applications, QUICK).await?;
    let after = processes.used()?;
    writeln!(
        out,
        "{} applications, one after the other, each function in its Lambda binary; {} paid out.\n{}",
        args.applications,
        played.paid_out_of(),
        table(&before, &after, &lending.stack.memory_mb(), args.applications)
    )?;
    if args.daily > 0 {
        writeln!(out, "\n{}", daily::run(&lending, &processes, args.daily).await?)?;
    }
    if let Some(exports) = &args.exports {
        writeln!(out, "\n{}", daily::label(&lending, &processes, exports).await?)?;
    }
    if let Ok(lending) = Arc::try_unwrap(lending) {
        lending.stop().await;
    }
    Ok(())
}

fn table(
    before: &BTreeMap<String, Used>,
    after: &BTreeMap<String, Used>,
    chosen: &BTreeMap<String, u32>,
    applications: u32,
) -> Table {
    let mut table = Table::new();
    let mut head = vec![
        "function".to_owned(),
        "invocations".to_owned(),
        "processor ms".to_owned(),
        "peak MB".to_owned(),
    ];
    head.extend(SIZES_MB.map(|size| format!("ms at {size} MB")));
    head.push("in the template".to_owned());
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(head);
    for (name, used) in after {
        let start = before.get(name).copied().unwrap_or_default();
        let invocations = used.invocations.saturating_sub(start.invocations);
        let each = (used.processor_ms - start.processor_ms) / invocations.max(1) as f64;
        let mut row = vec![
            name.clone(),
            format!("{:.2}", invocations as f64 / f64::from(applications)),
            if invocations == 0 { "–".to_owned() } else { format!("{each:.2}") },
            format!("{:.1}", used.peak_mb),
        ];
        row.extend(SIZES_MB.map(|size| match invocations {
            0 => "–".to_owned(),
            _ => format!("{:.1}", at_size(each, size)),
        }));
        row.push(format!("{} MB", chosen.get(name).copied().unwrap_or_default()));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// How long it takes to compute at a size what takes so many milliseconds of a whole processor.
fn at_size(processor_ms: f64, size_mb: u32) -> f64 {
    processor_ms * (ONE_PROCESSOR_MB / f64::from(size_mb)).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_memory_takes_four_times_as_long_and_more_than_a_processor_helps_nobody() {
        assert!((at_size(2.0, 512) - 6.91).abs() < 0.01);
        assert!((at_size(2.0, 128) / at_size(2.0, 512) - 4.0).abs() < 1e-9);
        assert_eq!(at_size(2.0, 3_008), 2.0);
    }
}
