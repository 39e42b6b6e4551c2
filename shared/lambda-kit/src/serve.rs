//! The Lambda runtime loop, and how the log is written.

use crate::{Failure, Function, batch, failure::chain};
use futures::FutureExt as _;
use lambda_runtime::{LambdaEvent, service_fn};
use ports::{Clock as _, SystemClock};
use serde_json::Value;
use std::{panic::AssertUnwindSafe, sync::Arc};
use telemetry::{Invocation, MetricLog, StandardOutput};
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Why a function did not start or its loop ended.
pub type StartError = lambda_runtime::Error;

/// Answers invocations until Lambda ends the process. Logs are JSON lines; records that failed are a metric.
pub async fn serve(function: impl Function + 'static) -> Result<(), StartError> {
    let function = Arc::new(function);
    lambda_runtime::run(service_fn(move |event| {
        let function = Arc::clone(&function);
        async move { invoked(&*function, event, &StandardOutput).await }
    }))
    .await
}

async fn invoked(
    function: &dyn Function,
    LambdaEvent { payload, context }: LambdaEvent<Value>,
    metrics: &dyn MetricLog,
) -> Result<Value, StartError> {
    let invocation = Invocation::new(&context.request_id, context.xray_trace_id.as_deref());
    let call = async {
        // The runtime would tell the panic's message, in the log and to whoever invoked.
        let answer = AssertUnwindSafe(function.call(payload)).catch_unwind().await;
        let answer = answer.unwrap_or_else(|_| Err(Failure::new("serving an invocation", "a panic")));
        answer.inspect_err(|error| tracing::error!(error = chain(error), "the invocation failed"))
    };
    let answer = invocation.serve(call).await?;
    let name = &context.env_config.function_name;
    if let Some(line) = batch::failed_records(&answer, name, SystemClock.now()) {
        metrics.line(&line.text());
    }
    Ok(answer)
}

/// Logs where a panic was and not what it says: that may quote a value, and a value may be a person's.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic");
    }));
}

/// Sets up JSON log lines, also for panics; the level comes from `RUST_LOG`, else `info`. It takes levels by target
/// (`info,steps=debug`): filters on fields would bring a regular expression engine into every binary.
pub fn init_logs() {
    #[expect(clippy::disallowed_methods, reason = "logs are set up before settings are read")]
    let asked = std::env::var("RUST_LOG").ok().and_then(|text| text.parse().ok());
    let levels: Targets = asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    tracing_subscriber::registry().with(json_lines(std::io::stdout).with_filter(levels)).init();
    log_panics();
}

/// The form of the log: a JSON object a line with the fields of the event, and the ids of the invocation and of the
/// application in `spans`. Lambda adds the time.
pub fn json_lines<W>(writer: W) -> impl Layer<Registry>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .without_time()
        .with_writer(writer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Record;
    use async_trait::async_trait;
    use domain::ApplicationId;
    use lambda_runtime::{Config, Context};
    use serde_json::json;
    use std::{
        io,
        sync::{Mutex, PoisonError},
    };

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that an invocation logs.
    async fn logged(header: Option<&str>, work: impl Future<Output = ()>) -> Vec<Value> {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::registry().with(json_lines(move || writer.clone()));
        let guard = tracing::subscriber::set_default(subscriber);
        Invocation::new("r-1", header).serve(work).await;
        drop(guard);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1";

    #[tokio::test]
    async fn before_there_is_an_application_a_line_carries_the_trace_of_the_request() {
        let lines = logged(Some(HEADER), async { tracing::info!(status = 401, "refused") }).await;
        assert_eq!(lines[0]["message"], "refused");
        assert_eq!(lines[0]["status"], 401);
        let ids = json!({ "name": "invocation", "request_id": "r-1", "trace_id": "1-5759e988-bd862e3fe1be46a994272793" });
        assert_eq!(lines[0]["spans"], json!([ids]));
    }

    #[tokio::test]
    async fn once_there_is_an_application_a_line_carries_its_trace() {
        let id = ApplicationId::from_bytes([7; 16]);
        let lines = logged(Some(HEADER), async {
            Invocation::is_about(id);
            tracing::error!("a request could not be served");
        })
        .await;
        let ids = &lines[0]["spans"][0];
        assert_eq!(
            (&ids["application_id"], &ids["trace_id"]),
            (&json!(id), &json!(id.trace_id().to_string()))
        );
    }

    #[tokio::test]
    async fn each_record_of_a_batch_is_logged_with_the_trace_of_its_own_application() {
        let ids = [1, 2].map(|n| ApplicationId::from_bytes([n; 16]));
        let record = |id: &ApplicationId| Record {
            message_id: id.to_string(),
            body: json!({ "application_id": id, "command": "score" }).to_string(),
        };
        let records = ids.iter().map(record).collect();
        let lines = logged(None, async {
            batch::run(records, |_| async { Err(crate::RecordError::Handler("as the test wants it")) }).await;
        })
        .await;
        let traces: Vec<&str> =
            lines.iter().map(|line| line["spans"][1]["trace_id"].as_str().unwrap()).collect();
        assert_eq!(traces, ids.map(|id| id.trace_id().to_string()));
    }

    /// Quotes what it was given.
    struct Panicking;

    #[async_trait]
    impl Function for Panicking {
        async fn call(&self, event: Value) -> Result<Value, Failure> {
            panic!("{event}");
        }
    }

    #[tokio::test]
    async fn a_panic_tells_its_place_and_the_application_and_nothing_that_it_quotes() {
        let before = std::panic::take_hook();
        log_panics();
        let id = ApplicationId::from_bytes([7; 16]);
        let record = Record {
            message_id: "m-1".to_owned(),
            body: json!({ "application_id": id, "command": "score" }).to_string(),
        };
        let lines = logged(None, async {
            batch::run(vec![record], |_| async { panic!("a secret") }).await;
        })
        .await;
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::registry().with(json_lines(move || writer.clone()));
        let guard = tracing::subscriber::set_default(subscriber);
        let event = LambdaEvent { payload: json!("a secret"), context: Context::default() };
        let answer = invoked(&Panicking, event, &Lines::default()).await;
        drop(guard);
        std::panic::set_hook(before);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["spans"][1]["application_id"], json!(id));
        assert!(lines[0]["place"].as_str().unwrap().contains("serve.rs"));
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("the invocation failed") && text.contains("a panic"), "{text}");
        let told = format!("{lines:?} {text} {:?}", answer.unwrap_err());
        assert!(!told.contains("secret"), "{told}");
    }

    /// Fails every record, or the invocation where there are none.
    struct Failing;

    #[async_trait]
    impl Function for Failing {
        async fn call(&self, event: Value) -> Result<Value, Failure> {
            let records = event.as_array().ok_or_else(|| Failure::new("reading", "as the test wants it"))?;
            let failed: Vec<Value> = records.iter().map(|id| json!({ "itemIdentifier": id })).collect();
            Ok(json!({ "batchItemFailures": failed }))
        }
    }

    #[derive(Default)]
    struct Lines(Mutex<Vec<Value>>);

    impl MetricLog for Lines {
        fn line(&self, text: &str) {
            self.0.lock().unwrap().push(serde_json::from_str(text).unwrap());
        }
    }

    #[tokio::test]
    async fn records_that_failed_are_a_metric_of_the_function_and_without_any_there_is_no_line() {
        let lines = Lines::default();
        for payload in [json!([]), json!(["a", "b"]), Value::Null] {
            let mut context = Context::default();
            let function_name = "lending-Score-1".to_owned();
            context.env_config = Arc::new(Config { function_name, ..Config::default() });
            let has_answer = payload.is_array();
            let answer = invoked(&Failing, LambdaEvent { payload, context }, &lines).await;
            assert_eq!(answer.is_ok(), has_answer);
        }
        let lines = lines.0.lock().unwrap();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(
            (&lines[0]["FunctionName"], &lines[0]["FailedRecords"]),
            (&json!("lending-Score-1"), &json!(2))
        );
        let expected = json!([{ "Namespace": "Lending", "Dimensions": [["FunctionName"]],
            "Metrics": [{ "Name": "FailedRecords", "Unit": "Count" }] }]);
        assert_eq!(lines[0]["_aws"]["CloudWatchMetrics"], expected);
    }
}
