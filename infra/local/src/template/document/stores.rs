//! What keeps things: queues, tables and buckets as they are written.

use crate::{
    engines::{AttributeType, IndexSpec, KeyAttribute, KeySpec, Projection, QueueSpec, TableSpec},
    template::{BucketDefinition, Expression, QueueDefinition, TableDefinition, TemplateError, local_name},
};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// SQS's own defaults.
const DEFAULT_VISIBILITY_S: u32 = 30;
const DEFAULT_RETENTION_S: u64 = 345_600;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(in crate::template) struct Queue {
    visibility_timeout: Option<u32>,
    message_retention_period: Option<u64>,
    redrive_policy: Option<RedrivePolicy>,
    #[serde(rename = "ReceiveMessageWaitTimeSeconds", default)]
    _wait: Value,
    #[serde(rename = "KmsMasterKeyId")]
    key: Option<Expression>,
    #[serde(rename = "KmsDataKeyReusePeriodSeconds", default)]
    _key_reuse: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RedrivePolicy {
    dead_letter_target_arn: Expression,
    max_receive_count: u32,
}

impl Queue {
    pub fn define(&self, id: &str) -> Result<QueueDefinition, TemplateError> {
        let dlq = self.redrive_policy.as_ref().map(|redrive| {
            match redrive.dead_letter_target_arn.attribute("Arn") {
                Some(queue) => Ok((local_name(queue), redrive.max_receive_count)),
                None => Err(TemplateError::resource(id, "redrives to something that is not a queue's Arn")),
            }
        });
        Ok(QueueDefinition {
            logical_id: id.to_owned(),
            spec: QueueSpec {
                name: local_name(id),
                visibility_timeout_s: self.visibility_timeout.unwrap_or(DEFAULT_VISIBILITY_S),
                dlq: dlq.transpose()?,
            },
            retention: Duration::from_secs(self.message_retention_period.unwrap_or(DEFAULT_RETENTION_S)),
            key: self.key.as_ref().map(|key| key_of(id, key)).transpose()?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(in crate::template) struct Table {
    attribute_definitions: Vec<AttributeDefinition>,
    key_schema: Vec<KeyElement>,
    #[serde(default)]
    global_secondary_indexes: Vec<Index>,
    time_to_live_specification: Option<TimeToLive>,
    #[serde(rename = "BillingMode")]
    _billing_mode: Value,
    #[serde(rename = "SSESpecification")]
    encryption: Option<TableEncryption>,
    #[serde(rename = "PointInTimeRecoverySpecification", default)]
    _recovery: Value,
    #[serde(rename = "DeletionProtectionEnabled", default)]
    _protection: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableEncryption {
    #[serde(rename = "SSEEnabled")]
    _enabled: bool,
    #[serde(rename = "SSEType")]
    _type: Option<String>,
    #[serde(rename = "KMSMasterKeyId")]
    key: Option<Expression>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AttributeDefinition {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeyElement {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Index {
    index_name: String,
    key_schema: Vec<KeyElement>,
    projection: WrittenProjection,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct WrittenProjection {
    projection_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TimeToLive {
    attribute_name: String,
    enabled: bool,
}

impl Table {
    pub fn define(&self, id: &str) -> Result<TableDefinition, TemplateError> {
        let indexes = self.global_secondary_indexes.iter().map(|index| {
            let projection = match index.projection.projection_type.as_str() {
                "KEYS_ONLY" => Projection::KeysOnly,
                "ALL" => Projection::All,
                _ => {
                    return Err(TemplateError::resource(
                        id,
                        "has an index with a projection that is not known",
                    ));
                }
            };
            Ok(IndexSpec {
                name: index.index_name.clone(),
                key: self.key(id, &index.key_schema)?,
                projection,
            })
        });
        let ttl = self.time_to_live_specification.as_ref().filter(|ttl| ttl.enabled);
        let spec = TableSpec {
            name: local_name(id),
            key: self.key(id, &self.key_schema)?,
            indexes: indexes.collect::<Result<_, _>>()?,
            ttl_attribute: ttl.map(|ttl| ttl.attribute_name.clone()),
        };
        let key = self.encryption.as_ref().and_then(|encryption| encryption.key.as_ref());
        let key = key.map(|key| key_of(id, key)).transpose()?;
        Ok(TableDefinition { logical_id: id.to_owned(), spec, key })
    }

    fn key(&self, id: &str, schema: &[KeyElement]) -> Result<KeySpec, TemplateError> {
        let of_kind = |kind: &str| schema.iter().find(|element| element.key_type == kind);
        let partition =
            of_kind("HASH").ok_or_else(|| TemplateError::resource(id, "has a key without HASH"))?;
        let sort = of_kind("RANGE").map(|element| self.attribute(id, element)).transpose()?;
        Ok(KeySpec { partition: self.attribute(id, partition)?, sort })
    }

    fn attribute(&self, id: &str, element: &KeyElement) -> Result<KeyAttribute, TemplateError> {
        let name = element.attribute_name.clone();
        let definition =
            self.attribute_definitions.iter().find(|definition| definition.attribute_name == name);
        let kind = match definition.map(|definition| definition.attribute_type.as_str()) {
            Some("S") => AttributeType::Text,
            Some("N") => AttributeType::Number,
            Some("B") => AttributeType::Binary,
            _ => return Err(TemplateError::resource(id, format!("has no type for the attribute {name}"))),
        };
        Ok(KeyAttribute { name, kind })
    }
}

/// The logical id of the key that something is encrypted with.
fn key_of(id: &str, key: &Expression) -> Result<String, TemplateError> {
    let key = key.attribute("Arn").map(str::to_owned);
    key.ok_or_else(|| TemplateError::resource(id, "is encrypted with something that is not a key's Arn"))
}

/// A folder stands for it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(in crate::template) struct Bucket {
    bucket_encryption: Option<BucketEncryption>,
    #[serde(rename = "LifecycleConfiguration", default)]
    _lifecycle: Value,
    #[serde(rename = "LoggingConfiguration", default)]
    _logging: Value,
    /// What is created wakes those whose rules say so.
    #[serde(rename = "NotificationConfiguration", default)]
    _notification: Value,
    #[serde(rename = "ObjectLockEnabled", default)]
    _lock: Value,
    #[serde(rename = "ObjectLockConfiguration", default)]
    _lock_configuration: Value,
    #[serde(rename = "OwnershipControls", default)]
    _ownership: Value,
    #[serde(rename = "PublicAccessBlockConfiguration", default)]
    _public: Value,
    #[serde(rename = "VersioningConfiguration", default)]
    _versioning: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BucketEncryption {
    server_side_encryption_configuration: [BucketEncryptionRule; 1],
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BucketEncryptionRule {
    server_side_encryption_by_default: BucketEncryptionDefault,
    #[serde(rename = "BucketKeyEnabled", default)]
    _bucket_key: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BucketEncryptionDefault {
    #[serde(rename = "SSEAlgorithm")]
    _algorithm: String,
    #[serde(rename = "KMSMasterKeyID")]
    key: Option<Expression>,
}

impl Bucket {
    pub fn define(&self, id: &str) -> Result<BucketDefinition, TemplateError> {
        let rule = self.bucket_encryption.as_ref().map(|e| &e.server_side_encryption_configuration[0]);
        let key = rule.and_then(|rule| rule.server_side_encryption_by_default.key.as_ref());
        let key = key.map(|key| key_of(id, key)).transpose()?;
        Ok(BucketDefinition { logical_id: id.to_owned(), key })
    }
}
