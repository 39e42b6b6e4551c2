//! The tables of one run: the embedded store in memory, called in line.

use crate::engines::dynamodb::{Answer, respond};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use dynoxide::Database;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The bodies of the calls that made the tables and put a firm into the archive, as the SDK wrote them.
#[derive(Default)]
pub(super) struct Recording {
    pub tables: Vec<Vec<u8>>,
    /// By firm code.
    pub firms: BTreeMap<String, Vec<u8>>,
}

/// The store of one run.
pub(super) struct Tables(Database);

impl Tables {
    /// Empty tables.
    pub(super) fn new(recording: &Recording) -> Result<Self, String> {
        let tables = Self(Database::memory().map_err(|error| error.to_string())?);
        for body in &recording.tables {
            let made = tables.call("CreateTable", body);
            if made.status != 200 {
                return Err(made.body);
            }
        }
        Ok(tables)
    }

    pub(super) fn call(&self, operation: &str, body: &[u8]) -> Answer {
        respond(&self.0, operation, body)
    }

    /// All items of a table.
    pub(super) fn items(&self, table: &str) -> Vec<Value> {
        let scanned = self.call("Scan", json!({ "TableName": table }).to_string().as_bytes());
        let answer: Value = serde_json::from_str(&scanned.body).unwrap_or_default();
        answer["Items"].as_array().cloned().unwrap_or_default()
    }
}

/// The text of a journal's entry in an item, packed or not.
pub(super) fn entry_text(item: &Value) -> Option<String> {
    let entry = &item["entry"];
    match entry["B"].as_str() {
        Some(packed) => aws::unpack(&STANDARD.decode(packed).ok()?).ok(),
        None => entry["S"].as_str().map(str::to_owned),
    }
}
