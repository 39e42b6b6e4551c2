//! What the bank tells of a loan after it was paid out: repayments, overdue days, settlement.
//!
//! A control for demos and tests. The real thing would come out of the bank's loan accounts, which nothing here plays,
//! so any report on any payout that was paid goes out as it was asked for. A report whose delivery is cut off by the
//! bank's end is lost; its number and reference are not used again.

use super::{Bank, PayoutState, Record};
use crate::{
    courier::callback_id,
    request::{Refusal, plain},
};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is to be reported, as it is posted to `/loans/{payout_id}/reports`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// Money came back.
    Repaid { principal_fen: u64, interest_fen: u64 },
    /// Something is due and has not come; zero days and zero fen once nothing is overdue any more.
    Overdue { days: u32, overdue_fen: u64 },
    /// Nothing is owed any more.
    Settled,
}

/// The callback that carries a report.
///
/// ```json
/// {"payout_id":"…","application_id":"…","report":"repaid","bank_reference":"…","principal_fen":1,"interest_fen":1,"at":"…"}
/// {"payout_id":"…","application_id":"…","report":"overdue","days":1,"overdue_fen":1,"at":"…"}
/// {"payout_id":"…","application_id":"…","report":"settled","bank_reference":"…","at":"…"}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reported {
    pub payout_id: String,
    pub application_id: String,
    #[serde(flatten)]
    pub report: Report,
    /// Another one for each repayment and settlement; an overdue report has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank_reference: Option<String>,
    pub at: Timestamp,
}

/// Why there is nothing to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReported {
    #[error("there is no such payout")]
    Unknown,
    #[error("the payout was not paid, so there is no loan")]
    NotPaid,
    #[error("a repayment of nothing, or overdue days without money")]
    Senseless,
    #[error("the book could not be written")]
    NotWritten,
}

impl From<NotReported> for Refusal {
    fn from(error: NotReported) -> Self {
        match error {
            NotReported::Unknown => Refusal(StatusCode::NOT_FOUND, "there is no such payout"),
            NotReported::NotPaid => {
                Refusal(StatusCode::CONFLICT, "the payout was not paid, so there is no loan")
            }
            NotReported::Senseless => Refusal(
                StatusCode::UNPROCESSABLE_ENTITY,
                "a repayment of nothing, or overdue days without money",
            ),
            NotReported::NotWritten => {
                Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the book could not be written")
            }
        }
    }
}

impl Report {
    fn is_senseless(self) -> bool {
        match self {
            Self::Repaid { principal_fen, interest_fen } => principal_fen == 0 && interest_fen == 0,
            Self::Overdue { days, overdue_fen } => (days == 0) != (overdue_fen == 0),
            Self::Settled => false,
        }
    }

    fn moves_money(self) -> bool {
        matches!(self, Self::Repaid { .. } | Self::Settled)
    }
}

impl Bank {
    /// Enters the report's number into the book, and delivers the callback in the background.
    pub(super) fn report(self: &Arc<Self>, payout_id: &str, report: Report) -> Result<Reported, NotReported> {
        if report.is_senseless() {
            return Err(NotReported::Senseless);
        }
        let record = self.next_report(payout_id)?;
        let entry = &record.entry;
        let reported = Reported {
            payout_id: entry.payout_id.clone(),
            application_id: entry.application_id.clone(),
            report,
            bank_reference: report
                .moves_money()
                .then(|| format!("{}-{}", entry.bank_reference, record.reports)),
            at: (self.config.clock)(),
        };
        let body = serde_json::to_vec(&reported).map_err(|_| NotReported::NotWritten)?;
        let id = callback_id(&format!("report.{}", record.reports), payout_id);
        let bank = Arc::clone(self);
        self.background.spawn(async move {
            bank.courier.deliver(&bank.config.keys, &record.callback_url, &id, &body).await;
        });
        Ok(reported)
    }

    /// The record with the number of the next report, written first, so that no number is given twice.
    fn next_report(&self, payout_id: &str) -> Result<Record, NotReported> {
        let mut book = self.book();
        let known = book.get(payout_id).ok_or(NotReported::Unknown)?;
        if known.entry.state != PayoutState::Paid {
            return Err(NotReported::NotPaid);
        }
        let reports = known.reports.checked_add(1).ok_or(NotReported::NotWritten)?;
        let record = Record { reports, ..known.clone() };
        book.put(record.clone()).map_err(|_| NotReported::NotWritten)?;
        Ok(record)
    }
}

pub(super) async fn post(
    State(bank): State<Arc<Bank>>,
    Path(payout_id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Reported>), Refusal> {
    let reported = bank.report(&payout_id, plain(&body)?)?;
    Ok((StatusCode::ACCEPTED, Json(reported)))
}
