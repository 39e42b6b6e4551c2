//! Spreading out from an application or from any node, hop by hop.
//!
//! A hop reads nodes; what stands at a node are applications, and each of them tells all its other nodes. So whoever
//! holds a [`Spread`] asks for [`Spread::next_hop`], reads those nodes in any order, [`Spread::add`]s what was found, and
//! goes on until a hop is empty.

use crate::{
    MAX_HOPS, MAX_JUDGED, MAX_READS, MAX_TIE_READS, MAX_TIED_FIRMS, Member, Members, TieSpread, WINDOW,
    can_join,
    found::{Crowd, Found, Number},
    is_claim, is_strong,
};
use domain::{
    ApplicationId, FirmCode, PayoutId, RingId,
    checks::{DIMENSIONS, Score},
    journey::{Journey, Status},
    ring::OVERDUE_DAYS,
};
use jiff::Timestamp;
use ports::relation::{ActKind, Acts, Link, LoanOutcome, Neighbours, Node, NodeKind, Window};
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
    /// The points that each of the [`DIMENSIONS`] cost it; 0 before it was scored.
    pub costs: [u32; DIMENSIONS.len()],
    /// The ring that it is known to belong to.
    pub ring: Option<RingId>,
}

impl Standing {
    /// What a journey says.
    pub fn of(journey: &Journey) -> Self {
        let declined = journey.status == Status::Declined;
        let score = journey.facts.score.as_ref();
        Self {
            proof: Proof::of(journey),
            declined,
            points: score.map(|score| score.points),
            costs: score.map(Score::costs).unwrap_or_default(),
            ring: journey.facts.largest_ring().ring,
        }
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

/// What the journeys of members said.
#[derive(Clone, Debug)]
struct Judgement {
    standings: BTreeMap<ApplicationId, Standing>,
    /// From which proof on a claim counts.
    least: Proof,
    /// The application's own.
    own: Proof,
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

    /// The applications whose journeys have to be looked at before anybody is refused for them: members that only claims
    /// join first, the newest first, then the crowd at a card or phone of its own, as many as reads are left.
    pub fn doubtful(&self) -> Vec<ApplicationId> {
        let members = self.members();
        let mut others: Vec<_> = members
            .iter()
            .filter(|member| member.distance > 0)
            .map(|member| {
                let by_claim = member.via.is_some_and(|(node, _)| is_claim(node.kind));
                (Reverse(by_claim), Reverse(member.link.at), member.link.application)
            })
            .collect();
        others.sort_unstable();
        let crowd = self.crowd().filter(|link| members.get(link.application).is_none());
        let mut crowd: Vec<_> = crowd.map(|link| (Reverse(link.at), link.application)).collect();
        crowd.sort_unstable();
        crowd.dedup();
        let all = others.into_iter().map(|(_, _, id)| id).chain(crowd.into_iter().map(|(_, id)| id));
        all.take(MAX_READS.saturating_sub(self.reads())).collect()
    }

    /// What was read of those at the application's own card and phone where they are too many to join anybody.
    fn crowd(&self) -> impl Iterator<Item = &Link> {
        let is_claimed =
            |node: &Number| matches!(self.found.node(*node).kind, NodeKind::Card | NodeKind::Phone);
        let claims = self.own_nodes().iter().copied().filter(is_claimed);
        let crowds = claims.filter_map(|node| self.found.crowd(node)).filter(|crowd| crowd.cut_off);
        crowds.flat_map(|crowd| self.links_of(crowd))
    }

    /// The nodes of the application itself; none of a seed that is a node.
    fn own_nodes(&self) -> &[Number] {
        if self.own().is_some() { self.found.touched(OWN) } else { &[] }
    }

    /// Takes in how far the application itself has proven its claims, and what the journeys of the [`Self::doubtful`] said.
    /// From now on whoever has ended without a proof joins nobody by what it only claimed. Whoever was not looked at is
    /// believed: otherwise a few claims that were made to be dropped would hide everybody behind them.
    pub fn judge(&mut self, own: Proof, standings: impl IntoIterator<Item = (ApplicationId, Standing)>) {
        let standings = standings.into_iter().collect();
        self.judgement = Some(Judgement { standings, least: Proof::Pending, own });
    }

    /// Whether the journeys of members were looked at.
    pub(crate) const fn is_judged(&self) -> bool {
        self.judgement.is_some()
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
            Seed::Application => Some(self.found.link(OWN)),
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

    /// Other applications at the application's own nodes that only claim to belong there.
    pub(crate) fn unproven_claims(&self) -> u32 {
        if self.judgement.is_none() {
            return 0;
        }
        let mut unproven = BTreeSet::new();
        for node in self.own_nodes() {
            let kind = self.found.node(*node).kind;
            let here = self.found.crowd(*node).into_iter().flat_map(|crowd| &crowd.links);
            let others = here.copied().filter(|link| *link != OWN);
            unproven.extend(others.filter(|link| !self.holds(kind, self.found.link(*link).application)));
        }
        u32::try_from(unproven.len()).unwrap_or(u32::MAX)
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
