//! `-- rings label`: what the schedule does over two days, at once.

use super::AnyError;
use crate::lending::Lending;
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use serde_json::json;
use std::io::Write;

const ROWS: [(&str, &str); 10] = [
    ("applications", "applications in the window"),
    ("nodes", "nodes"),
    ("edges", "edges"),
    ("rings", "rings of two applications or more"),
    ("largest", "applications in the largest"),
    ("cut", "components cut into communities"),
    ("judged", "journeys looked at"),
    ("sightings", "sightings written"),
    ("settled", "names settled"),
    ("split", "names that stand elsewhere now"),
];

pub(super) async fn run(lending: &Lending, out: &mut impl Write) -> Result<(), AnyError> {
    lending.stack.invoke("label-rings", json!({ "step": "export" })).await?;
    let told = lending.stack.invoke("label-rings", json!({ "step": "label" })).await?;
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([format!("export {}", text("export")), text("at")]);
    for (key, name) in ROWS {
        table.add_row([name.to_owned(), told[key].to_string()]);
    }
    for (label, count) in told["suspicious"].as_object().into_iter().flatten() {
        table.add_row([format!("suspicious: {label}"), count.to_string()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let files = lending.files.path().join("exports/AWSDynamoDB").join(text("export"));
    Ok(writeln!(out, "{table}\nThe export lies in {}.", files.display())?)
}
