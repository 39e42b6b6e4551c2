//! The invocation that is being served, for the log and for links between traces.

use domain::ApplicationId;
use tracing::Instrument as _;

tokio::task_local! {
    static INVOCATION: Invocation;
}

/// One invocation of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Lambda's id of it.
    pub request_id: String,
    /// The id of the trace that Lambda follows it in, `1-…-…`.
    pub trace_id: Option<String>,
}

impl Invocation {
    /// From Lambda's request id and tracing header, `Root=1-…;Parent=…;Sampled=…`.
    pub fn new(request_id: &str, tracing_header: Option<&str>) -> Self {
        Self { request_id: request_id.to_owned(), trace_id: tracing_header.and_then(root).map(str::to_owned) }
    }

    /// Serves it: every line that `work` logs carries its ids.
    pub async fn serve<F: Future>(self, work: F) -> F::Output {
        let span = tracing::info_span!(
            "invocation",
            request_id = self.request_id,
            trace_id = self.trace_id,
            application_id = tracing::field::Empty,
        );
        INVOCATION.scope(self, work.instrument(span)).await
    }

    /// The one that the caller runs in; `None` outside of any.
    pub fn current() -> Option<Self> {
        INVOCATION.try_with(Clone::clone).ok()
    }

    /// From here on the invocation is about one application: its lines carry the application's id and its trace in
    /// place of Lambda's own.
    pub fn is_about(application: ApplicationId) {
        let span = tracing::Span::current();
        span.record("application_id", tracing::field::display(application));
        span.record("trace_id", tracing::field::display(application.trace_id()));
    }
}

/// The trace that a tracing header names.
pub(crate) fn root(header: &str) -> Option<&str> {
    let root = header.split(';').find_map(|part| part.trim().strip_prefix("Root="))?;
    let is_id = root.len() == 35 && root.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    is_id.then_some(root)
}
