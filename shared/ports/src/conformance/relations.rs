//! What the relation graph promises.

use super::{application, at, firm_code};
use crate::relation::{Link, LoanOutcome, LoanOutcomes, Neighbours, Node, NodeKind, RelationGraph};
use futures::future::join_all;
use std::collections::BTreeSet;

fn node(kind: NodeKind, hash: &str) -> Node {
    Node { kind, hash: hash.to_owned() }
}

fn link(n: u8, nodes: &[Node]) -> Link {
    Link {
        application: application(n),
        firm: firm_code(usize::from(n)),
        nodes: nodes.to_vec(),
        at: at(i64::from(n)),
    }
}

pub async fn nobody_is_at_a_node_at_first(graph: &dyn RelationGraph) {
    let neighbours = graph.neighbours(&node(NodeKind::Device, "d"), 10).await.unwrap();
    assert_eq!(neighbours, Neighbours::default());
}

pub async fn a_link_stands_whole_under_each_of_its_nodes(graph: &dyn RelationGraph) {
    let kinds = [
        NodeKind::Card,
        NodeKind::Device,
        NodeKind::Phone,
        NodeKind::Person,
        NodeKind::Firm,
        NodeKind::Address,
        NodeKind::Network,
    ];
    let nodes = kinds.map(|kind| node(kind, "hash"));
    let link = link(1, &nodes);
    graph.link(&link).await.unwrap();
    for node in &nodes {
        let found = graph.neighbours(node, 10).await.unwrap();
        assert_eq!(found, Neighbours { links: vec![link.clone()], ..Neighbours::default() });
    }
}

pub async fn linking_again_changes_nothing(graph: &dyn RelationGraph) {
    // The same node named twice in one link is one node.
    let device = node(NodeKind::Device, "d");
    let link = link(1, &[device.clone(), device.clone()]);
    graph.link(&link).await.unwrap();
    graph.link(&link).await.unwrap();
    assert_eq!(graph.neighbours(&device, 10).await.unwrap().links, [link]);
}

pub async fn the_same_hash_of_another_kind_is_another_node(graph: &dyn RelationGraph) {
    graph.link(&link(1, &[node(NodeKind::Phone, "same")])).await.unwrap();
    assert_eq!(graph.neighbours(&node(NodeKind::Card, "same"), 10).await.unwrap().links, []);
    assert_eq!(graph.neighbours(&node(NodeKind::Phone, "sam"), 10).await.unwrap().links, []);
}

pub async fn more_than_the_limit_is_cut_off_and_says_so(graph: &dyn RelationGraph) {
    let network = node(NodeKind::Network, "n");
    join_all((1..=12).map(|n| {
        let link = link(n, std::slice::from_ref(&network));
        async move { graph.link(&link).await.unwrap() }
    }))
    .await;
    for (limit, seen, cut_off) in
        [(0, 0, true), (1, 1, true), (11, 11, true), (12, 12, false), (50, 12, false)]
    {
        let found = graph.neighbours(&network, limit).await.unwrap();
        let different: BTreeSet<_> = found.links.iter().map(|link| link.application).collect();
        assert_eq!(
            (different.len(), found.links.len(), found.cut_off),
            (seen, seen, cut_off),
            "limit {limit}"
        );
    }
}

pub async fn a_node_with_more_than_a_megabyte_of_links_is_read_whole(graph: &dyn RelationGraph) {
    let network = node(NodeKind::Network, "n");
    // Sixty links of 22 KB each.
    for n in 1..=60 {
        let heavy = (0..11).map(|m| node(NodeKind::Address, &format!("{m:02}{}", "x".repeat(1_950))));
        let nodes: Vec<Node> = std::iter::once(network.clone()).chain(heavy).collect();
        graph.link(&link(n, &nodes)).await.unwrap();
    }
    let found = graph.neighbours(&network, 100).await.unwrap();
    assert_eq!((found.links.len(), found.cut_off), (60, false));
    let found = graph.neighbours(&network, 59).await.unwrap();
    assert_eq!((found.links.len(), found.cut_off), (59, true));
}

pub async fn fault_29_of_two_members_that_apply_in_the_same_instant_at_least_one_sees_the_other(
    graph: &dyn RelationGraph,
) {
    for round in 0..10 {
        let device = node(NodeKind::Device, &format!("d{round}"));
        let seen = join_all([1, 2].map(|n| {
            let device = device.clone();
            async move {
                graph.link(&link(n, std::slice::from_ref(&device))).await.unwrap();
                graph.neighbours(&device, 10).await.unwrap().links.len()
            }
        }));
        assert!(seen.await.contains(&2), "round {round}");
    }
}

/// Both ports of one adapter.
pub trait Both: RelationGraph + LoanOutcomes {}
impl<T: RelationGraph + LoanOutcomes> Both for T {}

fn outcome(n: u8, overdue_days: u32, version: u64) -> LoanOutcome {
    LoanOutcome { payout: application(n).payout_id(), overdue_days, at: at(i64::from(n)), version }
}

pub async fn an_outcome_stands_under_each_of_its_nodes_beside_the_links(graph: &dyn Both) {
    let nodes = [node(NodeKind::Person, "p"), node(NodeKind::Device, "d"), node(NodeKind::Device, "d")];
    let link = link(1, &nodes);
    graph.link(&link).await.unwrap();
    graph.mark(&nodes, &outcome(1, 31, 1)).await.unwrap();
    for node in &nodes {
        let found = graph.neighbours(node, 10).await.unwrap();
        let outcomes = vec![outcome(1, 31, 1)];
        assert_eq!(found, Neighbours { links: vec![link.clone()], outcomes, cut_off: false });
    }
    assert_eq!(graph.neighbours(&node(NodeKind::Person, "d"), 10).await.unwrap(), Neighbours::default());
}

pub async fn a_later_outcome_replaces_an_earlier_one_and_never_the_other_way_round(graph: &dyn Both) {
    let person = node(NodeKind::Person, "p");
    let seen = async |written: LoanOutcome| {
        graph.mark(std::slice::from_ref(&person), &written).await.unwrap();
        graph.neighbours(&person, 10).await.unwrap().outcomes
    };
    assert_eq!(seen(outcome(1, 31, 9)).await, [outcome(1, 31, 9)]);
    assert_eq!(seen(outcome(1, 0, 10)).await, [outcome(1, 0, 10)]);
    assert_eq!(seen(outcome(1, 31, 9)).await, [outcome(1, 0, 10)]);
    assert_eq!(seen(outcome(1, 7, 10)).await, [outcome(1, 0, 10)]);
    assert_eq!(seen(outcome(2, 5, 1)).await.len(), 2, "another loan has an outcome of its own");
}

pub async fn outcomes_hide_no_link_however_many_there_are(graph: &dyn Both) {
    let device = node(NodeKind::Device, "d");
    for n in 1..=12 {
        graph.link(&link(n, std::slice::from_ref(&device))).await.unwrap();
        graph.mark(std::slice::from_ref(&device), &outcome(n, 31, 1)).await.unwrap();
    }
    for n in 13..=20 {
        graph.mark(std::slice::from_ref(&device), &outcome(n, 31, 1)).await.unwrap();
    }
    for (limit, links, outcomes, cut_off) in [(5, 5, 5, true), (12, 12, 12, true), (20, 12, 20, false)] {
        let found = graph.neighbours(&device, limit).await.unwrap();
        let counts = (found.links.len(), found.outcomes.len(), found.cut_off);
        assert_eq!(counts, (links, outcomes, cut_off), "limit {limit}");
    }
}
