//! How much each function logs, in the form in which it would on Lambda. Logs cost more than most calls.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};
use telemetry::MetricLog;
use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, Layer, Registry};

tokio::task_local! {
    static FUNCTION: Arc<str>;
}

/// Bytes of lines by function, since the last time that they were taken.
static BYTES: Mutex<BTreeMap<Arc<str>, u64>> = Mutex::new(BTreeMap::new());

/// Runs an invocation of the function; what it logs counts for the function.
pub(crate) async fn of<F: Future>(function: Arc<str>, work: F) -> F::Output {
    FUNCTION.scope(function, work).await
}

/// The bytes of each function since the last call.
pub fn take() -> BTreeMap<Arc<str>, u64> {
    std::mem::take(&mut *BYTES.lock().unwrap_or_else(PoisonError::into_inner))
}

fn count(bytes: usize) {
    // What nobody's invocation logs is the runner's own.
    let _ = FUNCTION.try_with(|function| {
        let mut counts = BYTES.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(Arc::clone(function)).or_default() += bytes as u64;
    });
}

/// A layer that writes the log as Lambda would, at its level, and keeps nothing but its length.
pub fn layer() -> impl Layer<Registry>
where
    Registry: Subscriber,
{
    lambda_kit::json_lines(|| Counted).with_filter(EnvFilter::new("info"))
}

/// Counts what is written to it.
struct Counted;

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        count(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts lines of metrics.
pub struct CountedMetrics;

impl MetricLog for CountedMetrics {
    fn line(&self, text: &str) {
        count(text.len() + 1);
    }
}
