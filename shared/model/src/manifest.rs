//! What a model folder says about itself: inputs, dimensions, score scale and hashes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::Distribution;

/// Most features a model may read; a row is a few kilobytes at most.
const MAX_FEATURES: usize = 4095;
/// Most sub-models.
const MAX_LEARNERS: usize = 128;
/// Most dimensions a model may have.
const MAX_DIMENSIONS: usize = 32;
/// Most parts of a joint text, and most edges between the bands of a number.
const MAX_PARTS: usize = 4;
const MAX_EDGES: usize = 32;

/// `manifest.json`. Dimensions and features are data: nothing here or in the functions knows how many there are.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    /// Goes into the journal with every score, so that a decision can be replayed.
    pub version: String,
    /// What the probability is the probability of.
    pub target: String,
    /// File name of the ONNX graph, in the manifest's own folder.
    pub model: String,
    /// The groups that features, and with them scores and reasons, are told by.
    pub dimensions: Vec<String>,
    /// In the order of the graph's outputs.
    pub learners: Vec<Learner>,
    /// In the order of the graph's input.
    pub features: Vec<Feature>,
    /// What a borrower reads, by reason code.
    pub reasons: BTreeMap<String, Text>,
    /// The reason that is told when a value is missing.
    pub reason_missing: String,
    pub scale: Scale,
    /// The points of the training rows; absent in models of before it was kept.
    #[serde(default)]
    pub score_distribution: Option<Distribution>,
    /// Share of the training rows with the target; absent in models of before it was kept.
    #[serde(default)]
    pub base_rate: Option<f64>,
    /// File name → SHA-256, lower-case hexadecimal.
    pub sha256: BTreeMap<String, String>,
    /// Figures on held-out firms, kept for display.
    pub metrics: serde_json::Value,
}

/// One sub-model of the ensemble.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learner {
    pub name: String,
    /// `None` for one that reads features of every dimension.
    pub dimension: Option<String>,
}

/// A sentence in both languages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    pub zh: String,
    pub en: String,
}

/// One input of the model.
#[derive(Clone, Debug, Deserialize)]
pub struct Feature {
    pub name: String,
    pub dimension: String,
    pub unit: String,
    /// Effect of a higher value on the chance to default that the trees respect: 1 up, -1 down, 0 free.
    pub direction: i8,
    /// What it means when the value is missing.
    pub missing: String,
    /// Lowest and highest value in training; `None` where there was none.
    pub range: [Option<f64>; 2],
    /// Code of the reason that is told when the value speaks against a firm.
    pub reason: String,
    pub extract: Extract,
    /// Its values in training; absent in models of before it was kept.
    #[serde(default)]
    pub distribution: Option<Distribution>,
}

/// How a feature is worked out from the firm archive.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Extract {
    /// The number as it stands.
    Value { source: String, field: String },
    /// One number by another; missing when the denominator is zero.
    Ratio { numerator: Place, denominator: Place },
    /// Whole days from the date to the day of scoring.
    AgeDays { source: String, field: String },
    /// A number for each listed text; any other text is missing.
    Category { source: String, field: String, codes: BTreeMap<String, f64> },
    /// A number for what several parts say together, joined by [`SEPARATOR`]. Where the whole is not listed its longest
    /// listed beginning counts, so that a lender without loans of this size still has the lender's own number.
    Joint { of: Vec<Part>, codes: BTreeMap<String, f64> },
}

/// Between the parts of a joint text. A text that contains it counts as missing.
pub const SEPARATOR: char = '|';

/// One part of a joint text: a text as it stands, or the band of a number, counted from 0: how many edges it reaches.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Part {
    Text(Place),
    Band { number: Box<Extract>, edges: Vec<f64> },
}

/// One field of one source.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub source: String,
    pub field: String,
}

/// Points are linear in the log of the odds (good to bad): `points_at_odds` at `odds` to one, and
/// `points_to_double_odds` more for every doubling; kept within `lowest` and `highest`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Scale {
    pub points_at_odds: i32,
    pub odds: f64,
    pub points_to_double_odds: i32,
    pub lowest: i32,
    pub highest: i32,
}

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("the manifest is not valid JSON of the expected shape")]
    Json(#[source] serde_json::Error),
    #[error(
        "expected 1 to {MAX_FEATURES} features, 1 to {MAX_DIMENSIONS} dimensions and 1 to {MAX_LEARNERS} learners"
    )]
    Count,
    #[error("{0:?} is listed twice")]
    Twice(String),
    #[error("{of:?} belongs to dimension {dimension:?}, which is not listed")]
    Dimension { of: String, dimension: String },
    #[error("{of:?} gives the reason {reason:?}, which has no text")]
    Reason { of: String, reason: String },
    #[error("feature {0:?} has a range that ends before it starts")]
    Range(String),
    #[error(
        "feature {0:?} must join 1 to {MAX_PARTS} parts: texts, or bands of a plain number between at most {MAX_EDGES} \
         ascending edges"
    )]
    Joint(String),
    #[error("the training distribution of {0:?} is not one")]
    Distribution(String),
    #[error("the base rate is not a share")]
    BaseRate,
    #[error("dimension {0:?} has no feature")]
    NoFeature(String),
    #[error("the score scale is out of range")]
    Scale,
    #[error("{0:?} must be the name of a file in the manifest's own folder")]
    FileName(String),
    #[error("no SHA-256 is listed for {0:?}")]
    NoHash(String),
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] for the first thing that is wrong.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(json).map_err(ManifestError::Json)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let counted = (1..=MAX_FEATURES).contains(&self.features.len())
            && (1..=MAX_DIMENSIONS).contains(&self.dimensions.len())
            && (1..=MAX_LEARNERS).contains(&self.learners.len());
        if !counted {
            return Err(ManifestError::Count);
        }
        let mut seen = BTreeSet::new();
        for name in self.dimensions.iter().chain(self.features.iter().map(|f| &f.name)) {
            if !seen.insert(name) {
                return Err(ManifestError::Twice(name.clone()));
            }
        }
        let of_features = self.features.iter().map(|f| (&f.name, Some(&f.dimension)));
        let of_learners = self.learners.iter().map(|learner| (&learner.name, learner.dimension.as_ref()));
        for (of, dimension) in of_features.chain(of_learners) {
            if let Some(dimension) = dimension.filter(|d| !self.dimensions.contains(d)) {
                return Err(ManifestError::Dimension { of: of.clone(), dimension: dimension.clone() });
            }
        }
        self.check_features()?;
        self.check_training()?;
        if let Some(empty) = self.dimensions.iter().find(|d| self.features.iter().all(|f| f.dimension != **d))
        {
            return Err(ManifestError::NoFeature(empty.clone()));
        }
        let plain =
            |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':']);
        if let Some(name) = self.sha256.keys().chain([&self.model]).find(|name| !plain(name)) {
            return Err(ManifestError::FileName(name.clone()));
        }
        if !self.sha256.contains_key(&self.model) {
            return Err(ManifestError::NoHash(self.model.clone()));
        }
        self.scale.check()
    }

    fn check_features(&self) -> Result<(), ManifestError> {
        let told = |of: &str, reason: &str| match self.reasons.contains_key(reason) {
            true => Ok(()),
            false => Err(ManifestError::Reason { of: of.to_owned(), reason: reason.to_owned() }),
        };
        told("reason_missing", &self.reason_missing)?;
        for feature in &self.features {
            told(&feature.name, &feature.reason)?;
            if let [Some(low), Some(high)] = feature.range
                && high < low
            {
                return Err(ManifestError::Range(feature.name.clone()));
            }
            if !feature.extract.is_sound() {
                return Err(ManifestError::Joint(feature.name.clone()));
            }
        }
        Ok(())
    }

    fn check_training(&self) -> Result<(), ManifestError> {
        let of_features = self.features.iter().map(|f| (f.name.as_str(), &f.distribution));
        for (of, distribution) in of_features.chain([("score_distribution", &self.score_distribution)]) {
            if distribution.as_ref().is_some_and(|d| !d.is_sound()) {
                return Err(ManifestError::Distribution(of.to_owned()));
            }
        }
        match self.base_rate {
            Some(rate) if !(0.0..=1.0).contains(&rate) => Err(ManifestError::BaseRate),
            _ => Ok(()),
        }
    }

    /// Place of a dimension; every name in a checked manifest has one.
    pub fn dimension(&self, name: &str) -> usize {
        self.dimensions.iter().position(|dimension| dimension == name).unwrap_or_default()
    }
}

impl Extract {
    fn is_sound(&self) -> bool {
        let Self::Joint { of, .. } = self else { return true };
        (1..=MAX_PARTS).contains(&of.len()) && of.iter().all(Part::is_sound)
    }
}

impl Part {
    fn is_sound(&self) -> bool {
        let Self::Band { number, edges } = self else { return true };
        let plain = !matches!(**number, Extract::Category { .. } | Extract::Joint { .. });
        plain && edges.len() <= MAX_EDGES && edges.is_sorted_by(|low, high| low < high)
    }
}

impl Scale {
    fn check(&self) -> Result<(), ManifestError> {
        let sound = self.odds.is_finite()
            && self.odds > 0.0
            && (1..=1000).contains(&self.points_to_double_odds)
            && (0..=10_000).contains(&self.lowest)
            && (self.lowest..=10_000).contains(&self.points_at_odds)
            && (self.points_at_odds..=10_000).contains(&self.highest);
        if sound { Ok(()) } else { Err(ManifestError::Scale) }
    }

    /// Points that one unit of log odds to default costs.
    pub fn points_per_log_odds(&self) -> f64 {
        f64::from(self.points_to_double_odds) / std::f64::consts::LN_2
    }

    /// Points for a chance to default between 0 and 1; the ends give the lowest and the highest points.
    pub fn points(&self, pd: f64) -> i32 {
        // The platform's own logarithm may differ in its last bit from one processor to the next.
        let doublings = libm::log2((1.0 - pd) / pd / self.odds);
        let points = f64::from(self.points_at_odds) + f64::from(self.points_to_double_odds) * doublings;
        points.round().clamp(f64::from(self.lowest), f64::from(self.highest)) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale =
        Scale { points_at_odds: 600, odds: 30.0, points_to_double_odds: 20, lowest: 300, highest: 900 };

    #[test]
    fn points_follow_the_odds() {
        assert_eq!(SCALE.points(1.0 / 31.0), 600);
        assert_eq!(SCALE.points(1.0 / 61.0), 620);
        assert_eq!(SCALE.points(1.0 / 16.0), 580);
    }

    #[test]
    fn certain_outcomes_give_the_ends_of_the_scale() {
        assert_eq!(SCALE.points(0.0), 900);
        assert_eq!(SCALE.points(1.0), 300);
    }

    fn manifest() -> serde_json::Value {
        let extract = serde_json::json!({ "kind": "value", "source": "s", "field": "f" });
        serde_json::json!({
            "version": "1", "target": "default", "model": "m.onnx", "dimensions": ["a"], "metrics": {},
            "learners": [{ "name": "l", "dimension": "a" }, { "name": "all", "dimension": null }],
            "reasons": { "X": { "zh": "\u{96F6}", "en": "X is bad" } }, "reason_missing": "X",
            "features": [{ "name": "x", "dimension": "a", "unit": "count", "direction": 0, "missing": "unknown",
                           "range": [0, 1.5], "reason": "X", "extract": extract }],
            "scale": { "points_at_odds": 600, "odds": 30, "points_to_double_odds": 20, "lowest": 300,
                       "highest": 900 },
            "sha256": { "m.onnx": "00" },
        })
    }

    fn refused(pointer: &str, value: serde_json::Value) -> ManifestError {
        let mut json = manifest();
        *json.pointer_mut(pointer).unwrap() = value;
        Manifest::parse(json.to_string().as_bytes()).unwrap_err()
    }

    #[test]
    fn a_sound_manifest_is_read() {
        assert_eq!(Manifest::parse(manifest().to_string().as_bytes()).unwrap().features[0].name, "x");
    }

    #[test]
    fn a_path_outside_the_folder_is_refused() {
        for name in ["../m.onnx", "/etc/m.onnx", "..", "", "c:m"] {
            assert!(matches!(refused("/model", name.into()), ManifestError::FileName(_)), "{name}");
        }
    }

    #[test]
    fn a_manifest_that_contradicts_itself_is_refused() {
        assert!(matches!(refused("/dimensions", serde_json::json!(["a", "b"])), ManifestError::NoFeature(_)));
        assert!(matches!(refused("/dimensions", serde_json::json!(["a", "a"])), ManifestError::Twice(_)));
        assert!(matches!(refused("/dimensions", serde_json::json!(["b"])), ManifestError::Dimension { .. }));
        assert!(matches!(refused("/features", serde_json::json!([])), ManifestError::Count));
        assert!(matches!(refused("/learners", serde_json::json!([])), ManifestError::Count));
        assert!(matches!(refused("/learners/0/dimension", "b".into()), ManifestError::Dimension { .. }));
        assert!(matches!(refused("/features/0/reason", "Y".into()), ManifestError::Reason { .. }));
        assert!(matches!(refused("/reason_missing", "Y".into()), ManifestError::Reason { .. }));
        assert!(matches!(refused("/features/0/range", serde_json::json!([2, 1])), ManifestError::Range(_)));
        assert!(matches!(refused("/model", "other.onnx".into()), ManifestError::NoHash(_)));
        assert!(matches!(refused("/scale/odds", 0.into()), ManifestError::Scale));
        assert!(matches!(refused("/scale/highest", 10.into()), ManifestError::Scale));
        assert!(matches!(refused("/features/0/extract/kind", "sum".into()), ManifestError::Json(_)));
    }

    #[test]
    fn a_joint_text_that_nothing_could_be_joined_for_is_refused() {
        let joint = |of: serde_json::Value| {
            refused("/features/0/extract", serde_json::json!({ "kind": "joint", "of": of, "codes": {} }))
        };
        let plain = serde_json::json!({ "kind": "value", "source": "s", "field": "f" });
        let grade = serde_json::json!({ "kind": "category", "source": "s", "field": "f", "codes": {} });
        let text = serde_json::json!({ "source": "s", "field": "f" });
        for of in [
            serde_json::json!([]),
            serde_json::json!([text, text, text, text, text]),
            serde_json::json!([{ "number": grade, "edges": [1] }]),
            serde_json::json!([{ "number": plain, "edges": [1, 1] }]),
            serde_json::json!([{ "number": plain, "edges": [2, 1] }]),
            serde_json::json!([{ "number": plain, "edges": vec![0; 33] }]),
        ] {
            assert!(matches!(joint(of.clone()), ManifestError::Joint(_)), "{of}");
        }
        assert!(matches!(joint(serde_json::json!([{ "number": plain }])), ManifestError::Json(_)));
    }

    #[test]
    fn training_distributions_may_be_absent_and_are_checked_where_they_are_there() {
        assert!(Manifest::parse(manifest().to_string().as_bytes()).unwrap().score_distribution.is_none());
        let sound = serde_json::json!({ "edges": [1.0], "shares": [0.5, 0.4], "missing": 0.1 });
        let unsound = serde_json::json!({ "edges": [1.0], "shares": [0.5, 0.4], "missing": 0.2 });
        let mut json = manifest();
        json["features"][0]["distribution"] = sound.clone();
        json["score_distribution"] = sound;
        json["base_rate"] = 0.03.into();
        let read = Manifest::parse(json.to_string().as_bytes()).unwrap();
        assert_eq!(read.features[0].distribution, read.score_distribution);
        let refused = |pointer: &str, value: serde_json::Value| {
            let mut json = json.clone();
            *json.pointer_mut(pointer).unwrap() = value;
            Manifest::parse(json.to_string().as_bytes()).unwrap_err().to_string()
        };
        let of = |name: &str| format!("the training distribution of {name:?} is not one");
        assert_eq!(refused("/features/0/distribution", unsound.clone()), of("x"));
        assert_eq!(refused("/score_distribution", unsound), of("score_distribution"));
        assert_eq!(refused("/base_rate", 1.5.into()), "the base rate is not a share");
    }
}
