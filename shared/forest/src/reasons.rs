//! What an explanation comes to for a person: points by dimension, and the reasons that cost a firm most.

use std::collections::BTreeMap;

use model::Manifest;

use crate::Explanation;

/// One reason that costs a firm points, with its code in [`Manifest::reasons`].
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    pub code: String,
    /// What it costs, on the manifest's scale; above zero.
    pub points: f64,
}

impl Explanation {
    /// Points that each dimension adds (or costs, below zero) beside what is expected of a firm, in the manifest's order.
    pub fn points_by_dimension(&self, manifest: &Manifest) -> Vec<f64> {
        let mut log_odds = self.missing.clone();
        for (feature, contribution) in manifest.features.iter().zip(&self.contributions) {
            log_odds[manifest.dimension(&feature.dimension)] += contribution;
        }
        log_odds.into_iter().map(|log_odds| -manifest.scale.points_per_log_odds() * log_odds).collect()
    }

    /// The reasons that cost most, at most `most`, those that cost more first. Features with the same reason are added
    /// up; what is missing is one reason of its own. A reason that costs less than half a point is not told.
    pub fn reasons(&self, manifest: &Manifest, features: &[f32], most: usize) -> Vec<Reason> {
        let mut costs: BTreeMap<&str, f64> = BTreeMap::new();
        for ((feature, contribution), value) in
            manifest.features.iter().zip(&self.contributions).zip(features)
        {
            let code = if value.is_nan() { &manifest.reason_missing } else { &feature.reason };
            *costs.entry(code).or_default() += contribution;
        }
        *costs.entry(&manifest.reason_missing).or_default() += self.missing.iter().sum::<f64>();
        let per_log_odds = manifest.scale.points_per_log_odds();
        let told = costs
            .into_iter()
            .map(|(code, cost)| Reason { code: code.to_owned(), points: cost * per_log_odds });
        let mut told: Vec<Reason> = told.filter(|reason| reason.points >= 0.5).collect();
        told.sort_by(|one, other| other.points.total_cmp(&one.points));
        told.truncate(most);
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Three features in two dimensions; the first two give the same reason.
    fn manifest() -> Manifest {
        let feature = |name: &str, dimension: &str, reason: &str| {
            json!({ "name": name, "dimension": dimension, "unit": "count", "direction": 0, "missing": "unknown",
                    "range": [0, 1], "reason": reason,
                    "extract": { "kind": "value", "source": "s", "field": name } })
        };
        let text = json!({ "zh": "零", "en": "nought" });
        let manifest = json!({
            "version": "1", "target": "default", "model": "m.onnx", "dimensions": ["a", "b"], "metrics": {},
            "learners": [{ "name": "l", "dimension": "a" }],
            "features": [feature("x", "a", "X"), feature("y", "b", "X"), feature("z", "b", "Z")],
            "reasons": { "X": text, "Z": text, "MISSING": text }, "reason_missing": "MISSING",
            "scale": { "points_at_odds": 600, "odds": 30, "points_to_double_odds": 20, "lowest": 300,
                       "highest": 900 },
            "sha256": { "m.onnx": "00" },
        });
        Manifest::parse(manifest.to_string().as_bytes()).unwrap()
    }

    fn codes(contributions: [f64; 3], missing: [f64; 2], features: [f32; 3]) -> Vec<(String, i64)> {
        let told =
            Explanation { base: -3.0, contributions: contributions.to_vec(), missing: missing.to_vec() };
        let told = told.reasons(&manifest(), &features, 4);
        told.into_iter().map(|reason| (reason.code, reason.points.round() as i64)).collect()
    }

    const DOUBLED: f64 = std::f64::consts::LN_2;

    #[test]
    fn features_with_one_reason_are_added_up_and_the_dearest_comes_first() {
        let told = codes([DOUBLED, DOUBLED, 1.5 * DOUBLED], [0.0; 2], [1.0; 3]);
        assert_eq!(told, [("X".to_owned(), 40), ("Z".to_owned(), 30)]);
        let told = codes([DOUBLED, -DOUBLED, 1.5 * DOUBLED], [0.0; 2], [1.0; 3]);
        assert_eq!(told, [("Z".to_owned(), 30)]);
    }

    #[test]
    fn what_speaks_for_a_firm_is_no_reason() {
        assert_eq!(codes([-1.0, 0.001, -1.0], [0.0; 2], [1.0; 3]), []);
    }

    #[test]
    fn a_missing_value_is_told_as_missing_and_not_as_bad() {
        let told = codes([0.5 * DOUBLED, 0.0, DOUBLED], [0.0, DOUBLED], [f32::NAN, 1.0, 1.0]);
        assert_eq!(told, [("MISSING".to_owned(), 30), ("Z".to_owned(), 20)]);
    }

    #[test]
    fn points_of_dimensions_are_those_of_their_features_and_of_what_is_missing() {
        let explanation =
            Explanation { base: 0.0, contributions: vec![DOUBLED; 3], missing: vec![0.0, -DOUBLED] };
        let points = explanation.points_by_dimension(&manifest());
        assert!((points[0] + 20.0).abs() < 1e-9 && (points[1] + 20.0).abs() < 1e-9, "{points:?}");
    }
}
