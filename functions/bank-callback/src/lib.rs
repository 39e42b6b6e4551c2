//! What a bank says: its final word on a payout, and what becomes of the loan.
//!
//! | | |
//! |---|---|
//! | triggered by | `POST /v1/callbacks/banks/{bank}` |
//! | reads | `payouts`, `journeys` |
//! | writes | `payouts`: the resolution, or the contradiction, or the report on the loan; `journeys`: the end; `relations`: how an overdue loan does |
//! | emits | the notice of an end; after a contradiction, the command by which the bank is asked |
//! | retries | a word that cannot be recorded is answered 503, so that the bank delivers it again; the same word twice changes nothing |
//!
//! Each bank has its own keys and may speak of its own payouts only. A word that contradicts an earlier one moves nothing,
//! is answered 409, put on record and logged as an error; the bank is then asked, and its answer counts. Reports on a loan
//! (repaid, overdue, settled) need a payout that is posted; one that contradicts the loan is answered 409 and logged.

pub mod body;
mod reports;
mod wire;

pub use wire::{wire, wire_in};

use async_trait::async_trait;
use body::{Kind, Said, What};
use contract::http::Problem;
use counterparties::callbacks::{self, Genuine};
use domain::{PayoutId, ledger::Evidence, loan::Report};
use lambda_kit::{
    Failure, Function, Incoming, Invocation,
    http::{Request, Response, problem},
};
use ports::ledger::Ledger;
use reports::{LoanDesk, ReportError};
use serde_json::Value;
use signing::Verifier;
use std::{collections::BTreeMap, sync::Arc};
use steps::{BankWord, Journeys, SettleError, settle};

/// The function with everything that it reaches.
pub struct BankCallbacks {
    pub journeys: Journeys,
    pub ledger: Arc<dyn Ledger>,
    pub loans: LoanDesk,
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
        let now = self.journeys.clock.now();
        let Genuine { message_id, body } = callbacks::read::<Kind>(request, verifier, now)?;
        let Said { payout_id, what } = body::read(&request.body, &body, message_id.as_str(), now)?;
        Invocation::is_about(payout_id.application_id());
        Ok(match what {
            What::Word(word) => self.settle(bank, payout_id, message_id.as_str(), word).await,
            What::Report(report) => self.report(bank, payout_id, message_id.as_str(), &report).await,
        })
    }

    async fn settle(&self, bank: &str, payout_id: PayoutId, message_id: &str, word: BankWord) -> Response {
        let evidence = Evidence::Callback(message_id.to_owned());
        match settle(&*self.ledger, &self.journeys, bank, payout_id, word, evidence).await {
            Ok(settlement) => {
                tracing::info!(%payout_id, bank, message_id, "a bank's word was taken: {settlement:?}");
                callbacks::recorded()
            }
            Err(error) => {
                tracing::error!(%payout_id, bank, message_id, %error, "a bank's word was not taken");
                not_taken(&error)
            }
        }
    }

    async fn report(&self, bank: &str, payout_id: PayoutId, message_id: &str, report: &Report) -> Response {
        match self.loans.take(&*self.ledger, &self.journeys, bank, payout_id, report).await {
            Ok(taken) => {
                tracing::info!(%payout_id, bank, message_id, "a report on a loan was taken: {taken:?}");
                callbacks::recorded()
            }
            Err(error) => {
                tracing::error!(%payout_id, bank, message_id, %error, "a report on a loan was not taken");
                not_reported(&error)
            }
        }
    }
}

fn not_taken(error: &SettleError) -> Response {
    match error {
        SettleError::Unknown => callbacks::unknown(),
        SettleError::OtherBank => not_yours(),
        SettleError::OtherAmount => {
            body::field("/amount_fen", "is not the amount that was instructed").into()
        }
        SettleError::Contradicts | SettleError::LoanReported => {
            problem(409, "contradiction", "The payout was resolved the other way before").into()
        }
        SettleError::Advance(error) => callbacks::not_recorded(error),
        SettleError::Contended => callbacks::failed(error, true),
        SettleError::Port(error) => callbacks::failed(error, error.is_retryable()),
    }
}

fn not_reported(error: &ReportError) -> Response {
    let contradiction = |title: &str| -> Response {
        let conflict = problem(409, "contradiction", title);
        Problem { detail: Some(error.to_string()), ..conflict }.into()
    };
    match error {
        ReportError::Unknown => callbacks::unknown(),
        ReportError::OtherBank => not_yours(),
        ReportError::NotPaid => problem(409, "not-paid", "Nothing was paid out, so there is no loan").into(),
        ReportError::Implausible { field, problem } => body::field(field, problem).into(),
        ReportError::Refused(_) => contradiction("The report contradicts what was reported before"),
        ReportError::Different => contradiction("The reference belongs to another report"),
        ReportError::Advance(error) => callbacks::not_recorded(error),
        ReportError::Contended => callbacks::failed(error, true),
        ReportError::Port(error) => callbacks::failed(error, error.is_retryable()),
    }
}

fn not_yours() -> Response {
    problem(403, "not-yours", "The payout belongs to another bank").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::loan::Refused;
    use ports::PortError;
    use steps::AdvanceError;

    #[test]
    fn each_reason_for_not_taking_a_word_has_its_own_status() {
        let lost = || PortError::unavailable("posting a payout", "timed out");
        let broken = || PortError::broken("posting a payout", "access denied");
        let table = [
            (SettleError::Unknown, 404),
            (SettleError::OtherBank, 403),
            (SettleError::OtherAmount, 422),
            (SettleError::Contradicts, 409),
            (SettleError::LoanReported, 409),
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

    #[test]
    fn each_reason_for_not_taking_a_report_has_its_own_status() {
        let table = [
            (ReportError::Unknown, 404),
            (ReportError::OtherBank, 403),
            (ReportError::NotPaid, 409),
            (ReportError::Refused(Refused::AboveOutstanding), 409),
            (ReportError::Refused(Refused::PrincipalOutstanding), 409),
            (ReportError::Different, 409),
            (ReportError::Contended, 503),
            (ReportError::Port(PortError::unavailable("recording a report", "timed out")), 503),
            (ReportError::Port(PortError::broken("recording a report", "access denied")), 500),
            (ReportError::Advance(AdvanceError::Contended), 503),
        ];
        for (error, status) in table {
            assert_eq!(not_reported(&error).status, status, "{error:?}");
        }
    }
}
