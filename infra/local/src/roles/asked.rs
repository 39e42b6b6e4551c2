//! What a call asks permission for: the actions of IAM that it needs, and on what.
//!
//! Sources: the service authorization reference of DynamoDB, SQS and S3 for actions and resources; each service's guide
//! on encryption for what it does with the key in the caller's name.

use super::Names;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// One action on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub action: String,
    /// In the form of `Fn::Sub`.
    pub resource: String,
    /// The partition key of the one item that the call names.
    pub leading_key: Option<String>,
}

impl Asked {
    fn of(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), leading_key: None }
    }
}

impl Names {
    /// The logical id of what a call names; what no role names goes by the call's own word, and is allowed to nobody.
    fn id<'a>(&'a self, local_name: &'a str) -> &'a str {
        self.ids.get(local_name).map_or(local_name, String::as_str)
    }

    /// The use of the key that encrypts a table, a queue or a bucket.
    fn key(&self, logical_id: &str, actions: &[&str]) -> Vec<Asked> {
        let key = self.keys.get(logical_id);
        let uses =
            |key: &String| actions.iter().map(|action| Asked::of(*action, arn(key))).collect::<Vec<_>>();
        key.map(uses).unwrap_or_default()
    }

    /// An object of a bucket is read.
    pub(super) fn object_read(&self, bucket: &str, key: &str) -> Vec<Asked> {
        let mut asked = vec![Asked::of("s3:GetObject", format!("{}/{key}", arn(bucket)))];
        asked.extend(self.key(bucket, &["kms:Decrypt"]));
        asked
    }

    /// An object of a bucket is written.
    pub(super) fn object_written(&self, bucket: &str, key: &str) -> Vec<Asked> {
        let mut asked = vec![Asked::of("s3:PutObject", format!("{}/{key}", arn(bucket)))];
        asked.extend(self.key(bucket, &["kms:GenerateDataKey"]));
        asked
    }

    /// A bucket is listed; S3 also wants this before it says of an object that it is not there.
    pub(super) fn bucket_listed(bucket: &str) -> Vec<Asked> {
        vec![Asked::of("s3:ListBucket", arn(bucket))]
    }
}

/// What a call asks for.
pub(crate) fn asked(names: &Names, service: &str, operation: &str, body: &[u8]) -> Vec<Asked> {
    match service {
        // DynamoDB answers it whatever a role says; a function opens its connection with it.
        "dynamodb" if operation == "DescribeEndpoints" => Vec::new(),
        "dynamodb" => dynamodb(names, operation, body),
        "sqs" => sqs(names, operation, body),
        _ => named(names, service, operation, body),
    }
}

fn arn(logical_id: &str) -> String {
    format!("${{{logical_id}.Arn}}")
}

/// What is looked at of a request to DynamoDB.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TableRequest {
    table_name: String,
    /// Of exports.
    table_arn: String,
    #[serde(rename = "S3Bucket")]
    s3_bucket: String,
    index_name: Option<String>,
    key: Option<PartitionKey>,
    item: Option<PartitionKey>,
    /// Of batches: what is wanted of each table.
    request_items: BTreeMap<String, Value>,
    /// Of transactions: by the kind of each.
    transact_items: Vec<BTreeMap<String, TableRequest>>,
    /// Of queries: what the partition key has to be, and what stands for it.
    key_condition_expression: String,
    expression_attribute_values: BTreeMap<String, Text>,
}

/// The partition key, which every table here calls `pk` and keeps as text.
#[derive(Deserialize)]
struct PartitionKey {
    pk: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Text {
    #[serde(rename = "S")]
    text: Option<String>,
}

impl TableRequest {
    fn leading_key(&self) -> Option<String> {
        match self.key.as_ref().or(self.item.as_ref()) {
            Some(key) => key.pk.as_ref()?.text.clone(),
            None => self.queried(),
        }
    }

    /// The partition key that a query of a table names. Our adapters write it first, as `pk = :name`.
    fn queried(&self) -> Option<String> {
        let conditions =
            self.key_condition_expression.strip_prefix("pk = ").filter(|_| self.index_name.is_none())?;
        let name = conditions.split(' ').next()?;
        self.expression_attribute_values.get(name)?.text.clone()
    }
}

/// The partition keys that a batch names in one table; `None` for one that names none.
fn leading_keys(wanted: &Value) -> Vec<Option<String>> {
    let key = |item: &Value| item["pk"]["S"].as_str().map(str::to_owned);
    let written =
        |write: &Value| key(&write["PutRequest"]["Item"]).or_else(|| key(&write["DeleteRequest"]["Key"]));
    match (wanted.as_array(), wanted["Keys"].as_array()) {
        (Some(writes), _) if !writes.is_empty() => writes.iter().map(written).collect(),
        (None, Some(keys)) => keys.iter().map(key).collect(),
        _ => vec![None],
    }
}

/// What a call to DynamoDB asks for. What cannot be read names no table and is allowed to nobody.
fn dynamodb(names: &Names, operation: &str, body: &[u8]) -> Vec<Asked> {
    let request: TableRequest = serde_json::from_slice(body).unwrap_or_default();
    let on = |action: &str, table: &str, request: Option<&TableRequest>| {
        let id = names.id(table);
        let index = request.and_then(|request| request.index_name.as_ref());
        let index = index.map(|index| format!("/index/{index}")).unwrap_or_default();
        let asked = Asked {
            action: format!("dynamodb:{action}"),
            resource: format!("{}{index}", arn(id)),
            leading_key: request.and_then(TableRequest::leading_key),
        };
        // DynamoDB unwraps the table's key in the caller's name, to read and to write.
        let mut all = vec![asked];
        all.extend(names.key(id, &["kms:Decrypt"]));
        all
    };
    match operation {
        // Every item of a batch is asked for, since a grant may be limited to some.
        "BatchWriteItem" | "BatchGetItem" => {
            let of_table = |(table, wanted): (&String, &Value)| {
                let mut all = on(operation, table, None);
                let first = all.remove(0);
                let items = leading_keys(wanted).into_iter();
                let items = items.map(|leading_key| Asked { leading_key, ..first.clone() });
                items.chain(all).collect::<Vec<_>>()
            };
            request.request_items.iter().flat_map(of_table).collect()
        }
        // An export is written into its bucket in the caller's name.
        "ExportTableToPointInTime" => {
            let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
            let bucket = names.id(&last(&request.s3_bucket)).to_owned();
            let mut all = on(operation, &last(&request.table_arn), None);
            all.extend(names.object_written(&bucket, "AWSDynamoDB/export"));
            let written = format!("{}/AWSDynamoDB/export", arn(&bucket));
            let also = ["s3:AbortMultipartUpload", "s3:PutObjectAcl"];
            all.extend(also.map(|action| Asked::of(action, written.clone())));
            all
        }
        // A transaction needs the permissions of what is in it and none of its own.
        "TransactWriteItems" | "TransactGetItems" => {
            let items = request.transact_items.iter().flatten();
            items.flat_map(|(kind, item)| on(&single(kind), &item.table_name, Some(item))).collect()
        }
        _ => on(operation, &request.table_name, Some(&request)),
    }
}

/// The action of one item of a transaction: `Put` → `PutItem`, `ConditionCheck` → `ConditionCheckItem`.
fn single(kind: &str) -> String {
    format!("{kind}Item")
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct QueueRequest {
    queue_url: String,
}

/// What a call to SQS asks for. A batch needs the permission of its single call.
fn sqs(names: &Names, operation: &str, body: &[u8]) -> Vec<Asked> {
    let request: QueueRequest = serde_json::from_slice(body).unwrap_or_default();
    let id = names.id(request.queue_url.rsplit('/').next().unwrap_or_default());
    let action = operation.strip_suffix("Batch").unwrap_or(operation);
    let mut asked = vec![Asked::of(format!("sqs:{action}"), arn(id))];
    asked.extend(match action {
        "SendMessage" => names.key(id, &["kms:GenerateDataKey", "kms:Decrypt"]),
        "ReceiveMessage" => names.key(id, &["kms:Decrypt"]),
        _ => Vec::new(),
    });
    asked
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NamedRequest {
    key_id: String,
    secret_id: String,
}

/// What a call to KMS or Secrets Manager asks for. `Ref` of a secret is its ARN.
fn named(names: &Names, service: &str, operation: &str, body: &[u8]) -> Vec<Asked> {
    let request: NamedRequest = serde_json::from_slice(body).unwrap_or_default();
    let resource = match service {
        "kms" => arn(names.id(&request.key_id)),
        _ => format!("${{{}}}", names.id(&request.secret_id)),
    };
    vec![Asked::of(format!("{service}:{operation}"), resource)]
}
