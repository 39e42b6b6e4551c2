//! What the functions tell of themselves: metrics and the log in one line each, and spans of one trace per application.
//!
//! Triggered by [`ports::observer::Observer`], once for every committed entry. Writes lines to the log, from which
//! CloudWatch makes the metrics, and spans to the X-Ray daemon that Lambda runs beside a function. Makes no call that it
//! waits for, and never retries: what is lost here is lost to those who watch, and to nobody else.

mod emf;
mod invocation;
mod metric_log;
mod tracer;

pub use emf::{FUNCTIONS_NAMESPACE, Line};
pub use invocation::Invocation;
pub use metric_log::{MetricLog, StandardOutput, Traced};
pub use tracer::{TRACED_PERCENT, Tracer};

use domain::ApplicationId;
use jiff::{SignedDuration, Timestamp};
use ports::observer::{Milestone, Observer, Recorded, StageTime};
use std::sync::Arc;

/// Tells the log and, where there is one, the tracer.
pub struct Telemetry {
    pub lines: Arc<dyn MetricLog>,
    pub tracer: Option<Tracer>,
    /// Of the metrics.
    pub namespace: String,
    /// Function and version.
    pub by: Arc<str>,
}

impl Telemetry {
    fn line(&self, application: ApplicationId, at: Timestamp) -> Line {
        Line::at(at)
            .with("application_id", application.to_string())
            .with("trace_id", application.trace_id().to_string())
            .with("by", &*self.by)
    }

    fn stage(&self, line: Line, time: &StageTime) -> Line {
        let rounded = (time.milliseconds() * 1_000.0).round() / 1_000.0;
        let line = line.with("Stage", time.stage.as_str());
        line.metric(&self.namespace, "Stage", "StageMs", "Milliseconds", rounded)
    }

    fn step(&self, line: Line, reached: Milestone) -> Line {
        line.with("Step", reached.as_str()).metric(&self.namespace, "Step", "Reached", "Count", 1)
    }

    fn write(&self, line: Line) {
        self.lines.line(&line.text());
    }
}

impl Observer for Telemetry {
    /// One line with what was recorded, how long its stage took and what was reached; another line for each stage or
    /// step beyond the first, since a dimension has one value in a line.
    fn recorded(&self, recorded: &Recorded<'_>) {
        let Recorded { application, entry, stages, reached } = recorded;
        let events: Vec<&str> = entry.events.iter().map(|event| event.name()).collect();
        let mut line =
            self.line(*application, entry.at).with("entry", entry.number).with("event", events.join(" "));
        let (mut stages_left, mut steps_left) = (stages.iter(), reached.iter());
        loop {
            let (time, reached) = (stages_left.next(), steps_left.next());
            line = time.into_iter().fold(line, |line, time| self.stage(line, time));
            line = reached.into_iter().fold(line, |line, reached| self.step(line, *reached));
            self.write(line);
            if stages_left.len() == 0 && steps_left.len() == 0 {
                break;
            }
            line = self.line(*application, entry.at).with("entry", entry.number);
        }
        if let Some(tracer) = &self.tracer {
            tracer.recorded(&self.by, recorded);
        }
    }

    fn instructed(&self, application: ApplicationId, time: StageTime) {
        self.write(self.stage(self.line(application, time.to), &time));
        if let Some(tracer) = &self.tracer {
            tracer.instructed(&self.by, application, &time);
        }
    }

    fn unknown_payouts(&self, count: usize, at: Timestamp) {
        self.write(Line::at(at).metric(&self.namespace, "", "UnknownPayouts", "Count", count));
    }

    fn swept(&self, lag: SignedDuration, at: Timestamp) {
        self.write(Line::at(at).metric(
            &self.namespace,
            "",
            "SweeperLagSeconds",
            "Seconds",
            lag.as_secs().max(0),
        ));
    }
}

#[cfg(test)]
mod tests;
