//! The batch loop: each record is decoded and handled on its own, and only those that failed are reported,
//! so that a poison message alone comes again and at last reaches the dead-letter queue.

use aws_lambda_events::event::sqs::SqsMessage;
use contract::queue::CommandMessage;
use ports::PortError;
use serde_json::{Value, json};
use std::{future::Future, sync::Arc};
use steps::AdvanceError;
use tokio::task::JoinSet;
use tracing::Instrument;

/// One SQS record: its id and its body, not yet decoded.
#[derive(Clone, Debug)]
pub struct Record {
    pub message_id: String,
    pub body: String,
}

impl From<SqsMessage> for Record {
    fn from(message: SqsMessage) -> Self {
        Self { message_id: message.message_id.unwrap_or_default(), body: message.body.unwrap_or_default() }
    }
}

/// Why a record was not handled. It is delivered again, and after the queue's limit goes to the dead-letter queue.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("{0}")]
    Handler(&'static str),
    #[error(transparent)]
    Advance(#[from] AdvanceError),
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("{attempted}")]
    Other {
        attempted: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RecordError {
    pub fn other(
        attempted: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        RecordError::Other { attempted, source: source.into() }
    }
}

/// Runs `handle` over all records at once and answers Lambda with those that failed.
pub async fn run<F, Fut>(records: Vec<Record>, handle: F) -> Value
where
    F: Fn(CommandMessage) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), RecordError>> + Send + 'static,
{
    let handle = Arc::new(handle);
    let mut running = JoinSet::new();
    for (place, record) in records.iter().enumerate() {
        let handle = Arc::clone(&handle);
        let body = record.body.clone();
        running.spawn(one(place, body, handle));
    }
    let mut failed: Vec<bool> = vec![true; records.len()];
    while let Some(done) = running.join_next().await {
        // A panic ends its task alone; its record stays marked as failed.
        if let Ok((place, has_failed)) = done {
            failed[place] = has_failed;
        }
    }
    let failures: Vec<Value> = records
        .iter()
        .zip(failed)
        .filter(|(_, failed)| *failed)
        .map(|(record, _)| json!({ "itemIdentifier": record.message_id }))
        .collect();
    json!({ "batchItemFailures": failures })
}

async fn one<F, Fut>(place: usize, body: String, handle: Arc<F>) -> (usize, bool)
where
    F: Fn(CommandMessage) -> Fut,
    Fut: Future<Output = Result<(), RecordError>>,
{
    let command: CommandMessage = match serde_json::from_str(&body) {
        Ok(command) => command,
        Err(error) => {
            // serde_json's message names the place and the kind of the mistake, and may quote a word of the body;
            // only its category and position are logged.
            tracing::error!(line = error.line(), column = error.column(), "a record is not a command");
            return (place, true);
        }
    };
    let span =
        tracing::info_span!("record", application_id = %command.application_id, command = ?command.command);
    async {
        match handle(command).await {
            Ok(()) => (place, false),
            Err(error) => {
                tracing::error!(error = crate::failure::chain(&error), "a record failed");
                (place, true)
            }
        }
    }
    .instrument(span)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, body: &str) -> Record {
        Record { message_id: id.into(), body: body.into() }
    }

    const GOOD: &str = r#"{"application_id":"00000000-0000-8000-8000-000000000001","command":"score"}"#;
    const BAD: &str = r#"{"application_id":"00000000-0000-8000-8000-000000000002","command":"decide"}"#;

    #[tokio::test]
    async fn a_poison_message_alone_fails() {
        let records = vec![record("a", GOOD), record("b", "{not json"), record("c", GOOD)];
        let answer = run(records, |_| async { Ok(()) }).await;
        assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "b"}]}));
    }

    #[tokio::test]
    async fn a_panic_fails_its_own_record_and_no_other() {
        let records = vec![record("a", GOOD), record("b", BAD)];
        let answer = run(records, |message| async move {
            assert!(message.command != domain::journey::Command::Decide, "as the test wants it");
            Ok(())
        })
        .await;
        assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "b"}]}));
    }
}
