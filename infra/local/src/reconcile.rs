//! `-- reconcile`: a bank's file of one day against the ledger in the state folder, through the same function that a
//! file in the bucket wakes.

use crate::lending::Lending;
use clap::Args;
use comfy_table::{CellAlignment, Table};
use domain::calendar::day_in_china;
use jiff::civil::Date;
use ports::{Clock as _, SystemClock};
use serde_json::Value;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What is compared.
#[derive(Args)]
pub struct ReconcileArgs {
    /// The bank; every simulated bank without one.
    bank: Option<String>,
    /// The day in China; today without one.
    #[arg(long, value_name = "YYYY-MM-DD")]
    day: Option<Date>,
    /// The bank's file, .csv or .jsonl, in the form of BANKS.md. Without one, a simulated bank writes its own.
    #[arg(long, value_name = "FILE", requires = "bank")]
    statement: Option<PathBuf>,
}

/// Compares, prints what came of it, and says whether everything agrees.
pub async fn run(
    args: &ReconcileArgs,
    state: &Path,
    keys: Option<&Path>,
    out: &mut impl Write,
) -> Result<bool, AnyError> {
    let day = args.day.unwrap_or_else(|| day_in_china(SystemClock.now()));
    let lending = Lending::at_rest(state, keys).await?;
    let compared = compare(&lending, args, day, out).await;
    lending.stop().await;
    compared
}

async fn compare(
    lending: &Lending,
    args: &ReconcileArgs,
    day: Date,
    out: &mut impl Write,
) -> Result<bool, AnyError> {
    let banks = match &args.bank {
        Some(bank) => vec![bank.clone()],
        None => lending.counterparties.banks.keys().cloned().collect(),
    };
    let mut agrees = true;
    for bank in banks {
        let (ending, bytes) = match &args.statement {
            Some(path) => read(path)?,
            None => {
                let simulated = lending.counterparties.banks.get(&bank);
                let simulated =
                    simulated.ok_or_else(|| format!("{bank} is not simulated: give its --statement"))?;
                ("csv".to_owned(), simulated.statement(day).to_csv()?)
            }
        };
        // Read before anything is written, since it becomes a path.
        let key =
            format!("statements/{bank}/{day}.{ending}").parse::<::reconcile::StatementKey>()?.to_string();
        lending.files.put(&key, &bytes)?;
        for summary in lending.stack.object_created("Statements", &key).await? {
            agrees &= summary["differences"].as_object().is_some_and(serde_json::Map::is_empty);
            print(&bank, day, &summary, lending.files.path(), out)?;
        }
    }
    // What the files contradict is asked at once.
    lending.stack.drain().await?;
    Ok(agrees)
}

/// A file with its ending.
fn read(path: &Path) -> Result<(String, Vec<u8>), AnyError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_owned();
    let _known: reconciliation::Format = ending.parse()?;
    let bytes = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    Ok((ending, bytes))
}

fn print(bank: &str, day: Date, summary: &Value, files: &Path, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([bank, &day.to_string()]);
    let mut row = |name: &str, value: &Value| _ = table.add_row([name.to_owned(), value.to_string()]);
    row("lines", &summary["lines"]);
    row("agree in everything", &summary["agreed"]);
    for (kind, count) in summary["differences"].as_object().into_iter().flatten() {
        row(&kind.replace('_', " "), count);
    }
    row("payouts the bank is asked about", &summary["asked"]);
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}")?;
    let report = summary["report"].as_str().unwrap_or_default();
    writeln!(out, "Report: {}\n", files.join(report).display())
}
