//! What the journeys of members say, and who is believed after it.

use super::{OWN, Spread};
use crate::{MAX_READS, found::Number, is_claim};
use domain::{
    ApplicationId, RingId,
    checks::{DIMENSIONS, Score},
    journey::{Journey, Status},
};
use ports::relation::{Link, NodeKind};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

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

/// What a firm scored.
pub(crate) struct Scored {
    pub(crate) points: u32,
    /// What each of the [`DIMENSIONS`] cost it.
    pub(crate) costs: [u32; DIMENSIONS.len()],
}

/// What the journeys of members said.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    standings: BTreeMap<ApplicationId, Standing>,
    /// From which proof on a claim counts.
    least: Proof,
    /// The application's own.
    own: Proof,
}

impl Spread {
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

    /// What the others scored, `None` where nobody knows yet: a firm that one has not proven to represent speaks for nobody
    /// and against nobody, and where the claim came to nothing it never will. The application's own score is not among it,
    /// since its check does not wait for it.
    pub(crate) fn scores(&self) -> impl Iterator<Item = (ApplicationId, Option<Scored>)> {
        let own = self.own().map(|own| own.application);
        let others = self.standings().filter(move |(id, _)| Some(**id) != own);
        others.filter(|(_, standing)| standing.proof > Proof::Void).map(|(id, standing)| {
            let points = standing.points.filter(|_| standing.proof == Proof::Proven);
            let points = points.and_then(|points| u32::try_from(points).ok());
            (*id, points.map(|points| Scored { points, costs: standing.costs }))
        })
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
}
