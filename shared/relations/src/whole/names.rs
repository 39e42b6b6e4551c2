//! What the whole graph changes in the book of rings.
//!
//! A name belongs to the part that holds the application it is called after; where that has left the window, to the part
//! that holds most of those who know the ring by it: whoever found it last, and those whose journeys say so. A part goes under the smallest of its names, and one without any
//! is called after its oldest member. So a ring keeps its name when it grows and when it meets another, and when it falls
//! apart the half with its first member keeps it, while the other half gets back the name that it had, or one of its own.
//! A name that nobody in the window has is left as it stands.

use super::{Labelled, Whole, WholeRing};
use crate::{Labels, Standing};
use domain::{ApplicationId, RingId};
use jiff::Timestamp;
use ports::{
    ring_names::{NamesInBook, Settlement},
    rings::{Glimpse, MAX_MEMBERS, Sighting},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What is to be written: first the sightings, then the settlements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    pub sightings: Vec<Sighting>,
    pub settled: Vec<Settlement>,
    /// Names that no longer stand where they stood, because their ring fell apart.
    pub split: usize,
}

impl Differences {
    pub fn is_empty(&self) -> bool {
        self.sightings.is_empty() && self.settled.is_empty()
    }
}

/// Compares what was found in the whole graph, as it was at a moment, with what the book says. Finding the same again
/// makes no difference.
pub fn differences(
    whole: &Whole,
    labelled: &Labelled,
    (standings, labels): (&BTreeMap<ApplicationId, Standing>, &Labels),
    book: &NamesInBook,
    at: Timestamp,
) -> Differences {
    let old = book.standing();
    let homes = homes(whole, labelled, standings, book);
    let mut names_of: BTreeMap<u32, BTreeSet<RingId>> = BTreeMap::new();
    for (name, part) in &homes {
        names_of.entry(*part).or_default().insert(*name);
    }
    let stands = |part: &u32| names_of.get(part).and_then(|names| names.first()).copied();
    let mut differences = Differences::default();
    settle(&old, |name| homes.get(&name).and_then(stands), at, &mut differences);

    let rooms: BTreeMap<ApplicationId, &WholeRing> =
        labelled.suspicious.iter().map(|found| (found.first, found)).collect();
    let mut parts: BTreeSet<u32> = names_of.keys().copied().collect();
    parts.extend(whole.numbers(rooms.keys().copied().collect()).into_values());
    let members = whole.members(labelled, &parts);
    for part in &parts {
        let first = whole.rows.ids[*part as usize];
        let found = match rooms.get(&first) {
            Some(found) => (*found).clone(),
            None => whole.ring_of(&members[part], labelled, standings, labels),
        };
        let names = names_of.get(part).cloned().unwrap_or_default();
        let name = names.first().copied().unwrap_or(first.ring_id());
        let now = sighting(found, name, &names, at);
        if !says_the_same(book, &old, &now, &names) {
            differences.sightings.push(now);
        }
    }
    differences
}

/// Settles every name of a ring that has fallen apart.
fn settle(
    old: &BTreeMap<RingId, RingId>,
    stands: impl Fn(RingId) -> Option<RingId>,
    at: Timestamp,
    differences: &mut Differences,
) {
    let mut groups: BTreeMap<RingId, Vec<RingId>> = BTreeMap::new();
    for (name, stood) in old {
        groups.entry(*stood).or_default().push(*name);
    }
    for (stood, names) in groups {
        let now: BTreeSet<RingId> = names.iter().filter_map(|name| stands(*name)).collect();
        if now.len() < 2 {
            continue;
        }
        // Whoever has left the window goes with the name that it went under.
        let rest = stands(stood).unwrap_or(stood);
        for name in names {
            let stands = stands(name).unwrap_or(rest.min(name));
            differences.split += usize::from(stands != stood);
            differences.settled.push(Settlement { name, stands, at });
        }
    }
}

/// The part that each name belongs to, called by its oldest application.
fn homes(
    whole: &Whole,
    labelled: &Labelled,
    standings: &BTreeMap<ApplicationId, Standing>,
    book: &NamesInBook,
) -> BTreeMap<RingId, u32> {
    let mut known: BTreeMap<RingId, BTreeSet<ApplicationId>> = BTreeMap::new();
    for (name, seen) in &book.latest {
        known.entry(*name).or_default().insert(seen.finder);
    }
    for name in book.standing().into_keys() {
        known.entry(name).or_default();
    }
    for (id, standing) in standings {
        if let Some(members) = standing.ring.and_then(|name| known.get_mut(&name)) {
            members.insert(*id);
        }
    }
    let founders: HashMap<RingId, u32> = whole.founders(known.keys().copied().collect());
    let numbers = whole.numbers(known.values().flatten().copied().collect());
    let part = |at: &u32| labelled.parts[*at as usize];
    let home = |(name, members): (RingId, BTreeSet<ApplicationId>)| {
        if let Some(founder) = founders.get(&name) {
            return Some((name, part(founder)));
        }
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for at in members.iter().filter_map(|id| numbers.get(id)) {
            *counts.entry(part(at)).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(part, count)| (*count, std::cmp::Reverse(*part)));
        most.map(|(part, _)| (name, part))
    };
    known.into_iter().filter_map(home).collect()
}

impl Whole {
    /// The applications in the window that these names are called after.
    fn founders(&self, names: BTreeSet<RingId>) -> HashMap<RingId, u32> {
        let ids = self.rows.ids.iter().zip(0_u32..);
        ids.filter(|(id, _)| names.contains(&id.ring_id())).map(|(id, at)| (id.ring_id(), at)).collect()
    }

    /// Those of the applications that are in the window.
    fn numbers(&self, of: BTreeSet<ApplicationId>) -> HashMap<ApplicationId, u32> {
        self.rows
            .ids
            .iter()
            .zip(0_u32..)
            .filter(|(id, _)| of.contains(id))
            .map(|(id, at)| (*id, at))
            .collect()
    }

    /// The members of some parts.
    fn members(&self, labelled: &Labelled, parts: &BTreeSet<u32>) -> BTreeMap<u32, Vec<u32>> {
        let mut members: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (part, at) in labelled.parts.iter().zip(0_u32..).filter(|(part, _)| parts.contains(part)) {
            members.entry(*part).or_default().push(at);
        }
        members
    }
}

/// A part as the book keeps it. One that is not suspicious any more is written down as what it is now.
fn sighting(found: WholeRing, name: RingId, names: &BTreeSet<RingId>, at: Timestamp) -> Sighting {
    let WholeRing { finder, mut ring, .. } = found;
    if let Some(verdict) = &mut ring.features.verdict {
        verdict.ring = name;
    }
    let members = std::iter::once(finder).chain(ring.others.iter().copied()).take(MAX_MEMBERS).collect();
    let merged = names.iter().copied().filter(|other| *other != name).collect();
    Sighting { ring: name, finder, at, features: ring.features, members, merged }
}

/// Whether the book says of the ring what was found: its names, its size, its label, and somebody in it who saw it.
fn says_the_same(
    book: &NamesInBook,
    old: &BTreeMap<RingId, RingId>,
    now: &Sighting,
    names: &BTreeSet<RingId>,
) -> bool {
    let of_ring = book.latest.iter().filter(|(name, _)| names.contains(name)).map(|(_, seen)| seen);
    let Some(latest) = of_ring.max_by_key(|seen| (seen.at, seen.finder)) else { return false };
    let found = Glimpse::from(now);
    let is_in_it = now.members.contains(&latest.finder) || found.applications as usize > MAX_MEMBERS;
    names.iter().all(|name| old.get(name) == Some(&now.ring))
        && is_in_it
        && (latest.applications, latest.firms, latest.label) == (found.applications, found.firms, found.label)
}
