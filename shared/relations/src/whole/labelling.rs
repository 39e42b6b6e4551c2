//! Labelling every ring of the whole graph with the code of a live check.

use super::{Unproven, Whole, WholeError, communities, unions};
use crate::{
    FAN_OUT, Feature, Labels, Proof, Ring, Scope, Sign, Spread, Standing, TieSpread, is_claim, is_strong,
};
use domain::{ApplicationId, ring::OVERDUE_DAYS};
use ports::relation::{Link, Neighbours, Node, NodeKind};
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZero,
    sync::Arc,
    thread,
};

/// A ring of the whole graph.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeRing {
    /// The newest member that stands by its claims; the ring is seen from it.
    pub finder: ApplicationId,
    /// The oldest member.
    pub first: ApplicationId,
    pub ring: Ring,
}

/// How the whole graph falls into parts, and the rings that are suspicious.
#[derive(Debug)]
pub struct Labelled {
    /// In the order of their oldest members.
    pub suspicious: Vec<WholeRing>,
    /// Those that could be, once the journeys of their members were looked at.
    suspected: Vec<WholeRing>,
    /// Parts of two applications or more.
    pub rings: usize,
    /// Applications in the largest part.
    pub largest: usize,
    /// Components that were cut into communities.
    pub cut: usize,
    /// For each application the oldest one of its part.
    pub(super) parts: Vec<u32>,
    unproven: Unproven,
}

impl Labelled {
    /// The members whose journeys have to be looked at before a ring is held against anybody: those of every suspicious
    /// ring and of those that could be, the first rings first, at most `most` of them. Whoever is not looked at is believed.
    pub fn doubtful(&self, most: usize) -> Vec<ApplicationId> {
        let members = self
            .suspicious
            .iter()
            .chain(&self.suspected)
            .flat_map(|found| std::iter::once(found.finder).chain(found.ring.others.iter().copied()));
        members.take(most).collect()
    }
}

impl Whole {
    /// Joins, cuts and labels. `standings` are of the journeys that were looked at; none at first.
    ///
    /// # Errors
    /// When a component cannot be cut.
    pub fn label(
        &self,
        standings: &BTreeMap<ApplicationId, Standing>,
        labels: &Labels,
    ) -> Result<Labelled, WholeError> {
        let unproven = Unproven::of(self, standings);
        let components = unions::components(self, &unproven);
        let (parts, cut) = communities::cut(self, &unproven, components)?;
        let groups = unions::groups(&parts);
        let (rings, largest) = (groups.len(), groups.iter().map(Vec::len).max().unwrap_or(0));
        let look = |members: &Vec<u32>| {
            let may_be = self.may_be_suspicious(members, labels);
            let found = may_be.then(|| self.ring(members, &unproven, standings, labels));
            found.filter(|found| found.ring.is_suspicious() || found.ring.is_suspected())
        };
        let (suspicious, suspected) =
            in_parallel(&groups, look).into_iter().partition(|found| found.ring.is_suspicious());
        Ok(Labelled { suspicious, suspected, rings, largest, cut, parts, unproven })
    }

    /// The ring that these members are, and be it one alone.
    pub(super) fn ring_of(
        &self,
        members: &[u32],
        labelled: &Labelled,
        standings: &BTreeMap<ApplicationId, Standing>,
        labels: &Labels,
    ) -> WholeRing {
        self.ring(members, &labelled.unproven, standings, labels)
    }

    fn ring(
        &self,
        members: &[u32],
        unproven: &Unproven,
        standings: &BTreeMap<ApplicationId, Standing>,
        labels: &Labels,
    ) -> WholeRing {
        let stands = |member: &&u32| unproven.holds(NodeKind::Person, **member);
        // Its own claims are believed, so one without proof is asked only when there are no others.
        let own = members.iter().rev().find(stands).or(members.last()).copied().unwrap_or_default();
        let links: BTreeMap<u32, Arc<Link>> =
            members.iter().map(|member| (*member, Arc::new(self.link(*member)))).collect();
        let touched: BTreeSet<u32> =
            members.iter().flat_map(|member| self.rows.nodes.get(*member)).copied().collect();
        let own_link = self.link(own);
        let scope = Scope { window: self.window, ..Scope::of_check(&own_link) };
        let mut spread = Spread::from_application(own_link, scope);
        let mut known: BTreeMap<ApplicationId, Standing> = BTreeMap::new();
        for node in touched {
            let found = self.found_at(node, &links, unproven);
            let ids = found.links.iter().map(|link| link.application);
            known.extend(ids.filter_map(|id| Some((id, *standings.get(&id)?))));
            spread.add(self.nodes[node as usize].clone(), found);
        }
        let tied = spread.tie(self.ties_around(own));
        for firm in tied {
            let found = self.applicants(&firm);
            spread.add(firm, found);
        }
        if !known.is_empty() {
            let proof = known.get(&self.rows.ids[own as usize]).map_or(Proof::Proven, |own| own.proof);
            spread.judge(proof, known);
            spread.doubt_pending();
        }
        let first = members.first().copied().unwrap_or(own);
        let id = |at: u32| self.rows.ids[at as usize];
        WholeRing { finder: id(own), first: id(first), ring: Ring::of(&spread, labels) }
    }

    /// The record around the firm of an application, as a check reads it.
    fn ties_around(&self, application: u32) -> TieSpread {
        let firm = self.bare_link(application).firm;
        let mut ties = TieSpread::around(firm, self.as_of);
        loop {
            let nodes = ties.next_hop();
            if nodes.is_empty() {
                return ties;
            }
            for node in nodes {
                let found = self.ties_at(&node);
                ties.add(node, found);
            }
        }
    }

    /// The newest applications of a firm that a guarantee brings into view.
    fn applicants(&self, firm: &Node) -> Neighbours {
        let number = self.nodes.get_index_of(firm).and_then(|number| u32::try_from(number).ok());
        let here = number.map_or([].as_slice(), |node| self.at_node.get(node));
        let newest = here.iter().rev().take(FAN_OUT as usize);
        let links = newest.map(|at| Arc::new(self.link(*at))).collect();
        let cut_off = number.is_some_and(|node| self.is_crowd(node));
        Neighbours { links, cut_off, ..Neighbours::default() }
    }

    /// What a check would find at a node, had it no limit where members are joined. Whoever is only counted is a link
    /// without nodes, and those who joined another part of a component that was cut are left out.
    fn found_at(&self, node: u32, links: &BTreeMap<u32, Arc<Link>>, unproven: &Unproven) -> Neighbours {
        let (kind, here) = (self.kind(node), self.at_node.get(node));
        let outcomes: Vec<_> = self.overdue(node).copied().collect();
        if !self.joins(node) {
            let newest = here.iter().rev().take(FAN_OUT as usize);
            let links = newest.map(|at| Arc::new(self.bare_link(*at))).collect();
            return Neighbours { links, outcomes, cut_off: self.is_crowd(node), outcomes_cut_off: false };
        }
        let found = here.iter().filter_map(|at| match links.get(at) {
            Some(link) => Some(Arc::clone(link)),
            None => (is_claim(kind) && !unproven.holds(kind, *at)).then(|| Arc::new(self.bare_link(*at))),
        });
        Neighbours { links: found.collect(), outcomes, cut_off: false, outcomes_cut_off: false }
    }

    /// Whether these may be a suspicious ring at all. What costs little to know bounds every feature from above; a rule
    /// whose gate asks for more cannot fit, and most of a city need no closer look.
    fn may_be_suspicious(&self, members: &[u32], labels: &Labels) -> bool {
        let rows = &self.rows;
        let different = |of: &[u32]| -> u32 {
            let mut seen: Vec<u32> = members.iter().map(|at| of[*at as usize]).collect();
            seen.sort_unstable();
            seen.dedup();
            u32::try_from(seen.len()).unwrap_or(u32::MAX)
        };
        let applications = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let (firms, banks) = (different(&rows.firm), different(&rows.bank));
        let nodes = || members.iter().flat_map(|member| rows.nodes.get(*member)).copied();
        let has_debt = |node: u32| self.overdue(node).any(|loan| loan.overdue_days >= OVERDUE_DAYS);
        let most = |feature: Feature| match feature {
            Feature::Applications => applications,
            Feature::Firms => firms,
            Feature::Lenders | Feature::StackedLenders => banks,
            Feature::OverdueLoans if !nodes().any(|node| is_strong(self.kind(node)) && has_debt(node)) => 0,
            _ => u32::MAX,
        };
        let may_all_be = |signs: &[Sign]| signs.iter().all(|sign| most(sign.feature) >= sign.at_least);
        labels
            .rules
            .iter()
            .any(|rule| may_all_be(&rule.gate) || (!rule.sure.is_empty() && may_all_be(&rule.sure)))
    }
}

/// Looks at each group on every core; what is found stays in the order of the groups.
fn in_parallel<T: Send>(groups: &[Vec<u32>], look: impl Fn(&Vec<u32>) -> Option<T> + Sync) -> Vec<T> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = groups.len().div_ceil(cores).max(1);
    thread::scope(|scope| {
        let running: Vec<_> = groups
            .chunks(share)
            .map(|chunk| scope.spawn(|| chunk.iter().filter_map(&look).collect::<Vec<T>>()))
            .collect();
        let found = running.into_iter().map(|thread| match thread.join() {
            Ok(found) => found,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        found.flatten().collect()
    })
}
