//! The functions that run once a day: each does the work of one day of so many loans, in the process that would be deployed.
//!
//! The day is made by writing what such a day leaves behind, through the same adapters: journals (of a borrower who was paid
//! out before, under other names), payouts and their resolutions, links of the relation graph, and the bank's file.

use super::{AnyError, ONE_PROCESSOR_MB};
use crate::{bench::firm_code, engines::table_arn, lending::Lending, processes::Processes};
use aws::{DynamoExports, DynamoJournal, DynamoLedger, DynamoRelations};
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use domain::{
    ApplicationId, Fen,
    calendar::day_in_china,
    journey::{Event, Journey},
    ledger::{Evidence, Movement, Outcome, Payout, Resolution},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use ports::{
    Clock as _, SystemClock,
    exports::TableExports as _,
    journal::{Entry, Journal as _},
    ledger::Ledger as _,
    relation::RelationGraph as _,
};
use relations::link_of;
use serde_json::{Value, json};
use std::{fmt::Write as _, path::Path, sync::Arc, time::Instant};

const BANK: &str = "river-bank";
/// Loans that are written at the same time.
const AT_ONCE: usize = 16;
/// How long after an application the sweeper looks at it.
const DUE_AFTER: SignedDuration = SignedDuration::from_secs(15);

/// Writes the day's loans, has the three functions do their work, and gives a table of what it took.
pub(super) async fn run(lending: &Lending, processes: &Processes, loans: u32) -> Result<Table, AnyError> {
    let day = Day::of(lending, loans).await?;
    day.write(lending).await?;
    let key = format!("statements/{BANK}/{}.csv", day.date);
    lending.files.put(&key, day.statement()?.as_bytes())?;
    let dynamodb = lending.aws.dynamodb.clone();
    // It is DynamoDB that writes an export; the function only asks for it.
    let exports = DynamoExports::new(dynamodb, table_arn("relations"), &lending.files.exports_url());
    exports.ask("a made-up day").await?;
    let mut table = head();
    let compares = format!("compare {loans} payouts with the bank's file");
    work(lending, processes, "reconcile", &compares, json!({ "statement": key }), &mut table).await?;
    let watches = "watch the models over the last 30 days";
    work(lending, processes, "monitor", watches, json!({ "day": day.date }), &mut table).await?;
    let labels = format!("label the graph of {loans} applications");
    work(lending, processes, "label-rings", &labels, json!({ "step": "label" }), &mut table).await?;
    Ok(table)
}

/// Has the whole graph labelled from an export that lies in a folder, and gives the same table.
pub(super) async fn label(
    lending: &Lending,
    processes: &Processes,
    exports: &Path,
) -> Result<Table, AnyError> {
    let bucket = lending.files.path().join("exports");
    std::fs::create_dir_all(&bucket)?;
    let from = exports.join("AWSDynamoDB").canonicalize()?;
    std::os::unix::fs::symlink(from, bucket.join("AWSDynamoDB"))?;
    let mut table = head();
    let does = format!("label the graph in {}", exports.display());
    work(lending, processes, "label-rings", &does, json!({ "step": "label" }), &mut table).await?;
    Ok(table)
}

fn head() -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header([
        "function",
        "does",
        "seconds",
        "processor seconds",
        "peak MB",
        "in the template",
        "processor seconds at that",
    ]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Invokes a function, and adds a row of what it took.
async fn work(
    lending: &Lending,
    processes: &Processes,
    function: &str,
    does: &str,
    event: Value,
    table: &mut Table,
) -> Result<(), AnyError> {
    let before = processes.used()?.get(function).copied().unwrap_or_default();
    let (seconds, answer) = timed(lending.stack.invoke(function, event)).await;
    let answer = answer?;
    tracing::info!(function, %answer, "did its work of the day");
    let after = processes.used()?.get(function).copied().unwrap_or_default();
    let processor = (after.processor_ms - before.processor_ms) / 1_000.0;
    let size = lending.stack.memory_mb().get(function).copied().unwrap_or_default();
    let slower = (ONE_PROCESSOR_MB / f64::from(size)).max(1.0);
    table.add_row([
        function.to_owned(),
        does.to_owned(),
        format!("{seconds:.2}"),
        format!("{processor:.2}"),
        format!("{:.1}", after.peak_mb),
        format!("{size} MB"),
        format!("{:.2}", processor * slower),
    ]);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
async fn timed<T>(work: impl Future<Output = T>) -> (f64, T) {
    let started = Instant::now();
    let done = work.await;
    (started.elapsed().as_secs_f64(), done)
}

/// A day on which so many were paid out.
struct Day {
    date: jiff::civil::Date,
    /// The journal of one who was.
    like: Vec<Entry>,
    loans: u32,
    now: Timestamp,
}

impl Day {
    async fn of(lending: &Lending, loans: u32) -> Result<Self, AnyError> {
        let book = lending.counterparties.banks.get(BANK).map(|bank| bank.book()).unwrap_or_default();
        let paid = book.first().ok_or("nobody was paid out, whose journal could be written again")?;
        let journal = DynamoJournal::new(lending.aws.dynamodb.clone(), "journeys");
        let like = journal.load(paid.application_id.parse()?).await?;
        let now = SystemClock.now();
        Ok(Self { date: day_in_china(now), like, loans, now })
    }

    fn id(n: u32) -> ApplicationId {
        ApplicationId::from_bytes((0xda11 << 64 | u128::from(n)).to_be_bytes())
    }

    async fn write(&self, lending: &Lending) -> Result<(), AnyError> {
        let dynamodb = &lending.aws.dynamodb;
        let journal = Arc::new(DynamoJournal::new(dynamodb.clone(), "journeys"));
        let ledger = Arc::new(DynamoLedger::new(dynamodb.clone(), "payouts"));
        let graph = Arc::new(DynamoRelations::new(dynamodb.clone(), "relations"));
        let loans = (0..self.loans).map(|n| {
            let (journal, ledger, graph) = (journal.clone(), ledger.clone(), graph.clone());
            async move {
                let entries = self.journal(n)?;
                for entry in &entries {
                    let due_at = (entry.number == 1).then(|| entry.at + DUE_AFTER);
                    journal.append(Self::id(n), entry, due_at).await?;
                }
                let events =
                    entries.iter().flat_map(|entry| entry.events.iter().map(|event| (event, entry.at)));
                let journey = Journey::fold(events)?.ok_or("a journal without entries")?;
                graph.link(&link_of(&journey.application, journey.received_at)).await?;
                let payout = self.payout(&journey)?;
                ledger.reserve(&payout, Fen(u64::MAX)).await?;
                let outcome = Outcome::Posted { bank_reference: format!("R-{n}") };
                let posted = Resolution { outcome, evidence: Evidence::Answer, at: self.now };
                ledger.resolve(&payout, &posted, Movement::Post).await?;
                Ok::<_, AnyError>(())
            }
        });
        let loans: Vec<_> = loans.collect();
        stream::iter(loans).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// The journal of the nth loan: as that of the one who was paid out, with a firm, a person and a device of its own.
    fn journal(&self, n: u32) -> Result<Vec<Entry>, AnyError> {
        let mut entries = self.like.clone();
        for event in entries.iter_mut().flat_map(|entry| &mut entry.events) {
            match event {
                Event::Received { application } => {
                    application.id = Self::id(n);
                    application.firm_code = firm_code(n).ok_or("a firm without a code")?;
                    let traces = &mut application.traces;
                    let own = [&mut traces.device, &mut traces.network, &mut traces.person];
                    let also = [&mut traces.phone, &mut traces.card];
                    for trace in
                        own.into_iter().chain(also).chain(&mut traces.account).chain(&mut traces.address)
                    {
                        *trace = format!("{n:032x}");
                    }
                }
                Event::PayoutRequested { payout_id } => *payout_id = Self::id(n).payout_id(),
                _ => {}
            }
        }
        Ok(entries)
    }

    fn payout(&self, journey: &Journey) -> Result<Payout, AnyError> {
        let offer = journey.offer.as_ref().ok_or("a loan without an offer")?;
        let application = &journey.application;
        Ok(Payout {
            id: application.id.payout_id(),
            bank: BANK.to_owned(),
            product: application.product.clone(),
            firm_code: application.firm_code.clone(),
            amount_fen: offer.amount_fen,
            annual_rate_bp: offer.annual_rate_bp,
            term_months: offer.term_months,
            reserved_at: self.now,
            closed: None,
            resolutions: Vec::new(),
            disputes: Vec::new(),
        })
    }

    /// The bank's file, which holds these loans and none of those that were played.
    fn statement(&self) -> Result<String, AnyError> {
        let mut file = "payout_id,bank_reference,amount_fen,state,at\r\n".to_owned();
        for n in 0..self.loans {
            write!(file, "{},R-{n},10000000,paid,{}\r\n", Self::id(n).payout_id(), self.now)?;
        }
        Ok(file)
    }
}
