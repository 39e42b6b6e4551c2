//! Lambda's event source mapping for SQS: receives a batch, calls the function, deletes what it handled.
//!
//! Which records failed follows Lambda's rules. A function that reports failures (`ReportBatchItemFailures`) names them,
//! and an answer that names none that is known fails the whole batch; so does an error, a panic or a time-out. What
//! failed stays in the queue and comes back, until the queue's limit moves it to the dead-letter queue.

use crate::{invoke::Deployed, stack::StackError, template::QueueSource};
use aws_sdk_sqs::{
    Client,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
        MessageSystemAttributeName,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

/// Messages that come back after their visibility time-out send no wake-up; this is how late they may be found.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// One process stands in for a fleet: more invocations at once than this only wait for the processor.
const MAX_CONCURRENCY: usize = 8;

/// One function reading one queue.
pub(crate) struct Source {
    pub spec: QueueSource,
    pub url: String,
    pub function: Arc<Deployed>,
    pub sqs: Client,
    /// For what AWS does not do: to bring a message back sooner.
    pub runner: Client,
    /// How soon a message that failed comes back; `None` leaves it to the queue's visibility time-out.
    pub redelivery: Option<Duration>,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Records handled and deleted.
    pub handled: usize,
    /// Records that failed and will come back.
    pub failed: usize,
}

impl Source {
    /// At most one batch, without waiting for one.
    pub async fn receive(&self) -> Result<Vec<Message>, StackError> {
        let request = self
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(self.spec.batch_size).unwrap_or(i32::MAX))
            .wait_time_seconds(0)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All);
        let answer = request.send().await.map_err(StackError::queue("receiving from", &self.spec.queue))?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Calls the function with a batch and deletes what it handled.
    pub async fn deliver(
        &self,
        batch: &[Message],
        redelivery: Option<Duration>,
    ) -> Result<Delivered, StackError> {
        let answer = self.function.invoke(self.event(batch)).await;
        let failed = match &answer {
            Ok(answer) if self.spec.report_partial => failed_records(answer, batch),
            Ok(_) => BTreeSet::new(),
            Err(_) => ids(batch),
        };
        let (failed, handled): (Vec<&Message>, Vec<&Message>) =
            batch.iter().partition(|message| failed.contains(message.message_id().unwrap_or_default()));
        self.delete(&handled).await?;
        if let Some(after) = redelivery {
            self.show_again(&failed, after).await?;
        }
        Ok(Delivered { handled: handled.len(), failed: failed.len() })
    }

    /// The event that Lambda makes of a batch.
    fn event(&self, batch: &[Message]) -> Value {
        let records = batch.iter().map(|message| {
            let attributes: serde_json::Map<String, Value> = message
                .attributes()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.as_str().to_owned(), value.as_str().into()))
                .collect();
            json!({
                "messageId": message.message_id(),
                "receiptHandle": message.receipt_handle(),
                "body": message.body(),
                "attributes": attributes,
                "messageAttributes": message_attributes(message),
                "md5OfBody": message.md5_of_body(),
                "eventSource": "aws:sqs",
                "eventSourceARN": format!("arn:aws:sqs:local:000000000000:{}", self.spec.queue),
                "awsRegion": "local",
            })
        });
        json!({ "Records": records.collect::<Vec<_>>() })
    }

    async fn delete(&self, messages: &[&Message]) -> Result<(), StackError> {
        if messages.is_empty() {
            return Ok(());
        }
        let failed = StackError::queue("deleting from", &self.spec.queue);
        let entries = messages.iter().enumerate().map(|(place, message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(place.to_string());
            entry.set_receipt_handle(message.receipt_handle.clone()).build()
        });
        let entries = entries.collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(StackError::queue("deleting from", &self.spec.queue))?;
        let request = self.sqs.delete_message_batch().queue_url(&self.url).set_entries(Some(entries));
        request.send().await.map(|_| ()).map_err(failed)
    }

    async fn show_again(&self, messages: &[&Message], after: Duration) -> Result<(), StackError> {
        if messages.is_empty() {
            return Ok(());
        }
        let seconds = i32::try_from(after.as_secs()).unwrap_or(i32::MAX);
        let entries = messages.iter().enumerate().map(|(place, message)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(place.to_string());
            entry.visibility_timeout(seconds).set_receipt_handle(message.receipt_handle.clone()).build()
        });
        let entries = entries.collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(StackError::queue("returning to", &self.spec.queue))?;
        let request =
            self.runner.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
        request.send().await.map(|_| ()).map_err(StackError::queue("returning to", &self.spec.queue))
    }
}

/// The attributes that the sender gave a message, in Lambda's shape.
fn message_attributes(message: &Message) -> Value {
    let attributes = message.message_attributes().into_iter().flatten().map(|(name, value)| {
        let binary = value.binary_value().map(|bytes| STANDARD.encode(bytes.as_ref()));
        let attribute = json!({
            "dataType": value.data_type(),
            "stringValue": value.string_value(),
            "binaryValue": binary,
            "stringListValues": [],
            "binaryListValues": [],
        });
        (name.clone(), attribute)
    });
    Value::Object(attributes.collect())
}

fn ids(batch: &[Message]) -> BTreeSet<String> {
    batch.iter().filter_map(|message| message.message_id.clone()).collect()
}

/// The records that a function's answer names as failed, by Lambda's rules: no list or an empty one means that all were
/// handled; an entry without a known id means that the answer is not to be trusted, and all failed.
fn failed_records(answer: &Value, batch: &[Message]) -> BTreeSet<String> {
    let all = ids(batch);
    let named = match answer.get("batchItemFailures") {
        None | Some(Value::Null) if answer.is_null() || answer.is_object() => return BTreeSet::new(),
        Some(Value::Array(named)) => named,
        _ => return all,
    };
    let known = named.iter().map(|entry| {
        let id = entry.get("itemIdentifier").and_then(Value::as_str);
        id.filter(|id| all.contains(*id)).map(str::to_owned)
    });
    known.collect::<Option<_>>().unwrap_or(all)
}

/// Polls until told to stop, then waits for the invocations that have begun.
///
/// `sent` changes with every message sent, so that a message is picked up at once and an idle queue costs next to
/// nothing.
pub(crate) async fn run(
    source: Arc<Source>,
    mut sent: watch::Receiver<u64>,
    mut stop: watch::Receiver<bool>,
) {
    let most = source.spec.max_concurrency.unwrap_or(MAX_CONCURRENCY).min(MAX_CONCURRENCY);
    let permits = Arc::new(Semaphore::new(most));
    let mut running = JoinSet::new();
    loop {
        let permit = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
        // What is sent from here on wakes the wait below, even when it comes before the wait.
        sent.mark_unchanged();
        match (permit, source.receive().await) {
            (Ok(permit), Ok(batch)) if !batch.is_empty() => {
                running.spawn(deliver(Arc::clone(&source), batch, permit));
                while running.try_join_next().is_some() {}
                continue;
            }
            (_, Err(error)) => log(&source, &error),
            _ => {}
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Ok(()) = sent.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN_AFTER) => {}
        }
    }
    while running.join_next().await.is_some() {}
}

async fn deliver(source: Arc<Source>, batch: Vec<Message>, permit: OwnedSemaphorePermit) {
    if let Err(error) = source.deliver(&batch, source.redelivery).await {
        log(&source, &error);
    }
    drop(permit);
}

fn log(source: &Source, error: &StackError) {
    let error = lambda_kit::chain(error);
    tracing::error!(queue = source.spec.queue, error, "a poller's call failed; the messages will come back");
}

#[cfg(test)]
mod tests;
