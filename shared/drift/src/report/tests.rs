use super::*;
use domain::{FeatureRow, checks::ChallengerScore};
use jiff::civil::date;
use serde_json::{Value, json};

const SETTINGS: &str = include_str!("../../../../models/monitoring.json");
const BANDS: [i32; 2] = [590, 600];

fn settings() -> Settings {
    Settings::parse(SETTINGS.as_bytes()).unwrap()
}

/// Two features in two dimensions, half of the rows on either side of 1, and a tenth of the second one missing.
fn manifest() -> Manifest {
    let feature = |name: &str, dimension: &str, shares: [f64; 2], missing: f64| {
        json!({
            "name": name, "dimension": dimension, "unit": "count", "direction": 0, "missing": "unknown",
            "range": [0, 2], "reason": "X", "extract": { "kind": "value", "source": "s", "field": name },
            "distribution": { "edges": [1.0], "shares": shares, "missing": missing },
        })
    };
    let manifest = json!({
        "version": "1", "target": "default", "model": "m.onnx", "dimensions": ["a", "b"],
        "metrics": { "fused": { "auc": 0.9 } }, "learners": [{ "name": "l", "dimension": "a" }],
        "reasons": { "X": { "zh": "\u{96F6}", "en": "X is bad" } }, "reason_missing": "X",
        "features": [feature("x", "a", [0.5, 0.5], 0.0), feature("y", "b", [0.5, 0.4], 0.1)],
        "scale": { "points_at_odds": 600, "odds": 30, "points_to_double_odds": 20, "lowest": 300, "highest": 900 },
        "score_distribution": { "edges": [599.0], "shares": [0.5, 0.5], "missing": 0.0 },
        "base_rate": 0.1, "sha256": { "m.onnx": "00" },
    });
    Manifest::parse(manifest.to_string().as_bytes()).unwrap()
}

fn score(points: i32, default_probability: f64, features: &[f32]) -> Score {
    let score = json!({
        "model": "1", "default_probability": default_probability, "points": points, "dimensions": [],
        "firm_age_days": null, "supported_amount_fen": null,
    });
    Score { features: FeatureRow::new(features.to_vec()), ..serde_json::from_value(score).unwrap() }
}

/// A hundred rows as in training.
fn as_trained() -> Vec<Score> {
    let side = |n: usize| if n.is_multiple_of(2) { 0.5 } else { 1.5 };
    let second = |n: usize| {
        if n < 50 {
            0.5
        } else if n < 90 {
            1.5
        } else {
            f32::NAN
        }
    };
    (0..100).map(|n| score(if n < 50 { 595 } else { 605 }, 0.1, &[side(n), second(n)])).collect()
}

fn applications(day: Date) -> Applications {
    Applications {
        from: day,
        to: day,
        listed: 100,
        read: 100,
        outside: 0,
        unreadable: 0,
        unscored: 0,
        unreported: 0,
    }
}

fn reported(manifest: Option<&Manifest>, scores: &[Score], outcomes: &[(Score, bool)]) -> Report {
    let day = date(2026, 11, 25);
    let seen = Observed {
        model: "1",
        day,
        manifest,
        bands: &BANDS,
        window: applications(day),
        scores,
        outcome_window: applications(date(2025, 11, 25)),
        outcomes,
    };
    report(&seen, &settings())
}

#[test]
fn rows_as_in_training_are_nothing_to_tell() {
    let told = reported(Some(&manifest()), &as_trained(), &[]);
    assert_eq!((told.level, &told.findings), (None, &Vec::new()), "{told:?}");
    let points = told.points.unwrap();
    assert!(points.shift.unwrap().psi < 1e-12);
    assert_eq!(points.mean, 600.0);
    assert_eq!(points.bins[0], Bin { above: None, up_to: Some(599.0), then: 0.5, now: 0.5 });
    assert_eq!(points.bands.iter().map(|band| band.applications).collect::<Vec<_>>(), [0, 50, 50]);
    assert_eq!(told.features[1].missing_now, 0.1);
    assert_eq!(told.dimensions[1], DimensionReport { name: "b".into(), missing_now: 0.1 });
}

#[test]
fn what_has_moved_is_told_furthest_first_with_the_threshold_that_it_reached() {
    let moved: Vec<Score> = as_trained()
        .into_iter()
        .map(|row| Score { points: row.points - 100, features: FeatureRow::new(vec![0.5, f32::NAN]), ..row })
        .collect();
    let told = reported(Some(&manifest()), &moved, &[]);
    assert_eq!(told.level, Some(Level::Warning));
    let findings: Vec<_> = told.findings.iter().map(|f| (f.level, f.measure, f.of.as_deref())).collect();
    let warning = |measure, of| (Level::Warning, measure, of);
    assert_eq!(
        findings,
        [
            warning(Measure::PointsPsi, None),
            warning(Measure::FeaturePsi, Some("y")),
            warning(Measure::FeaturePsi, Some("x")),
        ]
    );
    assert!(told.findings.iter().all(|finding| finding.threshold == 0.25 && finding.value > 0.25));
    assert_eq!(told.features[0].name, "y");
    assert_eq!(told.dimensions[1].missing_now, 1.0);
}

#[test]
fn a_value_outside_the_range_of_training_is_counted() {
    let mut rows = as_trained();
    rows[0].features = FeatureRow::new(vec![2.5, -1.0]);
    rows[1].features = FeatureRow::new(vec![2.0, f32::NAN]);
    let told = reported(Some(&manifest()), &rows, &[]);
    assert!(told.features.iter().all(|feature| feature.outside_range == 0.01), "{:?}", told.features);
}

#[test]
fn few_rows_and_rows_without_input_tell_no_shift_and_are_counted() {
    let mut rows: Vec<Score> = as_trained().into_iter().take(99).collect();
    rows.iter_mut().for_each(|row| row.points = 300);
    rows.push(score(300, 0.9, &[]));
    rows.push(score(300, 0.9, &[1.0]));
    let told = reported(Some(&manifest()), &rows, &[]);
    assert_eq!((told.scored, told.without_features, told.of_another_shape), (101, 1, 1));
    assert_eq!(told.level, None);
    assert!(told.points.unwrap().shift.unwrap().psi > 0.25);
    assert!(told.notes[0].starts_with("99 applications are too few"), "{:?}", told.notes);
}

#[test]
fn without_a_manifest_the_report_says_so_and_tells_what_it_can() {
    let told = reported(None, &as_trained(), &[]);
    assert!(told.notes[0].contains("manifest of this model is not at hand"), "{:?}", told.notes);
    let points = told.points.unwrap();
    assert_eq!((points.shift, points.bins.len(), points.bands.len()), (None, 0, 3));
    assert!(told.features.is_empty() && told.level.is_none());
    let mut old = manifest();
    old.score_distribution = None;
    old.features.iter_mut().for_each(|feature| feature.distribution = None);
    let told = reported(Some(&old), &as_trained(), &[]);
    assert!(told.notes[0].contains("does not tell how training was distributed"), "{:?}", told.notes);
    assert_eq!(told.features[0].shift, None);
}

/// Four hundred loans of a predicted chance of 10 %, of which every nth defaults.
fn loans(every: usize) -> Vec<(Score, bool)> {
    let chance = |n: usize| if n.is_multiple_of(2) { 0.12 } else { 0.08 };
    (0..400).map(|n| (score(595, chance(n), &[]), n % every == 0)).collect()
}

#[test]
fn more_defaults_than_predicted_are_told_and_as_many_are_not() {
    let told = reported(Some(&manifest()), &[], &loans(10));
    assert_eq!((told.outcomes.calibration.defaulted, told.outcomes.base_rate), (40, Some(0.1)));
    assert!((told.outcomes.calibration.predicted - 40.0).abs() < 1e-9);
    assert!(!told.findings.iter().any(|f| f.measure == Measure::CalibrationChance), "{:?}", told.findings);
    assert_eq!(told.outcomes.bands[1].loans, 400);

    let told = reported(Some(&manifest()), &[], &loans(4));
    let found = told.findings.iter().find(|f| f.measure == Measure::CalibrationChance).unwrap();
    assert_eq!((found.level, found.threshold), (Level::Warning, 0.001));
    let none: Vec<_> = loans(10).into_iter().map(|(score, _)| (score, false)).collect();
    let told = reported(Some(&manifest()), &[], &none);
    assert_eq!(told.level, Some(Level::Warning), "none came of forty that were predicted");
    assert_eq!(told.outcomes.discrimination, None);
}

#[test]
fn an_auc_below_that_of_training_is_told_when_its_interval_is() {
    // Every tenth defaults, and tenths are even: those have the higher chance. Half of the others as well.
    let told = reported(Some(&manifest()), &[], &loans(10));
    let auc = told.outcomes.discrimination.unwrap().auc;
    assert!((auc.value - (1.0 - 160.0 / 360.0 / 2.0)).abs() < 1e-12, "{auc:?}");
    let found = told.findings.iter().find(|f| f.measure == Measure::AucLoss).unwrap();
    assert!((found.value - (0.9 - auc.high)).abs() < 1e-12 && found.level == Level::Warning);
}

#[test]
fn few_outcomes_tell_nothing_and_the_report_says_how_many_there_are() {
    let told = reported(Some(&manifest()), &as_trained(), &loans(10)[..100]);
    assert_eq!((told.level, told.outcomes.discrimination), (None, None));
    assert!(told.notes[0].starts_with("10 defaults and 90 other loans are not enough"), "{:?}", told.notes);
}

#[test]
fn each_challenger_is_compared_on_what_both_scored() {
    let mut rows = as_trained();
    for (place, row) in rows.iter_mut().enumerate() {
        let model = match place {
            0..50 => "2",
            50..60 => "<3>",
            _ => continue,
        };
        let challenger =
            ChallengerScore { model: model.into(), default_probability: 0.2, points: row.points + 5 };
        row.challenger = Some(challenger);
    }
    let told = reported(Some(&manifest()), &rows, &[]);
    let counted: Vec<_> = told.challengers.iter().map(|c| (c.model.as_str(), c.applications)).collect();
    assert_eq!(counted, [("2", 50), ("<3>", 10)]);
    assert_eq!(told.challengers[0].mean_difference_points, Some(5.0));
    assert_eq!(told.challengers[0].crossings[1], crate::Crossing { edge: 600, up: 1.0, down: 0.0 });
    let page = crate::page(&told);
    assert!(page.contains("Challenger &lt;3&gt;") && !page.contains("<3>"), "{page}");
}

#[test]
fn the_page_is_whole_and_the_json_has_no_number_that_is_none() {
    for (manifest, scores, outcomes) in [
        (Some(manifest()), as_trained(), loans(4)),
        (None, as_trained(), Vec::new()),
        (Some(manifest()), Vec::new(), Vec::new()),
    ] {
        let told = reported(manifest.as_ref(), &scores, &outcomes);
        let page = crate::page(&told);
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        assert!(!page.contains("<script") && !page.contains("NaN") && !page.contains("inf"), "{page}");
        let json: Value = serde_json::to_value(&told).unwrap();
        assert_eq!(json["day"], "2026-11-25");
        assert_eq!(crate::page(&told), page);
    }
}
