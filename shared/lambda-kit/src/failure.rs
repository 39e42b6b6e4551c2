//! Why an invocation failed.

/// The invocation failed as a whole; Lambda, SQS or the counterparty will deliver it again.
#[derive(Debug, thiserror::Error)]
#[error("{attempted}")]
pub struct Failure {
    attempted: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Failure {
    pub fn new(attempted: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { attempted, source: source.into() }
    }
}

/// The chain of an error in one line, for the one log line at the boundary.
pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
