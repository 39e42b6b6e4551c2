//! The ring that a neighbourhood shows.

use crate::{
    FAN_OUT, Labels, MAX_EVIDENCE, MAX_EVIDENCE_APPLICATIONS, MAX_NOTICES, Member, Members, Size, Spread,
    TieSpread, profile,
};
use domain::{
    ApplicationId, FirmCode, RingId,
    checks::{Evidence, GraphFeatures, RingNotice},
    ring::{RingLabel, RingVerdict},
};
use jiff::Timestamp;
use ports::{
    relation::{ActKind, Link, Node, NodeKind, TieKind},
    rings::{MAX_MEMBERS, Sighting},
};
use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// The ring around an application; it may be alone in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ring {
    /// What the journal records.
    pub features: GraphFeatures,
    /// Every other member, the newest first.
    pub others: Vec<ApplicationId>,
    /// Other names that members know it by.
    pub merged: Vec<RingId>,
    /// A label could fit once the members' journeys were looked at, and they were not.
    is_suspected: bool,
}

impl Ring {
    /// Joins what was read around an application: those who share something, and with them those who answer for each
    /// other's debts where they do so in a circle.
    pub fn of(spread: &Spread, labels: &Labels) -> Self {
        let members = spread.members();
        let verdict = verdict(spread, &members, labels);
        let guaranteed = spread.ties().map(TieSpread::guaranteed).unwrap_or_default();
        if !guaranteed.is_empty() {
            let wider = spread.guaranteed_members(&guaranteed);
            if let Some(verdict) = circle_verdict(spread, &wider, verdict.as_ref(), labels) {
                return Self::with(spread, &wider, Some(verdict), labels);
            }
        }
        Self::with(spread, &members, verdict, labels)
    }

    fn with(spread: &Spread, members: &Members<'_>, verdict: Option<RingVerdict>, labels: &Labels) -> Self {
        let size = size(members);
        let could_fit = |verdict: &RingVerdict| labels.could_fit(size, &verdict.profile);
        let is_suspected = !spread.is_judged() && verdict.as_ref().is_some_and(could_fit);
        let (overdue_neighbours, longest_overdue_days) = spread.overdue();
        let features = GraphFeatures {
            ring_size: size.applications,
            ring_firms: size.firms,
            device_applications: spread.count(NodeKind::Device),
            card_applications: spread.count(NodeKind::Card),
            phone_applications: spread.count(NodeKind::Phone),
            network_applications: spread.count(NodeKind::Network),
            overdue_neighbours,
            longest_overdue_days,
            cut_off: spread.cut_off(),
            unproven_claims: spread.unproven_claims(),
            device_accounts: spread.actors(&[ActKind::SignIn, ActKind::SignUp]),
            device_sign_ups: spread.actors(&[ActKind::SignUp]),
            device_mismatches: spread.actors(&[ActKind::FaceMismatch, ActKind::PhoneMismatch]),
            verdict,
            evidence: evidence(spread, members),
        };
        let mut others: Vec<&Link> =
            members.iter().filter(|member| member.distance > 0).map(|member| member.link).collect();
        others.sort_unstable_by_key(|link| (Reverse(link.at), link.application));
        let named = features.notice().ring;
        let known: BTreeSet<RingId> = known_names(spread, members).collect();
        Self {
            features,
            others: others.into_iter().map(|link| link.application).collect(),
            merged: known.into_iter().filter(|name| Some(*name) != named).collect(),
            is_suspected,
        }
    }

    /// What the other members hear.
    pub fn notice(&self) -> RingNotice {
        self.features.notice()
    }

    /// Whether nobody of the ring is lent to.
    pub fn is_suspicious(&self) -> bool {
        self.notice().is_suspicious()
    }

    /// Whether a label could fit once the members' journeys were looked at, which they were not.
    pub(crate) const fn is_suspected(&self) -> bool {
        self.is_suspected
    }

    /// Whether the journeys of members have to be looked at before this is held against anybody: the ring is suspicious or
    /// what its members scored could make it so, or the card or phone is so busy that the strategy would refuse it.
    pub fn is_doubtful(&self) -> bool {
        let busiest = self.features.card_applications.max(self.features.phone_applications);
        self.is_suspicious() || self.is_suspected || busiest >= FAN_OUT
    }

    /// What the book of rings keeps of a suspicious ring that the check of `finder` found.
    pub fn sighting(&self, finder: ApplicationId, at: Timestamp) -> Option<Sighting> {
        let ring = self.notice().ring.filter(|_| self.is_suspicious())?;
        let members = std::iter::once(finder).chain(self.others.iter().copied()).take(MAX_MEMBERS).collect();
        Some(Sighting {
            ring,
            finder,
            at,
            features: self.features.clone(),
            members,
            merged: self.merged.clone(),
        })
    }

    /// The members to be told, the newest first, at most [`MAX_NOTICES`]; none of one that is lent to.
    pub fn to_notify(&self) -> &[ApplicationId] {
        if !self.is_suspicious() {
            return &[];
        }
        &self.others[..self.others.len().min(MAX_NOTICES)]
    }
}

fn size(members: &Members<'_>) -> Size {
    let mut firms: Vec<&FirmCode> = members.iter().map(|member| &member.link.firm).collect();
    firms.sort_unstable();
    firms.dedup();
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Size { applications: count(members.len()), firms: count(firms.len()) }
}

/// What the ring is called; `None` for an application on its own. It keeps the smallest name that any of its members
/// knows it by; a ring that nobody has seen before is called after its first application.
fn verdict(spread: &Spread, members: &Members<'_>, labels: &Labels) -> Option<RingVerdict> {
    if members.len() < 2 {
        return None;
    }
    let profile = profile::profile(spread, members);
    let findings = labels.findings(size(members), &profile);
    let known = known_names(spread, members).min();
    let first = members.iter().map(|member| (member.link.at, member.link.application)).min();
    let ring = known.or(first.map(|(_, id)| id.ring_id()))?;
    let label = findings.first().map_or(RingLabel::Ordinary, |finding| finding.label);
    Some(RingVerdict { ring, label, labels: labels.version.clone(), profile, findings })
}

/// What the ring of those who answer for each other is called, beside what is found without them; `None` where they do not
/// so in a circle, for then they are no ring.
fn circle_verdict(
    spread: &Spread,
    wider: &Members<'_>,
    without: Option<&RingVerdict>,
    labels: &Labels,
) -> Option<RingVerdict> {
    let mut verdict = verdict(spread, wider, labels)?;
    verdict.findings.retain(|finding| finding.label == RingLabel::GuaranteeCircle);
    if verdict.findings.is_empty() {
        return None;
    }
    let others = without.into_iter().flat_map(|verdict| &verdict.findings);
    verdict.findings.extend(others.filter(|finding| finding.label.is_suspicious()).cloned());
    verdict.findings.sort_by_key(|finding| Reverse((finding.points, finding.label)));
    verdict.label = verdict.findings.first().map_or(RingLabel::Ordinary, |finding| finding.label);
    Some(verdict)
}

/// The names that members know the ring by.
fn known_names(spread: &Spread, members: &Members<'_>) -> impl Iterator<Item = RingId> {
    spread.standings().filter(|(id, _)| members.get(**id).is_some()).filter_map(|(_, standing)| standing.ring)
}

/// The nodes that hold the ring together: strongest kind first, then those with most applications.
fn evidence(spread: &Spread, members: &Members<'_>) -> Vec<Evidence> {
    let found = spread.found();
    let mut at: Vec<(u32, ApplicationId)> = Vec::new();
    for member in members.iter() {
        let id = member.link.application;
        let held = |node: &&u32| spread.joins(**node) && spread.holds(found.node(**node).kind, id);
        at.extend(found.touched(member.number).iter().filter(held).map(|node| (*node, id)));
    }
    at.sort_unstable();
    let here = at.chunk_by(|(one, _), (other, _)| one == other).filter(|here| here.len() > 1);
    let named = |here: &[(u32, ApplicationId)]| -> Option<(Cow<'_, Node>, Vec<ApplicationId>)> {
        Some((Cow::Borrowed(found.node(here.first()?.0)), here.iter().map(|(_, id)| *id).collect()))
    };
    let mut shared: Vec<(Cow<'_, Node>, Vec<ApplicationId>)> = here.filter_map(named).collect();
    shared.extend(guarantees(spread, members));
    shared.sort_unstable_by(|(one, of_one), (other, of_other)| {
        let strength = |node: &Node, of: &[ApplicationId]| (node.kind, Reverse(of.len()));
        strength(one, of_one).cmp(&strength(other, of_other)).then_with(|| one.hash.cmp(&other.hash))
    });
    shared.truncate(MAX_EVIDENCE);
    let own = spread.own().map(|own| own.application);
    let evidence = |(node, applications): (Cow<'_, Node>, Vec<ApplicationId>)| Evidence {
        kind: node.kind.as_str().to_owned(),
        node: node.hash.clone(),
        applications: few(applications, own),
    };
    shared.into_iter().map(evidence).collect()
}

/// The guarantees between members' firms, each with the applications on both of its sides, where a guarantee brought any of
/// them here: so whoever looks sees the circle closed.
fn guarantees<'a>(spread: &Spread, members: &Members<'_>) -> Vec<(Cow<'a, Node>, Vec<ApplicationId>)> {
    let is_guaranteed =
        |member: &Member<'_>| member.via.is_some_and(|(node, _)| node.kind == NodeKind::Guarantee);
    if !members.iter().any(is_guaranteed) {
        return Vec::new();
    }
    let mut of_firm: BTreeMap<&str, Vec<ApplicationId>> = BTreeMap::new();
    for member in members.iter() {
        of_firm.entry(member.link.firm.as_str()).or_default().push(member.link.application);
    }
    let guarantees = spread.ties().into_iter().flat_map(|ties| ties.between_firms(TieKind::Guarantee));
    let between = guarantees.filter_map(|(guarantor, debtor)| {
        let (ours, theirs) = of_firm.get(guarantor.as_str()).zip(of_firm.get(debtor))?;
        let both: BTreeSet<ApplicationId> = ours.iter().chain(theirs).copied().collect();
        Some((Cow::Owned(Node::guarantee(guarantor, &debtor.parse().ok()?)), both.into_iter().collect()))
    });
    between.filter(|(_, applications): &(_, Vec<_>)| applications.len() > 1).collect()
}

/// As many as are kept, in their order; the application itself among them even where only a part can be.
fn few(applications: Vec<ApplicationId>, own: Option<ApplicationId>) -> Vec<ApplicationId> {
    let own = own.filter(|own| applications.contains(own));
    let rest = applications.into_iter().filter(|id| Some(*id) != own);
    let mut few: Vec<_> = own.into_iter().chain(rest).take(MAX_EVIDENCE_APPLICATIONS).collect();
    few.sort_unstable();
    few
}
