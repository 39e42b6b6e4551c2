//! `-- cost`: what an application costs, in calls and in money, by function and by case of the demo.

mod measure;
pub mod pinned;
mod usage;

pub use measure::{CaseUsage, Measured, measure};
pub use usage::{Functions, Usage};

use crate::prices::{self, Money};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use personal_data::MOST_ROWS;
use std::{collections::BTreeMap, io::Write};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What is printed or written.
#[derive(Args)]
pub struct CostArgs {
    /// Write the counts that a test holds the code to into infra/cost.txt.
    #[arg(long)]
    write: bool,
    /// Print every write of the first case: table, bytes, units.
    #[arg(long)]
    writes: bool,
}

/// Plays the demo's mix and prints what it cost.
pub async fn run(args: &CostArgs, out: &mut impl Write) -> Result<(), AnyError> {
    let measured = measure().await?;
    if args.write {
        std::fs::write(pinned::path(), pinned::text(&measured))?;
        writeln!(out, "Written into infra/cost.txt.")?;
        return Ok(());
    }
    if args.writes {
        return Ok(print_writes(&measured, out)?);
    }
    print_functions(&measured, out)?;
    print_cases(&measured, out)?;
    Ok(print_prices(&measured, out)?)
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(head);
    table
}

/// Aligns all columns but the first `texts` to the right.
fn align(table: &mut Table, texts: usize) {
    for column in table.column_iter_mut().skip(texts) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// Per application of the mix, by function.
fn print_functions(measured: &Measured, out: &mut impl Write) -> std::io::Result<()> {
    let applications: u32 = measured.cases.iter().map(|case| case.applications).sum();
    let per = |figure: f64| figure / f64::from(applications);
    let mut functions: BTreeMap<&str, Usage> = BTreeMap::new();
    for (name, usage) in measured.cases.iter().flat_map(|case| &case.functions) {
        *functions.entry(name).or_default() += usage;
    }
    let services: Vec<String> = usage::sum(functions.values()).others.into_keys().collect();
    let mut head = vec![
        "function",
        "HTTP",
        "calls",
        "ms",
        "MB",
        "read",
        "write",
        "send",
        "receive",
        "delete",
        "log bytes",
    ];
    head.extend(services.iter().map(String::as_str));
    head.extend(["calls $", "all $"]);
    let mut rows = table(&head);
    let mut whole = prices::Usage::default();
    for (name, usage) in &functions {
        let memory = measured.memory_of(name);
        let priced = usage.priced(memory);
        whole = plus(whole, priced);
        rows.add_row(row(name, usage, &memory.to_string(), &services, priced, per));
    }
    let sum = usage::sum(functions.values());
    rows.add_row(row("together", &sum, "", &services, whole, per));
    align(&mut rows, 1);
    let empty = per(sum.empty_receives);
    writeln!(
        out,
        "One application of the demo's mix of {applications}, by function. Times are this machine's, rounded up to a\n\
         millisecond each; money is USD for a million applications in {}.\n{rows}\n\
         Empty receives of pollers are not in it: here {empty:.0} an application, on AWS as many as time passes.\n\
         A run of the sweeper that finds nothing is not in it either: every minute {:.1} units read, {:.1} written.\n",
        prices::TABLE[0].region,
        measured.idle_sweep.read_units,
        measured.idle_sweep.write_units
    )
}

fn row(
    name: &str,
    usage: &Usage,
    memory: &str,
    services: &[String],
    priced: prices::Usage,
    per: impl Fn(f64) -> f64,
) -> Vec<String> {
    let (calls, all) = (prices::TABLE[0].of_calls(&priced), prices::TABLE[0].of_all(&priced));
    let short = |figure: f64| format!("{:.2}", per(figure));
    let mut cells = vec![
        name.to_owned(),
        short(usage.requests),
        short(usage.invocations),
        short(usage.milliseconds),
        memory.to_owned(),
        short(usage.read_units),
        short(usage.write_units),
        short(usage.sends),
        short(usage.receives),
        short(usage.deletes),
        format!("{:.0}", per(usage.log_bytes)),
    ];
    cells
        .extend(services.iter().map(|service| short(usage.others.get(service).copied().unwrap_or_default())));
    cells.extend([short(calls.amount * 1e6), short(all.amount * 1e6)]);
    cells
}

fn plus(one: prices::Usage, other: prices::Usage) -> prices::Usage {
    prices::Usage {
        read_units: one.read_units + other.read_units,
        write_units: one.write_units + other.write_units,
        sqs_requests: one.sqs_requests + other.sqs_requests,
        http_requests: one.http_requests + other.http_requests,
        lambda_requests: one.lambda_requests + other.lambda_requests,
        lambda_gb_seconds: one.lambda_gb_seconds + other.lambda_gb_seconds,
        log_bytes: one.log_bytes + other.log_bytes,
        kms_requests: one.kms_requests + other.kms_requests,
    }
}

/// What all functions used for one case, as it is paid for.
fn priced(measured: &Measured, case: &CaseUsage) -> prices::Usage {
    let usages = case.functions.iter().map(|(name, usage)| usage.priced(measured.memory_of(name)));
    usages.fold(prices::Usage::default(), plus)
}

/// The same with full batches.
fn priced_in_batches(measured: &Measured, case: &CaseUsage) -> prices::Usage {
    let usages = case.functions.iter().map(|(name, usage)| {
        let batch = measured.batch_sizes.get(name).copied().unwrap_or(1);
        usage.in_batches(batch).priced(measured.memory_of(name))
    });
    usages.fold(prices::Usage::default(), plus)
}

impl Measured {
    fn memory_of(&self, function: &str) -> u32 {
        self.memory_mb.get(function).copied().unwrap_or_default()
    }
}

/// Per application of each case.
fn print_cases(measured: &Measured, out: &mut impl Write) -> std::io::Result<()> {
    let mut rows = table(&["case", "HTTP", "read", "write", "SQS", "log bytes", "calls $", "all $"]);
    for case in &measured.cases {
        let usage = usage::sum(case.functions.values());
        let priced = priced(measured, case);
        let (calls, all) = (prices::TABLE[0].of_calls(&priced), prices::TABLE[0].of_all(&priced));
        let per = |figure: f64| format!("{:.1}", figure / f64::from(case.applications));
        rows.add_row([
            case.name.to_owned(),
            per(usage.requests),
            per(usage.read_units),
            per(usage.write_units),
            per(usage.sqs_requests()),
            format!("{:.0}", usage.log_bytes / f64::from(case.applications)),
            per(calls.amount * 1e6),
            per(all.amount * 1e6),
        ]);
    }
    align(&mut rows, 1);
    writeln!(out, "One application of each case:\n{rows}\n")
}

fn print_prices(measured: &Measured, out: &mut impl Write) -> std::io::Result<()> {
    let Some(first) = measured.cases.first() else { return Ok(()) };
    // Data keys are made for many applications, and those of a million are what they share.
    let shared = |usage: prices::Usage| prices::Usage {
        kms_requests: usage.kms_requests / f64::from(MOST_ROWS),
        ..usage
    };
    let used = shared(priced(measured, first));
    let in_batches = shared(priced_in_batches(measured, first));
    writeln!(out, "A million applications of \"{}\":", first.name)?;
    for region in prices::TABLE {
        let line = |what: &str, Money { amount, unpriced }: Money| {
            let without = match unpriced.as_slice() {
                [] => String::new(),
                some => format!(", without {}, of which no price was found", some.join(", ")),
            };
            format!("  {} {} {:.2} for {what}{without}", region.region, region.currency, amount * 1e6)
        };
        writeln!(out, "{}", line("tables, queues, API requests and keys", region.of_calls(&used)))?;
        let under_load = "the same under load, with full batches";
        writeln!(out, "{}", line(under_load, region.of_calls(&in_batches)))?;
        writeln!(out, "{}", line("everything with Lambda and logs", region.of_all(&used)))?;
    }
    writeln!(out, "\nList prices, read on {}:", prices::READ_ON)?;
    for region in prices::TABLE {
        for (name, price) in region.sources() {
            let (place, currency) = (region.region, region.currency);
            writeln!(out, "  {place:<11} {name:<16} {currency} {:<8} {}", price.amount, price.source)?;
        }
    }
    writeln!(out, "Traffic, storage, custom metrics and traces are not in it; infra/COST.md tells of traces.")
}

fn print_writes(measured: &Measured, out: &mut impl Write) -> std::io::Result<()> {
    let Some(case) = measured.cases.first() else { return Ok(()) };
    let mut rows = table(&["function", "operation", "table", "row", "bytes", "units of the call"]);
    for write in &case.writes {
        rows.add_row([
            write.caller.clone(),
            write.operation.clone(),
            write.table.clone(),
            write.what.clone(),
            write.bytes.map_or_else(String::new, |bytes| bytes.to_string()),
            write.units_of_call.to_string(),
        ]);
    }
    align(&mut rows, 4);
    writeln!(out, "Every write of \"{}\":\n{rows}", case.name)
}
