//! The book of rings, in the table of the relation graph: rings are few, and the function that finds them writes there
//! anyway.

use crate::{
    failure::port_error,
    item::{Item, Reader, json, text},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    operation::{put_item::PutItemError, query::builders::QueryFluentBuilder},
    types::AttributeValue,
};
use domain::RingId;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use ports::{
    PortError,
    ring_names::{Merge, NamesInBook, RingNames, Settlement},
    rings::{Glimpse, ListedRing, RingBook, Sighting},
};
use std::collections::BTreeMap;

/// The list lies in so many partitions: a flood of rings is many writes of short rows, each of which says when its ring
/// was last seen.
const LIST_SHARDS: &[u8; 16] = b"0123456789abcdef";
/// Between the two names of a merge.
const INTO: &str = "#into#";
/// Behind a name that was settled.
const STANDS: &str = "#stands";

/// In the table `relations`: `pk` = `ring#<ring id>`, `sk` = `<time>#<finder>` for a sighting; `pk` = `rings#<last digit
/// of the ring id>`, `sk` = `<ring id>` for a glimpse of the latest sighting under a name, `<ring id>#into#<ring id>`
/// for a merge, with the time of the latest sighting that saw it, and `<ring id>#stands` for a settlement.
#[derive(Clone, Debug)]
pub struct DynamoRings {
    client: Client,
    table: String,
}

impl DynamoRings {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    async fn put(
        &self,
        attempted: &'static str,
        pk: String,
        sk: String,
        value: Option<(&str, AttributeValue)>,
        latest: Option<String>,
    ) -> Result<(), PortError> {
        let mut put =
            self.client.put_item().table_name(&self.table).item("pk", text(pk)).item("sk", text(sk));
        if let Some((name, value)) = value {
            put = put.item(name, value);
        }
        if let Some(seen) = latest {
            // An earlier sighting that arrives late must not stand for the latest one.
            put = put
                .item("seen", text(&seen))
                .condition_expression("attribute_not_exists(seen) OR seen < :seen")
                .expression_attribute_values(":seen", text(seen));
        }
        let Err(error) = put.send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
            _ => Err(port_error(attempted, &error)),
        }
    }

    fn query(&self, pk: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(pk))
    }
}

/// The first `most` items of a query.
async fn read(
    attempted: &'static str,
    query: QueryFluentBuilder,
    most: usize,
) -> Result<Vec<Item>, PortError> {
    // A number beyond what the service takes is no limit; neither is it for who wants everything.
    let query = match i32::try_from(most) {
        Ok(most) => query.limit(most),
        Err(_) => query,
    };
    let mut pages = query.into_paginator().send();
    let mut items = Vec::new();
    while let Some(page) = pages.next().await {
        items.extend(page.map_err(|error| port_error(attempted, &error))?.items.unwrap_or_default());
        if items.len() >= most {
            items.truncate(most);
            break;
        }
    }
    Ok(items)
}

fn shard_named(shard: u8) -> String {
    format!("rings#{}", char::from(shard))
}

fn shard_of(ring: RingId) -> String {
    shard_named(ring.to_string().bytes().last().unwrap_or(LIST_SHARDS[0]))
}

/// Every ring once, under the name that stands, as it was seen last under any of its names.
fn listed(book: NamesInBook) -> Vec<ListedRing> {
    let names = book.standing();
    let mut latest = book.latest;
    let mut merged: BTreeMap<RingId, Vec<RingId>> = BTreeMap::new();
    for (name, stands) in names.iter().filter(|(name, stands)| name != stands) {
        merged.entry(*stands).or_default().push(*name);
    }
    let mut listed: BTreeMap<RingId, ListedRing> = BTreeMap::new();
    latest.sort_by_key(|(_, seen)| (seen.at, seen.finder));
    for (name, latest) in latest {
        let ring = names.get(&name).copied().unwrap_or(name);
        let merged = merged.get(&ring).cloned().unwrap_or_default();
        listed.insert(ring, ListedRing { ring, latest, merged });
    }
    listed.into_values().collect()
}

#[async_trait]
impl RingBook for DynamoRings {
    /// Calls `PutItem`: for the sighting, for the list, and for each merge.
    async fn record(&self, sighting: &Sighting) -> Result<(), PortError> {
        const ATTEMPTED: &str = "recording a ring";
        let ring = sighting.ring;
        let seen = format!("{:.9}#{}", sighting.at, sighting.finder);
        let whole = ("sighting", json(ATTEMPTED, sighting)?);
        self.put(ATTEMPTED, format!("ring#{ring}"), seen.clone(), Some(whole), None).await?;
        for merged in &sighting.merged {
            let key = format!("{merged}{INTO}{ring}");
            self.put(ATTEMPTED, shard_of(*merged), key, None, Some(seen.clone())).await?;
        }
        let glimpse = ("glimpse", json(ATTEMPTED, &Glimpse::from(sighting))?);
        self.put(ATTEMPTED, shard_of(ring), ring.to_string(), Some(glimpse), Some(seen)).await
    }

    /// Calls `Query`, strongly consistent, sixteen times and once more per megabyte.
    async fn list(&self) -> Result<Vec<ListedRing>, PortError> {
        Ok(listed(self.names().await?))
    }

    /// Calls `Query`, strongly consistent, once per megabyte of what is wanted.
    async fn history(&self, ring: RingId, most: usize) -> Result<Vec<Sighting>, PortError> {
        const ATTEMPTED: &str = "reading a ring's history";
        let query = self.query(&format!("ring#{ring}")).scan_index_forward(false);
        let items = read(ATTEMPTED, query, most).await?;
        items.iter().map(|item| Reader { item, attempted: ATTEMPTED }.json("sighting")).collect()
    }
}

#[async_trait]
impl RingNames for DynamoRings {
    /// Calls `Query`, strongly consistent, sixteen times and once more per megabyte.
    async fn names(&self) -> Result<NamesInBook, PortError> {
        const ATTEMPTED: &str = "listing the rings";
        let shards = LIST_SHARDS.iter().map(|shard| shard_named(*shard));
        let shards: Vec<_> = shards.map(|pk| read(ATTEMPTED, self.query(&pk), usize::MAX)).collect();
        let items: Vec<Vec<Item>> = stream::iter(shards).buffered(LIST_SHARDS.len()).try_collect().await?;
        let mut book = NamesInBook::default();
        for item in items.iter().flatten() {
            let reader = Reader { item, attempted: ATTEMPTED };
            let key = reader.text("sk")?;
            let ring = |name: &str| name.parse().map_err(|error| PortError::broken(ATTEMPTED, error));
            if let Some((from, into)) = key.split_once(INTO) {
                // Merges of before their time was kept have none.
                let seen = reader.text("seen").unwrap_or_default();
                let at = seen.split_once('#').and_then(|(at, _)| at.parse().ok()).unwrap_or(Timestamp::MIN);
                book.merges.push(Merge { from: ring(from)?, into: ring(into)?, at });
            } else if let Some(name) = key.strip_suffix(STANDS) {
                let (stands, at) = (ring(reader.text("stands")?)?, reader.parsed("seen")?);
                book.settled.push(Settlement { name: ring(name)?, stands, at });
            } else {
                book.latest.push((ring(key)?, reader.json("glimpse")?));
            }
        }
        Ok(book)
    }

    /// Calls `PutItem`.
    async fn settle(&self, settled: &Settlement) -> Result<(), PortError> {
        let (name, stands) = (settled.name, text(settled.stands.to_string()));
        let (key, at) = (format!("{name}{STANDS}"), format!("{:.9}", settled.at));
        self.put("settling the name of a ring", shard_of(name), key, Some(("stands", stands)), Some(at)).await
    }
}
