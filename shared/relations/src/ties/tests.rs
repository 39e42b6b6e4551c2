//! Rings that the record brings into view.

use crate::{
    Ring, TieSpread,
    tests::{day, firm, id, labels, link, spread},
};
use domain::{calendar::day_in_china, ring::RingLabel};
use jiff::civil::Date;
use ports::relation::{Link, Neighbours, Node, NodeKind, Tie, TieKind, Ties};
use std::{collections::BTreeSet, sync::Arc};

fn tie(kind: TieKind, of: usize, party: &str) -> Tie {
    let hash = match kind.party() {
        NodeKind::Firm => firm(party.parse().unwrap()).to_string(),
        _ => party.to_owned(),
    };
    let seen = day_in_china(day(0));
    Tie {
        kind,
        firm: firm(of),
        party: Node { kind: kind.party(), hash },
        first_seen: seen,
        last_seen: seen,
        count: 1,
        source: "related_parties".to_owned(),
    }
}

/// Each answers for the debts of the next, and the last for those of the first.
fn circle(firms: &[usize]) -> Vec<Tie> {
    let next = firms.iter().cycle().skip(1);
    firms.iter().zip(next).map(|(from, to)| tie(TieKind::Guarantee, *from, &to.to_string())).collect()
}

/// Reads a graph and the record as the function does.
fn ring(graph: &[Link], own: &Link, record: &[Tie]) -> Ring {
    let mut ties = TieSpread::around(own.firm.clone(), own.at);
    loop {
        let nodes = ties.next_hop();
        if nodes.is_empty() {
            break;
        }
        for node in nodes {
            let stands = |tie: &&Tie| {
                tie.party == node || (node.kind == NodeKind::Firm && tie.firm.as_str() == node.hash)
            };
            let found = record.iter().filter(stands).cloned().collect();
            ties.add(node, Ties { ties: found, cut_off: false });
        }
    }
    let mut around = spread(graph, own, &[]);
    for node in around.tie(ties) {
        let links = graph.iter().filter(|link| link.nodes.contains(&node)).cloned().map(Arc::new).collect();
        around.add(node, Neighbours { links, ..Neighbours::default() });
    }
    Ring::of(&around, labels())
}

fn applications(of: impl IntoIterator<Item = u8>) -> Vec<Link> {
    of.into_iter().map(|n| link(n, n.into(), &format!("device {n}"), i64::from(n))).collect()
}

#[test]
fn firms_that_answer_for_each_other_in_a_circle_are_a_ring_and_each_is_told() {
    let graph = applications(1..=4);
    let ring = ring(&graph, &graph[3], &circle(&[1, 2, 3, 4]));
    assert_eq!((ring.features.ring_size, ring.features.ring_firms), (4, 4));
    let verdict = ring.features.verdict.as_ref().unwrap();
    assert_eq!((verdict.label, verdict.profile.guarantee_circle), (RingLabel::GuaranteeCircle, 4));
    assert_eq!(ring.to_notify(), [id(3), id(2), id(1)]);
    assert!(ring.features.evidence.iter().all(|evidence| evidence.kind == "guarantee"), "{ring:?}");
    assert_eq!(ring.features.evidence.len(), 4, "the circle is closed");
    let mut sides: Vec<_> = ring.features.evidence.iter().flat_map(|of| of.applications.clone()).collect();
    sides.sort_unstable();
    assert_eq!(sides, [1, 1, 2, 2, 3, 3, 4, 4].map(id), "each firm stands on one side of two guarantees");
}

#[test]
fn one_of_the_circle_need_not_have_applied() {
    let graph = applications(1..=3);
    let ring = ring(&graph, &graph[0], &circle(&[1, 2, 3, 4]));
    assert_eq!(ring.features.verdict.map(|verdict| verdict.label), Some(RingLabel::GuaranteeCircle));
    assert_eq!(ring.features.ring_size, 3);
    let named: BTreeSet<_> =
        ring.features.evidence.iter().flat_map(|evidence| &evidence.applications).collect();
    assert_eq!(named.len(), 3, "each is named in evidence");
}

#[test]
fn a_circle_of_eight_is_seen_from_any_of_its_firms() {
    let graph = applications(1..=8);
    let circle = circle(&[1, 2, 3, 4, 5, 6, 7, 8]);
    for own in &graph {
        let verdict = ring(&graph, own, &circle).features.verdict.unwrap();
        assert_eq!((verdict.label, verdict.profile.guarantee_circle), (RingLabel::GuaranteeCircle, 8));
    }
}

#[test]
fn who_answers_for_others_but_in_no_circle_is_in_no_ring() {
    let graph = applications(1..=4);
    let chain = circle(&[1, 2, 3, 4])[..3].to_vec();
    let pairs = [circle(&[1, 2]), circle(&[3, 4])].concat();
    for record in [chain, pairs] {
        let ring = ring(&graph, &graph[1], &record);
        assert_eq!((ring.features.ring_size, ring.features.verdict), (1, None));
    }
}

#[test]
fn owners_invoices_and_registered_phones_join_nobody_and_are_counted() {
    let graph = applications(1..=4);
    let mut record: Vec<Tie> = (1..=4).map(|of| tie(TieKind::Shareholder, of, "owner")).collect();
    record.extend((1..=3).map(|of| tie(TieKind::RegisteredPhone, of, "phone")));
    record.extend(circle(&[1, 2, 3]).into_iter().map(|tie| Tie { kind: TieKind::Invoice, ..tie }));
    assert_eq!(ring(&graph, &graph[0], &record).features.ring_size, 1);
    // What was counted shows with the ring that there is.
    let same_device: Vec<Link> = (1..=3).map(|n| link(n, n.into(), "device d", n.into())).collect();
    let verdict = ring(&same_device, &same_device[0], &record).features.verdict.unwrap();
    let profile = verdict.profile;
    assert_eq!((profile.firms_of_owner, profile.firms_on_registered_phone), (4, 3));
    assert_eq!((profile.invoice_circle, profile.guarantee_circle), (3, 0));
}

#[test]
fn a_tie_that_no_delivery_has_confirmed_for_long_is_not_believed() {
    let graph = applications(1..=4);
    let mut record = circle(&[1, 2, 3, 4]);
    let long_ago: Date = "2025-01-01".parse().unwrap();
    record.iter_mut().for_each(|tie| tie.last_seen = long_ago);
    assert_eq!(ring(&graph, &graph[0], &record).features.ring_size, 1);
}

#[test]
fn fault_30_whoever_has_a_thousand_guarantors_costs_no_more_reads_than_anybody() {
    let graph = applications([1]);
    let record: Vec<Tie> = (2..=1_000).map(|of| tie(TieKind::Guarantee, of, "1")).collect();
    let ring = ring(&graph, &graph[0], &record);
    assert!(ring.features.cut_off);
}
