//! `TransactWriteItems` that is made again when it met another one. The SDK does not do that.

use crate::{
    failure::{describe, port_error},
    item::Item,
};
use aws_sdk_dynamodb::{
    Client,
    error::{BuildError, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, Put, TransactWriteItem},
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use domain::PayoutId;
use ports::PortError;
use std::time::Duration;

/// How often a transaction that met another one is made again.
const TRIES: u32 = 6;
/// Doubled after every try: 10 ms to 160 ms, 310 ms in all, plus each payout's own share.
const FIRST_WAIT: Duration = Duration::from_millis(10);

pub(crate) const NOT_THERE_YET: &str = "attribute_not_exists(pk)";

/// The transaction was cancelled for a reason that is neither a condition nor passes by itself.
#[derive(Debug, thiserror::Error)]
#[error("the transaction was cancelled with {codes:?}")]
struct Cancelled {
    codes: Vec<String>,
}

/// Which conditions failed, so that nothing happened. The first item of every transaction here is the row that must be
/// written once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed(Vec<bool>);

impl Failed {
    /// Whether the condition of the item at this place failed.
    pub(crate) fn at(&self, place: usize) -> bool {
        self.0.get(place).copied().unwrap_or(false)
    }
}

/// Makes a transaction. `Ok(Some(_))` says which conditions failed.
pub(crate) async fn transact(
    client: &Client,
    attempted: &'static str,
    id: PayoutId,
    items: Vec<TransactWriteItem>,
) -> Result<Option<Failed>, PortError> {
    let mut waits = waits(id);
    loop {
        let transaction = client.transact_write_items().set_transact_items(Some(items.clone()));
        let Err(error) = transaction.send().await else { return Ok(None) };
        let reasons = cancellation_reasons(&error);
        if let Some(failed) = conditions_that_failed(reasons) {
            return Ok(Some(failed));
        }
        if !reasons.iter().any(is_passing) {
            return Err(cancelled_otherwise(attempted, &error, reasons));
        }
        let Some(wait) = waits.next() else {
            return Err(PortError::unavailable(attempted, describe(&error)));
        };
        tokio::time::sleep(wait).await;
    }
}

/// How long whoever met a transaction waits before each further try.
pub(crate) fn waits(id: PayoutId) -> impl Iterator<Item = Duration> {
    (1..TRIES).map(move |attempt| FIRST_WAIT * 2_u32.pow(attempt - 1) + share_of(id))
}

/// Writes a row unless it is there.
pub(crate) fn write_once(table: &str, row: Item) -> Result<TransactWriteItem, BuildError> {
    let put =
        Put::builder().table_name(table).set_item(Some(row)).condition_expression(NOT_THERE_YET).build()?;
    Ok(TransactWriteItem::builder().put(put).build())
}

type TransactError = SdkError<TransactWriteItemsError, HttpResponse>;

/// Why a transaction was cancelled, one reason per item of it; empty when it failed otherwise.
fn cancellation_reasons(error: &TransactError) -> &[CancellationReason] {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            cancelled.cancellation_reasons()
        }
        _ => &[],
    }
}

/// The first item's condition counts first: a row that is already there is there, whatever the others say. The word of
/// the others is final only when nothing stood in the way of the first: one in conflict may be there.
fn conditions_that_failed(reasons: &[CancellationReason]) -> Option<Failed> {
    let failed: Vec<bool> =
        reasons.iter().map(|reason| reason.code() == Some("ConditionalCheckFailed")).collect();
    match reasons.first().and_then(CancellationReason::code) {
        Some("ConditionalCheckFailed" | "None") if failed.contains(&true) => Some(Failed(failed)),
        _ => None,
    }
}

/// Reasons that pass by themselves: another transaction, or too many calls.
fn is_passing(reason: &CancellationReason) -> bool {
    matches!(reason.code(), Some("TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded"))
}

fn cancelled_otherwise(
    attempted: &'static str,
    error: &TransactError,
    reasons: &[CancellationReason],
) -> PortError {
    if reasons.is_empty() {
        return port_error(attempted, error);
    }
    let codes = reasons.iter().map(|reason| reason.code().unwrap_or("none").to_owned()).collect();
    PortError::broken(attempted, Cancelled { codes })
}

/// Up to 16 ms that differ from payout to payout, so that those that met once do not meet again in step.
fn share_of(id: PayoutId) -> Duration {
    let digit = id.to_string().chars().last().and_then(|c| c.to_digit(16)).unwrap_or(0);
    Duration::from_millis(u64::from(digit))
}
