//! Whether a model still sees the firms that it was trained on, and still tells who will default. Pure.
//!
//! [`report`] takes what a model said of applications and, where it is known, what became of the loans, and works out
//!
//! * how far features and points have moved from training (population stability index, missing as a bin of its own);
//! * whether as many loans default as was predicted (Spiegelhalter's test, and by band of points);
//! * whether those that default had the worse scores (AUC and KS with intervals);
//! * how a model that scores in shadow compares with the one that decides.
//!
//! What is far enough to be told, and at which of three levels, is data: [`Settings`]. [`page`] writes a report for
//! people. Reads, writes and emits nothing; the same input in the same order gives the same report, bit for bit.

mod calibration;
mod challenger;
mod chance;
mod discrimination;
mod page;
mod report;
mod settings;
mod stability;

pub use calibration::{BandOutcome, Calibration, calibration};
pub use challenger::{ChallengerReport, Crossing, compare};
pub use discrimination::{Discrimination, Interval, PairedAuc, discrimination, paired_auc};
pub use page::page;
pub use report::{
    Applications, BandShare, Bin, DimensionReport, FeatureReport, Finding, Measure, Observed, Outcomes,
    PointsReport, Report, report,
};
pub use settings::{Level, OutcomeSettings, Settings, SettingsError, Thresholds};
pub use stability::{Shift, shift};
