//! Metrics as lines of the log: CloudWatch's embedded metric format, which it turns into metrics by itself. Needs no
//! permission and makes no call. Carries counts and figures of models and nothing of an application.

use drift::{Level, Measure, Report};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::io::Write as _;

/// Where the metrics are found; the alarms of the template name it.
pub const NAMESPACE: &str = "Lending/Models";
/// Lambda's own name for a function, by which the alarms of several environments in one account tell theirs.
pub(crate) const FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";

/// Takes lines of metrics.
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

/// Outside of Lambda nobody reads metrics; the trace keeps them.
pub struct Traced;

impl MetricLog for Traced {
    fn line(&self, text: &str) {
        tracing::debug!(metrics = text, "metrics of a model");
    }
}

/// The line of a report. The metrics are there for each model and, for the alarms, over all models of the function.
/// Levels are 0 for nothing to tell, 1 for a notice, 2 for attention, 3 for a warning.
pub(crate) fn line(function: &str, report: &Report, now: Timestamp) -> String {
    let level = |wanted: Measure| {
        let levels = report.findings.iter().filter(|finding| finding.measure == wanted).map(|f| f.level);
        levels.max().map_or(0, number)
    };
    let outcomes = &report.outcomes;
    let values = [
        ("Applications", Some(json!(report.scored))),
        ("PointsLevel", Some(json!(level(Measure::PointsPsi)))),
        ("FeaturesLevel", Some(json!(level(Measure::FeaturePsi)))),
        ("CalibrationLevel", Some(json!(level(Measure::CalibrationChance)))),
        ("AucLevel", Some(json!(level(Measure::AucLoss)))),
        ("PointsPsi", report.points.as_ref().and_then(|points| points.shift).map(|shift| json!(shift.psi))),
        ("Outcomes", Some(json!(outcomes.calibration.loans))),
        ("CalibrationZ", outcomes.calibration.z.map(|z| json!(z))),
        ("Auc", outcomes.discrimination.map(|told| json!(told.auc.value))),
    ];
    let values: Map<String, Value> =
        values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    let metrics: Vec<Value> = values.keys().map(|name| json!({ "Name": name })).collect();
    let directive = json!({
        "Namespace": NAMESPACE,
        "Dimensions": [["FunctionName"], ["FunctionName", "Model"]],
        "Metrics": metrics,
    });
    let mut line = values;
    line.insert("FunctionName".to_owned(), json!(function));
    line.insert("Model".to_owned(), json!(report.model));
    line.insert(
        "_aws".to_owned(),
        json!({ "Timestamp": now.as_millisecond(), "CloudWatchMetrics": [directive] }),
    );
    Value::Object(line).to_string()
}

const fn number(level: Level) -> u8 {
    match level {
        Level::Notice => 1,
        Level::Attention => 2,
        Level::Warning => 3,
    }
}
