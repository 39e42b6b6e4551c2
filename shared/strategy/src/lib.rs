//! The decision engine: strategies are documents in GoRules' JDM format, evaluated by `zen-engine`.
//!
//! Triggered by `functions/decide`, which embeds the documents of `models/strategies`. Reads nothing, writes nothing,
//! and is pure: equal facts and an equal document give an equal decision, for ever. To keep that, [`Strategy::load`]
//! refuses every document that could run code, call out, read a clock or roll dice ([`LoadError`]), and
//! [`Strategy::decide`] takes nothing on trust from what is left: an outcome outside the law, the product or the
//! request is an error and never an approval ([`StrategyError`]). Neither kind of error goes away by trying again.

mod document;
mod facts;
mod outcome;

pub use document::{LoadError, MAX_DOCUMENT_BYTES, MAX_NODES};
pub use facts::{FirmFacts, GraphFacts, Input, ProductFacts, Requested, RingFacts, ScoreFacts};
pub use outcome::{OFFER_EXPIRES_AFTER, OutcomeError};

use domain::decision::Decision;
use jiff::Timestamp;
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use zen_engine::{Decision as Engine, Variable, model::GraphContent};

/// A loaded strategy. Cheap to clone; every thread may evaluate it.
#[derive(Clone, Debug)]
pub struct Strategy {
    version: String,
    content: Arc<GraphContent>,
}

/// Why a strategy gave no decision. The application stays undecided; it is never approved by accident.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StrategyError {
    #[error("the facts cannot be written as JSON: {0}")]
    Facts(String),
    #[error("evaluating the strategy: {0}")]
    Evaluation(String),
    /// The loader refuses everything that waits for the world outside, so this is a defect of the loader.
    #[error("the strategy waited for something")]
    Suspended,
    #[error("the strategy's outcome breaks a rule: {0}")]
    Outcome(#[from] OutcomeError),
}

impl Strategy {
    /// Reads, checks, compiles and tries out a document.
    ///
    /// `name` is the document's file name without its ending, for example `standard-2026.11.2`. [`Strategy::version`]
    /// adds a digest of the text, so that the journal names the very document even if somebody edits it in place.
    pub fn load(name: &str, json: &str) -> Result<Self, LoadError> {
        let content = document::read(name, json)?;
        let version = format!("{name}+{}", document::digest(json));
        let strategy = Self { version, content: Arc::new(content) };
        document::try_out(&strategy)?;
        Ok(strategy)
    }

    /// Name and digest, as the journal records them: `standard-2026.11.2+` and the first 16 hexadecimal digits of the
    /// SHA-256 of the document.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Decides. An offer expires [`OFFER_EXPIRES_AFTER`] after `now`; nothing else depends on the time.
    pub fn decide(&self, input: &Input, now: Timestamp) -> Result<Decision, StrategyError> {
        let facts = serde_json::to_value(input).map_err(|e| StrategyError::Facts(e.to_string()))?;
        let facts = Variable::try_from_value(facts).map_err(|e| StrategyError::Facts(e.to_string()))?;
        let engine = Engine::from(Arc::clone(&self.content));
        // The engine's future may not leave its thread. Without functions, calls and sub-decisions it has nothing to
        // wait for, so one poll carries it to its end, and it never crosses an await of ours.
        let mut evaluation = pin!(engine.evaluate(facts));
        let answer = match evaluation.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer.map_err(|e| StrategyError::Evaluation(e.to_string()))?,
            Poll::Pending => return Err(StrategyError::Suspended),
        };
        let outcome =
            serde_json::to_value(&answer.result).map_err(|e| StrategyError::Evaluation(e.to_string()))?;
        Ok(outcome::read(outcome, input, now)?)
    }
}

#[cfg(test)]
mod tests;
