//! What the record says of firms, in the table of the relation graph: under each firm and each party, `sk` =
//! `tie#<kind>#<firm>#<party's pk>`.

use crate::{
    failure::port_error,
    item::{Reader, number, text},
    relations::{DynamoRelations, partition},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use ports::{
    PortError,
    relation::{FirmTies, Node, NodeKind, Tie, TieKind, TieLoader, Ties},
};

pub(crate) const TIE: &str = "tie#";
/// Ties written at once.
const WRITES_AT_ONCE: usize = 16;

/// Why an item is no tie.
#[derive(Debug, thiserror::Error)]
#[error("the tie {0:?} is of no kind that we know")]
struct UnknownKind(String);

#[async_trait]
impl FirmTies for DynamoRelations {
    /// Calls `Query` once, eventually consistent at half the price: what a source says was loaded long before anybody
    /// applies. Asks for one more than the limit, to know of it.
    async fn ties(&self, node: &Node, limit: u32) -> Result<Ties, PortError> {
        const ATTEMPTED: &str = "reading the ties of a node";
        let asked = i32::try_from(limit).unwrap_or(i32::MAX).saturating_add(1);
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :node AND begins_with(sk, :tie)")
            .expression_attribute_values(":node", text(partition(node)))
            .expression_attribute_values(":tie", text(TIE))
            .limit(asked)
            .send()
            .await
            .map_err(|error| port_error(ATTEMPTED, &error))?;
        let ties = page.items().iter().map(|item| read(Reader { item, attempted: ATTEMPTED }));
        let mut ties: Vec<Tie> = ties.collect::<Result<_, _>>()?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let cut_off = ties.len() > limit || page.last_evaluated_key.is_some_and(|_| ties.len() >= limit);
        ties.truncate(limit);
        Ok(Ties { ties, cut_off })
    }
}

fn read(reader: Reader<'_>) -> Result<Tie, PortError> {
    let kind = reader.text("kind")?;
    let kind = TieKind::ALL.into_iter().find(|known| known.as_str() == kind);
    let kind = kind.ok_or_else(|| {
        PortError::broken(reader.attempted, UnknownKind(reader.text("kind").unwrap_or_default().to_owned()))
    })?;
    Ok(Tie {
        kind,
        firm: reader.parsed("firm")?,
        party: Node { kind: kind.party(), hash: reader.text("party")?.to_owned() },
        first_seen: reader.parsed("first_seen")?,
        last_seen: reader.parsed("last_seen")?,
        count: reader.integer("deliveries")?,
        source: reader.text("source")?.to_owned(),
    })
}

#[async_trait]
impl TieLoader for DynamoRelations {
    /// Calls `UpdateItem`, twice per tie.
    async fn tie(&self, ties: &[Tie]) -> Result<(), PortError> {
        let writes = ties.iter().flat_map(|tie| {
            let firm = Node { kind: NodeKind::Firm, hash: tie.firm.as_str().to_owned() };
            [self.tie_one(firm, tie), self.tie_one(tie.party.clone(), tie)]
        });
        let writes: Vec<_> = writes.collect();
        stream::iter(writes).buffer_unordered(WRITES_AT_ONCE).try_collect().await
    }
}

impl DynamoRelations {
    async fn tie_one(&self, under: Node, tie: &Tie) -> Result<(), PortError> {
        const ATTEMPTED: &str = "writing a tie of a firm";
        let (kind, firm) = (tie.kind.as_str(), tie.firm.as_str());
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(partition(&under)))
            .key("sk", text(format!("{TIE}{kind}#{firm}#{}", partition(&tie.party))))
            .update_expression(
                "SET kind = :kind, firm = :firm, party = :party, #source = :source, last_seen = :last, \
                 first_seen = if_not_exists(first_seen, :first) ADD deliveries :count",
            )
            .condition_expression("attribute_not_exists(pk) OR last_seen < :last")
            .expression_attribute_names("#source", "source")
            .expression_attribute_values(":kind", text(kind))
            .expression_attribute_values(":firm", text(firm))
            .expression_attribute_values(":party", text(&tie.party.hash))
            .expression_attribute_values(":source", text(&tie.source))
            .expression_attribute_values(":first", text(tie.first_seen.to_string()))
            .expression_attribute_values(":last", text(tie.last_seen.to_string()))
            .expression_attribute_values(":count", number(tie.count));
        let Err(error) = update.send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(()),
            _ => Err(port_error(ATTEMPTED, &error)),
        }
    }
}
