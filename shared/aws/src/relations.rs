//! The relation graph: an application's link stands under each of its nodes, so that one query of a node tells both
//! which applications are there and where to go on from them.

use crate::{
    batch::put_all,
    failure::port_error,
    item::{Item, Reader, json, text},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use ports::{
    PortError,
    relation::{Link, Neighbours, Node, RelationGraph},
};
use std::collections::BTreeSet;

/// The table `relations`, `pk` = `<kind>#<hash>`, `sk` = application id.
#[derive(Clone, Debug)]
pub struct DynamoRelations {
    client: Client,
    table: String,
}

impl DynamoRelations {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }
}

fn partition(node: &Node) -> String {
    format!("{}#{}", node.kind.as_str(), node.hash)
}

#[async_trait]
impl RelationGraph for DynamoRelations {
    /// Calls `BatchWriteItem`, once per 25 nodes. May write some and fail; linking again completes it.
    async fn link(&self, link: &Link) -> Result<(), PortError> {
        const ATTEMPTED: &str = "linking an application";
        let value = json(ATTEMPTED, link)?;
        let nodes: BTreeSet<&Node> = link.nodes.iter().collect();
        let items = nodes.into_iter().map(|node| {
            Item::from([
                ("pk".to_owned(), text(partition(node))),
                ("sk".to_owned(), text(link.application.to_string())),
                ("link".to_owned(), value.clone()),
            ])
        });
        put_all(&self.client, &self.table, ATTEMPTED, items.collect()).await
    }

    /// Calls `Query`, strongly consistent, once per megabyte. Asks for one more than the limit, to know of it.
    async fn neighbours(&self, node: &Node, limit: u32) -> Result<Neighbours, PortError> {
        const ATTEMPTED: &str = "reading the applications at a node";
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut links: Vec<Link> = Vec::new();
        let mut from = None;
        while links.len() <= limit {
            let missing = i32::try_from(limit - links.len()).unwrap_or(i32::MAX).saturating_add(1);
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("pk = :node")
                .expression_attribute_values(":node", text(partition(node)))
                .limit(missing)
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| port_error(ATTEMPTED, &error))?;
            for item in page.items() {
                links.push(Reader { item, attempted: ATTEMPTED }.json("link")?);
            }
            from = page.last_evaluated_key;
            if from.is_none() {
                break;
            }
        }
        let cut_off = links.len() > limit;
        links.truncate(limit);
        Ok(Neighbours { links, cut_off })
    }
}
