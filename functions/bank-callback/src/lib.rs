//! The bank's final word on a payout.
//!
//! | | |
//! |---|---|
//! | triggered by | `POST /v1/callbacks/banks/{bank}` |
//! | reads | `payouts`, `journeys` |
//! | writes | `payouts`: the resolution, or the contradiction; `journeys`: the end |
//! | emits | after a contradiction, the command by which the bank is asked |
//! | retries | a word that cannot be recorded is answered 503, so that the bank delivers it again; the same word twice changes nothing |
//!
//! Each bank has its own keys and may speak of its own payouts only. A word that contradicts an earlier one moves nothing,
//! is answered 409, put on record and logged as an error; the bank is then asked, and its answer counts.

mod wire;

pub use wire::{wire, wire_in};

use async_trait::async_trait;
use contract::{
    bank::BankCallback,
    http::{FieldError, Problem},
};
use counterparties::callbacks::{self, Genuine};
use domain::ledger::Evidence;
use lambda_kit::{
    Failure, Function, Incoming,
    http::{Request, Response, invalid, problem},
};
use ports::ledger::Ledger;
use serde_json::Value;
use signing::Verifier;
use std::{collections::BTreeMap, sync::Arc};
use steps::{BankWord, Journeys, SettleError, settle};

/// The function with everything that it reaches.
pub struct BankCallbacks {
    pub journeys: Journeys,
    pub ledger: Arc<dyn Ledger>,
    /// By bank.
    pub verifiers: BTreeMap<String, Verifier>,
}

#[async_trait]
impl Function for BankCallbacks {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        let Incoming::Http(request) = Incoming::parse(event)? else {
            return Err(Failure::new("reading an HTTP event", "bank-callback answers HTTP only"));
        };
        let response = self.take(&request).await.unwrap_or_else(Response::from);
        Ok(response.into_event())
    }
}

impl BankCallbacks {
    async fn take(&self, request: &Request) -> Result<Response, Problem> {
        let bank = request.path_parameter("bank").unwrap_or_default();
        // A bank that we do not know and a signature that does not fit look the same from outside.
        let verifier = self.verifiers.get(bank).ok_or_else(callbacks::unauthorised)?;
        let Genuine { message_id, body } =
            callbacks::read::<BankCallback>(request, verifier, self.journeys.clock.now())?;
        let payout_id = body.payout_id;
        let word = word(body)?;
        let evidence = Evidence::Callback(message_id.to_string());
        let settled = settle(&*self.ledger, &self.journeys, bank, payout_id, word, evidence).await;
        Ok(match settled {
            Ok(settlement) => {
                tracing::info!(%payout_id, bank, %message_id, "a bank's word was taken: {settlement:?}");
                callbacks::recorded()
            }
            Err(error) => {
                tracing::error!(%payout_id, bank, %message_id, %error, "a bank's word was not taken");
                not_taken(&error)
            }
        })
    }
}

/// The callback's word, once it is consistent in itself.
fn word(body: BankCallback) -> Result<BankWord, Problem> {
    if body.payout_id.application_id() != body.application_id {
        return Err(field("/application_id", "is not the application of this payout"));
    }
    BankWord::from_outcome(body.outcome, body.bank_reference, body.amount_fen)
        .map_err(|error| field("/bank_reference", &error.to_string()))
}

fn not_taken(error: &SettleError) -> Response {
    match error {
        SettleError::Unknown => callbacks::unknown(),
        SettleError::OtherBank => problem(403, "not-yours", "The payout belongs to another bank").into(),
        SettleError::OtherAmount => field("/amount_fen", "is not the amount that was instructed").into(),
        SettleError::Contradicts => {
            problem(409, "contradiction", "The payout was resolved the other way before").into()
        }
        SettleError::Advance(error) => callbacks::not_recorded(error),
        SettleError::Contended => callbacks::failed(error, true),
        SettleError::Port(error) => callbacks::failed(error, error.is_retryable()),
    }
}

fn field(pointer: &str, detail: &str) -> Problem {
    invalid(vec![FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::bank::BankOutcome;
    use domain::{ApplicationId, Fen};
    use ports::PortError;
    use steps::AdvanceError;

    fn callback(outcome: BankOutcome, bank_reference: &str) -> BankCallback {
        let application_id = ApplicationId::from_bytes([7; 16]);
        BankCallback {
            payout_id: application_id.payout_id(),
            application_id,
            outcome,
            bank_reference: bank_reference.into(),
            amount_fen: Fen::yuan(100_000),
            at: "2026-11-02T08:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_callback_that_names_two_applications_is_refused() {
        let other = ApplicationId::from_bytes([8; 16]);
        let torn = BankCallback { application_id: other, ..callback(BankOutcome::Paid, "R1") };
        assert_eq!(word(torn).unwrap_err().errors[0].pointer, "/application_id");
    }

    #[test]
    fn money_that_was_paid_needs_a_reference_that_can_be_kept() {
        for reference in ["", "R\u{0}1", "参考"] {
            let problem = word(callback(BankOutcome::Paid, reference)).unwrap_err();
            assert_eq!(problem.errors[0].pointer, "/bank_reference", "{reference:?}");
        }
        assert!(word(callback(BankOutcome::Paid, "R1")).is_ok());
        assert!(
            word(callback(BankOutcome::Refused, "")).is_ok(),
            "nothing was paid, so there is nothing to refer to"
        );
    }

    #[test]
    fn each_reason_for_not_taking_a_word_has_its_own_status() {
        let lost = || PortError::unavailable("posting a payout", "timed out");
        let broken = || PortError::broken("posting a payout", "access denied");
        let table = [
            (SettleError::Unknown, 404),
            (SettleError::OtherBank, 403),
            (SettleError::OtherAmount, 422),
            (SettleError::Contradicts, 409),
            (SettleError::Contended, 503),
            (SettleError::Port(lost()), 503),
            (SettleError::Port(broken()), 500),
            (SettleError::Advance(AdvanceError::Contended), 503),
            (SettleError::Advance(AdvanceError::Port(lost())), 503),
            (SettleError::Advance(AdvanceError::NotFound), 404),
        ];
        for (error, status) in table {
            assert_eq!(not_taken(&error).status, status, "{error:?}");
        }
    }
}
