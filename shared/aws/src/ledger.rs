//! The ledger in the table `payouts`. Rows are written once and never changed, but for the balances and the claims.
//!
//! | `pk` | `sk` | |
//! |---|---|---|
//! | `payout#<id>` | `pending` | the reservation, or the closed payout |
//! | `payout#<id>` | `resolution#0001` … | how it was resolved; the first decides, the rest correct |
//! | `payout#<id>` | `dispute#<message id>` | a word of the bank that contradicts the ledger |
//! | `accounts#<bank>#<product>` | `balances` | what the transfers add up to |
//! | `firm#<code>` | `loan` | the payout for which the firm is claimed |
//!
//! A transfer, the balances and the claim change in one transaction or not at all. Every transaction hangs on its
//! transfer's condition (*not there yet*), so making it twice has the effect of making it once, for ever. The
//! `ClientRequestToken` that the SDK adds covers only its own repetitions of one call. A caller that never got its
//! answer and calls again finds its own row.

use crate::{
    failure::{describe, port_error},
    item::{Item, Reader, number, text},
    ledger_rows::{self as rows, dispute_row, payout, pending_row, resolution_row, resolved_payout},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    error::{BuildError, SdkError},
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    types::{CancellationReason, Delete, Put, TransactWriteItem, Update},
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use contract::names::RESOLVED_INDEX;
use domain::{
    Fen, PayoutId, Reason,
    ledger::{Account, Balances, Dispute, MAX_DISPUTES, Movement, Payout, Resolution},
};
use jiff::civil::Date;
use ports::{
    PortError,
    ledger::{Ledger, Reservation, Resolved, ResolvedPayout},
};
use std::time::Duration;

const RESERVING: &str = "reserving a payout";
const CLOSING: &str = "closing a payout";
const READING: &str = "reading a payout";
const RESOLVING: &str = "resolving a payout";
const DISPUTING: &str = "recording a contradicting word";
const COUNTING: &str = "reading the balances";
const LISTING: &str = "reading what was resolved on a day";

/// How often a transaction that met another one on the same balances is made again. The SDK does not do that.
const TRIES: u32 = 6;
/// Doubled after every try: 10 ms to 160 ms, 310 ms in all, plus each payout's own share.
const FIRST_WAIT: Duration = Duration::from_millis(10);

const NOT_THERE_YET: &str = "attribute_not_exists(pk)";
const OURS_OR_FREE: &str = "attribute_not_exists(pk) OR payout_id = :payout";

/// The table `payouts`.
#[derive(Clone, Debug)]
pub struct DynamoLedger {
    client: Client,
    table: String,
}

/// The place in a transaction whose condition failed, so that nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    Transfer,
    Balances,
    Claim,
}

/// Transfers and balances do not fit together.
#[derive(Debug, thiserror::Error)]
enum Inconsistent {
    #[error("the accounts of {bank}/{product} hold less than the payout {id}")]
    Balances { id: PayoutId, bank: String, product: String },
    #[error("the transaction was cancelled with {codes:?}")]
    Cancellation { codes: Vec<String> },
    #[error("the payout is there and has no pending row")]
    NoPending,
}

impl DynamoLedger {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Makes a transaction of transfer, balances and claim, in this order. `Ok(Some(_))` says which condition failed.
    async fn transact(
        &self,
        attempted: &'static str,
        id: PayoutId,
        items: Vec<TransactWriteItem>,
    ) -> Result<Option<Failed>, PortError> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let transaction = self.client.transact_write_items().set_transact_items(Some(items.clone()));
            let Err(error) = transaction.send().await else { return Ok(None) };
            let reasons = cancellation_reasons(&error);
            if let Some(failed) = condition_that_failed(reasons) {
                return Ok(Some(failed));
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

    /// Writes a row unless it is there.
    fn write_once(&self, row: Item) -> Result<TransactWriteItem, BuildError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(row))
            .condition_expression(NOT_THERE_YET)
            .build()?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Moves the payout's amount between two accounts. `floor` is the least that the paying account may hold before.
    fn move_money(
        &self,
        payout: &Payout,
        movement: Movement,
        floor: Option<i128>,
    ) -> Result<TransactWriteItem, BuildError> {
        let (from, to) = movement.accounts();
        let amount = i128::from(payout.amount_fen.0);
        let update = Update::builder()
            .table_name(&self.table)
            .key("pk", text(rows::accounts_key(&payout.bank, &payout.product)))
            .key("sk", text(rows::BALANCES))
            .update_expression("ADD #from :minus, #to :plus")
            .expression_attribute_names("#from", rows::balance(from))
            .expression_attribute_names("#to", rows::balance(to))
            .expression_attribute_values(":minus", number(-amount))
            .expression_attribute_values(":plus", number(amount));
        let update = match floor {
            None => update,
            // Accounts that nobody has moved yet hold nothing, which is above every floor but a positive one.
            Some(floor) => update
                .condition_expression(if floor <= 0 {
                    "attribute_not_exists(#from) OR #from >= :floor"
                } else {
                    "#from >= :floor"
                })
                .expression_attribute_values(":floor", number(floor)),
        };
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }

    fn claim_firm(&self, payout: &Payout) -> Result<TransactWriteItem, BuildError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(rows::claim_row(payout)))
            .condition_expression(OURS_OR_FREE)
            .expression_attribute_values(":payout", text(payout.id.to_string()))
            .build()?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn give_up_claim(&self, payout: &Payout) -> Result<TransactWriteItem, BuildError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .key("pk", text(rows::firm_key(&payout.firm_code)))
            .key("sk", text(rows::LOAN))
            .condition_expression(OURS_OR_FREE)
            .expression_attribute_values(":payout", text(payout.id.to_string()))
            .build()?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    fn reservation(&self, payout: &Payout, floor: i128) -> Result<Vec<TransactWriteItem>, BuildError> {
        Ok(vec![
            self.write_once(pending_row(payout))?,
            self.move_money(payout, Movement::Reserve, Some(floor))?,
            self.claim_firm(payout)?,
        ])
    }

    /// Transfer, balances and, where the firm is free again, its claim.
    fn resolution(
        &self,
        payout: &Payout,
        resolution: &Resolution,
        movement: Movement,
    ) -> Result<Vec<TransactWriteItem>, BuildError> {
        let (from, to) = movement.accounts();
        let floor = (from != Account::Limit).then_some(i128::from(payout.amount_fen.0));
        let mut items = vec![
            self.write_once(resolution_row(payout, resolution))?,
            self.move_money(payout, movement, floor)?,
        ];
        if to == Account::Limit {
            items.push(self.give_up_claim(payout)?);
        }
        Ok(items)
    }

    /// What was there when a row could not be written.
    async fn met(&self, attempted: &'static str, wanted: &Payout) -> Result<Reservation, PortError> {
        let found = self.get(wanted.id).await?;
        let found = found.ok_or_else(|| PortError::broken(attempted, Inconsistent::NoPending))?;
        let same = found.closed.is_some()
            || (found.bank == wanted.bank
                && found.product == wanted.product
                && found.firm_code == wanted.firm_code
                && found.amount_fen == wanted.amount_fen);
        let found = Box::new(found);
        Ok(if same { Reservation::Exists(found) } else { Reservation::Different(found) })
    }
}

#[async_trait]
impl Ledger for DynamoLedger {
    /// Calls `TransactWriteItems` (which needs `PutItem` and `UpdateItem`), again only when it met another transaction;
    /// and `Query` when the payout was there.
    async fn reserve(&self, payout: &Payout, ceiling: Fen) -> Result<Reservation, PortError> {
        let floor = i128::from(payout.amount_fen.0) - i128::from(ceiling.0);
        let items = self.reservation(payout, floor).map_err(|error| PortError::broken(RESERVING, error))?;
        match self.transact(RESERVING, payout.id, items).await? {
            None => Ok(Reservation::New),
            Some(Failed::Transfer) => self.met(RESERVING, payout).await,
            Some(Failed::Balances) => Ok(Reservation::LimitReached),
            Some(Failed::Claim) => Ok(Reservation::LoanOutstanding),
        }
    }

    /// Calls `PutItem`, and `Query` when the payout was there.
    async fn close(&self, payout: &Payout, reason: Reason) -> Result<Reservation, PortError> {
        let closed = Payout { closed: Some(reason), ..payout.clone() };
        let put = self.client.put_item().table_name(&self.table).set_item(Some(pending_row(&closed)));
        let Err(error) = put.condition_expression(NOT_THERE_YET).send().await else {
            return Ok(Reservation::New);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(_)) => self.met(CLOSING, payout).await,
            _ => Err(port_error(CLOSING, &error)),
        }
    }

    /// Calls `Query`, once for all that fits into a page.
    async fn get(&self, id: PayoutId) -> Result<Option<Payout>, PortError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(rows::payout_key(id)));
        let found = all_pages(query, READING).await?;
        if found.is_empty() { Ok(None) } else { payout(&found, READING).map(Some) }
    }

    /// Calls `TransactWriteItems` (which needs `PutItem`, `UpdateItem` and `DeleteItem`), again when it met another
    /// transaction, and once without the claim when the firm is claimed for another loan by now.
    async fn resolve(
        &self,
        payout: &Payout,
        resolution: &Resolution,
        movement: Movement,
    ) -> Result<Resolved, PortError> {
        let mut items = self
            .resolution(payout, resolution, movement)
            .map_err(|error| PortError::broken(RESOLVING, error))?;
        let mut failed = self.transact(RESOLVING, payout.id, items.clone()).await?;
        if failed == Some(Failed::Claim) {
            items.truncate(2);
            failed = self.transact(RESOLVING, payout.id, items).await?;
        }
        match failed {
            None => Ok(Resolved::Done),
            Some(Failed::Transfer) => Ok(Resolved::Taken),
            Some(Failed::Balances | Failed::Claim) => {
                let Payout { id, bank, product, .. } = payout.clone();
                Err(PortError::broken(RESOLVING, Inconsistent::Balances { id, bank, product }))
            }
        }
    }

    /// Calls `Query` and `PutItem`; only `Query` once there are enough.
    async fn dispute(&self, id: PayoutId, dispute: &Dispute) -> Result<(), PortError> {
        let known = self.get(id).await?.map_or(0, |payout| payout.disputes.len());
        if known >= MAX_DISPUTES {
            return Ok(());
        }
        let put = self.client.put_item().table_name(&self.table).set_item(Some(dispute_row(id, dispute)));
        let Err(error) = put.condition_expression(NOT_THERE_YET).send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
            _ => Err(port_error(DISPUTING, &error)),
        }
    }

    /// Calls `GetItem`, once.
    async fn balances(&self, bank: &str, product: &str) -> Result<Balances, PortError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(rows::accounts_key(bank, product)))
            .key("sk", text(rows::BALANCES))
            .consistent_read(true);
        let answer = get.send().await.map_err(|error| port_error(COUNTING, &error))?;
        match &answer.item {
            Some(item) => rows::balances(Reader { item, attempted: COUNTING }),
            None => Ok(Balances::default()),
        }
    }

    /// Calls `Query` on the index, once per page.
    async fn resolved_on(&self, bank: &str, day: Date) -> Result<Vec<ResolvedPayout>, PortError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(RESOLVED_INDEX)
            .key_condition_expression("bank_day = :bank_day")
            .expression_attribute_values(":bank_day", text(rows::bank_day(bank, day)));
        let found = all_pages(query, LISTING).await?;
        found.iter().map(|item| resolved_payout(Reader { item, attempted: LISTING })).collect()
    }
}

/// Everything that a query finds.
async fn all_pages(
    query: aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder,
    attempted: &'static str,
) -> Result<Vec<Item>, PortError> {
    let mut found = Vec::new();
    let mut start = None;
    loop {
        let page = query.clone().set_exclusive_start_key(start).send().await;
        let page = page.map_err(|error| port_error(attempted, &error))?;
        found.extend(page.items.unwrap_or_default());
        start = page.last_evaluated_key;
        if start.is_none() {
            return Ok(found);
        }
    }
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

/// The transfer's condition counts first: a transfer that is already there is there, however full the limit has become.
/// The word of the others is final only when nothing stood in the way of the transfer: one in conflict may be there.
fn condition_that_failed(reasons: &[CancellationReason]) -> Option<Failed> {
    let code = |place: usize| reasons.get(place).and_then(CancellationReason::code);
    let failed = |place: usize| code(place) == Some("ConditionalCheckFailed");
    match code(0) {
        Some("ConditionalCheckFailed") => Some(Failed::Transfer),
        Some("None") if failed(2) => Some(Failed::Claim),
        Some("None") if failed(1) => Some(Failed::Balances),
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
    PortError::broken(attempted, Inconsistent::Cancellation { codes })
}

/// Up to 16 ms that differ from payout to payout, so that those that met once do not meet again in step.
fn share_of(id: PayoutId) -> Duration {
    let digit = id.to_string().chars().last().and_then(|c| c.to_digit(16)).unwrap_or(0);
    Duration::from_millis(u64::from(digit))
}
