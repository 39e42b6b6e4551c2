//! The names in the book of rings: which of them were found to be one, and up to when that was looked at as a whole.
//!
//! A live check only ever joins. So a *merge* is what a check saw at a moment, and a *settlement* is what the whole graph
//! said of a name at a later one: under which name its ring goes since. A merge that is not newer than the settlements of
//! both its names no longer holds. Nothing is taken back: merges, settlements and sightings stay, and the order in which
//! they are written makes no difference.

use crate::{
    PortError,
    rings::{Glimpse, standing_names},
};
use async_trait::async_trait;
use domain::RingId;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Two names that a sighting found to be one ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    pub from: RingId,
    pub into: RingId,
    /// Of the latest sighting that said so; the beginning of time for one of before this was kept.
    pub at: Timestamp,
}

/// Under which name a ring goes, as the whole graph had it at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub name: RingId,
    /// The name itself, or a smaller one.
    pub stands: RingId,
    pub at: Timestamp,
}

/// Everything that the book says of names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamesInBook {
    /// The latest sighting under each name.
    pub latest: Vec<(RingId, Glimpse)>,
    pub merges: Vec<Merge>,
    pub settled: Vec<Settlement>,
}

impl NamesInBook {
    /// The name under which each name stands.
    pub fn standing(&self) -> BTreeMap<RingId, RingId> {
        let settled: BTreeMap<RingId, Timestamp> = self.settled.iter().map(|s| (s.name, s.at)).collect();
        let is_newer = |merge: &Merge, name| settled.get(&name).is_none_or(|at| merge.at > *at);
        let holds = |merge: &&Merge| is_newer(merge, merge.from) && is_newer(merge, merge.into);
        let merged = self.merges.iter().filter(holds).map(|merge| (merge.from, merge.into));
        let held: Vec<(RingId, RingId)> =
            merged.chain(self.settled.iter().map(|settled| (settled.name, settled.stands))).collect();
        standing_names(self.latest.iter().map(|(name, _)| *name), &held)
    }
}

/// Where names are read and settled.
#[async_trait]
pub trait RingNames: Send + Sync {
    /// Everything that the book says of names.
    async fn names(&self) -> Result<NamesInBook, PortError>;

    /// Writes a settlement, unless a later one of the same name stands there.
    async fn settle(&self, settled: &Settlement) -> Result<(), PortError>;
}
