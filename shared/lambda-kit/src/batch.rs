//! The batch loop: each record is decoded and handled on its own, and only those that failed are reported,
//! so that a poison message alone comes again and at last reaches the dead-letter queue.

use aws_lambda_events::event::sqs::SqsMessage;
use contract::queue::CommandMessage;
use futures::{FutureExt as _, future::join_all};
use jiff::Timestamp;
use ports::PortError;
use serde_json::{Value, json};
use std::{future::Future, panic::AssertUnwindSafe};
use steps::AdvanceError;
use telemetry::{FUNCTIONS_NAMESPACE, Line};
use tracing::Instrument;

/// What Lambda's own metrics call the dimension.
const FUNCTION_NAME: &str = "FunctionName";

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
///
/// All of them run in the caller's own task: what they wait for is the network, and an invocation that is ended takes
/// everything with it that it had begun.
pub async fn run<F, Fut>(records: Vec<Record>, handle: F) -> Value
where
    F: Fn(CommandMessage) -> Fut,
    Fut: Future<Output = Result<(), RecordError>>,
{
    let running = records.iter().map(|record| {
        // A panic ends its record alone, which counts as failed.
        AssertUnwindSafe(one(&record.body, &handle)).catch_unwind()
    });
    let ended = join_all(running).await;
    let failures: Vec<Value> = records
        .iter()
        .zip(ended)
        .filter(|(_, has_failed)| *has_failed.as_ref().unwrap_or(&true))
        .map(|(record, _)| json!({ "itemIdentifier": record.message_id }))
        .collect();
    json!({ "batchItemFailures": failures })
}

/// The line that makes a metric of the records that failed, by the answer to Lambda; `None` where none did. To Lambda an
/// invocation that names its failed records has succeeded, so that its own metric of errors does not show them.
pub(crate) fn failed_records(answer: &Value, function: &str, at: Timestamp) -> Option<Line> {
    let failed = answer["batchItemFailures"].as_array().map_or(0, Vec::len);
    let line = Line::at(at).with(FUNCTION_NAME, function);
    (failed > 0).then(|| line.metric(FUNCTIONS_NAMESPACE, FUNCTION_NAME, "FailedRecords", "Count", failed))
}

/// Whether the record failed.
async fn one<F, Fut>(body: &str, handle: &F) -> bool
where
    F: Fn(CommandMessage) -> Fut,
    Fut: Future<Output = Result<(), RecordError>>,
{
    let command: CommandMessage = match serde_json::from_str(body) {
        Ok(command) => command,
        Err(error) => {
            // serde_json's message names the place and the kind of the mistake, and may quote a word of the body;
            // only its category and position are logged.
            tracing::error!(line = error.line(), column = error.column(), "a record is not a command");
            return true;
        }
    };
    let (application_id, command_name) = (command.application_id, command.command);
    let span = tracing::info_span!(
        "record",
        %application_id,
        trace_id = %application_id.trace_id(),
        command = ?command_name,
    );
    async {
        match handle(command).await {
            Ok(()) => false,
            Err(error) => {
                tracing::error!(error = crate::failure::chain(&error), "a record failed");
                true
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
