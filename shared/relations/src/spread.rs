//! Spreading out from an application or from any node, hop by hop.
//!
//! A hop reads nodes; what stands at a node are applications, and each of them tells all its other nodes. So whoever
//! holds a [`Spread`] asks for [`Spread::next_hop`], reads those nodes in any order, [`Spread::add`]s what was found, and
//! goes on until a hop is empty.

use crate::{
    MAX_HOPS, MAX_JUDGED, MAX_READS, MAX_TIE_READS, MAX_TIED_FIRMS, TieSpread, WINDOW, is_claim, is_strong,
};
use domain::{
    ApplicationId, FirmCode, PayoutId, RingId,
    journey::{Journey, Status},
    ring::OVERDUE_DAYS,
};
use ports::relation::{ActKind, Acts, Link, LoanOutcome, Neighbours, Node, NodeKind, Window};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
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

/// What an application's journey says of its claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// It ended before it had proven to be who it claims.
    Void,
    /// Its checks are running. It counts, or two members that apply in the same instant would both be let through.
    Pending,
    /// Registration, face and phone agree with what it claims.
    Proven,
}

impl Proof {
    /// What a journey says.
    pub fn of(journey: &Journey) -> Self {
        match journey.status.is_end() {
            _ if journey.is_proven() => Proof::Proven,
            true => Proof::Void,
            false => Proof::Pending,
        }
    }
}

/// What was found in the journey of another application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub proof: Proof,
    pub declined: bool,
    /// What it scored, once it has.
    pub points: Option<i32>,
    /// The ring that it is known to belong to.
    pub ring: Option<RingId>,
}

impl Standing {
    /// What a journey says.
    pub fn of(journey: &Journey) -> Self {
        let declined = journey.status == Status::Declined;
        let points = journey.facts.score.as_ref().map(|score| score.points);
        Self { proof: Proof::of(journey), declined, points, ring: journey.facts.largest_ring().ring }
    }
}

/// Where a spread begins.
#[derive(Clone, Debug)]
enum Seed {
    Node(Node),
    Application(Link),
}

/// The part of the graph that was read. Reading it in any order gives the same ring.
#[derive(Clone, Debug)]
pub struct Spread {
    seed: Seed,
    scope: Scope,
    hops: u32,
    read: BTreeMap<Node, Crowd>,
    /// The budget ended a hop.
    is_starved: bool,
    judgement: Option<Judgement>,
    ties: Option<TieSpread>,
    acts: Option<Acts>,
}

/// What the journeys of members said.
#[derive(Clone, Debug)]
struct Judgement {
    standings: BTreeMap<ApplicationId, Standing>,
    /// From which proof on a claim counts.
    least: Proof,
    /// The application's own.
    own: Proof,
}

/// What stands at a node that was read.
#[derive(Clone, Debug)]
struct Crowd {
    links: BTreeMap<ApplicationId, Link>,
    /// Days overdue, of the loans that are. A loan runs for longer than the window, so its age does not matter.
    overdue: BTreeMap<PayoutId, u32>,
    cut_off: bool,
    outcomes_cut_off: bool,
}

/// An application that a spread has reached.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    pub link: &'a Link,
    /// 0 for the seed; each shared node is one more.
    pub distance: u32,
    /// Over which node, and from which application, it was reached first. A seed that is a node has no application.
    pub via: Option<(&'a Node, Option<ApplicationId>)>,
}

/// One step of a path: an application, and the node over which the step before reached it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub via: Option<Node>,
    pub application: ApplicationId,
}

impl Spread {
    /// The neighbourhood of an application that is checked.
    pub fn around(own: Link) -> Self {
        let scope = Scope::of_check(&own);
        Self::begin(Seed::Application(own), scope)
    }

    /// The neighbourhood of an application within a scope.
    pub fn from_application(own: Link, scope: Scope) -> Self {
        Self::begin(Seed::Application(own), scope)
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
            read: BTreeMap::new(),
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
        self.read.len() + ties + usize::from(self.acts.is_some())
    }

    /// Takes in what the record says around the application's firm. Returns the firms around whose applications are to be
    /// read and [`Self::add`]ed.
    pub fn tie(&mut self, ties: TieSpread) -> Vec<Node> {
        let firms = ties.tied_firms().into_iter().filter(|firm| !self.read.contains_key(firm)).collect();
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

    /// How many different ones did something of these kinds on the application's device.
    pub(crate) fn actors(&self, kinds: &[ActKind]) -> u32 {
        let acts = self.acts.iter().flat_map(|acts| &acts.acts).filter(|act| kinds.contains(&act.kind));
        let actors: BTreeSet<&str> = acts.map(|act| act.who.as_str()).collect();
        u32::try_from(actors.len()).unwrap_or(u32::MAX)
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
        let budget = self.scope.reads.saturating_sub(self.read.len());
        self.is_starved |= ahead.len() > budget;
        ahead.into_iter().take(budget).collect()
    }

    fn seed_nodes(&self) -> Vec<Node> {
        let nodes: BTreeSet<&Node> = match &self.seed {
            Seed::Node(node) => BTreeSet::from([node]),
            Seed::Application(own) => own.nodes.iter().collect(),
        };
        nodes.into_iter().filter(|node| self.scope.kinds.contains(&node.kind)).cloned().collect()
    }

    fn ahead(&self) -> Vec<Node> {
        let mut sharers: BTreeMap<&Node, u32> = BTreeMap::new();
        for member in self.members().values() {
            let nodes = member.link.nodes.iter().filter(|n| is_strong(n.kind) && !self.read.contains_key(n));
            for node in nodes.filter(|n| self.scope.kinds.contains(&n.kind)) {
                *sharers.entry(node).or_default() += 1;
            }
        }
        let mut nodes: Vec<_> = sharers.into_iter().map(|(node, count)| (Reverse(count), node)).collect();
        nodes.sort_unstable();
        nodes.into_iter().map(|(_, node)| node.clone()).collect()
    }

    /// Takes in what was found at a node. Links outside the window are dropped, and those further than [`WINDOW`] from the
    /// application on either side, so that of two direct neighbours each sees the other.
    pub fn add(&mut self, node: Node, found: Neighbours) {
        let is_near = |link: &Link| {
            self.own().is_none_or(|own| link.at.duration_since(own.at).abs() <= WINDOW)
                && self.scope.window.holds(link.at)
        };
        let in_window = found.links.into_iter().filter(is_near);
        let links = in_window.map(|link| (link.application, link)).collect();
        let own = self.own().map(|own| own.application.payout_id());
        let is_overdue = |outcome: &LoanOutcome| outcome.overdue_days > 0 && Some(outcome.payout) != own;
        let overdue = found.outcomes.into_iter().filter(is_overdue).map(|o| (o.payout, o.overdue_days));
        let overdue = overdue.collect();
        let Neighbours { cut_off, outcomes_cut_off, .. } = found;
        self.read.insert(node, Crowd { links, overdue, cut_off, outcomes_cut_off });
    }

    /// The applications whose journeys have to be looked at before anybody is refused for them: members that only claims
    /// join first, the newest first, then the crowd at a card or phone of its own, as many as reads are left.
    pub fn doubtful(&self) -> Vec<ApplicationId> {
        let members = self.members();
        let mut others: Vec<_> = members
            .values()
            .filter(|member| member.distance > 0)
            .map(|member| {
                let by_claim = member.via.is_some_and(|(node, _)| is_claim(node.kind));
                (Reverse(by_claim), Reverse(member.link.at), member.link.application)
            })
            .collect();
        others.sort_unstable();
        let crowd = self.crowd().filter(|link| !members.contains_key(&link.application));
        let mut crowd: Vec<_> = crowd.map(|link| (Reverse(link.at), link.application)).collect();
        crowd.sort_unstable();
        crowd.dedup();
        let all = others.into_iter().map(|(_, _, id)| id).chain(crowd.into_iter().map(|(_, id)| id));
        all.take(MAX_READS.saturating_sub(self.reads())).collect()
    }

    /// What was read of those at the application's own card and phone where they are too many to join anybody.
    fn crowd(&self) -> impl Iterator<Item = &Link> {
        let own = self.own().into_iter().flat_map(|own| &own.nodes);
        let claims = own.filter(|node| matches!(node.kind, NodeKind::Card | NodeKind::Phone));
        let crowds = claims.filter_map(|node| self.read.get(node)).filter(|crowd| crowd.cut_off);
        crowds.flat_map(|crowd| crowd.links.values())
    }

    /// Takes in how far the application itself has proven its claims, and what the journeys of the [`Self::doubtful`] said.
    /// From now on whoever has ended without a proof joins nobody by what it only claimed. Whoever was not looked at is
    /// believed: otherwise a few claims that were made to be dropped would hide everybody behind them.
    pub fn judge(&mut self, own: Proof, standings: impl IntoIterator<Item = (ApplicationId, Standing)>) {
        let standings = standings.into_iter().collect();
        self.judgement = Some(Judgement { standings, least: Proof::Pending, own });
    }

    /// From now on claims of those that were looked at count only where they are proven, the application's own too.
    pub fn doubt_pending(&mut self) {
        if let Some(judgement) = &mut self.judgement {
            judgement.least = Proof::Proven;
        }
    }

    /// The standings that [`Self::judge`] took in.
    pub(crate) fn standings(&self) -> impl Iterator<Item = (&ApplicationId, &Standing)> {
        self.judgement.iter().flat_map(|judgement| &judgement.standings)
    }

    /// The application that the spread began with.
    pub(crate) fn own(&self) -> Option<&Link> {
        match &self.seed {
            Seed::Application(own) => Some(own),
            Seed::Node(_) => None,
        }
    }

    /// Whether an application is taken at its word that it stands at a node of this kind. Device and network were seen by
    /// the channel; everything else may be a claim about a victim.
    pub(crate) fn holds(&self, kind: NodeKind, application: ApplicationId) -> bool {
        let Some(judgement) = self.judgement.as_ref().filter(|_| is_claim(kind)) else { return true };
        let is_own = self.own().is_some_and(|own| own.application == application);
        let proof = match judgement.standings.get(&application) {
            // It speaks for itself until its own check is over.
            _ if is_own => Some(judgement.own.max(Proof::Pending)),
            known => known.map(|standing| standing.proof),
        };
        proof.is_none_or(|proof| proof >= judgement.least)
    }

    /// Applications at the application's own node of a kind, itself included, without claims that came to nothing.
    pub(crate) fn count(&self, kind: NodeKind) -> u32 {
        let Some(own) = self.own() else { return 0 };
        let at = |node: &Node| {
            let crowd = self.read.get(node)?;
            let here: BTreeSet<_> = crowd.links.keys().filter(|id| self.holds(kind, **id)).collect();
            let is_missing = !here.contains(&own.application);
            u32::try_from(here.len() + usize::from(is_missing) + usize::from(crowd.cut_off)).ok()
        };
        own.nodes.iter().filter(|node| node.kind == kind).filter_map(at).max().unwrap_or(1)
    }

    /// Other applications at the application's own nodes that only claim to belong there.
    pub(crate) fn unproven_claims(&self) -> u32 {
        let Some(own) = self.own() else { return 0 };
        let crowds = own.nodes.iter().filter_map(|node| Some((node.kind, self.read.get(node)?)));
        let unproven: BTreeSet<_> = crowds
            .flat_map(|(kind, crowd)| crowd.links.keys().filter(move |id| !self.holds(kind, **id)))
            .filter(|id| **id != own.application)
            .collect();
        u32::try_from(unproven.len()).unwrap_or(u32::MAX)
    }

    /// How many applications touch a node in the window. Of a crowd only the newest were read; the rest is reckoned from
    /// how fast those came.
    pub(crate) fn degree(&self, node: &Node) -> u64 {
        let Some(crowd) = self.read.get(node) else { return 0 };
        let count = crowd.links.len() as u64;
        let times = crowd.links.values().map(|link| link.at.as_second());
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return count };
        if !crowd.cut_off {
            return count;
        }
        let span = u64::try_from(last - first).unwrap_or(0).max(1);
        let whole = u64::try_from(last - self.scope.window.from.as_second()).unwrap_or(0);
        (count * whole / span).max(count + 1)
    }

    /// The loans of other applications that are overdue and share a joining node with this one: how many, and the days
    /// of the one that is overdue longest. One hop only: who shares nothing with a debtor answers for no debt.
    pub(crate) fn overdue(&self) -> (u32, u32) {
        let own = self.own().into_iter().flat_map(|own| &own.nodes);
        let loans = self.overdue_at(own);
        (u32::try_from(loans.len()).unwrap_or(u32::MAX), loans.into_values().max().unwrap_or(0))
    }

    /// Loans at the members' joining nodes that are overdue by [`OVERDUE_DAYS`] or more, and the steps to the nearest.
    pub(crate) fn overdue_around(&self, members: &BTreeMap<ApplicationId, Member<'_>>) -> (u32, u32) {
        let mut nearest: BTreeMap<PayoutId, u32> = BTreeMap::new();
        for member in members.values() {
            let loans = self.overdue_at(&member.link.nodes);
            for payout in loans.into_iter().filter(|(_, days)| *days >= OVERDUE_DAYS).map(|(id, _)| id) {
                let steps = nearest.entry(payout).or_insert(u32::MAX);
                *steps = (*steps).min(member.distance + 1);
            }
        }
        let count = u32::try_from(nearest.len()).unwrap_or(u32::MAX);
        (count, nearest.into_values().min().unwrap_or(0))
    }

    fn overdue_at<'a>(&self, nodes: impl IntoIterator<Item = &'a Node>) -> BTreeMap<PayoutId, u32> {
        let joining = nodes.into_iter().filter(|node| self.joins(node));
        let crowds = joining.filter_map(|node| self.read.get(node));
        crowds.flat_map(|crowd| crowd.overdue.iter().map(|(id, days)| (*id, *days))).collect()
    }

    /// Whether anything within reach was left unread, so that sizes and counts are lower bounds.
    pub fn cut_off(&self) -> bool {
        let acts_cut_off = self.acts.as_ref().is_some_and(|acts| acts.cut_off);
        let ties_cut_off = self.ties.as_ref().is_some_and(TieSpread::cut_off);
        let is_cut_off = |crowd: &Crowd| crowd.cut_off || crowd.outcomes_cut_off;
        self.is_starved || ties_cut_off || acts_cut_off || self.read.values().any(is_cut_off)
    }

    /// Everybody that belongs together with the seed: the closure over joining nodes, by the shortest ways.
    pub fn members(&self) -> BTreeMap<ApplicationId, Member<'_>> {
        let mut members = BTreeMap::new();
        let mut ahead = VecDeque::new();
        match &self.seed {
            Seed::Application(own) => {
                members.insert(own.application, Member { link: own, distance: 0, via: None });
                ahead.push_back(own.application);
            }
            Seed::Node(node) => {
                let crowd = self.read.get(node).into_iter().flat_map(|crowd| crowd.links.values());
                for link in crowd {
                    members.insert(link.application, Member { link, distance: 1, via: Some((node, None)) });
                    ahead.push_back(link.application);
                }
            }
        }
        while let Some(id) = ahead.pop_front() {
            let Some(Member { link, distance, .. }) = members.get(&id).copied() else { continue };
            for (node, next) in self.joined_to(link) {
                let via = Some((node, Some(id)));
                members.entry(next.application).or_insert_with(|| {
                    ahead.push_back(next.application);
                    Member { link: next, distance: distance + 1, via }
                });
            }
        }
        members
    }

    /// The same with the applications of the firms that guarantees join with the application's own. Each guarantee is one
    /// step more.
    pub(crate) fn guaranteed_members<'a>(
        &'a self,
        guaranteed: &'a [(FirmCode, Node, FirmCode)],
    ) -> BTreeMap<ApplicationId, Member<'a>> {
        let mut members = self.members();
        let mut nearest: BTreeMap<&FirmCode, (ApplicationId, u32)> = BTreeMap::new();
        for member in members.values() {
            let known = (member.link.application, member.distance);
            let near = nearest.entry(&member.link.firm).or_insert(known);
            *near = if known.1 < near.1 { known } else { *near };
        }
        for (firm, guarantee, from) in guaranteed {
            let Some((before, distance)) = nearest.get(from).copied() else { continue };
            let node = Node { kind: NodeKind::Firm, hash: firm.as_str().to_owned() };
            let links = self.read.get(&node).into_iter().flat_map(|crowd| crowd.links.values());
            let held = links.filter(|link| self.holds(NodeKind::Firm, link.application));
            for link in held {
                let via = Some((guarantee, Some(before)));
                members.entry(link.application).or_insert(Member { link, distance: distance + 1, via });
            }
            nearest.entry(firm).or_insert((before, distance + 1));
        }
        members
    }

    /// How an application was reached, from the seed on; empty when it was not.
    pub fn path(&self, to: ApplicationId) -> Vec<Step> {
        let members = self.members();
        let mut path = Vec::new();
        let mut next = Some(to);
        while let Some(member) = next.and_then(|id| members.get(&id)) {
            let via = member.via.map(|(node, _)| node.clone());
            path.push(Step { via, application: member.link.application });
            next = member.via.and_then(|(_, from)| from);
        }
        path.reverse();
        path
    }

    /// Whether sharing the node joins applications.
    pub(crate) fn joins(&self, node: &Node) -> bool {
        let is_crowd = self.read.get(node).is_some_and(|crowd| crowd.cut_off);
        is_strong(node.kind) && (!is_crowd || node.kind == NodeKind::Person)
    }

    /// The applications that share a joining node with this one, itself included, in an order of their own.
    fn joined_to<'a>(&'a self, link: &'a Link) -> impl Iterator<Item = (&'a Node, &'a Link)> {
        let held = |node: &&Node| self.joins(node) && self.holds(node.kind, link.application);
        let joining: BTreeSet<&Node> = link.nodes.iter().filter(held).collect();
        let crowds = joining.into_iter().filter_map(|node| Some((node, self.read.get(node)?)));
        crowds.flat_map(move |(node, crowd)| {
            let held = crowd.links.values().filter(move |next| self.holds(node.kind, next.application));
            held.map(move |next| (node, next))
        })
    }
}
