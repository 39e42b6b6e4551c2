//! The book of rings: every sighting of each, so that a ring has a history, and which rings turned out to be one.

use crate::PortError;
use async_trait::async_trait;
use domain::{ApplicationId, RingId, checks::GraphFeatures, ring::RingLabel};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Most members that a sighting names.
pub const MAX_MEMBERS: usize = 100;

/// A suspicious ring as one application's check saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    pub ring: RingId,
    pub finder: ApplicationId,
    /// When the finder's application was received.
    pub at: Timestamp,
    /// Size, label, profile and evidence.
    pub features: GraphFeatures,
    /// The finder first, then the others, the newest first, at most [`MAX_MEMBERS`].
    pub members: Vec<ApplicationId>,
    /// Other names that members knew this ring by. All of them are greater than `ring`.
    pub merged: Vec<RingId>,
}

/// What the list tells of a sighting; the history has the whole of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glimpse {
    pub finder: ApplicationId,
    pub at: Timestamp,
    pub label: Option<RingLabel>,
    pub applications: u32,
    pub firms: u32,
}

impl From<&Sighting> for Glimpse {
    fn from(seen: &Sighting) -> Self {
        Self {
            finder: seen.finder,
            at: seen.at,
            label: seen.features.verdict.as_ref().map(|verdict| verdict.label),
            applications: seen.features.ring_size,
            firms: seen.features.ring_firms,
        }
    }
}

/// A ring in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRing {
    /// The name that stands.
    pub ring: RingId,
    /// The latest sighting under any of its names.
    pub latest: Glimpse,
    /// Its other names, in their order.
    pub merged: Vec<RingId>,
}

/// Where sightings are written and read.
#[async_trait]
pub trait RingBook: Send + Sync {
    /// Writes a sighting. Writing it again changes nothing, and the order in which sightings are written makes no
    /// difference. May write a part and fail; writing again completes it.
    async fn record(&self, sighting: &Sighting) -> Result<(), PortError>;

    /// Every ring once, under the name that stands, in the order of the names. Rings that were merged one into the other
    /// are one.
    async fn list(&self) -> Result<Vec<ListedRing>, PortError>;

    /// The sightings of one name, the latest first, and of many the `most` latest ones.
    async fn history(&self, ring: RingId, most: usize) -> Result<Vec<Sighting>, PortError>;
}

/// Resolves names: each is led to the smallest name that it was ever merged into, over any number of steps.
pub fn standing_names(
    names: impl IntoIterator<Item = RingId>,
    merges: &[(RingId, RingId)],
) -> std::collections::BTreeMap<RingId, RingId> {
    let mut names: std::collections::BTreeMap<RingId, RingId> =
        names.into_iter().chain(merges.iter().flat_map(|(a, b)| [*a, *b])).map(|name| (name, name)).collect();
    // Every pass lowers some name or is the last one, and there are few rings.
    loop {
        let mut has_changed = false;
        for (a, b) in merges {
            let (from, into) = (names.get(a).copied(), names.get(b).copied());
            let Some(least) = from.into_iter().chain(into).min() else { continue };
            for name in [a, b] {
                has_changed |= names.insert(*name, least) != Some(least);
            }
        }
        if !has_changed {
            return names;
        }
    }
}
