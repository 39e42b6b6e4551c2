//! The facts that the checks bring in.

use crate::{
    feature_row::FeatureRow,
    ids::{ApplicationId, RingId},
    ring::{RingLabel, RingVerdict},
};
use serde::{Deserialize, Serialize};

/// What a check provider says. *Unknown* is neither pass nor fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckAnswer {
    Match,
    Mismatch,
    Unknown,
}

/// Whether firm and legal representative belong together by the registration, and the firm may borrow at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElementsAnswer {
    Match,
    Mismatch,
    FirmBanned,
}

/// What the ensemble said about the firm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Version of the model, as its manifest names it.
    pub model: String,
    /// Probability of default within a year, 0 to 1.
    pub default_probability: f64,
    /// Score points: 600 at odds of 30 to 1, 20 more for doubled odds.
    pub points: i32,
    /// By dimension, in the order of the manifest; `None` where the archive had nothing.
    pub dimensions: Vec<DimensionScore>,
    /// What costs the firm most points, dearest first; empty where nothing speaks against it.
    #[serde(default)]
    pub reasons: Vec<ScoreReason>,
    /// Age of the firm in days on the day of the application, when the archive tells.
    pub firm_age_days: Option<i64>,
    /// Largest amount that the firm's record supports, in fen: a share of its yearly revenue by tax or statements.
    pub supported_amount_fen: Option<u64>,
    /// The model's input; empty in entries of before it was kept.
    #[serde(default, skip_serializing_if = "FeatureRow::is_empty")]
    pub features: FeatureRow,
    /// What a model that is being tried out says of the same firm. No decision reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenger: Option<ChallengerScore>,
}

impl Score {
    /// The points that each of the [`DIMENSIONS`] costs; 0 where it costs none.
    pub fn costs(&self) -> [u32; DIMENSIONS.len()] {
        DIMENSIONS.map(|name| {
            let points =
                self.dimensions.iter().find(|known| known.dimension == name).map_or(0, |known| known.points);
            points.min(0).unsigned_abs()
        })
    }
}

/// The score of a model that scores in shadow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChallengerScore {
    /// Version of the model, as its manifest names it.
    pub model: String,
    pub default_probability: f64,
    pub points: i32,
}

/// The dimensions of a firm's portrait, as models name them.
pub const DIMENSIONS: [&str; 5] = ["business", "finance", "government", "tax", "risk"];

/// What one dimension of the firm's portrait says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DimensionScore {
    pub dimension: String,
    /// What its learners add to the log odds of default; `None` when nothing is known.
    pub margin: Option<f64>,
    /// Points that its features, or their being missing, add beside what is expected of a firm; below zero they cost.
    #[serde(default)]
    pub points: i32,
}

/// Why a score is not higher, as the model's manifest words it. Kept whole, so that a decision can be read years later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreReason {
    pub code: String,
    pub zh: String,
    pub en: String,
    /// Points that it costs; above zero.
    pub points: i32,
}

/// What the relation graph said around an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphFeatures {
    /// Applications in the ring, this one included; 1 means that it stands alone.
    pub ring_size: u32,
    /// Different firms in the ring.
    pub ring_firms: u32,
    /// Applications that used this device, this one included.
    pub device_applications: u32,
    /// Applications that gave this bank card, this one included.
    pub card_applications: u32,
    /// Applications that gave this phone, this one included.
    pub phone_applications: u32,
    /// Applications from this network, this one included; weak evidence, never joins a ring.
    pub network_applications: u32,
    /// Loans of other applications that are overdue now, by any day, and share a joining node with this one.
    #[serde(default)]
    pub overdue_neighbours: u32,
    /// Days of the one among them that is overdue longest; 0 without any.
    #[serde(default)]
    pub longest_overdue_days: u32,
    /// The fan-out or read budget cut the traversal off: the numbers are lower bounds.
    pub cut_off: bool,
    /// Other applications that only claimed a phone, card, person or firm and never proved to be it; they join nobody.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unproven_claims: u32,
    /// Accounts that signed in on this device, this one included.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub device_accounts: u32,
    /// Those of them that had been opened within the day before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub device_sign_ups: u32,
    /// Persons whose face or phone check failed on this device.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub device_mismatches: u32,
    /// What the ring is; `None` when the application stands alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<RingVerdict>,
    /// Why the members hang together, strongest first, at most 32.
    pub evidence: Vec<Evidence>,
}

/// One link of the ring: two applications that share a thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    pub kind: String,
    /// Keyed hash of the shared thing.
    pub node: String,
    pub applications: Vec<ApplicationId>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl GraphFeatures {
    /// What the other members hear of the ring.
    pub fn notice(&self) -> RingNotice {
        RingNotice {
            ring_size: self.ring_size,
            ring_firms: self.ring_firms,
            label: self.verdict.as_ref().map(|verdict| verdict.label),
            ring: self.verdict.as_ref().map(|verdict| verdict.ring),
        }
    }
}

/// A ring as another member's check found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingNotice {
    pub ring_size: u32,
    pub ring_firms: u32,
    /// `None` in a notice from before rings had labels, and for an application on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<RingLabel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<RingId>,
}

impl RingNotice {
    /// An application on its own.
    pub const ALONE: RingNotice = RingNotice { ring_size: 1, ring_firms: 1, label: None, ring: None };

    /// Whether nobody of the ring is lent to: by its label. One from before rings had labels is judged as it was then, by
    /// three applications of three firms.
    pub fn is_suspicious(&self) -> bool {
        match self.label {
            Some(label) => label.is_suspicious(),
            None => self.ring_size >= 3 && self.ring_firms >= 3,
        }
    }

    /// The worst of all, each by itself: ten applications of two firms must not hide three of three. Of two names the
    /// smaller stays. The order in which rings are heard of makes no difference.
    pub fn worst(self, other: RingNotice) -> RingNotice {
        RingNotice {
            ring_size: self.ring_size.max(other.ring_size),
            ring_firms: self.ring_firms.max(other.ring_firms),
            label: self.label.max(other.label),
            ring: [self.ring, other.ring].into_iter().flatten().min(),
        }
    }
}
