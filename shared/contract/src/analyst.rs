//! The bodies of the risk analyst's API. Nothing personal is in them: things that are shared are keyed hashes, firms their
//! public codes, applications their ids.

use domain::ring::RingProfile;
use serde::Serialize;
use utoipa::ToSchema;

/// Rings of a page unless asked for otherwise, and at most.
pub const DEFAULT_RINGS: usize = 50;
pub const MOST_RINGS: usize = 200;
/// Most other names that are told of a ring.
pub const MOST_OTHER_NAMES: usize = 100;

/// `GET /v1/rings`
#[derive(Debug, Serialize, ToSchema)]
pub struct RingList {
    /// The one that was seen last comes first.
    pub rings: Vec<RingBody>,
    /// There are more: give this as `after` to read on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A ring as it was seen last.
#[derive(Debug, Serialize, ToSchema)]
pub struct RingBody {
    /// The name that stands.
    pub ring: String,
    /// Other names that it had, and is found by; at most 100.
    pub also_known_as: Vec<String>,
    #[serde(flatten)]
    pub seen: SightingBody,
}

/// A ring as one application's check saw it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SightingBody {
    /// When the application was received whose check found the ring.
    #[schema(format = DateTime)]
    pub seen_at: String,
    /// That application.
    #[schema(format = "uuid")]
    pub found_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<LabelBody>,
    /// Applications of the ring.
    pub applications: u32,
    /// Different firms among them.
    pub firms: u32,
}

/// What a ring is, in both languages.
#[derive(Debug, Serialize, ToSchema)]
pub struct LabelBody {
    #[schema(example = "device_farm")]
    pub code: &'static str,
    pub zh: &'static str,
    pub en: &'static str,
}

/// `GET /v1/rings/{ring}`
#[derive(Debug, Serialize, ToSchema)]
pub struct RingAnswer {
    #[serde(flatten)]
    pub ring: RingBody,
    pub features: FeaturesBody,
    /// Every label that fits, with what was seen; the best fitting first.
    pub findings: Vec<FindingBody>,
    /// Why the members hang together, strongest first; at most 32.
    pub evidence: Vec<EvidenceBody>,
    /// Its applications: the one that found it first, then the newest; at most 100.
    pub members: Vec<String>,
    /// Its sightings, the latest first; at most 200.
    pub history: Vec<SightingBody>,
    /// There were more sightings than the history has.
    pub history_cut_off: bool,
}

/// What the relation graph said around the application that found the ring last.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeaturesBody {
    /// The traversal was cut off: counts are lower bounds.
    pub cut_off: bool,
    /// Applications that used its device, gave its card or phone, or came from its network, itself included.
    pub device_applications: u32,
    pub card_applications: u32,
    pub phone_applications: u32,
    pub network_applications: u32,
    /// Accounts that signed in on its device.
    pub device_accounts: u32,
    /// Those of them that had been opened within the day before.
    pub device_sign_ups: u32,
    /// Persons whose face or phone check failed on its device.
    pub device_mismatches: u32,
    /// Other applications that claimed something of its and never proved it; they join nobody.
    pub unproven_claims: u32,
    /// Overdue loans of other applications that share something with it, and the days of the longest.
    pub overdue_neighbours: u32,
    pub longest_overdue_days: u32,
    /// Version of the rules that gave the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// Counts and percentages of the ring by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::BTreeMap<String, u32>>)]
    pub profile: Option<RingProfile>,
}

/// Why a ring fits a label.
#[derive(Debug, Serialize, ToSchema)]
pub struct FindingBody {
    pub label: LabelBody,
    /// By how many points it is beyond the least with which it fits.
    pub points: u32,
    pub zh: String,
    pub en: String,
}

/// A thing that several applications share.
#[derive(Debug, Serialize, ToSchema)]
pub struct EvidenceBody {
    #[schema(example = "device")]
    pub kind: String,
    /// Its keyed hash; of a firm the public code, of a guarantee the codes of both firms.
    pub node: String,
    pub applications: Vec<String>,
}
