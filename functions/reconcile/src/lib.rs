//! Compares a bank's daily file with the ledger, and writes what differs as a file and as a page.
//!
//! | | |
//! |---|---|
//! | triggered by | a file `statements/<bank>/<day>.csv` or `.jsonl` in the bucket of statements; by hand with `{"statement": "<key>"}` |
//! | reads | that file; `payouts`, and its index of resolutions by bank and day |
//! | writes | `reports/<bank>/<day>.json` and `.html`; `payouts`: what the file contradicts, as a dispute |
//! | emits | for each payout that is paid for one side only, or open for us alone, the command by which the bank is asked |
//! | retries | Lambda's, twice; the same file over the same ledger writes the same report, and disputes once |
//!
//! A file moves no money: it makes us ask, and the answer counts. The bank's file may come again, corrected, and is then
//! compared anew.

mod key;
mod wire;

pub use key::{NotAStatement, StatementKey};
pub use wire::{wire, wire_in};

use async_trait::async_trait;
use domain::{
    PayoutId,
    calendar::day_in_china,
    ledger::{Dispute, Payout, Resolution},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::civil::Date;
use lambda_kit::{Failure, Function, Incoming};
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, path::Path};
use ports::{
    Clock, PortError,
    journal::CommandQueue,
    ledger::{Ledger, ResolvedPayout},
};
use reconciliation::{BadStatement, Held, MAX_BYTES, Report, Standing, Statement};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Payouts that are read, or contested, at the same time.
const AT_ONCE: usize = 16;

/// The function with everything that it reaches.
pub struct Reconcile {
    /// Where the statements are and the reports go.
    pub files: Arc<dyn ObjectStore>,
    /// The banks that we know.
    pub banks: BTreeSet<String>,
    pub ledger: Arc<dyn Ledger>,
    pub commands: Arc<dyn CommandQueue>,
    pub clock: Arc<dyn Clock>,
}

/// What came of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Key of the report that people read; the same with `.json` is for machines.
    pub report: String,
    pub lines: u64,
    pub agreed: u64,
    /// By kind; a kind without differences is not there.
    pub differences: BTreeMap<&'static str, u64>,
    /// Payouts of which the bank is asked now.
    pub asked: u64,
}

/// Why a file was not compared. Never carries anything out of the file.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Key(#[from] NotAStatement),
    #[error("there is no bank of the name {0}")]
    UnknownBank(String),
    #[error(transparent)]
    Statement(#[from] BadStatement),
    #[error("the statement cannot be read from its bucket")]
    Read(#[source] object_store::Error),
    #[error("the report cannot be written")]
    Write(#[source] object_store::Error),
    #[error("the report cannot be put into JSON")]
    Json(#[from] serde_json::Error),
    #[error("the day has no neighbours")]
    Day(#[from] jiff::Error),
    #[error(transparent)]
    Port(#[from] PortError),
}

#[async_trait]
impl Function for Reconcile {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        const READING: &str = "reading what to reconcile";
        let key = match event.get("statement") {
            Some(Value::String(key)) => key.clone(),
            Some(_) => return Err(Failure::new(READING, "statement must be text")),
            None => match Incoming::parse(event)? {
                Incoming::Created(key) => key,
                _ => return Err(Failure::new(READING, "reconcile takes files only")),
            },
        };
        let failed = |error| Failure::new("reconciling a statement", error);
        let summary = self.reconcile(&key).await.map_err(failed)?;
        Ok(json!(summary))
    }
}

impl Reconcile {
    /// Compares the file of that key, writes the report, and sees to it that the bank is asked what it contradicts.
    pub async fn reconcile(&self, key: &str) -> Result<Summary, ReconcileError> {
        let key: StatementKey = key.parse()?;
        if !self.banks.contains(&key.bank) {
            return Err(ReconcileError::UnknownBank(key.bank));
        }
        let statement = self.statement(&key).await?;
        let held = self.held(&key, &statement).await?;
        let report = reconciliation::reconcile(&key.bank, key.day, &statement, &held);
        self.write(&key, &report).await?;
        let asked = self.ask(&key, &report).await?;
        let mut differences = BTreeMap::new();
        for difference in &report.differences {
            *differences.entry(difference.kind.name()).or_default() += 1;
        }
        let Report { bank, day, lines, agreed, .. } = report;
        if differences.is_empty() {
            tracing::info!(bank, %day, lines, agreed, "a statement agrees with the ledger");
        } else {
            tracing::error!(bank, %day, lines, agreed, ?differences, asked, "a statement differs from the ledger");
        }
        Ok(Summary { report: key.report("html"), lines, agreed, differences, asked })
    }

    async fn statement(&self, key: &StatementKey) -> Result<Statement, ReconcileError> {
        let found = self.files.get(&key.path()).await.map_err(ReconcileError::Read)?;
        if found.meta.size > MAX_BYTES as u64 {
            return Err(BadStatement::TooLong.into());
        }
        let bytes = found.bytes().await.map_err(ReconcileError::Read)?;
        Ok(Statement::parse(&bytes, key.format)?)
    }

    /// What we hold: all that was resolved with the bank on that day or a day beside it, and whatever else the file names.
    async fn held(
        &self,
        key: &StatementKey,
        statement: &Statement,
    ) -> Result<BTreeMap<PayoutId, Held>, ReconcileError> {
        let mut held = BTreeMap::new();
        // The file's day comes last and counts.
        for day in [key.day.yesterday()?, key.day.tomorrow()?, key.day] {
            for payout in last_of_each(self.ledger.resolved_on(&key.bank, day).await?) {
                let standing = Standing::Resolved(payout.resolution);
                held.insert(payout.id, Held { amount_fen: payout.amount_fen, standing });
            }
        }
        let named: BTreeSet<PayoutId> = statement.lines.iter().map(|line| line.payout_id).collect();
        let others = named.into_iter().filter(|id| !held.contains_key(id)).collect::<Vec<_>>();
        let others = stream::iter(others).map(|id| self.ledger.get(id)).buffer_unordered(AT_ONCE);
        let others: Vec<Option<Payout>> = others.try_collect().await?;
        for payout in others.into_iter().flatten().filter(|payout| payout.bank == key.bank) {
            held.insert(
                payout.id,
                Held { amount_fen: payout.amount_fen, standing: standing(key.day, &payout) },
            );
        }
        Ok(held)
    }

    async fn write(&self, key: &StatementKey, report: &Report) -> Result<(), ReconcileError> {
        let json = serde_json::to_vec_pretty(report)?;
        let page = reconciliation::page(report).into_bytes();
        for (ending, bytes) in [("json", json), ("html", page)] {
            let path = Path::from(key.report(ending));
            self.files.put(&path, PutPayload::from(bytes)).await.map_err(ReconcileError::Write)?;
        }
        Ok(())
    }

    /// Contests the payouts that the file contradicts. One of which the bank has no final word from us is only asked about.
    async fn ask(&self, key: &StatementKey, report: &Report) -> Result<u64, ReconcileError> {
        let asked = stream::iter(report.contradicted()).map(|(id, says_paid)| async move {
            let payout = self.ledger.get(id).await?;
            // Of what was never instructed there is nothing to ask: somebody has to look at the report.
            let Some(payout) = payout.filter(|payout| payout.closed.is_none()) else { return Ok(0) };
            let dispute = Dispute {
                says_paid,
                message_id: format!("statement:{}:{}", key.bank, key.day),
                resolution: payout.resolved_times(),
                at: self.clock.now(),
            };
            steps::contest(&*self.ledger, &*self.commands, &payout, &dispute).await.map(|()| 1)
        });
        let asked: Vec<u64> = asked.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
        Ok(asked.into_iter().sum())
    }
}

/// A payout may be resolved and corrected on one day: the last word of the day counts.
fn last_of_each(resolved: Vec<ResolvedPayout>) -> impl Iterator<Item = ResolvedPayout> {
    let mut last: BTreeMap<PayoutId, ResolvedPayout> = BTreeMap::new();
    for payout in resolved {
        if last.get(&payout.id).is_none_or(|known| known.resolution.at <= payout.resolution.at) {
            last.insert(payout.id, payout);
        }
    }
    last.into_values()
}

/// Where a payout stood at the end of a day, or else how it was first resolved after that.
fn standing(day: Date, payout: &Payout) -> Standing {
    if payout.closed.is_some() {
        return Standing::Closed;
    }
    let until = |resolution: &&Resolution| day_in_china(resolution.at) <= day;
    let resolution = payout.resolutions.iter().rev().find(until).or(payout.resolutions.first());
    resolution.cloned().map_or(Standing::Open, Standing::Resolved)
}
