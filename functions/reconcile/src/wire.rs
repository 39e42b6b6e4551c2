//! Settings become the function.

use crate::Reconcile;
use aws::{Aws, DynamoLedger};
use contract::names::setting;
use lambda_kit::Environment;
use object_store::{
    ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, parse_url, prefix::PrefixStore,
};
use std::{sync::Arc, time::Duration};
use url::Url;
use wiring::{Outside, WireError};

/// Builds the function.
pub fn wire(env: &Environment, aws: &Aws) -> Result<Reconcile, WireError> {
    wire_in(env, aws, &Outside::real())
}

/// Builds the function on a given clock.
pub fn wire_in(env: &Environment, aws: &Aws, outside: &Outside) -> Result<Reconcile, WireError> {
    let products = outside.products()?;
    Ok(Reconcile {
        files: files(env.get(setting::STATEMENTS_URL)?).map_err(WireError::other(setting::STATEMENTS_URL))?,
        banks: products.iter().map(|product| product.bank.clone()).collect(),
        ledger: Arc::new(DynamoLedger::new(aws.dynamodb.clone(), env.get(setting::PAYOUTS_TABLE)?)),
        commands: wiring::command_queue(env, aws)?,
        clock: outside.clock.clone(),
    })
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// `s3://bucket`, with region and credentials from the process's environment; `file:///folder` or `memory:///` locally.
fn files(url: &str) -> Result<Arc<dyn ObjectStore>, AnyError> {
    let url: Url = url.parse()?;
    if url.scheme() != "s3" {
        let (store, folder) = parse_url(&url)?;
        return Ok(Arc::new(PrefixStore::new(store, folder)));
    }
    let client = ClientOptions::new()
        // Only where AWS_ENDPOINT_URL names an emulator; the other services' clients do the same.
        .with_allow_http(true)
        .with_connect_timeout(Duration::from_secs(2))
        .with_timeout(Duration::from_secs(30))
        .with_content_type_for_suffix("json", "application/json")
        .with_content_type_for_suffix("html", "text/html; charset=utf-8");
    let retries =
        RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() };
    let bucket = AmazonS3Builder::from_env().with_url(url).with_client_options(client).with_retry(retries);
    Ok(Arc::new(bucket.build()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::{ObjectStoreExt as _, path::Path};

    #[tokio::test]
    async fn a_bucket_and_a_folder_are_both_understood_and_anything_else_is_refused() {
        assert_eq!(files("s3://statements-of-ours").unwrap().to_string(), "AmazonS3(statements-of-ours)");
        let memory = files("memory:///").unwrap();
        memory.put(&Path::from("statements/x"), "y".into()).await.unwrap();
        for refused in ["statements", "ftp://statements", ""] {
            assert!(files(refused).is_err(), "{refused}");
        }
    }
}
