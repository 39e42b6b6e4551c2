//! Notices: one item per notice, and a sparse index of those that are due or dead.

use crate::{
    due::{self, milliseconds_after, milliseconds_before},
    failure::port_error,
    item::{Item, Reader, Unreadable, number, text},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, ReturnValue},
};
use contract::names::DUE_INDEX;
use domain::Channel;
use futures::future::try_join_all;
use jiff::Timestamp;
use ports::{
    PortError,
    notices::{DueNotices, Notice, NoticeId, NoticeState, Notices, Recorded},
};

/// How long a delivered notice is remembered, in seconds: longer than any copy of its command can be on its way.
const DELIVERED_KEPT_S: i64 = 30 * 24 * 60 * 60;
/// The partition of the index that holds dead notices.
const DEAD: &str = "dead";

const READING: &str = "reading a notice";
const RECORDING: &str = "recording a notice";
const FINDING: &str = "reading the index of notices";
const CLAIMING: &str = "claiming a notice";
const CONCLUDING: &str = "concluding an attempt at a notice";
const REVIVING: &str = "sending a notice again";

/// The table `notices`: `pk` = the notice's name. `due_shard` and `due_at` (milliseconds since 1970) are there while the
/// notice is pending or dead, and are the keys of the index; a delivered notice has `expires_at` (seconds since 1970), the
/// table's TTL attribute, in their place. `due_at` is the version of a pending notice: each claim moves it.
#[derive(Clone, Debug)]
pub struct DynamoNotices {
    client: Client,
    table: String,
}

impl DynamoNotices {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// One partition of the index, up to `until`, earliest first.
    async fn in_shard(&self, shard: String, until: i128, limit: u32) -> Result<Vec<Notice>, PortError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(DUE_INDEX)
            .key_condition_expression("due_shard = :shard AND due_at <= :until")
            .expression_attribute_values(":shard", text(shard))
            .expression_attribute_values(":until", number(until))
            .limit(i32::try_from(limit.max(1)).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| port_error(FINDING, &error))?;
        page.items().iter().map(|item| read(item, FINDING)).collect()
    }
}

/// The keys of the index, or the time to live.
fn place(notice: &Notice) -> Vec<(&'static str, AttributeValue)> {
    let indexed = |shard: AttributeValue, at: Timestamp| {
        vec![(due::SHARD, shard), (due::AT, number(milliseconds_after(at)))]
    };
    match notice.state {
        NoticeState::Pending { due_at } => indexed(due::shard_of(notice.id.application), due_at),
        NoticeState::Dead { since } => indexed(text(DEAD), since),
        NoticeState::Delivered { at } => vec![
            ("delivered_at", number(milliseconds_after(at))),
            ("expires_at", number(at.as_second().saturating_add(DELIVERED_KEPT_S))),
        ],
    }
}

fn item(notice: &Notice) -> Item {
    let mut item = Item::from([
        ("pk".to_owned(), text(notice.id.to_string())),
        ("channel".to_owned(), text(notice.channel.as_str())),
        ("subject".to_owned(), text(notice.subject.as_str())),
        ("at".to_owned(), text(notice.at.to_string())),
        ("begun_at".to_owned(), text(notice.begun_at.to_string())),
        ("attempts".to_owned(), number(notice.attempts)),
        ("outcome".to_owned(), text(notice.outcome.as_str())),
    ]);
    item.extend(place(notice).into_iter().map(|(name, value)| (name.to_owned(), value)));
    item
}

fn read(item: &Item, attempted: &'static str) -> Result<Notice, PortError> {
    let reader = Reader { item, attempted };
    let moment = |name| {
        let at = Timestamp::from_millisecond(reader.integer(name)?);
        at.map_err(|error| PortError::broken(attempted, error))
    };
    let state = if item.contains_key("delivered_at") {
        NoticeState::Delivered { at: moment("delivered_at")? }
    } else if reader.text(due::SHARD)? == DEAD {
        NoticeState::Dead { since: moment(due::AT)? }
    } else {
        NoticeState::Pending { due_at: moment(due::AT)? }
    };
    Ok(Notice {
        id: reader.parsed("pk")?,
        channel: channel(&reader)?,
        subject: reader
            .text("subject")?
            .to_owned()
            .try_into()
            .map_err(|_| reader.broken(Unreadable::Value("subject")))?,
        at: reader.parsed("at")?,
        begun_at: reader.parsed("begun_at")?,
        attempts: reader.integer("attempts")?,
        outcome: reader.text("outcome")?.to_owned(),
        state,
    })
}

fn channel(reader: &Reader<'_>) -> Result<Channel, PortError> {
    Channel::named(reader.text("channel")?).ok_or_else(|| reader.broken(Unreadable::Value("channel")))
}

#[async_trait]
impl Notices for DynamoNotices {
    /// Calls `GetItem`, once.
    async fn get(&self, id: NoticeId) -> Result<Option<Notice>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(id.to_string()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error(READING, &error))?;
        answer.item().map(|item| read(item, READING)).transpose()
    }

    /// Calls `PutItem`, once. When the answer to the put is lost and the SDK puts again, this says *known*: what is known
    /// then is what was to be recorded.
    async fn record(&self, notice: &Notice) -> Result<Recorded, PortError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(notice)))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(Recorded::Yes),
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => Ok(Recorded::Known),
                _ => Err(port_error(RECORDING, &error)),
            },
        }
    }
}

#[async_trait]
impl DueNotices for DynamoNotices {
    /// Calls `Query` on the index, once per shard.
    async fn due(&self, until: Timestamp, limit: u32) -> Result<Vec<Notice>, PortError> {
        let until = milliseconds_before(until);
        let shards = (0..due::SHARDS).map(|shard| self.in_shard(shard.to_string(), until, limit));
        let mut found: Vec<Notice> = try_join_all(shards).await?.into_iter().flatten().collect();
        found.sort_by_key(|notice| match notice.state {
            NoticeState::Pending { due_at } => due_at,
            _ => Timestamp::MAX,
        });
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// Calls `Query` on the index, once.
    async fn dead(&self, limit: u32) -> Result<Vec<Notice>, PortError> {
        self.in_shard(DEAD.to_owned(), milliseconds_before(Timestamp::MAX), limit).await
    }

    /// Calls `UpdateItem`, once. When the answer is lost and the SDK calls again, the claim is nobody's: the notice is
    /// due again when it ends.
    async fn claim(
        &self,
        id: NoticeId,
        due_at: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Notice>, PortError> {
        let claimed = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(id.to_string()))
            .update_expression("SET due_at = :until")
            .condition_expression("due_shard = :shard AND due_at = :due")
            .expression_attribute_values(":until", number(milliseconds_after(until)))
            .expression_attribute_values(":due", number(milliseconds_after(due_at)))
            .expression_attribute_values(":shard", due::shard_of(id.application))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match claimed {
            Ok(answer) => answer.attributes().map(|item| read(item, CLAIMING)).transpose(),
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => Ok(None),
                _ => Err(port_error(CLAIMING, &error)),
            },
        }
    }

    /// Calls `UpdateItem`, once.
    async fn conclude(&self, notice: &Notice, claimed_until: Timestamp) -> Result<bool, PortError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(notice.id.to_string()))
            .expression_attribute_names("#outcome", "outcome")
            .expression_attribute_values(":attempts", number(notice.attempts))
            .expression_attribute_values(":outcome", text(notice.outcome.as_str()));
        let values = place(notice);
        let set = values.iter().map(|(name, _)| format!(", {name} = :{name}")).collect::<String>();
        let set = format!("SET attempts = :attempts, #outcome = :outcome{set}");
        let update = values.into_iter().fold(update, |update, (name, value)| {
            update.expression_attribute_values(format!(":{name}"), value)
        });
        let update = if matches!(notice.state, NoticeState::Delivered { .. }) {
            let taken = format!("{set} REMOVE due_shard, due_at");
            update.update_expression(taken).condition_expression("attribute_exists(pk)")
        } else {
            update
                .update_expression(set)
                .condition_expression("due_shard = :held_shard AND due_at = :held_until")
                .expression_attribute_values(":held_shard", due::shard_of(notice.id.application))
                .expression_attribute_values(":held_until", number(milliseconds_after(claimed_until)))
        };
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => Ok(false),
                _ => Err(port_error(CONCLUDING, &error)),
            },
        }
    }

    /// Calls `UpdateItem`, once.
    async fn revive(
        &self,
        id: NoticeId,
        now: Timestamp,
        due_at: Timestamp,
    ) -> Result<Option<Notice>, PortError> {
        let revived = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(id.to_string()))
            .update_expression(
                "SET due_shard = :shard, due_at = :due, begun_at = :now, attempts = :none \
                 REMOVE delivered_at, expires_at",
            )
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":shard", due::shard_of(id.application))
            .expression_attribute_values(":due", number(milliseconds_after(due_at)))
            .expression_attribute_values(":now", text(now.to_string()))
            .expression_attribute_values(":none", number(0))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match revived {
            Ok(answer) => answer.attributes().map(|item| read(item, REVIVING)).transpose(),
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => Ok(None),
                _ => Err(port_error(REVIVING, &error)),
            },
        }
    }
}
