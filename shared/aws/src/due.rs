//! The index of what is due, and the sweeper's cursor.
//!
//! A sparse index: only entries with a due time carry its keys. Its partitions are four shards, so that one partition
//! does not take the writes of every application; an application's shard follows from its id.

use crate::{
    failure::port_error,
    item::{self, Reader, text},
    journal::{DynamoJournal, sort_key},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use contract::names::DUE_INDEX;
use domain::ApplicationId;
use futures::future::try_join_all;
use jiff::Timestamp;
use ports::{
    PortError,
    journal::{DueEntry, DueJourneys, Swept},
};

pub(crate) const SHARD: &str = "due_shard";
/// Milliseconds since 1970 (UTC).
pub(crate) const AT: &str = "due_at";
pub(crate) const SHARDS: u8 = 4;

const CURSOR_KEY: (&str, &str) = ("sweeper", "cursor");
const CURSOR: &str = "swept_until";
const IN_DOUBT: &str = "payouts_in_doubt";

const READING: &str = "reading the due index";

/// The shard of an application. Ids are keyed hashes, so their last digit is spread evenly.
pub(crate) fn shard_of(id: ApplicationId) -> AttributeValue {
    let last_digit = id.to_string().chars().last().and_then(|c| c.to_digit(16)).unwrap_or(0);
    text((last_digit % u32::from(SHARDS)).to_string())
}

/// Rounded up: an entry must never show up before its time.
pub(crate) fn milliseconds_after(at: Timestamp) -> i128 {
    let begun = at.as_nanosecond().rem_euclid(1_000_000) > 0;
    milliseconds_before(at) + i128::from(begun)
}

/// Rounded down.
pub(crate) fn milliseconds_before(at: Timestamp) -> i128 {
    at.as_nanosecond().div_euclid(1_000_000)
}

impl DynamoJournal {
    async fn due_in_shard(
        &self,
        shard: u8,
        from: i128,
        until: i128,
        limit: u32,
    ) -> Result<Vec<DueEntry>, PortError> {
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(DUE_INDEX)
                .key_condition_expression("due_shard = :shard AND due_at BETWEEN :from AND :until")
                .expression_attribute_values(":shard", text(shard.to_string()))
                .expression_attribute_values(":from", item::number(from))
                .expression_attribute_values(":until", item::number(until))
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| port_error(READING, &error))?;
            for item in page.items() {
                found.push(due_entry(Reader { item, attempted: READING })?);
            }
            start = page.last_evaluated_key;
            if start.is_none() || found.len() >= wanted {
                return Ok(found);
            }
        }
    }
}

fn due_entry(reader: Reader<'_>) -> Result<DueEntry, PortError> {
    let due_at =
        Timestamp::from_millisecond(reader.integer(AT)?).map_err(|e| PortError::broken(READING, e))?;
    Ok(DueEntry { id: reader.parsed("pk")?, number: reader.parsed("sk")?, due_at })
}

#[async_trait]
impl DueJourneys for DynamoJournal {
    /// Calls `Query` on the index, once per shard and page.
    async fn due(&self, from: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<DueEntry>, PortError> {
        let (from, until) = (milliseconds_after(from), milliseconds_before(until));
        // The service refuses a range without anything in it, and a limit of zero.
        if from > until || limit == 0 {
            return Ok(Vec::new());
        }
        let shards = (0..SHARDS).map(|shard| self.due_in_shard(shard, from, until, limit));
        let mut due: Vec<DueEntry> = try_join_all(shards).await?.into_iter().flatten().collect();
        due.sort_by_key(|entry| (entry.due_at, entry.id, entry.number));
        due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(due)
    }

    /// Calls `UpdateItem`, once. An entry that does not exist is *broken*: nothing may appear in the index that is not
    /// in the journal.
    async fn rearm(&self, id: ApplicationId, number: u32, due_at: Timestamp) -> Result<(), PortError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(id.to_string()))
            .key("sk", text(sort_key(number)))
            .update_expression("SET due_shard = :shard, due_at = :at")
            .condition_expression("attribute_exists(sk)")
            .expression_attribute_values(":shard", shard_of(id))
            .expression_attribute_values(":at", item::number(milliseconds_after(due_at)))
            .send()
            .await
            .map_err(|error| port_error("giving an entry another due time", &error))?;
        Ok(())
    }

    /// Calls `GetItem`, once.
    async fn cursor(&self) -> Result<Option<Swept>, PortError> {
        const ATTEMPTED: &str = "reading the sweeper's cursor";
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(CURSOR_KEY.0))
            .key("sk", text(CURSOR_KEY.1))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error(ATTEMPTED, &error))?;
        let Some(item) = answer.item() else { return Ok(None) };
        let reader = Reader { item, attempted: ATTEMPTED };
        let payouts_in_doubt = match item.contains_key(IN_DOUBT) {
            true => reader.json(IN_DOUBT)?,
            false => Vec::new(),
        };
        Ok(Some(Swept { until: reader.parsed(CURSOR)?, payouts_in_doubt }))
    }

    /// Calls `PutItem`, once.
    async fn set_cursor(&self, to: &Swept) -> Result<(), PortError> {
        const ATTEMPTED: &str = "setting the sweeper's cursor";
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(CURSOR_KEY.0))
            .item("sk", text(CURSOR_KEY.1))
            .item(CURSOR, text(to.until.to_string()));
        let put = match to.payouts_in_doubt.as_slice() {
            [] => put,
            some => put.item(IN_DOUBT, item::json(ATTEMPTED, &some)?),
        };
        put.send().await.map_err(|error| port_error(ATTEMPTED, &error))?;
        Ok(())
    }
}
