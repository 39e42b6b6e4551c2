//! Asking DynamoDB for an export of a table into a bucket.

use crate::failure::port_error;
use async_trait::async_trait;
use aws_sdk_dynamodb::{Client, types::ExportFormat};
use ports::{PortError, exports::TableExports};

/// Exports of one table into one bucket. The table needs point-in-time recovery.
#[derive(Clone, Debug)]
pub struct DynamoExports {
    client: Client,
    table_arn: String,
    bucket: String,
}

impl DynamoExports {
    /// `bucket_url` is `s3://<bucket>`; locally the URL of the folder that stands for it.
    pub fn new(client: Client, table_arn: impl Into<String>, bucket_url: &str) -> Self {
        let bucket = bucket_url.split_once("://").map_or(bucket_url, |(_, bucket)| bucket);
        Self { client, table_arn: table_arn.into(), bucket: bucket.to_owned() }
    }
}

#[async_trait]
impl TableExports for DynamoExports {
    /// Calls `ExportTableToPointInTime`, which writes into the bucket in the caller's name.
    async fn ask(&self, token: &str) -> Result<(), PortError> {
        let asked = self
            .client
            .export_table_to_point_in_time()
            .table_arn(&self.table_arn)
            .s3_bucket(&self.bucket)
            .export_format(ExportFormat::DynamodbJson)
            .client_token(token)
            .send()
            .await;
        asked.map(drop).map_err(|error| port_error("asking for an export of a table", &error))
    }
}
