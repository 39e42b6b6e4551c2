//! Counting what is called and what it would cost.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What one operation was called for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallCount {
    pub calls: u64,
    /// Of these, how many were refused, failed conditions included.
    pub refused: u64,
    /// DynamoDB read units: 4 KB strongly consistent.
    pub read_units: f64,
    /// DynamoDB write units: 1 KB, twice that in a transaction, indexes included. A write whose condition failed counts
    /// as the one unit (two in a transaction) that it costs at least: DynamoDB bills it but does not report it.
    pub write_units: f64,
}

#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<BTreeMap<String, CallCount>>);

impl Calls {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, CallCount>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn all(&self) -> BTreeMap<String, CallCount> {
        self.lock().clone()
    }

    pub(super) fn reset(&self) {
        self.lock().clear();
    }

    /// Counts one answered call. `operation` is `<service>:<operation>`.
    pub(super) fn count(&self, operation: &str, cost: Cost) {
        let mut counts = self.lock();
        if !counts.contains_key(operation) {
            counts.insert(operation.to_owned(), CallCount::default());
        }
        if let Some(count) = counts.get_mut(operation) {
            count.calls += 1;
            count.refused += u64::from(cost.refused);
            count.read_units += cost.read_units;
            count.write_units += cost.write_units;
        }
    }
}

/// What one call cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub refused: bool,
    pub read_units: f64,
    pub write_units: f64,
}

impl Cost {
    /// Of an answer that carries `ConsumedCapacity`: an object, or a list of one object per table.
    pub(super) fn of_answer(operation: &str, answer: &Value) -> Self {
        let units = match &answer["ConsumedCapacity"] {
            Value::Array(tables) => tables.iter().map(units).sum(),
            table => units(table),
        };
        match operation {
            "GetItem" | "BatchGetItem" | "TransactGetItems" | "Query" | "Scan" => {
                Self { read_units: units, ..Self::default() }
            }
            _ => Self { write_units: units, ..Self::default() },
        }
    }

    /// Of a refusal.
    pub(super) fn of_refusal(request: &Value, error: &Value) -> Self {
        let kind = error["__type"].as_str().unwrap_or_default();
        let write_units = if kind.ends_with("#ConditionalCheckFailedException") {
            1.0
        } else if kind.ends_with("#TransactionCanceledException") {
            2.0 * request["TransactItems"].as_array().map_or(0.0, |items| items.len() as f64)
        } else {
            0.0
        };
        Self { refused: true, write_units, ..Self::default() }
    }
}

fn units(table: &Value) -> f64 {
    table["CapacityUnits"].as_f64().unwrap_or(0.0)
}
