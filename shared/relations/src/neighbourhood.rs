//! What has been read around one application, and what is to be read next.

use crate::{MAX_READS, WINDOW, is_strong};
use domain::{ApplicationId, PayoutId};
use ports::relation::{Link, LoanOutcome, Neighbours, Node, NodeKind};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// The part of the graph around one application. Reading it in any order gives the same ring.
#[derive(Clone, Debug)]
pub struct Neighbourhood {
    pub(crate) own: Link,
    read: BTreeMap<Node, Crowd>,
}

/// The applications at a node that was read.
#[derive(Clone, Debug)]
struct Crowd {
    links: BTreeMap<ApplicationId, Link>,
    /// Days overdue, of the loans that are. A loan runs for longer than the window, so its age does not matter.
    overdue: BTreeMap<PayoutId, u32>,
    /// How many applications are there at least: those in the window, or all that were read when there are more.
    count: u32,
    cut_off: bool,
}

impl Neighbourhood {
    /// Nothing read yet.
    pub fn around(own: Link) -> Self {
        Self { own, read: BTreeMap::new() }
    }

    /// The application's own nodes, weak ones too, since those are counted.
    pub fn first_hop(&self) -> Vec<Node> {
        let nodes: BTreeSet<&Node> = self.own.nodes.iter().collect();
        nodes.into_iter().take(MAX_READS).cloned().collect()
    }

    /// The strong nodes of the applications that the first hop joined, as many as the budget allows. Those that several
    /// of them share come first: they hold a ring together.
    pub fn second_hop(&self) -> Vec<Node> {
        let mut sharers: BTreeMap<&Node, u32> = BTreeMap::new();
        for link in self.direct().into_values() {
            for node in link.nodes.iter().filter(|n| is_strong(n.kind) && !self.read.contains_key(n)) {
                *sharers.entry(node).or_default() += 1;
            }
        }
        let mut nodes: Vec<(Reverse<u32>, &Node)> =
            sharers.into_iter().map(|(node, count)| (Reverse(count), node)).collect();
        nodes.sort_unstable();
        let budget = MAX_READS.saturating_sub(self.read.len());
        nodes.into_iter().take(budget).map(|(_, node)| node.clone()).collect()
    }

    /// Takes in what was found at a node. Links outside the window are dropped.
    pub fn add(&mut self, node: Node, found: Neighbours) {
        let mut ids: BTreeSet<ApplicationId> = found.links.iter().map(|l| l.application).collect();
        let links: BTreeMap<ApplicationId, Link> = found
            .links
            .into_iter()
            .filter(|link| link.at.duration_since(self.own.at).abs() <= WINDOW)
            .map(|link| (link.application, link))
            .collect();
        // Of a crowd only a part was read, and all that was left out may lie within the window.
        if !found.cut_off {
            ids.retain(|id| links.contains_key(id));
        }
        if self.own.nodes.contains(&node) {
            ids.insert(self.own.application);
        }
        let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let is_overdue = |outcome: &LoanOutcome| {
            outcome.overdue_days > 0 && outcome.payout != self.own.application.payout_id()
        };
        let overdue = found.outcomes.into_iter().filter(is_overdue).map(|o| (o.payout, o.overdue_days));
        let overdue = overdue.collect();
        self.read.insert(node, Crowd { links, overdue, count, cut_off: found.cut_off });
    }

    /// Applications at the application's own node of a kind, itself included.
    pub(crate) fn count(&self, kind: NodeKind) -> u32 {
        let nodes = self.own.nodes.iter().filter(|node| node.kind == kind);
        nodes.filter_map(|node| self.read.get(node)).map(|crowd| crowd.count).max().unwrap_or(1)
    }

    /// The loans of other applications that are overdue and share a joining node with this one: how many, and the days
    /// of the one that is overdue longest. One hop only: who shares nothing with a debtor answers for no debt.
    pub(crate) fn overdue(&self) -> (u32, u32) {
        let joining = self.own.nodes.iter().filter(|node| self.joins(node));
        let crowds = joining.filter_map(|node| self.read.get(node));
        let loans: BTreeMap<PayoutId, u32> =
            crowds.flat_map(|crowd| crowd.overdue.iter().map(|(id, days)| (*id, *days))).collect();
        let count = u32::try_from(loans.len()).unwrap_or(u32::MAX);
        (count, loans.into_values().max().unwrap_or(0))
    }

    /// Whether anything within two hops was left unread, so that sizes and counts are lower bounds.
    pub(crate) fn cut_off(&self) -> bool {
        let unread =
            |link: &Link| link.nodes.iter().any(|node| is_strong(node.kind) && !self.read.contains_key(node));
        self.read.values().any(|crowd| crowd.cut_off)
            || unread(&self.own)
            || self.direct().into_values().any(unread)
    }

    /// The applications that belong together with this one, itself included: the closure over joining nodes.
    pub(crate) fn members(&self) -> BTreeMap<ApplicationId, &Link> {
        let mut members = BTreeMap::from([(self.own.application, &self.own)]);
        let mut ahead = vec![&self.own];
        while let Some(link) = ahead.pop() {
            for next in self.joined_to(link) {
                if members.insert(next.application, next).is_none() {
                    ahead.push(next);
                }
            }
        }
        members.insert(self.own.application, &self.own);
        members
    }

    /// Whether sharing the node joins applications.
    pub(crate) fn joins(&self, node: &Node) -> bool {
        let crowd = self.read.get(node).is_some_and(|crowd| crowd.cut_off);
        is_strong(node.kind) && (!crowd || node.kind == NodeKind::Person)
    }

    /// The applications that share a joining node with this one, itself included.
    fn direct(&self) -> BTreeMap<ApplicationId, &Link> {
        self.joined_to(&self.own).map(|link| (link.application, link)).collect()
    }

    fn joined_to<'a>(&'a self, link: &'a Link) -> impl Iterator<Item = &'a Link> {
        let joining = link.nodes.iter().filter(|node| self.joins(node));
        joining.filter_map(|node| self.read.get(node)).flat_map(|crowd| crowd.links.values())
    }
}
