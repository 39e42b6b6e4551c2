//! Spreading out from an application or from any node, hop by hop.
//!
//! A hop reads nodes; what stands at a node are applications, and each of them tells all its other nodes. So whoever
//! holds a [`Spread`] asks for [`Spread::next_hop`], reads those nodes in any order, [`Spread::add`]s what was found, and
//! goes on until a hop is empty.

mod counts;
mod judging;

pub use judging::{Proof, Standing};

use crate::{
    MAX_HOPS, MAX_JUDGED, MAX_READS, MAX_TIE_READS, MAX_TIED_FIRMS, Member, Members, TieSpread, WINDOW,
    can_join,
    found::{Crowd, Found, Number},
    is_strong,
};
use domain::{ApplicationId, FirmCode};
use jiff::Timestamp;
use judging::Judgement;
use ports::relation::{Acts, Link, LoanOutcome, Neighbours, Node, NodeKind, Window};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

/// What a spread may look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub window: Window,
    /// Kinds of nodes that are read. The weak ones of them are read at the seed and never joined over.
    pub kinds: BTreeSet<NodeKind>,
    /// Hops, at most [`MAX_HOPS`].
    pub hops: u32,
    /// Nodes read in all hops together, at most [`MAX_READS`].
    pub reads: usize,
}

impl Scope {
    /// What a check of this application looks at: everything, back from the time that it was received.
    pub fn of_check(own: &Link) -> Self {
        let from = own.at.checked_sub(WINDOW).unwrap_or(own.at);
        let window = Window { from, to: None };
        // The journeys of members, the ties of the firm and the acts on the device are read within the same budget.
        let reads = MAX_READS - MAX_JUDGED - MAX_TIE_READS - MAX_TIED_FIRMS - 1;
        Self { window, kinds: NodeKind::ALL.into(), hops: MAX_HOPS, reads }
    }
}

/// Where a spread begins. An application is the first that is kept.
#[derive(Clone, Debug)]
enum Seed {
    Node(Node),
    Application,
}

const OWN: Number = 0;

/// As far as [`WINDOW`] from a time on either side.
fn around(at: Timestamp) -> (Timestamp, Timestamp) {
    let (earliest, latest) = (at.checked_sub(WINDOW), at.checked_add(WINDOW));
    (earliest.unwrap_or(Timestamp::MIN), latest.unwrap_or(Timestamp::MAX))
}

/// The part of the graph that was read. Reading it in any order gives the same ring.
#[derive(Clone, Debug)]
pub struct Spread {
    seed: Seed,
    scope: Scope,
    hops: u32,
    found: Found,
    /// The budget ended a hop.
    is_starved: bool,
    judgement: Option<Judgement>,
    ties: Option<TieSpread>,
    acts: Option<Acts>,
}

/// One step of a path: an application, and the node over which the step before reached it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub via: Option<Node>,
    pub application: ApplicationId,
}

impl Spread {
    /// The neighbourhood of an application that is checked.
    pub fn around(own: impl Into<Arc<Link>>) -> Self {
        let own = own.into();
        let scope = Scope::of_check(&own);
        Self::from_application(own, scope)
    }

    /// The neighbourhood of an application within a scope.
    pub fn from_application(own: impl Into<Arc<Link>>, scope: Scope) -> Self {
        let mut spread = Self::begin(Seed::Application, scope);
        spread.found.begin(own.into());
        spread
    }

    /// The neighbourhood of a node within a scope.
    pub fn from_node(node: Node, scope: Scope) -> Self {
        Self::begin(Seed::Node(node), scope)
    }

    fn begin(seed: Seed, scope: Scope) -> Self {
        let scope = Scope { hops: scope.hops.min(MAX_HOPS), reads: scope.reads.min(MAX_READS), ..scope };
        Self {
            seed,
            scope,
            hops: 0,
            found: Found::default(),
            is_starved: false,
            judgement: None,
            ties: None,
            acts: None,
        }
    }

    /// What to read of a node.
    pub fn window(&self) -> Window {
        self.scope.window
    }

    /// How many reads were made: nodes, and ties of nodes.
    pub fn reads(&self) -> usize {
        let ties = self.ties.as_ref().map_or(0, TieSpread::reads);
        self.found.reads() + ties + usize::from(self.acts.is_some())
    }

    /// Takes in what the record says around the application's firm. Returns the firms around whose applications are to be
    /// read and [`Self::add`]ed.
    pub fn tie(&mut self, ties: TieSpread) -> Vec<Node> {
        let firms = ties.tied_firms().into_iter().filter(|firm| self.crowd_at(firm).is_none()).collect();
        self.ties = Some(ties);
        firms
    }

    /// The device whose acts are to be read, with [`FAN_OUT`] as the limit.
    pub fn device(&self) -> Option<&Node> {
        self.own()?.nodes.iter().find(|node| node.kind == NodeKind::Device)
    }

    /// Takes in what was done at [`Self::device`].
    pub fn act(&mut self, acts: Acts) {
        self.acts = Some(acts);
    }

    pub(crate) fn ties(&self) -> Option<&TieSpread> {
        self.ties.as_ref()
    }

    /// The nodes to be read next; empty when the spread is done. The first hop is the seed's own nodes, weak ones too,
    /// since those are counted. Later ones are the strong nodes of everybody reached: first those that several of them
    /// share, which hold a ring together, as many as the budget allows.
    pub fn next_hop(&mut self) -> Vec<Node> {
        if self.hops == self.scope.hops {
            return Vec::new();
        }
        self.hops += 1;
        let ahead = if self.hops == 1 { self.seed_nodes() } else { self.ahead() };
        let budget = self.scope.reads.saturating_sub(self.found.reads());
        self.is_starved |= ahead.len() > budget;
        ahead.into_iter().take(budget).collect()
    }

    fn seed_nodes(&self) -> Vec<Node> {
        let nodes: BTreeSet<&Node> = match &self.seed {
            Seed::Node(node) => BTreeSet::from([node]),
            Seed::Application => self.found.link(OWN).nodes.iter().collect(),
        };
        nodes.into_iter().filter(|node| self.scope.kinds.contains(&node.kind)).cloned().collect()
    }

    fn ahead(&self) -> Vec<Node> {
        let mut sharers = vec![0_u32; self.found.nodes()];
        for member in self.members().iter() {
            for node in self.found.touched(member.number) {
                sharers[*node as usize] += 1;
            }
        }
        let numbered =
            (0..).zip(sharers).filter(|(number, count)| *count > 0 && self.found.crowd(*number).is_none());
        let named = numbered.map(|(number, count)| (Reverse(count), self.found.node(number)));
        let is_ahead = |node: &Node| is_strong(node.kind) && self.scope.kinds.contains(&node.kind);
        let mut nodes: Vec<_> = named.filter(|(_, node)| is_ahead(node)).collect();
        nodes.sort_unstable();
        nodes.into_iter().map(|(_, node)| node.clone()).collect()
    }

    /// Takes in what was found at a node. Links outside the window are dropped, and those further than [`WINDOW`] from the
    /// application on either side, so that of two direct neighbours each sees the other.
    pub fn add(&mut self, node: Node, found: Neighbours) {
        let Neighbours { mut links, outcomes, cut_off, outcomes_cut_off } = found;
        let own = self.own().map(|own| (own.application.payout_id(), own.at));
        let window = self.scope.window;
        let (earliest, latest) = own.map_or((Timestamp::MIN, Timestamp::MAX), |(_, own)| around(own));
        links.retain(|link| (earliest..=latest).contains(&link.at) && window.holds(link.at));
        let is_seed = matches!(&self.seed, Seed::Node(seed) if *seed == node);
        let joins = is_seed || can_join(node.kind, cut_off);
        let crowd = self.found.read(node, links.into_iter(), joins);
        let is_overdue = |outcome: &LoanOutcome| {
            outcome.overdue_days > 0 && own.is_none_or(|(payout, _)| outcome.payout != payout)
        };
        crowd.overdue.extend(outcomes.into_iter().filter(is_overdue).map(|o| (o.payout, o.overdue_days)));
        (crowd.cut_off, crowd.outcomes_cut_off) = (cut_off, outcomes_cut_off);
    }

    /// What was read of a node.
    fn crowd_at(&self, node: &Node) -> Option<&Crowd> {
        self.found.crowd(self.found.number_of(node)?)
    }

    /// The applications that were read at a node.
    fn links_of<'a>(&'a self, crowd: &'a Crowd) -> impl Iterator<Item = &'a Link> + Clone {
        crowd.links.iter().map(|link| self.found.link(*link))
    }

    /// The nodes of the application itself; none of a seed that is a node.
    fn own_nodes(&self) -> &[Number] {
        if self.own().is_some() { self.found.touched(OWN) } else { &[] }
    }

    /// The application that the spread began with.
    pub(crate) fn own(&self) -> Option<&Link> {
        match &self.seed {
            Seed::Application => Some(self.found.link(OWN)),
            Seed::Node(_) => None,
        }
    }

    /// Everybody that belongs together with the seed: the closure over joining nodes, by the shortest ways.
    pub fn members(&self) -> Members<'_> {
        let mut members: Vec<Member<'_>> = match &self.seed {
            Seed::Application => vec![self.member(OWN, 0, None)],
            Seed::Node(node) => {
                let here = self.crowd_at(node).into_iter().flat_map(|crowd| &crowd.links);
                here.map(|number| self.member(*number, 1, Some((node, None)))).collect()
            }
        };
        let mut is_known = vec![false; self.found.applications()];
        for member in &members {
            is_known[member.number as usize] = true;
        }
        let mut is_spread = vec![false; self.found.nodes()];
        let mut next = 0;
        while let Some(Member { link, number, distance, .. }) = members.get(next).copied() {
            next += 1;
            for node in self.found.touched(number).iter().copied().filter(|node| self.joins(*node)) {
                let (Some(crowd), kind) = (self.found.crowd(node), self.found.node(node).kind) else {
                    continue;
                };
                // Whoever stands at a node is reached from the first that spreads over it.
                if !self.holds(kind, link.application) || mem::replace(&mut is_spread[node as usize], true) {
                    continue;
                }
                let via = Some((self.found.node(node), Some(link.application)));
                for other in crowd.links.iter().copied() {
                    let is_held = self.holds(kind, self.found.link(other).application);
                    if is_held && !mem::replace(&mut is_known[other as usize], true) {
                        members.push(self.member(other, distance + 1, via));
                    }
                }
            }
        }
        Members::new(members)
    }

    fn member<'a>(
        &'a self,
        number: Number,
        distance: u32,
        via: Option<(&'a Node, Option<ApplicationId>)>,
    ) -> Member<'a> {
        Member { link: self.found.link(number), number, distance, via }
    }

    /// The same with the applications of the firms that guarantees join with the application's own. Each guarantee is one
    /// step more.
    pub(crate) fn guaranteed_members<'a>(
        &'a self,
        guaranteed: &'a [(FirmCode, Node, FirmCode)],
    ) -> Members<'a> {
        let mut members = self.members().to_vec();
        let mut known: BTreeSet<Number> = members.iter().map(|member| member.number).collect();
        let mut nearest: BTreeMap<&FirmCode, (ApplicationId, u32)> = BTreeMap::new();
        for member in &members {
            let known = (member.link.application, member.distance);
            let near = nearest.entry(&member.link.firm).or_insert(known);
            *near = if known.1 < near.1 { known } else { *near };
        }
        for (firm, guarantee, from) in guaranteed {
            let Some((before, distance)) = nearest.get(from).copied() else { continue };
            let node = Node { kind: NodeKind::Firm, hash: firm.as_str().to_owned() };
            let via = Some((guarantee, Some(before)));
            for number in self.crowd_at(&node).into_iter().flat_map(|crowd| &crowd.links) {
                let is_held = self.holds(NodeKind::Firm, self.found.link(*number).application);
                if is_held && known.insert(*number) {
                    members.push(self.member(*number, distance + 1, via));
                }
            }
            nearest.entry(firm).or_insert((before, distance + 1));
        }
        Members::new(members)
    }

    /// How an application was reached, from the seed on; empty when it was not.
    pub fn path(&self, to: ApplicationId) -> Vec<Step> {
        let members = self.members();
        let mut path = Vec::new();
        let mut next = Some(to);
        while let Some(member) = next.and_then(|id| members.get(id)) {
            let via = member.via.map(|(node, _)| node.clone());
            path.push(Step { via, application: member.link.application });
            next = member.via.and_then(|(_, from)| from);
        }
        path.reverse();
        path
    }

    /// Whether sharing the node joins applications.
    pub(crate) fn joins(&self, node: Number) -> bool {
        let is_crowd = self.found.crowd(node).is_some_and(|crowd| crowd.cut_off);
        can_join(self.found.node(node).kind, is_crowd)
    }

    /// Everything that was read.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }
}
