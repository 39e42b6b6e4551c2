//! Lambda's Runtime API for one process: it hands out one event, takes the answer, and then nothing more comes.

use super::AnyError;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};

const ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

/// What a process did, and when.
pub(super) enum Moment {
    /// Asked for its first event.
    Ready(Instant),
    Answered(Instant),
    /// Said that it could not start or answer; with its words.
    Failed(String),
}

struct Api {
    moments: mpsc::UnboundedSender<Moment>,
    event: String,
    /// An answer that tells of an error is one too.
    may_fail: bool,
    is_given: AtomicBool,
}

/// The API while it is served.
pub(super) struct RuntimeApi {
    pub address: String,
    pub moments: mpsc::UnboundedReceiver<Moment>,
    serving: JoinHandle<()>,
}

impl RuntimeApi {
    /// Serves a port of its own. `event` is what the process gets when it first asks; it `may_fail` at that.
    pub(super) async fn start(event: String, may_fail: bool) -> Result<Self, AnyError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let (sender, moments) = mpsc::unbounded_channel();
        let api = Arc::new(Api { moments: sender, event, may_fail, is_given: AtomicBool::new(false) });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(answered_with_error))
            .route("/2018-06-01/runtime/init/error", post(failed))
            .with_state(api);
        let serving = tokio::spawn(async move { drop(axum::serve(listener, routes).await) });
        Ok(Self { address, moments, serving })
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
fn now() -> Instant {
    Instant::now()
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    let at = now();
    if api.is_given.swap(true, Ordering::Relaxed) {
        return std::future::pending().await;
    }
    let _ = api.moments.send(Moment::Ready(at));
    let mut response = api.event.clone().into_response();
    let headers = [
        ("lambda-runtime-aws-request-id", ID),
        ("lambda-runtime-deadline-ms", "32503680000000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:000000000000:function:measured"),
        ("lambda-runtime-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0"),
        ("content-type", "application/json"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn answered(State(api): State<Arc<Api>>) -> StatusCode {
    let _ = api.moments.send(Moment::Answered(now()));
    StatusCode::ACCEPTED
}

async fn answered_with_error(api: State<Arc<Api>>, body: Bytes) -> StatusCode {
    if api.may_fail { answered(api).await } else { failed(api, body).await }
}

async fn failed(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    let _ = api.moments.send(Moment::Failed(String::from_utf8_lossy(&body).into_owned()));
    StatusCode::ACCEPTED
}
