//! `bench cold-start`: how long the Lambda binaries take from the start of the process until they ask for work and until
//! they have answered once, beside a hello-world of the same crates.
//!
//! Each start is a fresh process that finds around it what Lambda gives it: its settings from the template, a Runtime
//! API ([`crate::runtime_api`]) and an endpoint of AWS ([`endpoint`]), both on this machine. All binaries take turns, so that
//! whatever else the machine does meets all of them alike.
//!
//! Left out: TLS to AWS (the endpoint is plain HTTP, so there is no handshake, though roots and ciphers are set up),
//! the network, Lambda's own preparation, and its slower processor at small memory sizes.

mod endpoint;
mod process;
mod settings;

use super::AnyError;
use crate::{lending::TEMPLATE, processes::around, template::Template};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use process::{Binary, Start};
use std::{io::Write, path::PathBuf};

const HELLO_WORLD: &str = "hello_world";
const HELLO_WORLD_MB: u32 = 512;
/// Those that carry models or strategies may take longer to start.
const HEAVY: [&str; 2] = ["score", "decide"];
/// The strategy's engine alone is larger.
const LARGE: &str = "decide";
const MOST_MB: f64 = 12.0;

/// What is started, and how often.
#[derive(Args)]
pub struct ColdStartArgs {
    /// Where `cargo lambda build` left them, hello_world (`--example hello_world`) among them; or a folder of plain binaries.
    #[arg(long, default_value = "target/lambda")]
    binaries: PathBuf,
    /// Starts of each binary from memory, and as many from disk.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeats: u32,
    /// Only these functions; all without it.
    #[arg(long, value_delimiter = ',')]
    functions: Vec<String>,
}

/// The starts of one binary.
struct Measured {
    binary: Binary,
    from_memory: Vec<Start>,
    from_disk: Vec<Start>,
}

/// Starts all binaries in turn and prints the table.
pub async fn run(args: &ColdStartArgs, out: &mut impl Write) -> Result<(), AnyError> {
    let template = Template::parse(TEMPLATE)?;
    let settings = settings::Settings::new(&template)?;
    let aws = endpoint::start(settings.secrets()).await?;
    let mut measured = binaries(args, &template, &settings, &aws)?;
    for _ in 0..args.repeats {
        for one in &mut measured {
            one.from_memory.push(one.binary.start().await?);
            one.binary.forget()?;
            one.from_disk.push(one.binary.start().await?);
        }
    }
    writeln!(out, "{} starts of each from memory and as many from disk, medians:", args.repeats)?;
    writeln!(out, "{}", table(&measured))?;
    Ok(())
}

/// Hello-world first, then the template's functions.
fn binaries(
    args: &ColdStartArgs,
    template: &Template,
    settings: &settings::Settings,
    aws: &str,
) -> Result<Vec<Measured>, AnyError> {
    let known = |name: &String| template.functions.iter().any(|function| function.name == *name);
    if let Some(unknown) = args.functions.iter().find(|name| !known(name)) {
        return Err(format!("the template has no function {unknown}").into());
    }
    let around = around(HELLO_WORLD, HELLO_WORLD_MB, aws);
    let mut binaries = vec![Binary::find(&args.binaries, HELLO_WORLD, around)?];
    for function in &template.functions {
        if !args.functions.is_empty() && !args.functions.contains(&function.name) {
            continue;
        }
        let mut binary = Binary::find(&args.binaries, &function.name, settings.of(function, aws)?)?;
        binary.event = settings::first_event(function);
        // Those that work on files find none, and say so.
        binary.may_fail = function.queue_sources.is_empty() && function.routes.is_empty();
        binaries.push(binary);
    }
    Ok(binaries
        .into_iter()
        .map(|binary| Measured { binary, from_memory: Vec::new(), from_disk: Vec::new() })
        .collect())
}

impl Measured {
    /// The median of a figure of all starts from memory.
    fn median(&self, figure: impl Fn(&Start) -> f64) -> f64 {
        median(&self.from_memory, figure)
    }

    /// What is aimed at and missed.
    fn missed(&self, hello: &Measured) -> String {
        let times = self.median(|s| s.init_ms) / hello.median(|s| s.init_ms);
        let most_times = if HEAVY.contains(&self.binary.name.as_str()) { 4.0 } else { 2.0 };
        let too_slow = (times > most_times).then(|| format!("init over {most_times:.0}×"));
        let is_large = self.binary.megabytes > MOST_MB && self.binary.name != LARGE;
        let too_large = is_large.then(|| format!("over {MOST_MB:.0} MB"));
        too_slow.into_iter().chain(too_large).collect::<Vec<_>>().join(", ")
    }
}

fn median(starts: &[Start], figure: impl Fn(&Start) -> f64) -> f64 {
    let mut figures: Vec<f64> = starts.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn table(measured: &[Measured]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "function",
        "MB",
        "init ms",
        "× hello",
        "init CPU ms",
        "answer ms",
        "× hello",
        "peak MB",
        "minor faults",
        "from disk: init ms",
        "page-ins",
        "missed",
    ]);
    let Some(hello) = measured.first() else { return table };
    for one in measured {
        let times = |figure: fn(&Start) -> f64| one.median(figure) / hello.median(figure);
        table.add_row([
            one.binary.name.clone(),
            format!("{:.1}", one.binary.megabytes),
            format!("{:.1}", one.median(|s| s.init_ms)),
            format!("{:.2}", times(|s| s.init_ms)),
            format!("{:.1}", one.median(|s| s.init_cpu_ms)),
            format!("{:.1}", one.median(|s| s.answer_ms)),
            format!("{:.2}", times(|s| s.answer_ms)),
            format!("{:.1}", one.median(|s| s.peak_mb)),
            format!("{:.0}", one.median(|s| s.minor_faults)),
            format!("{:.1}", median(&one.from_disk, |s| s.init_ms)),
            format!("{:.0}", median(&one.from_disk, |s| s.major_faults)),
            one.missed(hello),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(init_ms: f64) -> Start {
        Start { init_ms, ..Start::default() }
    }

    #[test]
    fn one_slow_start_does_not_move_the_median() {
        let starts = [9.0, 1.0, 2.0, 500.0, 3.0].map(started);
        assert_eq!(median(&starts, |s| s.init_ms), 3.0);
        assert_eq!(median(&[], |s| s.init_ms), 0.0);
    }

    #[test]
    fn a_function_may_take_twice_as_long_as_hello_world_and_those_with_models_four_times() {
        let measured = |name: &str, megabytes: f64, init_ms: f64| {
            let mut binary = Binary::named(name);
            binary.megabytes = megabytes;
            Measured { binary, from_memory: vec![started(init_ms)], from_disk: Vec::new() }
        };
        let hello = measured(HELLO_WORLD, 2.0, 5.0);
        assert_eq!(measured("intake", 11.9, 10.0).missed(&hello), "");
        assert_eq!(measured("intake", 12.1, 10.1).missed(&hello), "init over 2×, over 12 MB");
        assert_eq!(measured("score", 11.9, 20.0).missed(&hello), "");
        assert_eq!(measured("decide", 40.0, 20.1).missed(&hello), "init over 4×");
    }
}
