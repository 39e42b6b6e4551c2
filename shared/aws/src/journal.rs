//! The journal in the table `journeys`: `pk` = application id, `sk` = `0001`, `0002`, …, and the entry as JSON, packed where
//! it is long.

use crate::{
    due,
    failure::port_error,
    item::{Reader, number, text},
    packed,
};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use domain::ApplicationId;
use jiff::Timestamp;
use ports::{
    PortError,
    journal::{AppendError, Entry, Journal},
};

/// Four digits sort as numbers do.
const LAST_NUMBER: u32 = 9_999;

/// The table `journeys`: journal entries, the applicant beside them, the index of what is due and the sweeper's cursor.
#[derive(Clone, Debug)]
pub struct DynamoJournal {
    pub(crate) client: Client,
    pub(crate) table: String,
}

impl DynamoJournal {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }
}

/// The sort key of an entry.
pub(crate) fn sort_key(number: u32) -> String {
    format!("{number:04}")
}

/// Why a journal is not one.
#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error("entry {found} stands where {expected} should")]
    Gap { expected: usize, found: u32 },
    #[error("entry numbers run from 1 to {LAST_NUMBER}, not {0}")]
    Number(u32),
}

#[async_trait]
impl Journal for DynamoJournal {
    /// Calls `Query`, once per megabyte.
    async fn load(&self, id: ApplicationId) -> Result<Vec<Entry>, PortError> {
        const ATTEMPTED: &str = "loading a journal";
        let mut entries: Vec<Entry> = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("pk = :id AND sk BETWEEN :first AND :last")
                .expression_attribute_values(":id", text(id.to_string()))
                .expression_attribute_values(":first", text(sort_key(1)))
                .expression_attribute_values(":last", text(sort_key(LAST_NUMBER)))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| port_error(ATTEMPTED, &error))?;
            for item in page.items() {
                let entry: Entry = Reader { item, attempted: ATTEMPTED }.packed_json("entry")?;
                let expected = entries.len() + 1;
                if entry.number as usize != expected {
                    return Err(PortError::broken(
                        ATTEMPTED,
                        Malformed::Gap { expected, found: entry.number },
                    ));
                }
                entries.push(entry);
            }
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(entries);
            }
        }
    }

    /// Calls `PutItem`, once. When the answer to the put is lost and the SDK puts again, the second put meets the entry
    /// of the first and this answers *taken*: the caller reads again, finds its own event, and goes on from there.
    async fn append(
        &self,
        id: ApplicationId,
        entry: &Entry,
        due_at: Option<Timestamp>,
    ) -> Result<(), AppendError> {
        const ATTEMPTED: &str = "appending to a journal";
        if !(1..=LAST_NUMBER).contains(&entry.number) {
            return Err(PortError::broken(ATTEMPTED, Malformed::Number(entry.number)).into());
        }
        let written = serde_json::to_string(entry).map_err(|error| PortError::broken(ATTEMPTED, error))?;
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(id.to_string()))
            .item("sk", text(sort_key(entry.number)))
            .item("entry", packed::pack(written))
            .condition_expression("attribute_not_exists(sk)");
        let put = match due_at {
            Some(at) => {
                put.item(due::SHARD, due::shard_of(id)).item(due::AT, number(due::milliseconds_after(at)))
            }
            None => put,
        };
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => Err(AppendError::Taken),
                _ => Err(port_error(ATTEMPTED, &error).into()),
            },
        }
    }
}
