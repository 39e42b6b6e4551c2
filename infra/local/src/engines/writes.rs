//! What is written, item by item, for whoever asks what a write unit is spent on.

use super::calls::Cost;
use dynoxide::types::{Item, item_size};
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// One item that was written, or one update.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The function that wrote it.
    pub caller: String,
    pub operation: String,
    pub table: String,
    /// The sort key, or of a table without one the attributes' names.
    pub what: String,
    /// As DynamoDB counts an item; `None` of an update, a deletion and a check, whose items the request does not hold.
    pub bytes: Option<usize>,
    /// What the whole call cost, indexes included.
    pub units_of_call: f64,
}

/// The writes since somebody began to watch.
#[derive(Debug, Default)]
pub(super) struct Writes(Mutex<Option<Vec<Write>>>);

impl Writes {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<Write>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was written since the last call; from the first call on it is kept.
    pub(super) fn take(&self) -> Vec<Write> {
        self.lock().replace(Vec::new()).unwrap_or_default()
    }

    pub(super) fn note(&self, caller: &str, operation: &str, body: &[u8], cost: Cost) {
        let mut writes = self.lock();
        let (Some(writes), true) = (writes.as_mut(), cost.write_units > 0.0) else { return };
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let write = |table: &str, keys: &Value, item: Option<&Value>| Write {
            caller: caller.to_owned(),
            operation: operation.to_owned(),
            table: table.to_owned(),
            what: what(keys),
            bytes: item.and_then(bytes),
            units_of_call: cost.write_units,
        };
        for (table, requests) in request["RequestItems"].as_object().into_iter().flatten() {
            for item in requests.as_array().into_iter().flatten() {
                let item = &item["PutRequest"]["Item"];
                writes.push(write(table, item, Some(item)));
            }
        }
        let parts = request["TransactItems"].as_array().into_iter().flatten();
        let parts = parts.filter_map(|part| part.as_object()?.values().next());
        let whole = request["TableName"].is_string().then_some(&request);
        for part in parts.chain(whole) {
            let table = part["TableName"].as_str().unwrap_or_default();
            let item = part.get("Item");
            writes.push(write(table, item.unwrap_or(&part["Key"]), item));
        }
    }
}

/// What kind of row it is, without its ids.
fn what(keys: &Value) -> String {
    let of = |name: &str| keys[name]["S"].as_str();
    match (of("sk"), of("pk")) {
        (Some(sk), Some(pk)) => {
            let kind = pk.split('#').next().filter(|kind| *kind != pk).map(|kind| format!("{kind} "));
            let sk: String = sk.chars().take(24).collect();
            format!("{}{sk}", kind.unwrap_or_default())
        }
        _ => String::new(),
    }
}

fn bytes(item: &Value) -> Option<usize> {
    serde_json::from_value::<Item>(item.clone()).ok().map(|item| item_size(&item))
}
