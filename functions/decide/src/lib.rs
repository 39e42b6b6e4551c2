//! Decides on an application as soon as all facts are in, and again when a ring comes to light before the payout.
//!
//! | | |
//! |---|---|
//! | triggered by | queue of decisions, command `decide` |
//! | reads | `journeys`; the products and their strategies are packaged with the function |
//! | writes | `journeys`: *decided*, and with it *accepted* when the borrower accepted such an offer in advance |
//! | emits | `pay_out`, when the offer was accepted in advance; the notice of an offer or a decline |
//! | retries | a record that failed comes again; one that was decided before only sends what is still outstanding |
//!
//! There is no third outcome and no fall-back: when the strategy gives no valid decision the record fails, and in the
//! end the journey expires undecided.

mod wire;

pub use wire::{wire, wire_in};

use async_trait::async_trait;
use contract::queue::CommandMessage;
use domain::{
    Application,
    decision::{Decision, Offer},
    journey::{AcceptedBy, Command, Event, Journey, Status, TransitionError},
    product::Catalogue,
};
use lambda_kit::{Failure, Function, Incoming, RecordError, batch};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use steps::{AdvanceError, Journeys, Loaded};
use strategy::{Input, Strategy};

/// How often one record is decided anew because the facts changed meanwhile.
const DECIDE_TRIES: u32 = 5;

/// The function with everything that it reaches.
#[derive(Clone)]
pub struct Decider {
    journeys: Journeys,
    products: Arc<Catalogue>,
    /// By the name of their document.
    strategies: BTreeMap<String, Strategy>,
}

#[async_trait]
impl Function for Decider {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        let Incoming::Batch(records) = Incoming::parse(event)? else {
            return Err(Failure::new("reading a batch", "decide is woken by its queue only"));
        };
        let decider = self.clone();
        Ok(batch::run(records, move |message| {
            let decider = decider.clone();
            async move { decider.handle(message).await }
        })
        .await)
    }
}

impl Decider {
    async fn handle(&self, message: CommandMessage) -> Result<(), RecordError> {
        if message.command != Command::Decide {
            return Err(RecordError::Handler("the queue of decisions carries another command"));
        }
        for _ in 0..DECIDE_TRIES {
            let loaded = self.journeys.load(message.application_id).await?.ok_or(AdvanceError::NotFound)?;
            if loaded.journey.status != Status::Deciding {
                return self.send_again(loaded).await;
            }
            let events = self.decide(&loaded.journey)?;
            match self.journeys.advance_from(loaded, &events).await {
                Ok(_) => return Ok(()),
                // A ring came to light while the decision was being made.
                Err(AdvanceError::Transition(TransitionError::Outdated { .. })) => {}
                // The journey ended while the decision was being made.
                Err(AdvanceError::Transition(TransitionError::Forbidden { .. })) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Err(AdvanceError::Contended.into())
    }

    /// The decision on the facts as they are, and its acceptance where that was given in advance.
    fn decide(&self, journey: &Journey) -> Result<Vec<Event>, RecordError> {
        let application = &journey.application;
        let product = self
            .products
            .get(&application.product)
            .ok_or(RecordError::Handler("the product of a received application is no longer offered"))?;
        let input = Input::of(application, product, &journey.facts)
            .ok_or(RecordError::Handler("a journey is to be decided without its score or its graph check"))?;
        let strategy = self
            .strategies
            .get(&product.strategy)
            .ok_or(RecordError::Handler("the strategy of the application's product is not here"))?;
        let decision = strategy
            .decide(&input, self.journeys.clock.now())
            .map_err(|e| RecordError::other("evaluating the strategy", e))?;
        let accepted = match &decision {
            Decision::Approved { offer, .. } => accepted_in_advance(application, offer),
            Decision::Declined { .. } => false,
        };
        let strategy = strategy.version().to_owned();
        let mut events = vec![Event::Decided { revision: journey.revision, strategy, decision }];
        if accepted {
            events.push(Event::Accepted { by: AcceptedBy::InAdvance, revision: journey.revision });
        }
        Ok(events)
    }

    /// The decision was recorded before, perhaps by a run that died before it could send what follows from it.
    async fn send_again(&self, loaded: Loaded) -> Result<(), RecordError> {
        let current = loaded.journey.revision;
        let decided = loaded
            .entries
            .iter()
            .flat_map(|entry| &entry.events)
            .find(|event| matches!(event, Event::Decided { revision, .. } if *revision == current));
        let Some(decided) = decided.cloned() else { return Ok(()) };
        match self.journeys.advance_from(loaded, &[decided]).await {
            Ok(_) | Err(AdvanceError::Transition(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the borrower accepted this offer when applying: the full amount, at no more than a rate.
fn accepted_in_advance(application: &Application, offer: &Offer) -> bool {
    offer.amount_fen == application.amount_fen
        && offer.term_months == application.term_months
        && application.accept_up_to_bp.is_some_and(|highest| offer.annual_rate_bp <= highest)
}

#[cfg(test)]
mod tests;
