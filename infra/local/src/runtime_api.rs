//! Lambda's Runtime API for one process: it hands out events as they are given to it, one after the other, and tells what
//! the process does with them.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use std::{io, net::Ipv4Addr, sync::Arc, time::Instant};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

const ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

/// What a process did, and when.
pub(crate) enum Moment {
    /// Asked for an event.
    Ready(Instant),
    /// Answered the last one, with these bytes.
    Answered(Instant, Bytes),
    /// Said that it could not start or answer; with its words.
    Failed(String),
}

struct Api {
    moments: mpsc::UnboundedSender<Moment>,
    events: Mutex<mpsc::UnboundedReceiver<String>>,
    /// An answer that tells of an error is one too.
    may_fail: bool,
}

/// The API while it is served.
pub(crate) struct RuntimeApi {
    pub address: String,
    pub moments: mpsc::UnboundedReceiver<Moment>,
    events: mpsc::UnboundedSender<String>,
    serving: JoinHandle<()>,
}

impl RuntimeApi {
    /// Serves a port of its own. The process `may_fail` at what it is given.
    ///
    /// # Errors
    /// When there is no port.
    pub(crate) fn start(may_fail: bool) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?.to_string();
        let (sender, moments) = mpsc::unbounded_channel();
        let (events, given) = mpsc::unbounded_channel();
        let api = Arc::new(Api { moments: sender, events: Mutex::new(given), may_fail });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(answered_with_error))
            .route("/2018-06-01/runtime/init/error", post(failed))
            .with_state(api);
        let serving = tokio::spawn(async move { drop(axum::serve(listener, routes).await) });
        Ok(Self { address, moments, events, serving })
    }

    /// Gives the process an event, as JSON, for when it asks next.
    pub(crate) fn give(&self, event: String) {
        // Nobody takes it once the API has stopped, and then nobody waits for an answer either.
        let _ = self.events.send(event);
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
    let _ = api.moments.send(Moment::Ready(now()));
    let Some(event) = api.events.lock().await.recv().await else { return std::future::pending().await };
    let mut response = event.into_response();
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

async fn answered(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    let _ = api.moments.send(Moment::Answered(now(), body));
    StatusCode::ACCEPTED
}

async fn answered_with_error(api: State<Arc<Api>>, body: Bytes) -> StatusCode {
    if api.may_fail { answered(api, body).await } else { failed(api, body).await }
}

async fn failed(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    let _ = api.moments.send(Moment::Failed(String::from_utf8_lossy(&body).into_owned()));
    StatusCode::ACCEPTED
}
