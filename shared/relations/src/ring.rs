//! The ring that a neighbourhood shows.

use crate::{
    FAN_OUT, Labels, MAX_EVIDENCE, MAX_EVIDENCE_APPLICATIONS, MAX_NOTICES, Member, Size, Spread, TieSpread,
    profile,
};
use domain::{
    ApplicationId, FirmCode, RingId,
    checks::{Evidence, GraphFeatures, RingNotice},
    ring::{RingLabel, RingVerdict},
};
use jiff::Timestamp;
use ports::{
    relation::{ActKind, Link, Node, NodeKind},
    rings::{MAX_MEMBERS, Sighting},
};
use std::{
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
                return Self::with(spread, &wider, Some(verdict));
            }
        }
        Self::with(spread, &members, verdict)
    }

    fn with(
        spread: &Spread,
        members: &BTreeMap<ApplicationId, Member<'_>>,
        verdict: Option<RingVerdict>,
    ) -> Self {
        let size = size(members);
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
            device_accounts: spread.actors(&[ActKind::SignIn]),
            device_mismatches: spread.actors(&[ActKind::FaceMismatch, ActKind::PhoneMismatch]),
            verdict,
            evidence: evidence(spread, members),
        };
        let mut others: Vec<&Link> =
            members.values().filter(|member| member.distance > 0).map(|member| member.link).collect();
        others.sort_unstable_by_key(|link| (Reverse(link.at), link.application));
        let named = features.notice().ring;
        let known: BTreeSet<RingId> = known_names(spread, members).collect();
        Self {
            features,
            others: others.into_iter().map(|link| link.application).collect(),
            merged: known.into_iter().filter(|name| Some(*name) != named).collect(),
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

    /// Whether the journeys of members have to be looked at before this is held against anybody: the ring is suspicious, or
    /// the card or phone is so busy that the strategy would refuse it.
    pub fn is_doubtful(&self) -> bool {
        let busiest = self.features.card_applications.max(self.features.phone_applications);
        self.is_suspicious() || busiest >= FAN_OUT
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

fn size(members: &BTreeMap<ApplicationId, Member<'_>>) -> Size {
    let firms: BTreeSet<&FirmCode> = members.values().map(|member| &member.link.firm).collect();
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Size { applications: count(members.len()), firms: count(firms.len()) }
}

/// What the ring is called; `None` for an application on its own. It keeps the smallest name that any of its members
/// knows it by; a ring that nobody has seen before is called after its first application.
fn verdict(
    spread: &Spread,
    members: &BTreeMap<ApplicationId, Member<'_>>,
    labels: &Labels,
) -> Option<RingVerdict> {
    if members.len() < 2 {
        return None;
    }
    let profile = profile::profile(spread, members);
    let findings = labels.findings(size(members), &profile);
    let known = known_names(spread, members).min();
    let first = members.values().map(|member| (member.link.at, member.link.application)).min();
    let ring = known.or(first.map(|(_, id)| id.ring_id()))?;
    let label = findings.first().map_or(RingLabel::Ordinary, |finding| finding.label);
    Some(RingVerdict { ring, label, labels: labels.version.clone(), profile, findings })
}

/// What the ring of those who answer for each other is called, beside what is found without them; `None` where they do not
/// so in a circle, for then they are no ring.
fn circle_verdict(
    spread: &Spread,
    wider: &BTreeMap<ApplicationId, Member<'_>>,
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
fn known_names(
    spread: &Spread,
    members: &BTreeMap<ApplicationId, Member<'_>>,
) -> impl Iterator<Item = RingId> {
    spread.standings().filter(|(id, _)| members.contains_key(id)).filter_map(|(_, standing)| standing.ring)
}

/// The nodes that hold the ring together: strongest kind first, then those with most applications.
fn evidence(spread: &Spread, members: &BTreeMap<ApplicationId, Member<'_>>) -> Vec<Evidence> {
    let mut sharers: BTreeMap<&Node, BTreeSet<ApplicationId>> = BTreeMap::new();
    for link in members.values().map(|member| member.link) {
        let held = |node: &&Node| spread.joins(node) && spread.holds(node.kind, link.application);
        for node in link.nodes.iter().filter(held) {
            sharers.entry(node).or_default().insert(link.application);
        }
    }
    // A guarantee that brought somebody here is named with those on both of its sides.
    for member in members.values() {
        if let Some((node, Some(from))) = member.via.filter(|(node, _)| node.kind == NodeKind::Guarantee) {
            sharers.entry(node).or_default().extend([from, member.link.application]);
        }
    }
    let mut shared: Vec<(&Node, BTreeSet<ApplicationId>)> =
        sharers.into_iter().filter(|(_, applications)| applications.len() > 1).collect();
    shared.sort_by_key(|(node, applications)| (node.kind, Reverse(applications.len()), &node.hash));
    let named = |applications: BTreeSet<ApplicationId>| -> Vec<ApplicationId> {
        // The application itself is named even where only a part can be.
        let own = spread.own().map(|own| own.application).filter(|own| applications.contains(own));
        let rest = applications.iter().copied().filter(|id| Some(*id) != own);
        let mut named: Vec<_> = own.into_iter().chain(rest).take(MAX_EVIDENCE_APPLICATIONS).collect();
        named.sort_unstable();
        named
    };
    shared
        .into_iter()
        .take(MAX_EVIDENCE)
        .map(|(node, applications)| Evidence {
            kind: node.kind.as_str().to_owned(),
            node: node.hash.clone(),
            applications: named(applications),
        })
        .collect()
}
