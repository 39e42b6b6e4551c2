//! How many stand at a node, and what is owed around there.

use super::{OWN, Spread};
use crate::{
    Members, TieSpread,
    found::{Crowd, Number},
};
use domain::{PayoutId, ring::OVERDUE_DAYS};
use ports::relation::{ActKind, NodeKind};
use std::collections::{BTreeMap, BTreeSet};

impl Spread {
    /// How many different ones did something of these kinds on the application's device.
    pub(crate) fn actors(&self, kinds: &[ActKind]) -> u32 {
        let acts = self.acts.iter().flat_map(|acts| &acts.acts).filter(|act| kinds.contains(&act.kind));
        let actors: BTreeSet<&str> = acts.map(|act| act.who.as_str()).collect();
        u32::try_from(actors.len()).unwrap_or(u32::MAX)
    }

    /// Applications at the application's own node of a kind, itself included, without claims that came to nothing.
    pub(crate) fn count(&self, kind: NodeKind) -> u32 {
        let at = |node: &Number| {
            let crowd = self.found.crowd(*node).filter(|_| self.found.node(*node).kind == kind)?;
            let held = |link: &&Number| self.holds(kind, self.found.link(**link).application);
            let is_missing = !crowd.links.iter().filter(held).any(|link| *link == OWN);
            let here = crowd.links.iter().filter(held).count();
            u32::try_from(here + usize::from(is_missing) + usize::from(crowd.cut_off)).ok()
        };
        let counts = self.own_nodes().iter().filter_map(at).max();
        counts.unwrap_or(u32::from(self.own().is_some()))
    }

    /// How many applications touch a node in the window. Of a crowd only the newest were read; the rest is reckoned from
    /// how fast those came.
    pub(crate) fn degree(&self, node: Number) -> u64 {
        let Some(crowd) = self.found.crowd(node) else { return 0 };
        let count = crowd.links.len() as u64;
        if !crowd.cut_off {
            return count;
        }
        let times = self.links_of(crowd).map(|link| link.at.as_second());
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return count };
        let span = u64::try_from(last - first).unwrap_or(0).max(1);
        let whole = u64::try_from(last - self.scope.window.from.as_second()).unwrap_or(0);
        (count * whole / span).max(count + 1)
    }

    /// The loans of other applications that are overdue and share a joining node with this one: how many, and the days
    /// of the one that is overdue longest. One hop only: who shares nothing with a debtor answers for no debt.
    pub(crate) fn overdue(&self) -> (u32, u32) {
        let loans = self.overdue_at(self.own_nodes());
        (u32::try_from(loans.len()).unwrap_or(u32::MAX), loans.into_values().max().unwrap_or(0))
    }

    /// Loans at the members' joining nodes that are overdue by [`OVERDUE_DAYS`] or more, and the steps to the nearest.
    pub(crate) fn overdue_around(&self, members: &Members<'_>) -> (u32, u32) {
        let mut nearest: BTreeMap<PayoutId, u32> = BTreeMap::new();
        for member in members.iter() {
            let loans = self.overdue_at(self.found.touched(member.number));
            for payout in loans.into_iter().filter(|(_, days)| *days >= OVERDUE_DAYS).map(|(id, _)| id) {
                let steps = nearest.entry(payout).or_insert(u32::MAX);
                *steps = (*steps).min(member.distance + 1);
            }
        }
        let count = u32::try_from(nearest.len()).unwrap_or(u32::MAX);
        (count, nearest.into_values().min().unwrap_or(0))
    }

    fn overdue_at(&self, nodes: &[Number]) -> BTreeMap<PayoutId, u32> {
        let joining = nodes.iter().filter(|node| self.joins(**node));
        let crowds = joining.filter_map(|node| self.found.crowd(*node));
        crowds.flat_map(|crowd| crowd.overdue.iter().copied()).collect()
    }

    /// Whether anything within reach was left unread, so that sizes and counts are lower bounds.
    pub fn cut_off(&self) -> bool {
        let acts_cut_off = self.acts.as_ref().is_some_and(|acts| acts.cut_off);
        let ties_cut_off = self.ties.as_ref().is_some_and(TieSpread::cut_off);
        let is_cut_off = |crowd: &Crowd| crowd.cut_off || crowd.outcomes_cut_off;
        self.is_starved || ties_cut_off || acts_cut_off || self.found.crowds().any(is_cut_off)
    }
}
