//! The ledger in the table `payouts`. Rows are written once and never changed, but for the balance and the claims.
//!
//! | `pk` | `sk` | |
//! |---|---|---|
//! | `payout#<id>` | `pending` | the reservation, or the closed payout |
//! | `payout#<id>` | `resolution#0001` … | how it was resolved; the first decides, the rest correct |
//! | `payout#<id>` | `announced` | somebody other than whoever reserved it was about to instruct the bank |
//! | `payout#<id>` | `dispute#<message id>` | a word of the bank that contradicts the ledger |
//! | `accounts#<bank>#<product>` | `balances` | what has been drawn on the bank's limit, which the transfers add up to |
//! | `firm#<code>` | `loan` | the payout for which the firm is claimed, and those that were paid late while it was (`late`) |
//!
//! What becomes of a loan after that stands in rows of its own, see [`crate::DynamoLoans`].
//!
//! A transfer, the balance and the claim change in one transaction or not at all; one that changes neither, as most do that
//! resolve, is a single write. All hang on their transfer's condition (*not there yet*), so making one twice has the effect of
//! making it once, for ever. The
//! `ClientRequestToken` that the SDK adds covers only its own repetitions of one call. A caller that never got its
//! answer and calls again finds its own row.

use crate::{
    failure::port_error,
    item::{Item, Reader, text},
    ledger_rows::{self as rows, dispute_row, payout, pending_row, resolution_row, resolved_payout},
    ledger_writes::{CLAIM_TRIES, OURS_OR_FREE, Wish, contested, draw, give_back, give_up_claim},
    transaction::{self, NOT_THERE_YET, write_once},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    operation::put_item::PutItemError,
    types::{ConditionCheck, Put, TransactWriteItem},
};
use contract::names::RESOLVED_INDEX;
use domain::{
    Fen, PayoutId, Reason,
    ledger::{Account, Dispute, MAX_DISPUTES, Movement, Payout, Resolution},
};
use jiff::{Timestamp, civil::Date};
use ports::{
    PortError,
    ledger::{Announced, Ledger, Reservation, Resolved, ResolvedPayout},
};

const RESERVING: &str = "reserving a payout";
const CLOSING: &str = "closing a payout";
const READING: &str = "reading a payout";
const RESOLVING: &str = "resolving a payout";
const ANNOUNCING: &str = "announcing an instruction";
const DISPUTING: &str = "recording a contradicting word";
const COUNTING: &str = "reading what has been drawn";
const LISTING: &str = "reading what was resolved on a day";

/// The table `payouts`.
#[derive(Clone, Debug)]
pub struct DynamoLedger {
    client: Client,
    table: String,
}

/// A part of a transaction; the transfer always comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Transfer,
    Balance,
    /// The firm's claim.
    Claim,
    /// The loan of which, in a reversal, the bank must not have reported anything.
    Loan,
    /// The announcement that must not stand when a payout is void on our own word.
    Announcement,
}

type Parts = Vec<(Part, TransactWriteItem)>;

/// Other loans of the firm kept changing its claim.
#[derive(Debug, thiserror::Error)]
#[error("the claim on the firm changed {CLAIM_TRIES} times while it was looked at")]
struct ClaimContended;

/// Transfers and balances do not fit together.
#[derive(Debug, thiserror::Error)]
enum Inconsistent {
    #[error("less has been drawn on the limit of {bank}/{product} than the payout {id}")]
    Balance { id: PayoutId, bank: String, product: String },
    #[error("the payout is there and has no pending row")]
    NoPending,
}

impl DynamoLedger {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Makes a transaction. `Ok(Some(_))` says which part's condition failed: whatever stands in the way of everything
    /// else first, the balance last.
    async fn transact(
        &self,
        attempted: &'static str,
        id: PayoutId,
        parts: &Parts,
    ) -> Result<Option<Part>, PortError> {
        let items = parts.iter().map(|(_, item)| item.clone()).collect();
        let Some(failed) = transaction::transact(&self.client, attempted, id, items).await? else {
            return Ok(None);
        };
        let failed: Vec<Part> = parts
            .iter()
            .enumerate()
            .filter(|(place, _)| failed.at(*place))
            .map(|(_, (part, _))| *part)
            .collect();
        let order = [Part::Transfer, Part::Announcement, Part::Loan, Part::Claim];
        Ok(Some(order.into_iter().find(|part| failed.contains(part)).unwrap_or(Part::Balance)))
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

    /// There is no such row.
    fn absent(&self, pk: String, sk: &str) -> Result<TransactWriteItem, BuildError> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .key("pk", text(pk))
            .key("sk", text(sk))
            .condition_expression(NOT_THERE_YET)
            .build()?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// The announcement, and the first resolution that must not be there. Announcing again is announcing once.
    fn announcement(&self, id: PayoutId, at: Timestamp) -> Result<Parts, BuildError> {
        let put =
            Put::builder().table_name(&self.table).set_item(Some(rows::announced_row(id, at))).build()?;
        Ok(vec![
            (Part::Announcement, TransactWriteItem::builder().put(put).build()),
            (Part::Transfer, self.absent(rows::payout_key(id), &rows::resolution_key(1))?),
        ])
    }

    fn reservation(&self, payout: &Payout, ceiling: Fen) -> Result<Parts, BuildError> {
        Ok(vec![
            (Part::Transfer, write_once(&self.table, pending_row(payout))?),
            (Part::Balance, draw(&self.table, payout, Some(ceiling))?),
            (Part::Claim, self.claim_firm(payout)?),
        ])
    }

    /// Transfer, balance and the firm's claim: given up where the firm is free again, and taken anew by a loan that was
    /// paid late, which gave it up before. A reversal needs a loan without reports.
    fn resolution(
        &self,
        payout: &Payout,
        resolution: &Resolution,
        movement: Movement,
    ) -> Result<Parts, BuildError> {
        let mut parts = vec![(Part::Transfer, write_once(&self.table, resolution_row(payout, resolution))?)];
        if movement.accounts().1 == Account::Limit {
            parts.push((Part::Balance, give_back(&self.table, payout, payout.amount_fen)?));
            parts.push((Part::Claim, give_up_claim(&self.table, payout)?));
        }
        if movement == Movement::PostLate {
            // What has been paid late has been paid, whatever the limit is.
            parts.push((Part::Balance, draw(&self.table, payout, None)?));
            parts.push((Part::Claim, self.claim_firm(payout)?));
        }
        if movement == Movement::Reverse {
            parts.push((Part::Loan, self.absent(rows::loan_key(payout.id), rows::LOAN)?));
        }
        if resolution.needs_sole_instruction() {
            parts.push((Part::Announcement, self.absent(rows::payout_key(payout.id), rows::ANNOUNCED)?));
        }
        Ok(parts)
    }

    /// Writes a row by itself, again when it met a transaction; `false` when it was there.
    async fn put_once(&self, attempted: &'static str, id: PayoutId, row: Item) -> Result<bool, PortError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(row));
        let put = put.condition_expression(NOT_THERE_YET);
        let mut waits = transaction::waits(id);
        loop {
            let Err(error) = put.clone().send().await else { return Ok(true) };
            match (error.as_service_error(), waits.next()) {
                (Some(PutItemError::ConditionalCheckFailedException(_)), _) => return Ok(false),
                (Some(PutItemError::TransactionConflictException(_)), Some(wait)) => {
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(port_error(attempted, &error)),
            }
        }
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
        let parts = self.reservation(payout, ceiling).map_err(|error| PortError::broken(RESERVING, error))?;
        match self.transact(RESERVING, payout.id, &parts).await? {
            None => Ok(Reservation::New),
            Some(Part::Transfer) => self.met(RESERVING, payout).await,
            Some(Part::Balance) => Ok(Reservation::LimitReached),
            Some(Part::Claim | Part::Loan | Part::Announcement) => Ok(Reservation::LoanOutstanding),
        }
    }

    /// Calls `PutItem`, and `Query` when the payout was there.
    async fn close(&self, payout: &Payout, reason: Reason) -> Result<Reservation, PortError> {
        let closed = Payout { closed: Some(reason), ..payout.clone() };
        let written = self.put_once(CLOSING, payout.id, pending_row(&closed)).await?;
        if written { Ok(Reservation::New) } else { self.met(CLOSING, payout).await }
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

    /// Calls `TransactWriteItems` (which needs `PutItem` and `ConditionCheckItem`), again only when it met another one.
    async fn announce(&self, id: PayoutId, at: Timestamp) -> Result<Announced, PortError> {
        let parts = self.announcement(id, at).map_err(|error| PortError::broken(ANNOUNCING, error))?;
        let failed = self.transact(ANNOUNCING, id, &parts).await?;
        Ok(if failed.is_none() { Announced::Done } else { Announced::Resolved })
    }

    /// To post calls `PutItem`, else `TransactWriteItems` (which needs `PutItem`, `UpdateItem`, `DeleteItem` and
    /// `ConditionCheckItem`); either again when it met another transaction, and with `GetItem` before it when the firm is
    /// claimed for another loan by now.
    async fn resolve(
        &self,
        payout: &Payout,
        resolution: &Resolution,
        movement: Movement,
    ) -> Result<Resolved, PortError> {
        if movement == Movement::Post {
            let written = self.put_once(RESOLVING, payout.id, resolution_row(payout, resolution)).await?;
            return Ok(if written { Resolved::Done } else { Resolved::Taken });
        }
        let mut parts = self
            .resolution(payout, resolution, movement)
            .map_err(|error| PortError::broken(RESOLVING, error))?;
        let wish = if movement == Movement::PostLate { Wish::Claim } else { Wish::GiveUp };
        let uncontested = parts.iter().find(|(part, _)| *part == Part::Claim).cloned();
        let mut failed = self.transact(RESOLVING, payout.id, &parts).await?;
        for _ in 0..CLAIM_TRIES {
            let Some((_, claim)) = uncontested.as_ref().filter(|_| failed == Some(Part::Claim)) else {
                break;
            };
            let instead = contested(&self.client, &self.table, RESOLVING, payout, (wish, claim)).await?;
            parts.retain(|(part, _)| *part != Part::Claim);
            parts.extend(instead.map(|item| (Part::Claim, item)));
            failed = self.transact(RESOLVING, payout.id, &parts).await?;
        }
        match failed {
            None => Ok(Resolved::Done),
            Some(Part::Transfer) => Ok(Resolved::Taken),
            Some(Part::Loan) => Ok(Resolved::LoanReported),
            Some(Part::Announcement) => Ok(Resolved::Announced),
            Some(Part::Claim) => Err(PortError::unavailable(RESOLVING, ClaimContended)),
            Some(Part::Balance) => {
                let Payout { id, bank, product, .. } = payout.clone();
                Err(PortError::broken(RESOLVING, Inconsistent::Balance { id, bank, product }))
            }
        }
    }

    /// Calls `Query` and `PutItem`; only `Query` once there are enough.
    async fn dispute(&self, id: PayoutId, dispute: &Dispute) -> Result<(), PortError> {
        let known = self.get(id).await?.map_or(0, |payout| payout.disputes.len());
        if known >= MAX_DISPUTES {
            return Ok(());
        }
        self.put_once(DISPUTING, id, dispute_row(id, dispute)).await?;
        Ok(())
    }

    /// Calls `GetItem`, once.
    async fn drawn(&self, bank: &str, product: &str) -> Result<i128, PortError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(rows::accounts_key(bank, product)))
            .key("sk", text(rows::BALANCES))
            .consistent_read(true);
        let answer = get.send().await.map_err(|error| port_error(COUNTING, &error))?;
        match answer.item.as_ref().filter(|item| item.contains_key(rows::LIMIT)) {
            Some(item) => Ok(-Reader { item, attempted: COUNTING }.integer::<i128>(rows::LIMIT)?),
            None => Ok(0),
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
