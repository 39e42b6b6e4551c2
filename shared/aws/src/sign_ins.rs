//! Sign-ins: one item per one-time code, gone after 90 days.

use crate::{
    failure::port_error,
    item::{Item, Reader, number, text},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client, operation::put_item::PutItemError, types::ReturnValuesOnConditionCheckFailure as OnFailure,
};
use ports::{
    PortError,
    sign_ins::{Recorded, SignIn, SignIns},
};
use uuid::Uuid;

/// How long a sign-in is kept, in seconds; a code is long dead by then.
const KEPT_S: i64 = 90 * 24 * 60 * 60;
const RECORDING: &str = "recording a sign-in";

/// The table `sign-ins`, `pk` = keyed hash of channel and code, `expires_at` (seconds since 1970) its TTL attribute.
#[derive(Clone, Debug)]
pub struct DynamoSignIns {
    client: Client,
    table: String,
}

impl DynamoSignIns {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }
}

fn item(sign_in: &SignIn, mark: &str) -> Item {
    let mut item = Item::from([
        ("pk".to_owned(), text(sign_in.code.as_str())),
        ("channel".to_owned(), text(sign_in.channel.as_str())),
        ("subject".to_owned(), text(sign_in.subject.as_str())),
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
}
