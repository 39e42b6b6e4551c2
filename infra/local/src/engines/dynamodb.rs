//! DynamoDB on SQLite, called in this process.
//!
//! The engine serialises all access behind one lock and blocks on it, so it lives on a thread of its own and takes
//! calls from a channel: callers wait in order and no runtime thread ever waits for the disk.

use super::{
    EngineError,
    calls::Cost,
    export::{Ends, export},
};
use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};
use tokio::sync::oneshot;

const EXPORT: &str = "ExportTableToPointInTime";
/// The same operation of an engine that never finishes.
const EXPORT_WITHOUT_END: &str = "ExportTableToPointInTime without end";

/// A call's answer: HTTP status, body, and what it cost.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: String,
    pub cost: Cost,
}

enum Job {
    Call {
        operation: String,
        body: Vec<u8>,
        answer: oneshot::Sender<Answer>,
    },
    /// Close the tables, then tell.
    Stop {
        stopped: oneshot::Sender<()>,
    },
}

#[derive(Debug)]
pub(super) struct DynamoDb {
    jobs: Sender<Job>,
    exports_without_end: AtomicBool,
}

impl DynamoDb {
    /// Opens the tables: in a file (WAL, synced at checkpoints: what was answered survives the end of the process,
    /// though not a power cut) or in memory.
    pub(super) fn start(file: Option<&Path>) -> Result<Self, EngineError> {
        let database = match file {
            Some(path) => {
                let database = Database::new(&path.to_string_lossy());
                // Sets `synchronous = NORMAL`; SQLite's default syncs the disk on every single write.
                database.and_then(|database| database.disable_bulk_loading().map(|()| database))
            }
            None => Database::memory(),
        };
        let database = database.map_err(|error| EngineError::Open(error.to_string()))?;
        let (jobs, queue) = channel();
        thread::Builder::new()
            .name("dynamodb".to_owned())
            .spawn(move || serve(database, &queue))
            .map_err(|error| EngineError::Open(error.to_string()))?;
        Ok(Self { jobs, exports_without_end: AtomicBool::new(false) })
    }

    /// Answers one call; `None` once the engine has stopped.
    pub(super) async fn call(&self, operation: &str, body: &[u8]) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        let without_end = operation == EXPORT && self.exports_without_end.load(Ordering::Relaxed);
        let operation = if without_end { EXPORT_WITHOUT_END } else { operation };
        let job = Job::Call { operation: operation.to_owned(), body: body.to_vec(), answer };
        self.jobs.send(job).ok()?;
        answered.await.ok()
    }

    pub(super) fn leave_exports_unfinished(&self, unfinished: bool) {
        self.exports_without_end.store(unfinished, Ordering::Relaxed);
    }

    pub(super) async fn stop(&self) {
        let (stopped, has_stopped) = oneshot::channel();
        // Either step fails only when the engine has stopped before.
        if self.jobs.send(Job::Stop { stopped }).is_ok() {
            has_stopped.await.ok();
        }
    }
}

fn serve(database: Database, queue: &Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        match job {
            // A caller that has gone away does not want the answer any more.
            Job::Call { operation, body, answer } => {
                let _ = answer.send(respond(&database, &operation, &body));
            }
            Job::Stop { stopped } => {
                drop(database);
                let _ = stopped.send(());
                return;
            }
        }
    }
}

pub(crate) fn respond(database: &Database, operation: &str, body: &[u8]) -> Answer {
    let mut request: Value = match serde_json::from_slice(body) {
        Ok(request @ Value::Object(_)) => request,
        _ => return refusal(&Value::Null, &DynoxideError::SerializationException(String::new())),
    };
    if reports_capacity(operation) && request.get("ReturnConsumedCapacity").is_none() {
        request["ReturnConsumedCapacity"] = json!("TOTAL");
    }
    match dispatch(database, operation, request.clone()) {
        Ok(answer) => {
            Answer { status: 200, cost: Cost::of_answer(operation, &answer), body: answer.to_string() }
        }
        Err(error) => refusal(&request, &error),
    }
}

fn refusal(request: &Value, error: &DynoxideError) -> Answer {
    let body = error.to_json();
    let parsed = serde_json::from_str(&body).unwrap_or(Value::Null);
    Answer { status: error.status_code(), cost: Cost::of_refusal(request, &parsed), body }
}

/// The operations on items; those on tables know no capacity.
fn reports_capacity(operation: &str) -> bool {
    operation.contains("Item") || operation == "Query" || operation == "Scan"
}

fn dispatch(db: &Database, operation: &str, request: Value) -> dynoxide::Result<Value> {
    match operation {
        "PutItem" => call(request, |r| db.put_item(r)),
        "GetItem" => call(request, |r| db.get_item(r)),
        "UpdateItem" => call(request, |r| db.update_item(r)),
        "DeleteItem" => call(request, |r| db.delete_item(r)),
        "Query" => call(request, |r| db.query(r)),
        "Scan" => call(request, |r| db.scan(r)),
        "BatchGetItem" => call(request, |r| db.batch_get_item(r)),
        "BatchWriteItem" => call(request, |r| db.batch_write_item(r)),
        "TransactGetItems" => call(request, |r| db.transact_get_items(r)),
        "TransactWriteItems" => call(request, |r| db.transact_write_items(r)),
        "CreateTable" => call(request, |r| db.create_table(r)),
        "DescribeTable" => call(request, |r| db.describe_table(r)),
        "ListTables" => call(request, |r| db.list_tables(r)),
        "DeleteTable" => call(request, |r| db.delete_table(r)),
        "UpdateTimeToLive" => call(request, |r| db.update_time_to_live(r)),
        "DescribeTimeToLive" => call(request, |r| db.describe_time_to_live(r)),
        EXPORT => export(db, &request, Ends::Finished),
        EXPORT_WITHOUT_END => export(db, &request, Ends::Never),
        _ => Err(DynoxideError::ValidationException(format!("{operation} is not served here"))),
    }
}

pub(super) fn call<Request: DeserializeOwned, Response: Serialize>(
    request: Value,
    answer: impl FnOnce(Request) -> dynoxide::Result<Response>,
) -> dynoxide::Result<Value> {
    let unreadable = |error: serde_json::Error| DynoxideError::SerializationException(error.to_string());
    let response = answer(serde_json::from_value(request).map_err(unreadable)?)?;
    serde_json::to_value(response).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}
