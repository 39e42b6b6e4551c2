//! Scores the firm behind an application.
//!
//! | | |
//! |---|---|
//! | triggered by | queue of scores, command `score` |
//! | reads | `journeys`, `firms`; the bucket of models: once a minute the assignment, and a model where another than the packaged one scores |
//! | writes | `journeys`: *scored* |
//! | emits | `decide`, when this was the last fact |
//! | retries | a record that failed comes again; scoring twice gives the same score and records it once |

mod models;
mod revenue;
mod wire;

pub use model::{SIGNATURE, folder};
pub use models::{ASSIGNMENT, Models, SignedAssignment};
pub use revenue::{age_days, supported_amount};
pub use wire::{ensemble, wire, wire_in};

use async_trait::async_trait;
use contract::queue::CommandMessage;
use domain::{
    FeatureRow, FirmRecord,
    calendar::day_in_china,
    checks::{ChallengerScore, DimensionScore, Score, ScoreReason},
    journey::Event,
    product::Catalogue,
};
use forest::Ensemble;
use jiff::civil::Date;
use lambda_kit::{Failure, Function, Incoming, RecordError, batch};
use model::Manifest;
use ports::firms::FirmArchive;
use serde_json::Value;
use std::sync::Arc;
use steps::{AdvanceError, Journeys};

/// Most reasons that go into the journal with a score.
const REASONS_TOLD: usize = 4;

/// The function with everything that it reaches.
#[derive(Clone)]
pub struct Scorer {
    journeys: Journeys,
    firms: Arc<dyn FirmArchive>,
    products: Arc<Catalogue>,
    models: Arc<Models>,
}

#[async_trait]
impl Function for Scorer {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        let Incoming::Batch(records) = Incoming::parse(event)? else {
            return Err(Failure::new("reading a batch", "score is woken by its queue only"));
        };
        let scorer = self.clone();
        Ok(batch::run(records, move |message| {
            let scorer = scorer.clone();
            async move { scorer.handle(message).await }
        })
        .await)
    }
}

impl Scorer {
    async fn handle(&self, message: CommandMessage) -> Result<(), RecordError> {
        let id = message.application_id;
        let loaded = self.journeys.load(id).await?.ok_or(AdvanceError::NotFound)?;
        if loaded.journey.status.is_end() {
            return Ok(());
        }
        let application = &loaded.journey.application;
        let firm =
            self.firms.get(&application.firm_code).await?.ok_or(RecordError::Handler(
                "the firm of a received application is no longer in the archive",
            ))?;
        let product = self
            .products
            .get(&application.product)
            .ok_or(RecordError::Handler("the product of a received application is no longer offered"))?;
        let chosen = self.models.choose(product, id).await;
        let chosen = chosen.map_err(|e| RecordError::other("choosing a model", e))?;
        let today = day_in_china(loaded.journey.received_at);
        let mut score =
            assess(&chosen.model, &firm, today).map_err(|e| RecordError::other("scoring a firm", e))?;
        score.challenger = chosen.challenger.and_then(|challenger| in_shadow(&challenger, &firm, today));
        self.record(loaded, score).await
    }

    async fn record(&self, loaded: steps::Loaded, score: Score) -> Result<(), RecordError> {
        match self.journeys.advance_from(loaded, &[Event::Scored { score }]).await {
            Ok(_) => Ok(()),
            // The journey ended while the firm was being scored.
            Err(AdvanceError::Transition(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a challenger says. Nothing depends on it, so it may fail.
fn in_shadow(ensemble: &Ensemble, firm: &FirmRecord, today: Date) -> Option<ChallengerScore> {
    let manifest = ensemble.manifest();
    match ensemble.score(&model::extract(manifest, &firm.sources, today)) {
        Ok(scored) => Some(ChallengerScore {
            model: manifest.version.clone(),
            default_probability: scored.pd,
            points: scored.points,
        }),
        Err(error) => {
            tracing::warn!(
                model = manifest.version,
                error = lambda_kit::chain(&error),
                "a challenger failed"
            );
            None
        }
    }
}

/// A reason in the words of the manifest, which has them for every code that it uses.
fn worded(manifest: &Manifest, reason: forest::Reason) -> Option<ScoreReason> {
    let text = manifest.reasons.get(&reason.code)?.clone();
    Some(ScoreReason { code: reason.code, zh: text.zh, en: text.en, points: reason.points.round() as i32 })
}

/// The score of a firm as its record stands, on the day of the application.
pub fn assess(ensemble: &Ensemble, firm: &FirmRecord, today: Date) -> Result<Score, forest::ScoreError> {
    let manifest = ensemble.manifest();
    let features = model::extract(manifest, &firm.sources, today);
    let (scored, explanation) = ensemble.explain(&features)?;
    let points = explanation.points_by_dimension(manifest);
    let dimensions = manifest.dimensions.iter().zip(&scored.dimensions).zip(points);
    let told = explanation.reasons(manifest, &features, REASONS_TOLD);
    Ok(Score {
        model: manifest.version.clone(),
        default_probability: scored.pd,
        points: scored.points,
        dimensions: dimensions
            .map(|((name, margin), points)| DimensionScore {
                dimension: name.clone(),
                margin: *margin,
                points: points.round() as i32,
            })
            .collect(),
        reasons: told.into_iter().filter_map(|reason| worded(manifest, reason)).collect(),
        firm_age_days: revenue::age_days(firm, today),
        supported_amount_fen: revenue::supported_amount(firm),
        features: FeatureRow::new(features),
        challenger: None,
    })
}
