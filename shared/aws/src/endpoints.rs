//! What is held against endpoints: one small item per endpoint that ever had something held against it.

use crate::{
    due::milliseconds_after,
    failure::port_error,
    item::{Reader, number, text},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
use ports::{
    PortError,
    endpoints::{EndpointId, EndpointState, Endpoints},
};

const READING: &str = "reading what is held against an endpoint";
const HOLDING: &str = "holding an endpoint back";
const DISABLING: &str = "disabling an endpoint";
const ENABLING: &str = "enabling an endpoint";

/// The table `endpoints`: `pk` = `bank#<name>` or `channel#<name>`, `disabled_since` (RFC 3339), `not_before`
/// (milliseconds since 1970).
#[derive(Clone, Debug)]
pub struct DynamoEndpoints {
    client: Client,
    table: String,
}

impl DynamoEndpoints {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }
}

#[async_trait]
impl Endpoints for DynamoEndpoints {
    /// Calls `GetItem`, once.
    async fn get(&self, endpoint: &EndpointId) -> Result<EndpointState, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(endpoint.as_str()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error(READING, &error))?;
        let Some(item) = answer.item() else { return Ok(EndpointState::default()) };
        let reader = Reader { item, attempted: READING };
        let disabled_since =
            item.contains_key("disabled_since").then(|| reader.parsed("disabled_since")).transpose()?;
        let not_before = item
            .contains_key("not_before")
            .then(|| reader.integer("not_before"))
            .transpose()?
            .map(Timestamp::from_millisecond)
            .transpose()
            .map_err(|error| PortError::broken(READING, error))?;
        Ok(EndpointState { disabled_since, not_before })
    }

    /// Calls `UpdateItem`, once.
    async fn hold_back(&self, endpoint: &EndpointId, until: Timestamp) -> Result<(), PortError> {
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(endpoint.as_str()))
            .update_expression("SET not_before = :until")
            .condition_expression("attribute_not_exists(not_before) OR not_before < :until")
            .expression_attribute_values(":until", number(milliseconds_after(until)))
            .send()
            .await;
        match updated {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                // A later promise stands.
                Some(service) if service.is_conditional_check_failed_exception() => Ok(()),
                _ => Err(port_error(HOLDING, &error)),
            },
        }
    }

    /// Calls `UpdateItem`, once.
    async fn disable(&self, endpoint: &EndpointId, since: Timestamp) -> Result<(), PortError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(endpoint.as_str()))
            .update_expression("SET disabled_since = if_not_exists(disabled_since, :since)")
            .expression_attribute_values(":since", text(since.to_string()))
            .send()
            .await
            .map_err(|error| port_error(DISABLING, &error))?;
        Ok(())
    }

    /// Calls `DeleteItem`, once.
    async fn enable(&self, endpoint: &EndpointId) -> Result<(), PortError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .key("pk", text(endpoint.as_str()))
            .send()
            .await
            .map_err(|error| port_error(ENABLING, &error))?;
        Ok(())
    }
}
