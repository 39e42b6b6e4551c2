//! Sign-ins: one item per one-time code under its borrower, gone after 90 days.

use crate::{
    failure::port_error,
    item::{Item, Reader, number, text},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client, operation::put_item::PutItemError, types::ReturnValuesOnConditionCheckFailure as OnFailure,
};
use futures::future::try_join_all;
use ports::{
    PortError,
    sign_ins::{Recorded, SignIn, SignIns, Visit},
};
use uuid::Uuid;

/// How long a sign-in is kept, in seconds; a code is long dead by then.
const KEPT_S: i64 = 90 * 24 * 60 * 60;
/// How many are erased at once, and how often: a borrower does not sign in a hundred times a day.
const PAGE: i32 = 100;
const MOST_PAGES: usize = 90;
const RECORDING: &str = "recording a sign-in";
const ERASING: &str = "erasing sign-ins";
const READING: &str = "reading a borrower's sign-ins";

/// The table `sign-ins`, `pk` = keyed hash of channel and subject, `sk` = keyed hash of channel and code, `expires_at`
/// (seconds since 1970) its TTL attribute.
#[derive(Clone, Debug)]
pub struct DynamoSignIns {
    client: Client,
    table: String,
}

/// A borrower has more sign-ins than are read or erased in one call.
#[derive(Debug, thiserror::Error)]
#[error("there are more than can be taken at once")]
struct TooMany;

impl DynamoSignIns {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// One page of a borrower's sign-ins that say anything, and where the next page begins.
    async fn page(
        &self,
        attempted: &'static str,
        borrower: &str,
        after: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), PortError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :borrower")
            .filter_expression("attribute_exists(device)")
            .projection_expression("pk, sk, device, network, #at")
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":borrower", text(borrower))
            .limit(PAGE)
            .set_exclusive_start_key(after)
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error(attempted, &error))?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
    }

    async fn erase_one(&self, mut key: Item) -> Result<(), PortError> {
        key.retain(|name, _| name == "pk" || name == "sk");
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            // One that has expired in the meantime must not come back.
            .condition_expression("attribute_exists(pk)")
            .update_expression("REMOVE #channel, #device, #network, #place, #at")
            .expression_attribute_names("#channel", "channel")
            .expression_attribute_names("#device", "device")
            .expression_attribute_names("#network", "network")
            .expression_attribute_names("#place", "place")
            .expression_attribute_names("#at", "at")
            .send()
            .await;
        match updated {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => Ok(()),
                _ => Err(port_error(ERASING, &error)),
            },
        }
    }
}

fn item(sign_in: &SignIn, mark: &str) -> Item {
    let mut item = Item::from([
        ("pk".to_owned(), text(sign_in.borrower.as_str())),
        ("sk".to_owned(), text(sign_in.code.as_str())),
        ("channel".to_owned(), text(sign_in.channel.as_str())),
        ("device".to_owned(), text(sign_in.device.as_str())),
        ("network".to_owned(), text(sign_in.network.as_str())),
        ("at".to_owned(), text(sign_in.at.to_string())),
        ("expires_at".to_owned(), number(sign_in.at.as_second().saturating_add(KEPT_S))),
        ("mark".to_owned(), text(mark)),
    ]);
    if let Some(place) = &sign_in.place {
        item.insert("place".to_owned(), text(place.as_str()));
    }
    item
}

fn visit(reader: Reader<'_>) -> Result<Visit, PortError> {
    Ok(Visit {
        device: reader.text("device")?.to_owned(),
        network: reader.text("network")?.to_owned(),
        at: reader.parsed("at")?,
    })
}

#[async_trait]
impl SignIns for DynamoSignIns {
    /// Calls `PutItem`, once.
    ///
    /// Each call marks its item. When the answer to the put is lost and the SDK puts again, the second put meets the
    /// mark of the first, and the borrower is not told that the code was used by somebody else.
    async fn record(&self, sign_in: &SignIn) -> Result<Recorded, PortError> {
        let mark = Uuid::now_v7().to_string();
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(sign_in, &mark)))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(OnFailure::AllOld)
            .send()
            .await;
        match put {
            Ok(_) => Ok(Recorded::Yes),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    let none = Item::new();
                    let reader = Reader { item: failed.item().unwrap_or(&none), attempted: RECORDING };
                    Ok(if reader.text("mark")? == mark { Recorded::Yes } else { Recorded::CodeUsed })
                }
                _ => Err(port_error(RECORDING, &error)),
            },
        }
    }

    /// Calls `Query` for each hundred sign-ins.
    async fn visits(&self, borrower: &str) -> Result<Vec<Visit>, PortError> {
        let (mut visits, mut after) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let (items, next) = self.page(READING, borrower, after).await?;
            for item in &items {
                visits.push(visit(Reader { item, attempted: READING })?);
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(visits),
            }
        }
        Err(PortError::unavailable(READING, TooMany))
    }

    /// Calls `Query` for each hundred sign-ins, and `UpdateItem` for each that says anything.
    async fn erase(&self, borrower: &str) -> Result<u32, PortError> {
        let (mut erased, mut after) = (0, None);
        for _ in 0..MOST_PAGES {
            let (keys, next): (Vec<Item>, Option<Item>) = self.page(ERASING, borrower, after).await?;
            erased += keys.len() as u32;
            try_join_all(keys.into_iter().map(|key| self.erase_one(key))).await?;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(erased),
            }
        }
        // What was erased stays so: the next call goes on.
        Err(PortError::unavailable(ERASING, TooMany))
    }
}
