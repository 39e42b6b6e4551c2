//! What is watched and what is told, as data: `models/monitoring.json`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How urgent a finding is, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Notice,
    Attention,
    Warning,
}

impl Level {
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Notice => "notice",
            Level::Attention => "attention",
            Level::Warning => "warning",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// From where on a measure is told at each level.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    pub notice: f64,
    pub attention: f64,
    pub warning: f64,
}

impl Thresholds {
    /// The level of a measure that is worse the higher it is.
    pub fn from_below(&self, value: f64) -> Option<(Level, f64)> {
        let levels = [
            (Level::Warning, self.warning),
            (Level::Attention, self.attention),
            (Level::Notice, self.notice),
        ];
        levels.into_iter().find(|(_, threshold)| value >= *threshold)
    }

    /// The level of a measure that is worse the lower it is.
    pub fn from_above(&self, value: f64) -> Option<(Level, f64)> {
        let levels = [
            (Level::Warning, self.warning),
            (Level::Attention, self.attention),
            (Level::Notice, self.notice),
        ];
        levels.into_iter().find(|(_, threshold)| value <= *threshold)
    }
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Days of applications that features and points are taken from, the day of the report included.
    pub window_days: u16,
    /// Most applications that a run reads of either window; of more, a sample.
    pub most_applications: usize,
    /// Fewer applications of a model than this show nothing.
    pub least_applications: usize,
    /// A shift is told only when a sample of this size would show it with less than this probability by chance.
    pub chance: f64,
    /// Population stability index. 0.1 and 0.25 are the usual marks (Siddiqi, *Credit Risk Scorecards*, 2006; discussed
    /// by Yurdakul and Naranjo, *Statistical properties of the population stability index*, Journal of Risk Model
    /// Validation 14(4), 2020); the notice below them is ours.
    pub psi: Thresholds,
    /// How far the upper end of the AUC's interval lies below the AUC on the rows held out of training. Ours.
    pub auc_loss: Thresholds,
    /// Probability, by Spiegelhalter's test, of predictions as far off by chance. Ours.
    pub calibration: Thresholds,
    pub outcome: OutcomeSettings,
}

/// When a loan counts as defaulted, and how many are enough.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeSettings {
    /// Days overdue that are a default. 90 is the definition of the Basel framework (CRE36, definition of default).
    pub overdue_days: u32,
    /// The outcome of an application is known after so many days: the horizon of the model's target.
    pub within_days: u16,
    /// Fewer defaults, or fewer other loans, than this tell nothing of AUC and KS.
    pub least_of_each: usize,
}

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("the settings are not JSON of the expected shape")]
    Json(#[from] serde_json::Error),
    #[error("{0} is out of range")]
    Range(&'static str),
}

impl Settings {
    /// Reads and checks settings.
    ///
    /// # Errors
    /// [`SettingsError`] names the first thing that is wrong.
    pub fn parse(json: &[u8]) -> Result<Self, SettingsError> {
        let settings: Self = serde_json::from_slice(json)?;
        let rises = |t: &Thresholds| 0.0 <= t.notice && t.notice <= t.attention && t.attention <= t.warning;
        let falls = |t: &Thresholds| 1.0 >= t.notice && t.notice >= t.attention && t.attention >= t.warning;
        let checks = [
            ("window_days", (1..=366).contains(&settings.window_days)),
            ("most_applications", (1..=50_000).contains(&settings.most_applications)),
            ("least_applications", (1..=50_000).contains(&settings.least_applications)),
            ("chance", (0.0..=1.0).contains(&settings.chance)),
            ("psi", rises(&settings.psi)),
            ("auc_loss", rises(&settings.auc_loss)),
            ("calibration", falls(&settings.calibration) && settings.calibration.warning >= 0.0),
            ("outcome.overdue_days", (1..=36_500).contains(&settings.outcome.overdue_days)),
            ("outcome.within_days", (1..=3_660).contains(&settings.outcome.within_days)),
            ("outcome.least_of_each", (2..=50_000).contains(&settings.outcome.least_of_each)),
        ];
        match checks.into_iter().find(|(_, sound)| !sound) {
            Some((name, _)) => Err(SettingsError::Range(name)),
            None => Ok(settings),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGED: &str = include_str!("../../../models/monitoring.json");

    #[test]
    fn the_packaged_settings_are_sound_and_have_the_usual_marks() {
        let settings = Settings::parse(PACKAGED.as_bytes()).unwrap();
        assert_eq!((settings.psi.attention, settings.psi.warning), (0.1, 0.25));
        assert_eq!(settings.outcome.overdue_days, 90);
    }

    #[test]
    fn a_measure_is_told_at_the_highest_level_that_it_reaches() {
        let psi = Thresholds { notice: 0.05, attention: 0.1, warning: 0.25 };
        let levels = [0.049, 0.05, 0.1, 0.2499, 0.25, 9.0].map(|x| psi.from_below(x).map(|(level, _)| level));
        use Level::{Attention, Notice, Warning};
        assert_eq!(
            levels,
            [None, Some(Notice), Some(Attention), Some(Attention), Some(Warning), Some(Warning)]
        );
        let chance = Thresholds { notice: 0.05, attention: 0.01, warning: 0.001 };
        let levels = [0.06, 0.05, 0.002, 0.0].map(|x| chance.from_above(x).map(|(level, _)| level));
        assert_eq!(levels, [None, Some(Notice), Some(Attention), Some(Warning)]);
        assert_eq!(psi.from_below(f64::NAN), None);
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        for (pointer, value, name) in [
            ("/window_days", 0.into(), "window_days is out of range"),
            ("/most_applications", 50_001.into(), "most_applications is out of range"),
            ("/chance", 1.5.into(), "chance is out of range"),
            ("/psi/notice", 0.2.into(), "psi is out of range"),
            ("/calibration/warning", 0.5.into(), "calibration is out of range"),
            ("/outcome/least_of_each", 1.into(), "outcome.least_of_each is out of range"),
            ("/psi/notice", "a".into(), "the settings are not JSON of the expected shape"),
        ] {
            let mut json: serde_json::Value = serde_json::from_str(PACKAGED).unwrap();
            *json.pointer_mut(pointer).unwrap() = value;
            assert_eq!(Settings::parse(json.to_string().as_bytes()).unwrap_err().to_string(), name);
        }
    }
}
