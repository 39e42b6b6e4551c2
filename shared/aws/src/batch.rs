//! `BatchWriteItem`, until everything is written or patience ends.

use crate::{failure::port_error, item::Item};
use aws_sdk_dynamodb::{
    Client,
    error::BuildError,
    types::{DeleteRequest, PutRequest, WriteRequest},
};
use ports::PortError;
use std::time::Duration;

/// What the service takes in one call.
const BATCH: usize = 25;
/// How often what the service left unwritten is put before it again.
const TRIES: u32 = 6;
/// Doubled after every try: 20 ms to 320 ms, 620 ms in all.
const FIRST_WAIT: Duration = Duration::from_millis(20);

/// The service kept leaving items unwritten.
#[derive(Debug, thiserror::Error)]
#[error("{left} items were left unwritten after {TRIES} tries")]
struct LeftUnwritten {
    left: usize,
}

/// Puts all items, replacing what is there. The items of one call must have different keys. May write some and fail.
pub(crate) async fn put_all(
    client: &Client,
    table: &str,
    attempted: &'static str,
    items: Vec<Item>,
) -> Result<(), PortError> {
    let put = |item| {
        let put = PutRequest::builder().set_item(Some(item)).build()?;
        Ok(WriteRequest::builder().put_request(put).build())
    };
    write_all(client, table, attempted, items.into_iter().map(put)).await
}

/// Deletes the items of all these keys, which must differ. What is not there is deleted. May delete some and fail.
pub(crate) async fn delete_all(
    client: &Client,
    table: &str,
    attempted: &'static str,
    keys: Vec<Item>,
) -> Result<(), PortError> {
    let delete = |key| {
        let delete = DeleteRequest::builder().set_key(Some(key)).build()?;
        Ok(WriteRequest::builder().delete_request(delete).build())
    };
    write_all(client, table, attempted, keys.into_iter().map(delete)).await
}

async fn write_all(
    client: &Client,
    table: &str,
    attempted: &'static str,
    requests: impl Iterator<Item = Result<WriteRequest, BuildError>>,
) -> Result<(), PortError> {
    let requests: Result<Vec<_>, _> = requests.collect();
    let requests = requests.map_err(|error| PortError::broken(attempted, error))?;
    for batch in requests.chunks(BATCH) {
        write_batch(client, table, attempted, batch.to_vec()).await?;
    }
    Ok(())
}

async fn write_batch(
    client: &Client,
    table: &str,
    attempted: &'static str,
    mut requests: Vec<WriteRequest>,
) -> Result<(), PortError> {
    let mut wait = FIRST_WAIT;
    for attempt in 1..=TRIES {
        let answer = client
            .batch_write_item()
            .request_items(table, requests)
            .send()
            .await
            .map_err(|error| port_error(attempted, &error))?;
        requests = answer.unprocessed_items.and_then(|mut tables| tables.remove(table)).unwrap_or_default();
        if requests.is_empty() {
            return Ok(());
        }
        if attempt < TRIES {
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }
    Err(PortError::unavailable(attempted, LeftUnwritten { left: requests.len() }))
}
