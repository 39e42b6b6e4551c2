//! Metrics as lines of the log: CloudWatch's embedded metric format, which it turns into metrics by itself. Needs no
//! permission and makes no call. Carries counts and figures of models and nothing of an application.

use drift::{Level, Measure, Report};
use jiff::Timestamp;
use serde_json::json;
use telemetry::Line;

/// Where the metrics are found; the alarms of the template name it.
pub const NAMESPACE: &str = "Lending/Models";
/// Lambda's own name for a function, by which the alarms of several environments in one account tell theirs.
pub(crate) const FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";

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
    let values = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let (line, metrics) = values.fold((Line::at(now), Vec::new()), |(line, mut metrics), (name, value)| {
        metrics.push(json!({ "Name": name }));
        (line.with(name, value), metrics)
    });
    line.with("FunctionName", function)
        .with("Model", report.model.as_str())
        .directive(NAMESPACE, json!([["FunctionName"], ["FunctionName", "Model"]]), json!(metrics))
        .text()
}

const fn number(level: Level) -> u8 {
    match level {
        Level::Notice => 1,
        Level::Attention => 2,
        Level::Warning => 3,
    }
}
