//! The relation graph: an application's link stands under each of its nodes, so that one query of a node tells both
//! which applications are there and where to go on from them. How a loan does stands under each node of its
//! application too, once it was ever overdue.

use crate::{
    batch::{delete_all, put_all},
    failure::port_error,
    item::{Item, Reader, Unreadable, json, number, text},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{Client, operation::put_item::PutItemError};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use ports::{
    PortError,
    relation::{KnownLinks, Link, LoanOutcome, LoanOutcomes, Neighbours, Node, RelationGraph, Window},
};
use std::collections::BTreeSet;

/// The prefix of an outcome's sort key. It sorts behind every time, whose characters up to the first letter are digits.
pub(crate) const OUTCOME: &str = "outcome#";
/// Sorts behind every outcome.
const BEHIND_OUTCOMES: &str = "outcome$";
/// Behind a second: sorts behind every link of that second.
const BEHIND_SECOND: &str = "$";
/// Outcomes written at once.
const WRITES_AT_ONCE: usize = 8;

/// The table `relations`, `pk` = `<kind>#<hash>`; `sk` = `<second>#<application id>` for a link, the second as in RFC 3339,
/// so that the links of any window are one range of keys and are read the newest first; `outcome#<payout id>` for an outcome,
/// `tie#…` for a tie of a firm, `seen#…` for a sign-in or a failed check.
/// What else comes to stand at a node has to sort behind outcomes.
///
/// A node is one partition, and because its newest links come last in it, DynamoDB cannot split a busy one for heat: it takes
/// a thousand writes and three thousand read units a second. The API lets in fewer applications than that from
/// the whole country (`tests/tests/operations.rs` holds the template to it), so a crowd needs no shards, each of which would
/// cost every check of everybody there another query. What a crowd needs is that nobody reads it whole, and nobody does.
#[derive(Clone, Debug)]
pub struct DynamoRelations {
    pub(crate) client: Client,
    pub(crate) table: String,
}

impl DynamoRelations {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }
}

fn second(at: Timestamp) -> String {
    format!("{:.0}", at)
}

pub(crate) fn partition(node: &Node) -> String {
    format!("{}#{}", node.kind.as_str(), node.hash)
}

/// The key of a link under one of its nodes.
fn key(link: &Link, node: &Node) -> Item {
    Item::from([
        ("pk".to_owned(), text(partition(node))),
        ("sk".to_owned(), text(format!("{}#{}", second(link.at), link.application))),
    ])
}

#[async_trait]
impl RelationGraph for DynamoRelations {
    /// Calls `BatchWriteItem`, once per 25 nodes. May write some and fail; linking again completes it.
    async fn link(&self, link: &Link) -> Result<(), PortError> {
        const ATTEMPTED: &str = "linking an application";
        let value = json(ATTEMPTED, link)?;
        let nodes: BTreeSet<&Node> = link.nodes.iter().collect();
        let items = nodes.into_iter().map(|node| {
            let mut item = key(link, node);
            item.insert("link".to_owned(), value.clone());
            item
        });
        put_all(&self.client, &self.table, ATTEMPTED, items.collect()).await
    }

    /// Calls `BatchWriteItem`, once per 25 nodes. May delete some and fail; unlinking again completes it.
    async fn unlink(&self, link: &Link, from: &[Node]) -> Result<(), PortError> {
        let nodes: BTreeSet<&Node> = from.iter().collect();
        let keys = nodes.into_iter().map(|node| key(link, node)).collect();
        delete_all(&self.client, &self.table, "unlinking an application", keys).await
    }

    /// Calls `Query`, strongly consistent, once per megabyte, and again where outcomes took the place of links or the
    /// window has an end. Reads outcomes first. Asks for one more than the limit, to know of it.
    async fn neighbours(
        &self,
        node: &Node,
        window: Window,
        limit: u32,
        known: &KnownLinks,
    ) -> Result<Neighbours, PortError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let from = second(window.from);
        let mut found = Neighbours::default();
        if let Some(to) = window.to {
            self.read(node, (OUTCOME, BEHIND_OUTCOMES), limit, known, &mut found).await?;
            let to = format!("{}{BEHIND_SECOND}", second(to));
            self.read(node, (&from, &to), limit, known, &mut found).await?;
        } else {
            self.read(node, (&from, BEHIND_OUTCOMES), limit, known, &mut found).await?;
        }
        found.cut_off |= found.links.len() > limit;
        found.links.truncate(limit);
        Ok(found)
    }
}

impl DynamoRelations {
    /// Reads a range of sort keys from its end, until there are more links than the limit or nothing is left.
    async fn read(
        &self,
        node: &Node,
        (from, to): (&str, &str),
        limit: usize,
        known: &KnownLinks,
        found: &mut Neighbours,
    ) -> Result<(), PortError> {
        const ATTEMPTED: &str = "reading what stands at a node";
        let mut start = None;
        while found.links.len() <= limit {
            let missing = i32::try_from(limit - found.links.len()).unwrap_or(i32::MAX).saturating_add(1);
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("pk = :node AND sk BETWEEN :from AND :to")
                .expression_attribute_values(":node", text(partition(node)))
                .expression_attribute_values(":from", text(from))
                .expression_attribute_values(":to", text(to))
                .scan_index_forward(false)
                .limit(missing)
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(|error| port_error(ATTEMPTED, &error))?;
            for item in page.items() {
                let reader = Reader { item, attempted: ATTEMPTED };
                let sort_key = reader.text("sk")?;
                if sort_key.starts_with(OUTCOME) {
                    found.outcomes.push(reader.json("outcome")?);
                    continue;
                }
                let application = sort_key.rsplit_once('#').and_then(|(_, id)| id.parse().ok());
                let application = application.ok_or_else(|| reader.broken(Unreadable::Value("sk")))?;
                found.links.push(known.link(application, || reader.json("link"))?);
            }
            start = page.last_evaluated_key;
            if found.outcomes.len() > limit {
                // Whoever floods a node with outcomes hides no link behind them.
                found.outcomes.truncate(limit);
                found.outcomes_cut_off = true;
                if from == OUTCOME {
                    return Ok(());
                }
                if found.links.is_empty() && start.is_some() {
                    let last_outcome = [("pk", text(partition(node))), ("sk", text(OUTCOME))];
                    start = Some(last_outcome.map(|(name, value)| (name.to_owned(), value)).into());
                }
            }
            if start.is_none() {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl LoanOutcomes for DynamoRelations {
    /// Calls `PutItem`, once per node.
    async fn mark(&self, nodes: &[Node], outcome: &LoanOutcome) -> Result<(), PortError> {
        let nodes: BTreeSet<&Node> = nodes.iter().collect();
        let writes: Vec<_> = nodes.into_iter().map(|node| self.mark_one(node, outcome)).collect();
        stream::iter(writes).buffer_unordered(WRITES_AT_ONCE).try_collect().await
    }
}

impl DynamoRelations {
    async fn mark_one(&self, node: &Node, outcome: &LoanOutcome) -> Result<(), PortError> {
        const ATTEMPTED: &str = "writing how a loan does";
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(partition(node)))
            .item("sk", text(format!("{OUTCOME}{}", outcome.payout)))
            .item("version", number(outcome.version))
            .item("outcome", json(ATTEMPTED, outcome)?)
            .condition_expression("attribute_not_exists(pk) OR version < :version")
            .expression_attribute_values(":version", number(outcome.version));
        let Err(error) = put.send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
            _ => Err(port_error(ATTEMPTED, &error)),
        }
    }
}
