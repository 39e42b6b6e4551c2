//! What the book tells, in the words of the API.

use crate::told::ToldRing;
use contract::analyst::{
    EvidenceBody, FeaturesBody, FindingBody, LabelBody, MOST_OTHER_NAMES, RingAnswer, RingBody, SightingBody,
};
use domain::{RingId, checks::GraphFeatures, ring::RingLabel};
use ports::rings::{Glimpse, ListedRing};

pub(crate) fn ring(listed: &ListedRing) -> RingBody {
    let names = listed.merged.iter().take(MOST_OTHER_NAMES).map(RingId::to_string);
    RingBody { ring: listed.ring.to_string(), also_known_as: names.collect(), seen: seen(&listed.latest) }
}

pub(crate) fn answer(told: &ToldRing) -> RingAnswer {
    let features = &told.latest.features;
    let findings = features.verdict.iter().flat_map(|verdict| &verdict.findings);
    let finding = |finding: &domain::ring::Finding| FindingBody {
        label: label(finding.label),
        points: finding.points,
        zh: finding.zh.clone(),
        en: finding.en.clone(),
    };
    let evidence = |evidence: &domain::checks::Evidence| EvidenceBody {
        kind: evidence.kind.clone(),
        node: evidence.node.clone(),
        applications: evidence.applications.iter().map(ToString::to_string).collect(),
    };
    RingAnswer {
        // What was read of the ring itself is newer than its place in the list.
        ring: RingBody { seen: seen(&Glimpse::from(&told.latest)), ..ring(&told.ring) },
        features: counts(features),
        findings: findings.map(finding).collect(),
        evidence: features.evidence.iter().map(evidence).collect(),
        members: told.latest.members.iter().map(ToString::to_string).collect(),
        history: told.history.iter().map(|sighting| seen(&Glimpse::from(sighting))).collect(),
        history_cut_off: told.cut_off,
    }
}

fn seen(glimpse: &Glimpse) -> SightingBody {
    SightingBody {
        seen_at: glimpse.at.to_string(),
        found_by: glimpse.finder.to_string(),
        label: glimpse.label.map(label),
        applications: glimpse.applications,
        firms: glimpse.firms,
    }
}

fn label(label: RingLabel) -> LabelBody {
    LabelBody { code: label.as_str(), zh: label.zh(), en: label.en() }
}

fn counts(features: &GraphFeatures) -> FeaturesBody {
    let verdict = features.verdict.as_ref();
    FeaturesBody {
        cut_off: features.cut_off,
        device_applications: features.device_applications,
        card_applications: features.card_applications,
        phone_applications: features.phone_applications,
        network_applications: features.network_applications,
        device_accounts: features.device_accounts,
        device_sign_ups: features.device_sign_ups,
        device_mismatches: features.device_mismatches,
        unproven_claims: features.unproven_claims,
        overdue_neighbours: features.overdue_neighbours,
        longest_overdue_days: features.longest_overdue_days,
        labels: verdict.map(|verdict| verdict.labels.clone()),
        profile: verdict.map(|verdict| verdict.profile),
    }
}
