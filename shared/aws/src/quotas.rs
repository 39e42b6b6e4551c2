//! Quotas: one item for each of them and each day, with the attempts that it holds.
//!
//! | attribute | |
//! |---|---|
//! | `pk` | `<kind>#<day>#<keyed hash>` |
//! | `attempts` | set of the ids of attempts. A set and not a number, so that a request that is repeated, by a borrower or by the SDK, counts once |
//! | `expires_at` | TTL attribute: the end of the day in China, seconds since 1970 |

use crate::{
    failure::port_error,
    item::{number, text},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use domain::calendar::end_of_day_in_china;
use ports::{
    PortError,
    quotas::{Counted, Quota, Quotas},
};

/// The table `quotas`.
#[derive(Clone, Debug)]
pub struct DynamoQuotas {
    client: Client,
    table: String,
}

impl DynamoQuotas {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }
}

#[async_trait]
impl Quotas for DynamoQuotas {
    /// Calls `UpdateItem`, once.
    async fn count(&self, quota: &Quota, attempt: &str) -> Result<Counted, PortError> {
        const ATTEMPTED: &str = "counting an attempt";
        let Quota { kind, of, day, most } = quota;
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(format!("{}#{day}#{of}", kind.as_str())))
            .condition_expression(
                "attribute_not_exists(attempts) OR contains(attempts, :attempt) OR size(attempts) < :most",
            )
            .update_expression("SET expires_at = :expires ADD attempts :attempts")
            .expression_attribute_values(":attempt", text(attempt))
            .expression_attribute_values(":attempts", AttributeValue::Ss(vec![attempt.to_owned()]))
            .expression_attribute_values(":most", number(*most))
            .expression_attribute_values(":expires", number(end_of_day_in_china(*day).as_second()))
            .send()
            .await;
        match updated {
            Ok(_) => Ok(Counted::Within),
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => Ok(Counted::Full),
                _ => Err(port_error(ATTEMPTED, &error)),
            },
        }
    }
}
