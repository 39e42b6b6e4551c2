//! The book of rings, in the table of the relation graph: rings are few, and the function that finds them writes there
//! anyway.

use crate::{
    failure::port_error,
    item::{Item, Reader, json, text},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{Client, operation::put_item::PutItemError};
use domain::RingId;
use ports::{
    PortError,
    rings::{ListedRing, RingBook, Sighting, standing_names},
};
use std::collections::BTreeMap;

/// The partition of the list.
const LIST: &str = "rings";
/// Between the two names of a merge.
const INTO: &str = "#into#";

/// In the table `relations`: `pk` = `ring#<ring id>`, `sk` = `<time>#<finder>` for a sighting; `pk` = `rings`, `sk` =
/// `<ring id>` for the latest sighting of a name, and `<ring id>#into#<ring id>` for a merge.
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
        sighting: Option<&Sighting>,
    ) -> Result<(), PortError> {
        let mut put =
            self.client.put_item().table_name(&self.table).item("pk", text(pk)).item("sk", text(sk));
        if let Some(sighting) = sighting {
            // An earlier sighting that arrives late must not stand for the latest one.
            let seen = format!("{:.9}#{}", sighting.at, sighting.finder);
            put = put
                .item("seen", text(&seen))
                .item("sighting", json(attempted, sighting)?)
                .condition_expression("attribute_not_exists(pk) OR seen < :seen")
                .expression_attribute_values(":seen", text(seen));
        }
        let Err(error) = put.send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
            _ => Err(port_error(attempted, &error)),
        }
    }

    async fn read(&self, attempted: &'static str, pk: &str) -> Result<Vec<Item>, PortError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(pk))
            .into_paginator()
            .send();
        let mut items = Vec::new();
        while let Some(page) = pages.next().await {
            items.extend(page.map_err(|error| port_error(attempted, &error))?.items.unwrap_or_default());
        }
        Ok(items)
    }
}

#[async_trait]
impl RingBook for DynamoRings {
    /// Calls `PutItem`: for the sighting, for the list, and for each merge.
    async fn record(&self, sighting: &Sighting) -> Result<(), PortError> {
        const ATTEMPTED: &str = "recording a ring";
        let (ring, at) = (sighting.ring, sighting.at);
        let key = format!("{at:.9}#{}", sighting.finder);
        self.put(ATTEMPTED, format!("ring#{ring}"), key, Some(sighting)).await?;
        for merged in &sighting.merged {
            self.put(ATTEMPTED, LIST.to_owned(), format!("{merged}{INTO}{ring}"), None).await?;
        }
        self.put(ATTEMPTED, LIST.to_owned(), ring.to_string(), Some(sighting)).await
    }

    /// Calls `Query`, strongly consistent, once per megabyte.
    async fn list(&self) -> Result<Vec<ListedRing>, PortError> {
        const ATTEMPTED: &str = "listing the rings";
        let mut latest: Vec<Sighting> = Vec::new();
        let mut merges: Vec<(RingId, RingId)> = Vec::new();
        for item in &self.read(ATTEMPTED, LIST).await? {
            let reader = Reader { item, attempted: ATTEMPTED };
            match reader.text("sk")?.split_once(INTO) {
                Some((from, into)) => merges.extend(from.parse().ok().zip(into.parse().ok())),
                None => latest.push(reader.json("sighting")?),
            }
        }
        let names = standing_names(latest.iter().map(|sighting| sighting.ring), &merges);
        let mut listed: BTreeMap<RingId, ListedRing> = BTreeMap::new();
        latest.sort_by_key(|sighting| (sighting.at, sighting.finder));
        for sighting in latest {
            let ring = names.get(&sighting.ring).copied().unwrap_or(sighting.ring);
            let merged = names.iter().filter(|(name, stands)| **stands == ring && **name != ring);
            let merged = merged.map(|(name, _)| *name).collect();
            listed.insert(ring, ListedRing { ring, latest: sighting, merged });
        }
        Ok(listed.into_values().collect())
    }

    /// Calls `Query`, strongly consistent, once per megabyte.
    async fn history(&self, ring: RingId) -> Result<Vec<Sighting>, PortError> {
        const ATTEMPTED: &str = "reading a ring's history";
        let items = self.read(ATTEMPTED, &format!("ring#{ring}")).await?;
        items.iter().map(|item| Reader { item, attempted: ATTEMPTED }.json("sighting")).collect()
    }
}
