//! What was done at a device without applying, in the table of the relation graph: `sk` =
//! `seen#<hour>#<kind>#<who>`, so that any window is one range of keys. `expires_at`, in seconds since 1970, is the TTL
//! attribute of the table; nothing else that stands in it has one.

use crate::{
    failure::port_error,
    item::{Reader, number, text},
    relations::{DynamoRelations, partition},
};
use async_trait::async_trait;
use jiff::Timestamp;
use ports::{
    PortError,
    relation::{ACTS_KEPT_FOR, Act, ActKind, ActRecorder, Acts, Node, RecentActs, SeenAct, Window},
};

/// Sorts behind links and outcomes, so that no reader of those meets it.
pub(crate) const ACT: &str = "seen#";

/// `2026-11-26T18`.
fn hour(at: Timestamp) -> String {
    format!("{at:.0}").chars().take("2026-11-26T18".len()).collect()
}

fn sort_key(act: &Act) -> String {
    format!("{ACT}{}#{}#{}", hour(act.at), act.kind.as_str(), act.who)
}

/// In seconds since 1970. Counted from the act and not from its hour, so that it is never early.
fn expires_at(act: &Act) -> i64 {
    act.at.as_second().saturating_add(ACTS_KEPT_FOR.as_secs())
}

#[async_trait]
impl ActRecorder for DynamoRelations {
    /// Calls `UpdateItem`, once.
    async fn record(&self, node: &Node, act: &Act) -> Result<(), PortError> {
        const ATTEMPTED: &str = "recording an act";
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(partition(node)))
            .key("sk", text(sort_key(act)))
            .update_expression(
                "SET kind = :kind, who = :who, last_seen = :at, expires_at = :expires, \
                 first_seen = if_not_exists(first_seen, :at)",
            )
            .expression_attribute_values(":kind", text(act.kind.as_str()))
            .expression_attribute_values(":who", text(&act.who))
            .expression_attribute_values(":at", text(act.at.to_string()))
            .expression_attribute_values(":expires", number(expires_at(act)));
        update.send().await.map_err(|error| port_error(ATTEMPTED, &error))?;
        Ok(())
    }

    /// Calls `DeleteItem`, once.
    async fn forget(&self, node: &Node, act: &Act) -> Result<(), PortError> {
        const ATTEMPTED: &str = "forgetting an act";
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", text(partition(node)))
            .key("sk", text(sort_key(act)));
        delete.send().await.map_err(|error| port_error(ATTEMPTED, &error))?;
        Ok(())
    }
}

#[async_trait]
impl RecentActs for DynamoRelations {
    /// Calls `Query`, strongly consistent, once. Asks for one more than the limit, to know of it.
    async fn acts(&self, node: &Node, window: Window, limit: u32) -> Result<Acts, PortError> {
        const ATTEMPTED: &str = "reading what was done at a node";
        let asked = i32::try_from(limit).unwrap_or(i32::MAX).saturating_add(1);
        let to = window.to.map_or_else(|| "~".to_owned(), |to| format!("{}~", hour(to)));
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :node AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":node", text(partition(node)))
            .expression_attribute_values(":from", text(format!("{ACT}{}", hour(window.from))))
            .expression_attribute_values(":to", text(format!("{ACT}{to}")))
            .scan_index_forward(false)
            .limit(asked)
            .send()
            .await
            .map_err(|error| port_error(ATTEMPTED, &error))?;
        let acts = page.items().iter().map(|item| read(Reader { item, attempted: ATTEMPTED }));
        let found: Vec<Option<SeenAct>> = acts.collect::<Result<_, _>>()?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let cut_off = found.len() > limit;
        let mut acts: Vec<SeenAct> = found.into_iter().flatten().collect();
        acts.truncate(limit);
        Ok(Acts { acts, cut_off })
    }
}

/// `None` for an act of a kind that only a newer version knows.
fn read(reader: Reader<'_>) -> Result<Option<SeenAct>, PortError> {
    let kind = reader.text("kind")?;
    let Some(kind) = ActKind::ALL.into_iter().find(|known| known.as_str() == kind) else { return Ok(None) };
    Ok(Some(SeenAct {
        kind,
        who: reader.text("who")?.to_owned(),
        first_seen: reader.parsed("first_seen")?,
        last_seen: reader.parsed("last_seen")?,
    }))
}
