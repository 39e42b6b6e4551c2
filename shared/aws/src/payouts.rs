//! The payout ledger in the table `payouts`: a row per payout (`pk` = `payout#<id>`), kept for ever, and a counter per
//! bank and product (`pk` = `limit#<bank>#<product>`) of what is reserved or paid.
//!
//! Row and counter change in one transaction or not at all. Every transaction hangs on the row's condition (*not there
//! yet*, *still reserved*), so making it twice has the effect of making it once, for ever. The `ClientRequestToken` that
//! the SDK adds covers only its own repetitions of one call. A caller that never got its answer and calls again sees its
//! own row: [`Reservation::Exists`], which it treats as [`Reservation::New`].

use crate::{
    failure::{describe, port_error},
    item::{Item, Reader, number, text},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{transact_write_items::TransactWriteItemsError, update_item::UpdateItemError},
    types::{
        CancellationReason, Put, ReturnValuesOnConditionCheckFailure as OnFailure, TransactWriteItem, Update,
    },
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use domain::{BasisPoints, Fen, PayoutId, Reason};
use ports::{
    PortError,
    payouts::{Payout, PayoutState, Payouts, Reservation, Resolution},
};
use std::time::Duration;

const RESERVING: &str = "reserving a payout";
const READING: &str = "reading a payout";
const POSTING: &str = "posting a payout";
const VOIDING: &str = "voiding a payout";
const COUNTING: &str = "reading what is committed of a limit";

/// How often a transaction that met another one on the same counter is made again. The SDK does not do that.
const TRIES: u32 = 6;
/// Doubled after every try: 10 ms to 160 ms, 310 ms in all, plus each payout's own share.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// The table `payouts`.
#[derive(Clone, Debug)]
pub struct DynamoPayouts {
    client: Client,
    table: String,
}

/// Why a transaction did not happen.
enum Cancelled {
    /// The row's condition failed; this is the row.
    Row(Item),
    /// The row's condition held and the counter's failed.
    Counter,
}

/// Ledger and counter do not fit together.
#[derive(Debug, thiserror::Error)]
enum Inconsistent {
    #[error("the counter of {bank}/{product} is below the payout {id}")]
    Counter { id: PayoutId, bank: String, product: String },
    #[error("the transaction was cancelled with {codes:?}")]
    Cancellation { codes: Vec<String> },
    #[error("the row is in the unknown state {0:?}")]
    State(String),
    #[error("the row is neither reserved nor resolved")]
    Unresolved,
}

impl DynamoPayouts {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Makes a transaction of row and counter, in this order. `Ok(Some(_))` says why it did not happen.
    async fn transact(
        &self,
        attempted: &'static str,
        id: PayoutId,
        items: [TransactWriteItem; 2],
    ) -> Result<Option<Cancelled>, PortError> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let transaction = self.client.transact_write_items().set_transact_items(Some(items.to_vec()));
            let Err(error) = transaction.send().await else { return Ok(None) };
            let reasons = cancellation_reasons(&error);
            if let Some(cancelled) = condition_that_failed(reasons) {
                return Ok(Some(cancelled));
            }
            if !reasons.iter().any(is_passing) {
                return Err(cancelled_otherwise(attempted, &error, reasons));
            }
            if attempt == TRIES {
                return Err(PortError::unavailable(attempted, describe(&error)));
            }
            tokio::time::sleep(wait + share_of(id)).await;
            wait *= 2;
            attempt += 1;
        }
    }

    fn row_key(id: PayoutId) -> String {
        format!("payout#{id}")
    }

    fn counter_key(bank: &str, product: &str) -> String {
        format!("limit#{bank}#{product}")
    }

    async fn item(&self, attempted: &'static str, key: String) -> Result<Option<Item>, PortError> {
        let get = self.client.get_item().table_name(&self.table).key("pk", text(key)).consistent_read(true);
        let answer = get.send().await.map_err(|error| port_error(attempted, &error))?;
        Ok(answer.item)
    }

    fn reserve_row(&self, payout: &Payout) -> Result<TransactWriteItem, PortError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(row(payout)))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(OnFailure::AllOld)
            .build()
            .map_err(|error| PortError::broken(RESERVING, error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn take_from_limit(&self, payout: &Payout, room: Fen) -> Result<TransactWriteItem, PortError> {
        let update = Update::builder()
            .table_name(&self.table)
            .key("pk", text(Self::counter_key(&payout.bank, &payout.product)))
            .update_expression("ADD committed_fen :amount")
            .condition_expression("attribute_not_exists(committed_fen) OR committed_fen <= :room")
            .expression_attribute_values(":amount", number(payout.amount_fen.0))
            .expression_attribute_values(":room", number(room.0))
            .build()
            .map_err(|error| PortError::broken(RESERVING, error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn void_row(&self, id: PayoutId, reason: Reason) -> Result<TransactWriteItem, PortError> {
        let update = Update::builder()
            .table_name(&self.table)
            .key("pk", text(Self::row_key(id)))
            .update_expression("SET #state = :voided, reason = :reason")
            .condition_expression("#state = :reserved")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":voided", text("voided"))
            .expression_attribute_values(":reserved", text("reserved"))
            .expression_attribute_values(":reason", text(reason.code()))
            .return_values_on_condition_check_failure(OnFailure::AllOld)
            .build()
            .map_err(|error| PortError::broken(VOIDING, error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn give_back(&self, payout: &Payout) -> Result<TransactWriteItem, PortError> {
        let update = Update::builder()
            .table_name(&self.table)
            .key("pk", text(Self::counter_key(&payout.bank, &payout.product)))
            .update_expression("ADD committed_fen :back")
            .condition_expression("committed_fen >= :amount")
            .expression_attribute_values(":back", number(-i128::from(payout.amount_fen.0)))
            .expression_attribute_values(":amount", number(payout.amount_fen.0))
            .build()
            .map_err(|error| PortError::broken(VOIDING, error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

#[async_trait]
impl Payouts for DynamoPayouts {
    /// Calls `TransactWriteItems` (which needs `PutItem` and `UpdateItem`), again only when it met another transaction;
    /// and `GetItem` instead when the amount alone is above the limit.
    async fn reserve(&self, payout: &Payout, limit: Fen) -> Result<Reservation, PortError> {
        let Some(room) = limit.checked_sub(payout.amount_fen) else {
            let row = self.item(RESERVING, Self::row_key(payout.id)).await?;
            return row.map_or(Ok(Reservation::LimitReached), |row| met(payout, &row));
        };
        let items = [self.reserve_row(payout)?, self.take_from_limit(payout, room)?];
        match self.transact(RESERVING, payout.id, items).await? {
            None => Ok(Reservation::New),
            Some(Cancelled::Row(row)) => met(payout, &row),
            Some(Cancelled::Counter) => Ok(Reservation::LimitReached),
        }
    }

    /// Calls `GetItem`, once.
    async fn get(&self, id: PayoutId) -> Result<Option<Payout>, PortError> {
        let row = self.item(READING, Self::row_key(id)).await?;
        row.map(|row| payout(Reader { item: &row, attempted: READING })).transpose()
    }

    /// Calls `UpdateItem`, once. The counter stays: what is paid remains committed. A second post keeps the reference
    /// of the first.
    async fn post(&self, id: PayoutId, bank_reference: &str) -> Result<Resolution, PortError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(Self::row_key(id)))
            .update_expression("SET #state = :posted, bank_reference = :reference")
            .condition_expression("#state = :reserved")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":posted", text("posted"))
            .expression_attribute_values(":reserved", text("reserved"))
            .expression_attribute_values(":reference", text(bank_reference))
            .return_values_on_condition_check_failure(OnFailure::AllOld)
            .send()
            .await;
        let Err(error) = update else { return Ok(Resolution::Done) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => match failed.item() {
                Some(row) => resolved(POSTING, row, |state| matches!(state, PayoutState::Posted { .. })),
                None => Ok(Resolution::Unknown),
            },
            _ => Err(port_error(POSTING, &error)),
        }
    }

    /// Calls `GetItem`, for what to give back to which limit, and `TransactWriteItems` (which needs `UpdateItem`).
    async fn void(&self, id: PayoutId, reason: Reason) -> Result<Resolution, PortError> {
        let is_voided = |state: &PayoutState| matches!(state, PayoutState::Voided { .. });
        let Some(row) = self.item(VOIDING, Self::row_key(id)).await? else { return Ok(Resolution::Unknown) };
        let payout = payout(Reader { item: &row, attempted: VOIDING })?;
        if payout.state != PayoutState::Reserved {
            return resolved(VOIDING, &row, is_voided);
        }
        let items = [self.void_row(id, reason)?, self.give_back(&payout)?];
        match self.transact(VOIDING, id, items).await? {
            None => Ok(Resolution::Done),
            Some(Cancelled::Row(row)) => resolved(VOIDING, &row, is_voided),
            Some(Cancelled::Counter) => {
                let Payout { bank, product, .. } = payout;
                Err(PortError::broken(VOIDING, Inconsistent::Counter { id, bank, product }))
            }
        }
    }

    /// Calls `GetItem`, once.
    async fn committed(&self, bank: &str, product: &str) -> Result<Fen, PortError> {
        match self.item(COUNTING, Self::counter_key(bank, product)).await? {
            Some(item) => Ok(Fen(Reader { item: &item, attempted: COUNTING }.integer("committed_fen")?)),
            None => Ok(Fen::ZERO),
        }
    }
}

/// What a reservation met when there was a row.
fn met(payout_now: &Payout, row: &Item) -> Result<Reservation, PortError> {
    let before = payout(Reader { item: row, attempted: RESERVING })?;
    let same = before.bank == payout_now.bank && before.amount_fen == payout_now.amount_fen;
    Ok(if same { Reservation::Exists(Box::new(before)) } else { Reservation::Different(Box::new(before)) })
}

/// What a post or void met when the row was no longer reserved.
fn resolved(
    attempted: &'static str,
    row: &Item,
    same_way: impl Fn(&PayoutState) -> bool,
) -> Result<Resolution, PortError> {
    let payout = payout(Reader { item: row, attempted })?;
    match &payout.state {
        PayoutState::Reserved => Err(PortError::broken(attempted, Inconsistent::Unresolved)),
        state if same_way(state) => Ok(Resolution::Done),
        _ => Ok(Resolution::Contradicts(Box::new(payout))),
    }
}

fn row(payout: &Payout) -> Item {
    let mut row = Item::from([
        ("pk".to_owned(), text(DynamoPayouts::row_key(payout.id))),
        ("payout_id".to_owned(), text(payout.id.to_string())),
        ("bank".to_owned(), text(payout.bank.as_str())),
        ("product".to_owned(), text(payout.product.as_str())),
        ("amount_fen".to_owned(), number(payout.amount_fen.0)),
        ("annual_rate_bp".to_owned(), number(payout.annual_rate_bp.0)),
        ("term_months".to_owned(), number(payout.term_months)),
        ("reserved_at".to_owned(), text(payout.reserved_at.to_string())),
    ]);
    let (state, detail) = match &payout.state {
        PayoutState::Reserved => ("reserved", None),
        PayoutState::Posted { bank_reference } => {
            ("posted", Some(("bank_reference", bank_reference.as_str())))
        }
        PayoutState::Voided { reason } => ("voided", Some(("reason", reason.code()))),
    };
    row.insert("state".to_owned(), text(state));
    row.extend(detail.map(|(name, value)| (name.to_owned(), text(value))));
    row
}

fn payout(reader: Reader<'_>) -> Result<Payout, PortError> {
    let state = match reader.text("state")? {
        "reserved" => PayoutState::Reserved,
        "posted" => PayoutState::Posted { bank_reference: reader.text("bank_reference")?.to_owned() },
        "voided" => PayoutState::Voided { reason: reader.parsed("reason")? },
        other => return Err(PortError::broken(reader.attempted, Inconsistent::State(other.to_owned()))),
    };
    Ok(Payout {
        id: reader.parsed("payout_id")?,
        bank: reader.text("bank")?.to_owned(),
        product: reader.text("product")?.to_owned(),
        amount_fen: Fen(reader.integer("amount_fen")?),
        annual_rate_bp: BasisPoints(reader.integer("annual_rate_bp")?),
        term_months: reader.integer("term_months")?,
        state,
        reserved_at: reader.parsed("reserved_at")?,
    })
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

/// The row's condition counts first: a payout that is already there is there, however full the limit has become.
fn condition_that_failed(reasons: &[CancellationReason]) -> Option<Cancelled> {
    let failed = |reason: &&CancellationReason| reason.code() == Some("ConditionalCheckFailed");
    let row = reasons.first().filter(failed).and_then(|reason| reason.item().cloned());
    // The counter's word is final only when nothing stood in the way of the row's: a row in conflict may be there.
    let row_held = reasons.first().is_some_and(|reason| reason.code() == Some("None"));
    let counter = reasons.get(1).filter(failed).filter(|_| row_held);
    row.map(Cancelled::Row).or(counter.map(|_| Cancelled::Counter))
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
    PortError::broken(attempted, Inconsistent::Cancellation { codes })
}

/// Up to 16 ms that differ from payout to payout, so that those that met once do not meet again in step.
fn share_of(id: PayoutId) -> Duration {
    let digit = id.to_string().chars().last().and_then(|c| c.to_digit(16)).unwrap_or(0);
    Duration::from_millis(u64::from(digit))
}
