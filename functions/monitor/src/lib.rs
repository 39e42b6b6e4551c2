//! Watches the models: whether applications still look as in training, and whether loans become what was predicted.
//!
//! | | |
//! |---|---|
//! | triggered by | a schedule, once a day, for the day before; by hand with `{"day": "2026-11-26"}` |
//! | reads | the due index of `journeys`, and the journals of applications; the loans in `payouts` of those that are as old as the model looks ahead; the manifests of models that are not packaged |
//! | writes | `drift/<model>/<day>.json` and `.html` in the bucket of statements |
//! | emits | metrics of each model, as lines of the log |
//! | retries | Lambda's, twice; the same day over the same data writes the same bytes |
//!
//! It decides nothing and changes nothing. Every application that it reads costs one query, and one of a year ago with a
//! loan a second read; nothing is written for it while an application is being handled. Of more applications than
//! `models/monitoring.json` says, a sample is read.

mod bands;
mod manifests;
mod metrics;
mod read;
mod sample;
mod wire;

pub use manifests::Manifests;
pub use metrics::NAMESPACE;
pub use telemetry::MetricLog;
pub use wire::{wire, wire_in};

use async_trait::async_trait;
use domain::{ApplicationId, calendar::day_in_china, checks::Score};
use drift::{Applications, Level, Observed, Report, Settings};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{Span, Timestamp, civil::Date, tz::offset};
use lambda_kit::{Failure, Function, Incoming};
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, path::Path};
use ports::{
    Clock, PortError,
    journal::{DueJourneys, Journal},
    loans::Loans,
};
use read::Application;
use sample::{Sample, sample};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The folder of the reports.
const REPORTS: &str = "drift";
/// Applications that are read at the same time.
const AT_ONCE: usize = 16;
/// Applications that may be unreadable however few there are.
const MOST_UNREADABLE: usize = 10;

/// The function with everything that it reaches.
pub struct Monitor {
    /// Where the reports go.
    pub files: Arc<dyn ObjectStore>,
    pub journal: Arc<dyn Journal>,
    pub due: Arc<dyn DueJourneys>,
    pub loans: Arc<dyn Loans>,
    pub clock: Arc<dyn Clock>,
    pub manifests: Manifests,
    /// First points of the decision bands of each product.
    pub bands: BTreeMap<String, Vec<i32>>,
    pub settings: Settings,
    pub metrics: Arc<dyn MetricLog>,
    /// What the metrics call this function.
    pub name: String,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub day: Date,
    /// The window of features and points, and that of outcomes.
    pub window: Applications,
    pub outcome_window: Applications,
    pub models: Vec<ModelSummary>,
}

/// One model's report in a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelSummary {
    pub model: String,
    /// Key of the report that people read; the same with `.json` is for machines.
    pub report: String,
    pub level: Option<Level>,
    pub scored: usize,
    pub points_psi: Option<f64>,
    /// Features that are told of.
    pub features_moved: usize,
    /// Loans with an outcome, those of them that defaulted, and how many were predicted to.
    pub loans: usize,
    pub defaulted: usize,
    pub predicted: f64,
    pub auc: Option<f64>,
    /// Models that scored in shadow beside it.
    pub challengers: Vec<String>,
}

/// Why nothing was reported.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    #[error("{unreadable} of {read} applications cannot be read")]
    Unreadable { unreadable: usize, read: usize },
    #[error("the day has no neighbours")]
    Day(#[from] jiff::Error),
    #[error("a manifest cannot be read from its bucket")]
    Manifest(#[source] buckets::ModelFileError),
    #[error("a report cannot be written")]
    Write(#[source] object_store::Error),
    #[error("a report cannot be put into JSON")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What was seen of one model.
#[derive(Default)]
struct Seen {
    /// The products whose applications it scored.
    products: BTreeSet<String>,
    scores: Vec<Score>,
    outcomes: Vec<(Score, bool)>,
}

#[async_trait]
impl Function for Monitor {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        let failed = |error| Failure::new("watching the models", error);
        let day = match event.get("day") {
            Some(day) => asked_for(day)?,
            None => self.day_before(event)?,
        };
        Ok(json!(self.watch(day).await.map_err(failed)?))
    }
}

/// The day of an invocation by hand.
fn asked_for(day: &Value) -> Result<Date, Failure> {
    let date = day.as_str().and_then(|text| text.parse::<Date>().ok().filter(|day| day.to_string() == text));
    let known = date.filter(|day| (2000..=2999).contains(&day.year()));
    known.ok_or_else(|| Failure::new("reading the day to watch", "day must be a date like 2026-11-26"))
}

impl Monitor {
    /// The last day that is over in China, for the schedule.
    fn day_before(&self, event: Value) -> Result<Date, Failure> {
        const READING: &str = "reading a schedule event";
        let Incoming::Schedule = Incoming::parse(event)? else {
            return Err(Failure::new(READING, "the monitor runs on its schedule, or for a day"));
        };
        day_in_china(self.clock.now()).yesterday().map_err(|error| Failure::new(READING, error))
    }

    /// Reads the windows that end with that day, and reports on each model that was met.
    pub async fn watch(&self, day: Date) -> Result<Summary, MonitorError> {
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        let window = self.look_at_window(day, &mut seen).await?;
        let due = day.checked_sub(Span::new().days(self.settings.outcome.within_days))?;
        let outcome_window = self.look_at_outcomes(due, &mut seen).await?;
        let mut models = Vec::new();
        for (model, seen) in &seen {
            let manifest = self.manifests.get(model).await.map_err(MonitorError::Manifest)?;
            let bands: BTreeSet<i32> = seen
                .products
                .iter()
                .filter_map(|product| self.bands.get(product))
                .flatten()
                .copied()
                .collect();
            let bands = Vec::from_iter(bands);
            let observed = Observed {
                model,
                day,
                manifest: manifest.as_ref(),
                bands: &bands,
                window,
                scores: &seen.scores,
                outcome_window,
                outcomes: &seen.outcomes,
            };
            let report = drift::report(&observed, &self.settings);
            let summary = self.write(&report).await?;
            self.tell(&report, &summary);
            models.push(summary);
        }
        tracing::info!(%day, models = models.len(), read = window.read, outcomes_read = outcome_window.read, "watched");
        Ok(Summary { day, window, outcome_window, models })
    }

    /// What each model said of the applications of the window.
    async fn look_at_window(
        &self,
        day: Date,
        seen: &mut BTreeMap<String, Seen>,
    ) -> Result<Applications, MonitorError> {
        let (window, applications) = self.read(day).await?;
        for Application { product, score, .. } in applications {
            let Some(score) = score else { continue };
            let seen = seen.entry(score.model.clone()).or_default();
            seen.products.insert(product);
            seen.scores.push(score);
        }
        Ok(window)
    }

    /// What became of the loans of the window whose last day's outcomes are due.
    async fn look_at_outcomes(
        &self,
        last: Date,
        seen: &mut BTreeMap<String, Seen>,
    ) -> Result<Applications, MonitorError> {
        let (mut window, applications) = self.read(last).await?;
        let lent = applications.into_iter().filter_map(|application| {
            let loan = application.loan?;
            Some((loan, application.product, application.received_on, application.score?))
        });
        let loans = stream::iter(lent).map(|(id, product, received_on, score)| async move {
            let loan = read::loan(&*self.loans, id).await?;
            let defaulted = loan.map(|loan| read::defaulted(&loan, received_on, &self.settings.outcome));
            Ok::<_, PortError>((product, score, defaulted))
        });
        let loans: Vec<_> = loans.buffered(AT_ONCE).try_collect().await?;
        for (product, score, defaulted) in loans {
            let Some(defaulted) = defaulted else {
                window.unreported += 1;
                continue;
            };
            let seen = seen.entry(score.model.clone()).or_default();
            seen.products.insert(product);
            seen.outcomes.push((score, defaulted));
        }
        Ok(window)
    }

    /// The applications that were received on the days of a window that ends with `last`, or a sample of them.
    async fn read(&self, last: Date) -> Result<(Applications, Vec<Application>), MonitorError> {
        let first = last.checked_sub(Span::new().days(self.settings.window_days - 1))?;
        let (from, until) = (midnight(first)?, midnight(last.tomorrow()?)?);
        let most = self.settings.most_applications;
        let Sample { listed, ids } = sample(&*self.due, from, until, most).await?;
        let (read, applications) = (ids.len(), self.read_all(ids).await?);
        let unreadable = read - applications.len();
        // A few that are broken may be. Many are a sign that something else is, which a report would hide.
        if unreadable > (read / 2).max(MOST_UNREADABLE) {
            return Err(MonitorError::Unreadable { unreadable, read });
        }
        let (inside, outside): (Vec<Application>, Vec<Application>) =
            applications.into_iter().partition(|a| (first..=last).contains(&a.received_on));
        let window = Applications {
            from: first,
            to: last,
            listed,
            read,
            outside: outside.len(),
            unreadable,
            unscored: inside.iter().filter(|application| application.score.is_none()).count(),
            unreported: 0,
        };
        Ok((window, inside))
    }

    /// In the order of the ids, so that the same data gives the same sums.
    async fn read_all(
        &self,
        ids: impl IntoIterator<Item = ApplicationId>,
    ) -> Result<Vec<Application>, PortError> {
        let read = stream::iter(ids).map(|id| read::application(&*self.journal, id)).buffered(AT_ONCE);
        read.try_filter_map(|application| std::future::ready(Ok(application))).try_collect().await
    }

    async fn write(&self, report: &Report) -> Result<ModelSummary, MonitorError> {
        let mut json = serde_json::to_vec_pretty(report)?;
        json.push(b'\n');
        let page = drift::page(report).into_bytes();
        // From parts, so that a version can name no other folder.
        let key =
            |ending: &str| Path::from_iter([REPORTS, &report.model, &format!("{}.{ending}", report.day)]);
        for (ending, bytes) in [("json", json), ("html", page)] {
            self.files.put(&key(ending), PutPayload::from(bytes)).await.map_err(MonitorError::Write)?;
        }
        let outcomes = &report.outcomes;
        let of_feature = |finding: &&drift::Finding| finding.measure == drift::Measure::FeaturePsi;
        Ok(ModelSummary {
            model: report.model.clone(),
            report: key("html").to_string(),
            level: report.level,
            scored: report.scored,
            points_psi: report.points.as_ref().and_then(|points| points.shift).map(|shift| shift.psi),
            features_moved: report.findings.iter().filter(of_feature).count(),
            loans: outcomes.calibration.loans,
            defaulted: outcomes.calibration.defaulted,
            predicted: outcomes.calibration.predicted,
            auc: outcomes.discrimination.map(|told| told.auc.value),
            challengers: report.challengers.iter().map(|challenger| challenger.model.clone()).collect(),
        })
    }

    fn tell(&self, report: &Report, summary: &ModelSummary) {
        self.metrics.line(&metrics::line(&self.name, report, self.clock.now()));
        let (model, key, findings) = (&report.model, &summary.report, report.findings.len());
        match report.level {
            Some(Level::Warning) => {
                tracing::error!(model, report = key, findings, "a model needs attention at once")
            }
            Some(level) => {
                tracing::warn!(model, report = key, findings, %level, "a model is not as in training")
            }
            None => tracing::info!(model, report = key, "a model is as in training, as far as can be told"),
        }
    }
}

/// When a day begins in China.
fn midnight(day: Date) -> Result<Timestamp, jiff::Error> {
    offset(8).to_timestamp(day.at(0, 0, 0, 0))
}
