//! The ring that a neighbourhood shows.

use crate::{MAX_EVIDENCE, MAX_EVIDENCE_APPLICATIONS, MAX_NOTICES, NOTIFY_FROM, Neighbourhood};
use domain::{
    ApplicationId, FirmCode,
    checks::{Evidence, GraphFeatures, RingNotice},
};
use ports::relation::{Link, Node, NodeKind};
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
}

impl Ring {
    /// Joins what was read around an application.
    pub fn of(neighbourhood: &Neighbourhood) -> Self {
        let members = neighbourhood.members();
        let firms: BTreeSet<&FirmCode> = members.values().map(|link| &link.firm).collect();
        let size = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (overdue_neighbours, longest_overdue_days) = neighbourhood.overdue();
        let features = GraphFeatures {
            ring_size: size(members.len()),
            ring_firms: size(firms.len()),
            device_applications: neighbourhood.count(NodeKind::Device),
            card_applications: neighbourhood.count(NodeKind::Card),
            phone_applications: neighbourhood.count(NodeKind::Phone),
            network_applications: neighbourhood.count(NodeKind::Network),
            overdue_neighbours,
            longest_overdue_days,
            cut_off: neighbourhood.cut_off(),
            evidence: evidence(neighbourhood, &members),
        };
        let own = neighbourhood.own.application;
        let mut others: Vec<&Link> = members.into_values().filter(|link| link.application != own).collect();
        others.sort_unstable_by_key(|link| (Reverse(link.at), link.application));
        Self { features, others: others.into_iter().map(|link| link.application).collect() }
    }

    /// What the other members hear.
    pub fn notice(&self) -> RingNotice {
        RingNotice { ring_size: self.features.ring_size, ring_firms: self.features.ring_firms }
    }

    /// The members to be told, the newest first, at most [`MAX_NOTICES`]; none below [`NOTIFY_FROM`].
    pub fn to_notify(&self) -> &[ApplicationId] {
        let notice = self.notice();
        if notice.ring_size < NOTIFY_FROM.ring_size || notice.ring_firms < NOTIFY_FROM.ring_firms {
            return &[];
        }
        &self.others[..self.others.len().min(MAX_NOTICES)]
    }
}

/// The nodes that hold the ring together: strongest kind first, then those with most applications.
fn evidence(neighbourhood: &Neighbourhood, members: &BTreeMap<ApplicationId, &Link>) -> Vec<Evidence> {
    let mut sharers: BTreeMap<&Node, BTreeSet<ApplicationId>> = BTreeMap::new();
    for link in members.values() {
        for node in link.nodes.iter().filter(|node| neighbourhood.joins(node)) {
            sharers.entry(node).or_default().insert(link.application);
        }
    }
    let mut shared: Vec<(&Node, BTreeSet<ApplicationId>)> =
        sharers.into_iter().filter(|(_, applications)| applications.len() > 1).collect();
    shared.sort_by_key(|(node, applications)| (node.kind, Reverse(applications.len()), &node.hash));
    let named = |applications: BTreeSet<ApplicationId>| -> Vec<ApplicationId> {
        // The application itself is named even where only a part can be.
        let own =
            applications.contains(&neighbourhood.own.application).then_some(neighbourhood.own.application);
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
