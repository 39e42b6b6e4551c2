//! What tables and queues are made from: the part of the template that the engines need.

use super::EngineError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    Projection as Projected, ProjectionType, ScalarAttributeType, TableDescription, TimeToLiveSpecification,
};
use aws_sdk_sqs::types::QueueAttributeName;
use std::collections::{BTreeMap, BTreeSet};

/// The type of a key attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeType {
    Text,
    Number,
    Binary,
}

/// A key attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAttribute {
    pub name: String,
    pub kind: AttributeType,
}

/// The key of a table or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    pub partition: KeyAttribute,
    pub sort: Option<KeyAttribute>,
}

/// What an index repeats of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projection {
    KeysOnly,
    All,
}

/// A global secondary index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSpec {
    pub name: String,
    pub key: KeySpec,
    pub projection: Projection,
}

/// A table, billed per request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSpec {
    pub name: String,
    pub key: KeySpec,
    pub indexes: Vec<IndexSpec>,
    /// Attribute with the second in which an item expires. The engine keeps expired items, as DynamoDB may for days.
    pub ttl_attribute: Option<String>,
}

/// A standard queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSpec {
    pub name: String,
    pub visibility_timeout_s: u32,
    /// Name of the dead-letter queue, and how often a message is received before it goes there.
    pub dlq: Option<(String, u32)>,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

pub(crate) async fn create_table(
    client: &aws_sdk_dynamodb::Client,
    table: &TableSpec,
) -> Result<(), EngineError> {
    let refused = |source: Cause| EngineError::Refused {
        attempted: "creating the table",
        name: table.name.clone(),
        source,
    };
    let described = client.describe_table().table_name(&table.name).send().await;
    match described {
        Ok(found) if found.table().is_some_and(|found| has_shape(found, table)) => return Ok(()),
        Ok(_) => return Err(EngineError::OtherShape { table: table.name.clone() }),
        Err(error) => match error.as_service_error() {
            Some(service) if service.is_resource_not_found_exception() => {}
            _ => return Err(refused(error.into())),
        },
    }
    let request = client
        .create_table()
        .table_name(&table.name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(key_schema(&table.key).map_err(refused)?))
        .set_attribute_definitions(Some(attributes(table).map_err(refused)?));
    let request = table.indexes.iter().try_fold(request, |request, index| {
        index_definition(index).map(|index| request.global_secondary_indexes(index)).map_err(refused)
    })?;
    request.send().await.map_err(|error| refused(error.into()))?;
    if let Some(attribute) = &table.ttl_attribute {
        let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name(attribute).build();
        let ttl = ttl.map_err(|error| refused(error.into()))?;
        let update = client.update_time_to_live().table_name(&table.name).time_to_live_specification(ttl);
        update.send().await.map_err(|error| refused(error.into()))?;
    }
    Ok(())
}

fn key_schema(key: &KeySpec) -> Result<Vec<KeySchemaElement>, Cause> {
    let element = |attribute: &KeyAttribute, kind: KeyType| {
        KeySchemaElement::builder()
            .attribute_name(&attribute.name)
            .key_type(kind)
            .build()
            .map_err(Cause::from)
    };
    let partition = element(&key.partition, KeyType::Hash)?;
    let sort = key.sort.as_ref().map(|sort| element(sort, KeyType::Range)).transpose()?;
    Ok([partition].into_iter().chain(sort).collect())
}

fn attributes(table: &TableSpec) -> Result<Vec<AttributeDefinition>, Cause> {
    let keys = std::iter::once(&table.key).chain(table.indexes.iter().map(|index| &index.key));
    let attributes: BTreeMap<&str, AttributeType> = keys
        .flat_map(|key| std::iter::once(&key.partition).chain(&key.sort))
        .map(|attribute| (attribute.name.as_str(), attribute.kind))
        .collect();
    let definitions = attributes.into_iter().map(|(name, kind)| {
        let kind = match kind {
            AttributeType::Text => ScalarAttributeType::S,
            AttributeType::Number => ScalarAttributeType::N,
            AttributeType::Binary => ScalarAttributeType::B,
        };
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().map_err(Cause::from)
    });
    definitions.collect()
}

fn index_definition(index: &IndexSpec) -> Result<GlobalSecondaryIndex, Cause> {
    let projection = match index.projection {
        Projection::KeysOnly => ProjectionType::KeysOnly,
        Projection::All => ProjectionType::All,
    };
    Ok(GlobalSecondaryIndex::builder()
        .index_name(&index.name)
        .set_key_schema(Some(key_schema(&index.key)?))
        .projection(Projected::builder().projection_type(projection).build())
        .build()?)
}

/// Whether a table that is there has the keys and indexes that it should have.
fn has_shape(found: &TableDescription, wanted: &TableSpec) -> bool {
    let names = |schema: &[KeySchemaElement]| -> Vec<String> {
        schema.iter().map(|element| element.attribute_name().to_owned()).collect()
    };
    let wanted_names = |key: &KeySpec| -> Vec<String> {
        std::iter::once(&key.partition).chain(&key.sort).map(|attribute| attribute.name.clone()).collect()
    };
    let indexes: BTreeSet<(String, Vec<String>)> = found
        .global_secondary_indexes()
        .iter()
        .map(|index| (index.index_name().unwrap_or_default().to_owned(), names(index.key_schema())))
        .collect();
    let wanted_indexes =
        wanted.indexes.iter().map(|index| (index.name.clone(), wanted_names(&index.key))).collect();
    names(found.key_schema()) == wanted_names(&wanted.key) && indexes == wanted_indexes
}

pub(super) async fn create_queue(
    client: &aws_sdk_sqs::Client,
    queue: &QueueSpec,
) -> Result<String, EngineError> {
    let redrive = match &queue.dlq {
        Some((name, max_receive_count)) => {
            let url = find_or_create(client, name, Vec::new()).await?;
            let arn = queue_arn(client, name, &url).await?;
            let policy = serde_json::json!({
                "deadLetterTargetArn": arn,
                "maxReceiveCount": max_receive_count.to_string(),
            });
            Some((QueueAttributeName::RedrivePolicy, policy.to_string()))
        }
        None => None,
    };
    let visibility = (QueueAttributeName::VisibilityTimeout, queue.visibility_timeout_s.to_string());
    find_or_create(client, &queue.name, std::iter::once(visibility).chain(redrive).collect()).await
}

async fn find_or_create(
    client: &aws_sdk_sqs::Client,
    name: &str,
    attributes: Vec<(QueueAttributeName, String)>,
) -> Result<String, EngineError> {
    if let Ok(found) = client.get_queue_url().queue_name(name).send().await
        && let Some(url) = found.queue_url
    {
        return Ok(url);
    }
    let refused = |source: Cause| EngineError::Refused {
        attempted: "creating the queue",
        name: name.to_owned(),
        source,
    };
    let request =
        client.create_queue().queue_name(name).set_attributes(Some(attributes.into_iter().collect()));
    let created = request.send().await.map_err(|error| refused(error.into()))?;
    created.queue_url.ok_or_else(|| refused("no URL came back".into()))
}

async fn queue_arn(client: &aws_sdk_sqs::Client, name: &str, url: &str) -> Result<String, EngineError> {
    let refused = |source: Cause| EngineError::Refused {
        attempted: "reading the attributes of the queue",
        name: name.to_owned(),
        source,
    };
    let request = client.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
    let answer = request.send().await.map_err(|error| refused(error.into()))?;
    let arn = answer.attributes().and_then(|attributes| attributes.get(&QueueAttributeName::QueueArn));
    arn.cloned().ok_or_else(|| refused("no ARN came back".into()))
}
