//! Labels every ring of the whole relation graph, and puts right what the checks' book says of them.
//!
//! | | |
//! |---|---|
//! | triggered by | a schedule, once a day; by hand with `{"step": "export"}` or `{"step": "label"}`, which do one half of it |
//! | reads | the newest finished export of `relations` in its bucket, and the book of rings in the table; `journeys` of the members of rings that are suspicious or could be |
//! | writes | `relations`: a sighting for each ring that the book does not know as it is, and a settlement for each name of a ring that fell apart; before the first export, a mark in the bucket |
//! | emits | the request for the next export |
//! | retries | Lambda's, twice; the same export over the same journeys writes nothing the second time |
//!
//! The whole table is read without taking anything from its throughput: DynamoDB writes an export from its backups. One run
//! asks for an export, which takes it minutes, and labels the one that the run of the day before asked for. Nothing is
//! labelled from an export that is not finished, or of which a single file is not what its manifest says; then the book
//! stays as it is and the run fails, but for the first two days of all, when none can be finished yet. The live checks do not wait for any of this and see what is newer.

mod graph;
mod wire;

pub use graph::read_graph;
pub use wire::{wire, wire_in};

use async_trait::async_trait;
use domain::{ApplicationId, calendar::day_in_china, journey::Journey, ring::RingLabel};
use exports::ExportError;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use lambda_kit::{Failure, Function, Incoming};
use object_store::ObjectStore;
use ports::{
    Clock, PortError, exports::TableExports, journal::Journal, ring_names::RingNames, rings::RingBook,
};
use relations::{Differences, Labels, Standing, WholeError, differences};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Journeys that are looked at in one run; whoever is beyond them is believed.
const MOST_JUDGED: usize = 20_000;
/// Journeys that are read at the same time.
const READS_AT_ONCE: usize = 16;
/// Sightings that are written at the same time.
const WRITES_AT_ONCE: usize = 8;
/// An export that is older tells of a city that has moved on: exports must have been failing for days.
const OLDEST: SignedDuration = SignedDuration::from_hours(3 * 24);

/// The first export of all may be on its way for so long; the next run finds what this one asked for.
const FIRST_WITHIN: SignedDuration = SignedDuration::from_hours(2 * 24);

/// The function with everything that it reaches.
pub struct LabelRings {
    /// Where exports lie.
    pub bucket: Arc<dyn ObjectStore>,
    pub exports: Arc<dyn TableExports>,
    pub table_arn: String,
    pub journal: Arc<dyn Journal>,
    pub book: Arc<dyn RingBook>,
    pub names: Arc<dyn RingNames>,
    pub clock: Arc<dyn Clock>,
    pub labels: Labels,
}

/// What labelling came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub export: String,
    /// The moment that it shows the table at.
    pub at: Timestamp,
    pub applications: usize,
    pub nodes: usize,
    pub edges: usize,
    /// Rings of two applications or more, and applications of the largest.
    pub rings: usize,
    pub largest: usize,
    /// Components that were cut into communities.
    pub cut: usize,
    /// Suspicious rings by their labels.
    pub suspicious: BTreeMap<&'static str, usize>,
    pub judged: usize,
    /// What was written.
    pub sightings: usize,
    pub settled: usize,
    /// Names that stand elsewhere since their ring fell apart.
    pub split: usize,
}

/// Why nothing was labelled.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    #[error("there is no finished export")]
    NoExport,
    #[error("the newest finished export is of {0}")]
    Old(Timestamp),
    #[error("the export cannot be used")]
    Export(#[from] ExportError),
    #[error("the graph cannot be labelled")]
    Whole(#[from] WholeError),
    #[error(transparent)]
    Port(#[from] PortError),
}

#[async_trait]
impl Function for LabelRings {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        let failed = |error| Failure::new("labelling the rings", error);
        match event.get("step").map(Value::as_str) {
            None => {
                let Incoming::Schedule = Incoming::parse(event)? else {
                    let why = "label-rings runs on its schedule, or one step of it by hand";
                    return Err(Failure::new("reading a schedule event", why));
                };
                self.ask().await.map_err(failed)?;
                match self.label().await {
                    Err(LabelError::NoExport) if self.waits_for_the_first().await.map_err(failed)? => {
                        tracing::info!("there is no finished export yet");
                        Ok(Value::Null)
                    }
                    labelled => Ok(json!(labelled.map_err(failed)?)),
                }
            }
            Some(Some("export")) => {
                self.ask().await.map_err(failed)?;
                Ok(Value::Null)
            }
            Some(Some("label")) => Ok(json!(self.label().await.map_err(failed)?)),
            Some(_) => Err(Failure::new("reading the step", "step must be export or label")),
        }
    }
}

impl LabelRings {
    /// Asks for the export of today, once however often it is tried.
    async fn ask(&self) -> Result<(), LabelError> {
        if exports::first_begun(&*self.bucket).await?.is_none() {
            exports::mark_the_first(&*self.bucket).await?;
        }
        let today = day_in_china(self.clock.now());
        Ok(self.exports.ask(&format!("relations-{today}")).await?)
    }

    /// Whether the first export of all may still be on its way.
    async fn waits_for_the_first(&self) -> Result<bool, LabelError> {
        let begun = exports::first_begun(&*self.bucket).await?;
        Ok(begun.is_some_and(|begun| self.clock.now().duration_since(begun) < FIRST_WITHIN))
    }

    /// Labels the graph of the newest finished export, and writes what the book does not say.
    async fn label(&self) -> Result<Summary, LabelError> {
        let export = exports::newest(&*self.bucket, &self.table_arn).await?.ok_or(LabelError::NoExport)?;
        let at = export.summary.export_time;
        if self.clock.now().duration_since(at) > OLDEST {
            return Err(LabelError::Old(at));
        }
        let whole = read_graph(&self.bucket, &export).await?;
        let believed = whole.label(&BTreeMap::new(), &self.labels)?;
        let standings = self.standings(believed.doubtful(MOST_JUDGED)).await?;
        let labelled = match standings.is_empty() {
            true => believed,
            false => whole.label(&standings, &self.labels)?,
        };
        let book = self.names.names().await?;
        let found = differences(&whole, &labelled, (&standings, &self.labels), &book, at);
        self.write(&found).await?;
        let mut suspicious: BTreeMap<&'static str, usize> = BTreeMap::new();
        for label in labelled.suspicious.iter().filter_map(|found| found.ring.notice().label) {
            *suspicious.entry(RingLabel::as_str(label)).or_default() += 1;
        }
        let summary = Summary {
            export: export.id,
            at,
            applications: whole.applications(),
            nodes: whole.nodes(),
            edges: whole.edges(),
            rings: labelled.rings,
            largest: labelled.largest,
            cut: labelled.cut,
            suspicious,
            judged: standings.len(),
            sightings: found.sightings.len(),
            settled: found.settled.len(),
            split: found.split,
        };
        tracing::info!(
            export = summary.export,
            applications = summary.applications,
            rings = summary.rings,
            written = summary.sightings,
            split = summary.split,
            "labelled the whole graph"
        );
        Ok(summary)
    }

    /// What the journeys of these applications say.
    async fn standings(
        &self,
        of: Vec<ApplicationId>,
    ) -> Result<BTreeMap<ApplicationId, Standing>, LabelError> {
        let of: BTreeSet<ApplicationId> = of.into_iter().collect();
        let read = stream::iter(of).map(|id| self.standing(id)).buffer_unordered(READS_AT_ONCE);
        let known = read.try_filter_map(|standing| std::future::ready(Ok(standing)));
        Ok(known.try_collect().await?)
    }

    /// `None` of a journey that is not there, or that cannot be read now or ever: whoever is not looked at is believed.
    async fn standing(&self, id: ApplicationId) -> Result<Option<(ApplicationId, Standing)>, PortError> {
        let entries = match self.journal.load(id).await {
            Ok(entries) => entries,
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                tracing::error!(application_id = %id, error = lambda_kit::chain(&error), "a journey cannot be read");
                return Ok(None);
            }
        };
        let events = entries.iter().flat_map(|entry| entry.events.iter().map(move |event| (event, entry.at)));
        let journey = Journey::fold(events).ok().flatten();
        Ok(journey.map(|journey| (id, Standing::of(&journey))))
    }

    /// Sightings first, so that a settled name has something that stands under it.
    async fn write(&self, found: &Differences) -> Result<(), PortError> {
        let sightings = found.sightings.iter().map(|sighting| self.book.record(sighting));
        stream::iter(Vec::from_iter(sightings)).buffer_unordered(WRITES_AT_ONCE).try_collect::<()>().await?;
        let settled = found.settled.iter().map(|settled| self.names.settle(settled));
        stream::iter(Vec::from_iter(settled)).buffer_unordered(WRITES_AT_ONCE).try_collect().await
    }
}
