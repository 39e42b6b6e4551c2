//! The report on one model of one day.

use crate::{
    calibration::{BandOutcome, Calibration, band, beginnings, by_band, calibration},
    challenger::{ChallengerReport, Pair, compare},
    discrimination::{Discrimination, discrimination},
    settings::{Level, Settings, Thresholds},
    stability::{Counts, Shift, count, shift_of},
};
use domain::checks::Score;
use jiff::civil::Date;
use model::{Distribution, Feature, Manifest};
use serde::Serialize;
use std::collections::BTreeSet;

/// What was seen of one model.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    pub model: &'a str,
    pub day: Date,
    /// `None` where it is not at hand: then there is no training to compare with.
    pub manifest: Option<&'a Manifest>,
    /// First points of each decision band but the lowest, ascending.
    pub bands: &'a [i32],
    /// The applications of the window, of all models.
    pub window: Applications,
    /// What the model said of those that it scored.
    pub scores: &'a [Score],
    /// The older applications whose outcome is due, of all models.
    pub outcome_window: Applications,
    /// Those that the model scored and that became a loan of which the bank has reported, with whether it defaulted.
    pub outcomes: &'a [(Score, bool)],
}

/// Applications of a span of days, and what became of reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Applications {
    /// First and last day, in China.
    pub from: Date,
    pub to: Date,
    /// That the index lists for the span.
    pub listed: usize,
    /// Of which the journal was read; fewer than are listed means a sample.
    pub read: usize,
    /// Read, but received on another day.
    pub outside: usize,
    /// Whose journal cannot be read.
    pub unreadable: usize,
    /// That ended before they were scored.
    pub unscored: usize,
    /// Loans of which the bank has never reported anything; counted where outcomes are due.
    pub unreported: usize,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub model: String,
    pub day: Date,
    /// Whether there were enough applications to tell a shift.
    pub enough: bool,
    /// The highest of the findings; `None` without one.
    pub level: Option<Level>,
    /// Most urgent first.
    pub findings: Vec<Finding>,
    /// What could not be worked out, in words.
    pub notes: Vec<String>,
    pub window: Applications,
    /// That the model scored.
    pub scored: usize,
    /// Of these, whose input was not kept, and whose input has not as many features as the manifest. Passed over.
    pub without_features: usize,
    pub of_another_shape: usize,
    pub points: Option<PointsReport>,
    /// Furthest from training first.
    pub features: Vec<FeatureReport>,
    pub dimensions: Vec<DimensionReport>,
    pub outcomes: Outcomes,
    pub challengers: Vec<ChallengerReport>,
}

/// Something that is far enough from what was expected to be told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    pub level: Level,
    pub measure: Measure,
    /// The feature, where it is one's.
    pub of: Option<String>,
    pub value: f64,
    /// What it has reached.
    pub threshold: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    PointsPsi,
    /// Probability of as many or as few defaults by chance.
    CalibrationChance,
    /// AUC in training less the upper end of the interval now.
    AucLoss,
    FeaturePsi,
}

/// The points of the window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointsReport {
    /// `None` where the manifest does not tell how they were distributed in training.
    pub shift: Option<Shift>,
    pub mean: f64,
    pub mean_default_probability: f64,
    /// In the bins of training.
    pub bins: Vec<Bin>,
    /// In the bands that decide.
    pub bands: Vec<BandShare>,
}

/// A bin of points or of a feature, `above < value <= up_to`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    pub above: Option<f64>,
    pub up_to: Option<f64>,
    /// Shares.
    pub then: f64,
    pub now: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BandShare {
    /// The lowest points that belong to it; `None` for the lowest band.
    pub from: Option<i32>,
    pub applications: usize,
    pub share: f64,
}

/// One feature in the window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureReport {
    pub name: String,
    pub dimension: String,
    pub shift: Option<Shift>,
    /// Shares without a value.
    pub missing_then: Option<f64>,
    pub missing_now: f64,
    /// Share of all applications whose value lies outside the range of training.
    pub outside_range: f64,
    /// In the bins of training; the page leaves them out.
    pub bins: Vec<Bin>,
}

/// One dimension in the window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DimensionReport {
    pub name: String,
    /// Share of applications without a value in any of its features.
    pub missing_now: f64,
}

/// What became of loans.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcomes {
    pub window: Applications,
    /// Share that defaulted in training.
    pub base_rate: Option<f64>,
    /// AUC on the rows held out of training.
    pub auc_then: Option<f64>,
    pub calibration: Calibration,
    pub bands: Vec<BandOutcome>,
    /// `None` when there are not enough of both outcomes.
    pub discrimination: Option<Discrimination>,
}

/// Works the report out.
pub fn report(seen: &Observed<'_>, settings: &Settings) -> Report {
    let features = seen.manifest.map_or(0, |manifest| manifest.features.len());
    let (empty, kept): (Vec<&Score>, Vec<&Score>) =
        seen.scores.iter().partition(|score| score.features.is_empty());
    let fits = |score: &&Score| seen.manifest.is_none() || score.features.as_slice().len() == features;
    let rows: Vec<&Score> = kept.iter().copied().filter(fits).collect();
    let mut report = Report {
        model: seen.model.to_owned(),
        day: seen.day,
        enough: rows.len() >= settings.least_applications,
        level: None,
        findings: Vec::new(),
        notes: Vec::new(),
        window: seen.window,
        scored: seen.scores.len(),
        without_features: empty.len(),
        of_another_shape: kept.len() - rows.len(),
        points: points(seen, &rows),
        features: seen.manifest.map(|manifest| feature_reports(manifest, &rows)).unwrap_or_default(),
        dimensions: seen.manifest.map(|manifest| dimension_reports(manifest, &rows)).unwrap_or_default(),
        outcomes: outcomes(seen, settings),
        challengers: challengers(seen, settings),
    };
    report.notes = notes(seen, &report, rows.len(), settings);
    report.findings = findings(&report, settings);
    report.level = report.findings.iter().map(|finding| finding.level).max();
    report
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn points(seen: &Observed<'_>, rows: &[&Score]) -> Option<PointsReport> {
    let mean = |value: fn(&Score) -> f64| rows.iter().map(|row| value(row)).sum::<f64>() / rows.len() as f64;
    if rows.is_empty() {
        return None;
    }
    let then = seen.manifest.and_then(|manifest| manifest.score_distribution.as_ref());
    let counts = then.map(|then| (then, count(then, rows.iter().map(|row| f64::from(row.points)))));
    let of_band = |(place, from): (usize, Option<i32>)| {
        let applications = rows.iter().filter(|row| band(seen.bands, row.points) == place).count();
        BandShare { from, applications, share: share(applications, rows.len()) }
    };
    Some(PointsReport {
        shift: counts.as_ref().and_then(|(then, now)| shift_of(then, now)),
        mean: mean(|row| f64::from(row.points)),
        mean_default_probability: mean(|row| row.default_probability),
        bins: counts.map(|(then, now)| bins(then, &now, rows.len())).unwrap_or_default(),
        bands: beginnings(seen.bands).enumerate().map(of_band).collect(),
    })
}

fn bins(then: &Distribution, now: &Counts, rows: usize) -> Vec<Bin> {
    let edge = |place: Option<usize>| place.and_then(|place| then.edges.get(place)).copied();
    let shares = then.shares.iter().zip(&now.bins).enumerate();
    let bin = |(place, (then, now)): (usize, (&f64, &usize))| Bin {
        above: edge(place.checked_sub(1)),
        up_to: edge(Some(place)),
        then: *then,
        now: share(*now, rows),
    };
    shares.map(bin).collect()
}

fn feature_reports(manifest: &Manifest, rows: &[&Score]) -> Vec<FeatureReport> {
    let mut reports: Vec<FeatureReport> = manifest
        .features
        .iter()
        .enumerate()
        .map(|(place, feature)| {
            let column = rows.iter().filter_map(|row| row.features.as_slice().get(place).copied());
            feature_report(feature, &column.map(f64::from).collect::<Vec<f64>>())
        })
        .collect();
    let psi = |report: &FeatureReport| report.shift.map_or(0.0, |shift| shift.psi);
    reports.sort_by(|a, b| psi(b).total_cmp(&psi(a)));
    reports
}

fn feature_report(feature: &Feature, column: &[f64]) -> FeatureReport {
    let [low, high] = feature.range;
    let outside = |x: &&f64| low.is_some_and(|low| **x < low) || high.is_some_and(|high| **x > high);
    let then = feature.distribution.as_ref();
    let counts = then.map(|then| (then, count(then, column.iter().copied())));
    FeatureReport {
        name: feature.name.clone(),
        dimension: feature.dimension.clone(),
        shift: counts.as_ref().and_then(|(then, now)| shift_of(then, now)),
        bins: counts.map(|(then, now)| bins(then, &now, column.len())).unwrap_or_default(),
        missing_then: then.map(|then| then.missing),
        missing_now: share(column.iter().filter(|x| x.is_nan()).count(), column.len()),
        outside_range: share(column.iter().filter(outside).count(), column.len()),
    }
}

fn dimension_reports(manifest: &Manifest, rows: &[&Score]) -> Vec<DimensionReport> {
    let report = |name: &String| {
        let of_it = |row: &Score| {
            let values = manifest.features.iter().zip(row.features.as_slice());
            values.filter(|(feature, _)| feature.dimension == *name).all(|(_, value)| value.is_nan())
        };
        let missing = rows.iter().filter(|row| of_it(row)).count();
        DimensionReport { name: name.clone(), missing_now: share(missing, rows.len()) }
    };
    manifest.dimensions.iter().map(report).collect()
}

fn outcomes(seen: &Observed<'_>, settings: &Settings) -> Outcomes {
    let rows: Vec<(f64, bool)> =
        seen.outcomes.iter().map(|(score, defaulted)| (score.default_probability, *defaulted)).collect();
    let by_points: Vec<(i32, f64, bool)> = seen
        .outcomes
        .iter()
        .map(|(score, defaulted)| (score.points, score.default_probability, *defaulted))
        .collect();
    let calibration = calibration(rows.iter().copied());
    let fewer = calibration.defaulted.min(calibration.loans - calibration.defaulted);
    let enough = fewer >= settings.outcome.least_of_each;
    Outcomes {
        window: seen.outcome_window,
        base_rate: seen.manifest.and_then(|manifest| manifest.base_rate),
        auc_then: seen.manifest.and_then(|manifest| manifest.metrics.pointer("/fused/auc")?.as_f64()),
        calibration,
        bands: by_band(seen.bands, &by_points),
        discrimination: if enough { discrimination(&rows) } else { None },
    }
}

fn challengers(seen: &Observed<'_>, settings: &Settings) -> Vec<ChallengerReport> {
    let all = seen.scores.iter().chain(seen.outcomes.iter().map(|(score, _)| score));
    let models: BTreeSet<&str> = all
        .filter_map(|score| score.challenger.as_ref())
        .map(|challenger| challenger.model.as_str())
        .collect();
    let points = seen.manifest.and_then(|manifest| manifest.score_distribution.as_ref());
    let report = |model: &str| {
        let pair = |score: &Score, defaulted: Option<bool>| {
            let challenger = score.challenger.as_ref().filter(|challenger| challenger.model == model)?;
            Some(Pair {
                points: score.points,
                default_probability: score.default_probability,
                challenger_points: challenger.points,
                challenger_probability: challenger.default_probability,
                defaulted,
            })
        };
        let window: Vec<Pair> = seen.scores.iter().filter_map(|score| pair(score, None)).collect();
        let outcomes: Vec<Pair> =
            seen.outcomes.iter().filter_map(|(score, defaulted)| pair(score, Some(*defaulted))).collect();
        compare(model, &window, &outcomes, points, seen.bands, settings.outcome.least_of_each)
    };
    models.into_iter().map(report).collect()
}

fn notes(seen: &Observed<'_>, report: &Report, rows: usize, settings: &Settings) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |applies: bool, text: String| {
        if applies {
            notes.push(text);
        }
    };
    let described = report.points.as_ref().is_some_and(|points| points.shift.is_some());
    note(
        seen.manifest.is_none(),
        "The manifest of this model is not at hand, so there is no training to compare with.".to_owned(),
    );
    note(
        seen.manifest.is_some() && rows > 0 && !described,
        "The manifest does not tell how training was distributed.".to_owned(),
    );
    let least = settings.least_applications;
    note(!report.enough, format!("{rows} applications are too few to tell a shift; {least} are needed."));
    note(
        report.window.read < report.window.listed,
        format!("A sample: {} of {} applications were read.", report.window.read, report.window.listed),
    );
    let (outcomes, each) = (&report.outcomes.calibration, settings.outcome.least_of_each);
    note(
        report.outcomes.discrimination.is_none(),
        format!(
            "{} defaults and {} other loans are not enough to tell AUC and KS; {each} of each are needed.",
            outcomes.defaulted,
            outcomes.loans - outcomes.defaulted
        ),
    );
    note(
        !tells_calibration(outcomes, settings),
        format!("Calibration is told once {each} defaults are seen or predicted."),
    );
    note(seen.bands.is_empty(), "No product decides by this model's points.".to_owned());
    notes
}

/// Few defaults are not normally distributed. Many that were predicted and did not come count as well.
fn tells_calibration(calibration: &Calibration, settings: &Settings) -> bool {
    calibration.predicted.max(calibration.defaulted as f64) >= settings.outcome.least_of_each as f64
}

fn findings(report: &Report, settings: &Settings) -> Vec<Finding> {
    let told = |shift: Option<Shift>, measure, of| {
        let shift = shift.filter(|shift| report.enough && shift.by_chance <= settings.chance);
        shift.and_then(|shift| finding(&settings.psi, measure, of, shift.psi))
    };
    let points = report.points.as_ref().and_then(|points| points.shift);
    let mut findings: Vec<Finding> = told(points, Measure::PointsPsi, None).into_iter().collect();
    findings.extend(
        report.features.iter().filter_map(|f| told(f.shift, Measure::FeaturePsi, Some(f.name.clone()))),
    );
    let outcomes = &report.outcomes;
    let chance =
        outcomes.calibration.by_chance.filter(|_| tells_calibration(&outcomes.calibration, settings));
    findings.extend(chance.and_then(|value| {
        let (level, threshold) = settings.calibration.from_above(value)?;
        Some(Finding { level, measure: Measure::CalibrationChance, of: None, value, threshold })
    }));
    if let (Some(then), Some(now)) = (outcomes.auc_then, &outcomes.discrimination) {
        findings.extend(finding(&settings.auc_loss, Measure::AucLoss, None, then - now.auc.high));
    }
    // A sort that keeps the order of equals: the features already stand by their distance.
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.level), finding.measure));
    findings
}

fn finding(thresholds: &Thresholds, measure: Measure, of: Option<String>, value: f64) -> Option<Finding> {
    let (level, threshold) = thresholds.from_below(value)?;
    Some(Finding { level, measure, of, value, threshold })
}

#[cfg(test)]
mod tests;
