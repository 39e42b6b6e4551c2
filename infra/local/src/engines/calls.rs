//! Counting what is called and what it would cost.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    ops::AddAssign,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What one operation was called for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallCount {
    pub calls: u64,
    /// Of these, how many were refused, failed conditions included.
    pub refused: u64,
    /// Of these, how many receives found no message.
    pub empty: u64,
    /// DynamoDB read units: 4 KB strongly consistent.
    pub read_units: f64,
    /// DynamoDB write units: 1 KB, twice that in a transaction, indexes included. A write whose condition failed counts
    /// as the one unit (two in a transaction) that it costs at least: DynamoDB bills it but does not report it.
    pub write_units: f64,
}

impl AddAssign for CallCount {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.refused += other.refused;
        self.empty += other.empty;
        self.read_units += other.read_units;
        self.write_units += other.write_units;
    }
}

/// By caller, then by operation.
type Counts = BTreeMap<String, BTreeMap<String, CallCount>>;

#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<Counts>);

impl Calls {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn by_caller(&self) -> Counts {
        self.lock().clone()
    }

    pub(super) fn reset(&self) {
        self.lock().clear();
    }

    /// What everybody called together.
    pub(super) fn all(&self) -> BTreeMap<String, CallCount> {
        let mut all: BTreeMap<String, CallCount> = BTreeMap::new();
        for (operation, count) in self.by_caller().into_values().flatten() {
            *all.entry(operation).or_default() += count;
        }
        all
    }

    /// Counts one answered call. `operation` is `<service>:<operation>`.
    pub(super) fn count(&self, caller: &str, operation: &str, cost: Cost) {
        let Cost { refused, empty, read_units, write_units } = cost;
        let (refused, empty) = (refused.into(), empty.into());
        let count = CallCount { calls: 1, refused, empty, read_units, write_units };
        let mut counts = self.lock();
        match counts.get_mut(caller).and_then(|counts| counts.get_mut(operation)) {
            Some(known) => *known += count,
            None => _ = counts.entry(caller.to_owned()).or_default().insert(operation.to_owned(), count),
        }
    }
}

/// What one call cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub refused: bool,
    /// A receive that found no message.
    pub empty: bool,
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
