//! `-- drift`: the models on the applications in the state folder, watched by the function that a schedule wakes.

use crate::lending::Lending;
use clap::Args;
use comfy_table::{CellAlignment, Table};
use domain::calendar::day_in_china;
use jiff::civil::Date;
use ports::{Clock as _, SystemClock};
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    path::Path,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What is watched.
#[derive(Args)]
pub struct DriftArgs {
    /// Last day of the window, in China; today without one.
    #[arg(long, value_name = "YYYY-MM-DD")]
    day: Option<Date>,
}

/// Watches, and prints a table for each model.
pub async fn run(
    args: &DriftArgs,
    state: &Path,
    keys: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), AnyError> {
    let lending = Lending::at_rest(state, keys).await?;
    let day = args.day.unwrap_or_else(|| day_in_china(SystemClock.now()));
    lending.engines.reset_calls();
    let watched = lending.stack.invoke("monitor", json!({ "day": day.to_string() })).await;
    let (reads, units) = lending
        .engines
        .calls()
        .values()
        .fold((0, 0.0), |(reads, units), call| (reads + call.calls, units + call.read_units));
    let printed = watched.map_err(AnyError::from).and_then(|told| {
        print(&told, lending.files.path(), out)?;
        Ok(writeln!(out, "{reads} calls to DynamoDB, {units:.1} read units.")?)
    });
    lending.stop().await;
    printed
}

fn print(told: &Value, files: &Path, out: &mut impl Write) -> Result<(), AnyError> {
    let models = told["models"].as_array().map(Vec::as_slice).unwrap_or_default();
    for model in models {
        let key = model["report"].as_str().unwrap_or_default();
        let report: Value = serde_json::from_slice(&std::fs::read(files.join(key).with_extension("json"))?)?;
        table(model, &report, out)?;
        for note in report["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            writeln!(out, "{note}")?;
        }
        writeln!(out, "Report: {}\n", files.join(key).display())?;
    }
    if models.is_empty() {
        let window = &told["window"];
        let day = |end: &str| window[end].as_str().unwrap_or_default().to_owned();
        writeln!(out, "No application was scored from {} to {}.", day("from"), day("to"))?;
    }
    Ok(())
}

fn table(model: &Value, report: &Value, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    table.set_header([format!("model {}", text(&model["model"])), text(&report["day"])]);
    let level = match (model["level"].as_str(), report["enough"].as_bool()) {
        (Some(level), _) => level,
        (None, Some(true)) => "nothing to tell",
        (None, _) => "too few to tell",
    };
    let mut row = |name: &str, value: String| _ = table.add_row([name.to_owned(), value]);
    let number = |value: &Value, decimals: usize| match value.as_f64() {
        Some(number) => format!("{number:.decimals$}"),
        None => "not known".to_owned(),
    };
    row("level", level.to_owned());
    row("applications scored", model["scored"].to_string());
    row("PSI of the points", number(&model["points_psi"], 4));
    for finding in report["findings"].as_array().into_iter().flatten() {
        let of = finding["of"].as_str().map(|of| format!(" of {of}")).unwrap_or_default();
        let name =
            format!("{}: {}{of}", text(&finding["level"]), text(&finding["measure"]).replace('_', " "));
        row(&name, number(&finding["value"], 4));
    }
    row("loans with an outcome", model["loans"].to_string());
    row("defaulted, of them", model["defaulted"].to_string());
    row("predicted to", number(&model["predicted"], 1));
    row("AUC", number(&model["auc"], 3));
    for challenger in report["challengers"].as_array().into_iter().flatten() {
        row(
            &format!("scored by {} as well", text(&challenger["model"])),
            challenger["applications"].to_string(),
        );
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}")
}
