//! Starting, stopping and idling, the same for every counterparty.

use axum::{Router, extract::DefaultBodyLimit};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Largest request that is read, in bytes.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// How long a stopping server may take over the answers that it has begun.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// A counterparty could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("port {port} on the loopback interface could not be opened")]
    Port { port: u16, source: io::Error },
    #[error("the HTTP client for callbacks could not be built")]
    Client(#[from] reqwest::Error),
    #[error("the book could not be read")]
    Book(#[source] io::Error),
}

/// Callbacks that are under way, and the word to stop.
#[derive(Clone)]
pub(crate) struct Background {
    tasks: Arc<Mutex<JoinSet<()>>>,
    under_way: Arc<watch::Sender<usize>>,
    stopping: Arc<watch::Sender<bool>>,
}

impl Background {
    pub(crate) fn new() -> Self {
        Self {
            tasks: Arc::default(),
            under_way: Arc::new(watch::Sender::new(0)),
            stopping: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Runs a task that ends by itself or with the server.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let counted = Counted::new(&self.under_way);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let _counted = counted;
            task.await;
        });
    }

    /// Resolves when the server has been told to stop.
    pub(crate) async fn stopped(&self) {
        // An error would mean that the sender is gone, and `self` holds it.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    fn stop(&self) {
        self.stopping.send_replace(true);
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

/// Counts one task for as long as it lives, however it ends.
struct Counted(Arc<watch::Sender<usize>>);

impl Counted {
    fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A running counterparty. Dropping it stops it too, without waiting.
pub struct Handle {
    url: String,
    background: Background,
    server: JoinHandle<()>,
}

impl Handle {
    /// Base URL, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until every callback has been taken, refused or given up.
    pub async fn idle(&self) {
        let _ = self.background.under_way.subscribe().wait_for(|count| *count == 0).await;
    }

    /// How many callbacks and payments are under way, those at a [`crate::Gate`] included.
    pub fn under_way(&self) -> usize {
        *self.background.under_way.borrow()
    }

    /// Answers the requests that are being answered, drops the callbacks that are still due, and ends.
    pub async fn stop(mut self) {
        self.background.stop();
        if tokio::time::timeout(STOP_WITHIN, &mut self.server).await.is_err() {
            tracing::warn!("a simulated counterparty was cut off while it answered");
            self.server.abort();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.background.stop();
    }
}

/// Opens the port on 127.0.0.1 (0 picks a free one) and serves.
pub(crate) async fn serve(port: u16, router: Router, background: Background) -> Result<Handle, StartError> {
    let failed = |source| StartError::Port { port, source };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let url = format!("http://{}", listener.local_addr().map_err(failed)?);
    let router = router.layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES));
    let until = background.clone();
    let server = tokio::spawn(async move {
        let stopped = async move { until.stopped().await };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
            tracing::error!(%error, "a simulated counterparty ended");
        }
    });
    Ok(Handle { url, background, server })
}
