//! Where lines of the log go.

use std::io::Write as _;

/// Takes lines of the log, each a JSON object.
pub trait MetricLog: Send + Sync {
    fn line(&self, text: &str);
}

/// Lambda reads a function's standard output into its log; a metric has to be a line of its own there.
pub struct StandardOutput;

impl MetricLog for StandardOutput {
    fn line(&self, text: &str) {
        // Without a standard output there is nobody to tell.
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
}

/// Outside of Lambda nobody reads metrics; the log keeps them where it is asked for that much.
pub struct Traced;

impl MetricLog for Traced {
    fn line(&self, text: &str) {
        tracing::debug!(metrics = text, "metrics");
    }
}
