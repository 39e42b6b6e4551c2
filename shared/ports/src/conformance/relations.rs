//! What the relation graph promises.

use super::{application, at, firm_code};
use crate::relation::{
    KnownLinks, Link, LoanOutcome, LoanOutcomes, Neighbours, Node, NodeKind, RelationGraph, Window,
};
use futures::future::join_all;
use std::{collections::BTreeSet, sync::Arc};

fn node(kind: NodeKind, hash: &str) -> Node {
    Node { kind, hash: hash.to_owned() }
}

fn link(n: u8, nodes: &[Node]) -> Link {
    Link {
        application: application(n),
        firm: firm_code(usize::from(n)),
        nodes: nodes.to_vec(),
        at: at(i64::from(n)),
        amount_fen: 10_000_000,
        bank: "river-bank".to_owned(),
        place: Some("Wuhan".to_owned()),
        account_days: Some(n.into()),
    }
}

fn always() -> Window {
    Window { from: jiff::Timestamp::UNIX_EPOCH, to: None }
}

async fn read<G: RelationGraph + ?Sized>(graph: &G, node: &Node, window: Window, limit: u32) -> Neighbours {
    graph.neighbours(node, window, limit, &KnownLinks::default()).await.unwrap()
}

pub async fn nobody_is_at_a_node_at_first(graph: &dyn RelationGraph) {
    let neighbours = read(graph, &node(NodeKind::Device, "d"), always(), 10).await;
    assert_eq!(neighbours, Neighbours::default());
}

pub async fn a_link_stands_whole_under_each_of_its_nodes(graph: &dyn RelationGraph) {
    let nodes = NodeKind::ALL.map(|kind| node(kind, "hash"));
    let link = link(1, &nodes);
    graph.link(&link).await.unwrap();
    for node in &nodes {
        let found = read(graph, node, always(), 10).await;
        assert_eq!(found, Neighbours { links: vec![Arc::new(link.clone())], ..Neighbours::default() });
    }
}

pub async fn a_link_that_is_known_is_not_read_out_again(graph: &dyn RelationGraph) {
    let nodes = [node(NodeKind::Device, "d"), node(NodeKind::Card, "c")];
    graph.link(&link(1, &nodes)).await.unwrap();
    graph.link(&link(2, &nodes[1..])).await.unwrap();
    let known = KnownLinks::default();
    let mut found = Vec::new();
    for node in &nodes {
        found.push(graph.neighbours(node, always(), 10, &known).await.unwrap().links);
    }
    let [at_device, at_card] = &found[..] else { panic!("two nodes were read") };
    assert_eq!((at_device.len(), at_card.len()), (1, 2));
    assert!(at_card.iter().any(|link| Arc::ptr_eq(link, &at_device[0])), "the same link, read once");
}

pub async fn linking_again_changes_nothing(graph: &dyn RelationGraph) {
    // The same node named twice in one link is one node.
    let device = node(NodeKind::Device, "d");
    let link = link(1, &[device.clone(), device.clone()]);
    graph.link(&link).await.unwrap();
    graph.link(&link).await.unwrap();
    assert_eq!(read(graph, &device, always(), 10).await.links, [Arc::new(link)]);
}

pub async fn a_link_that_is_taken_back_from_a_node_stands_under_the_others(graph: &dyn RelationGraph) {
    let nodes = [node(NodeKind::Device, "d"), node(NodeKind::Card, "c"), node(NodeKind::Phone, "p")];
    let (link, other) = (link(1, &nodes), link(2, &nodes));
    graph.link(&link).await.unwrap();
    graph.link(&other).await.unwrap();
    for _ in 0..2 {
        graph.unlink(&link, &nodes[1..]).await.unwrap();
        for (node, standing) in nodes.iter().zip([2, 1, 1]) {
            assert_eq!(read(graph, node, always(), 10).await.links.len(), standing, "{node:?}");
        }
    }
    graph.unlink(&link, &[]).await.unwrap();
    assert_eq!(read(graph, &nodes[0], always(), 10).await.links.len(), 2);
}

pub async fn the_same_hash_of_another_kind_is_another_node(graph: &dyn RelationGraph) {
    graph.link(&link(1, &[node(NodeKind::Phone, "same")])).await.unwrap();
    assert_eq!(read(graph, &node(NodeKind::Card, "same"), always(), 10).await.links, []);
    assert_eq!(read(graph, &node(NodeKind::Phone, "sam"), always(), 10).await.links, []);
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
        let found = read(graph, &network, always(), limit).await;
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
    let found = read(graph, &network, always(), 100).await;
    assert_eq!((found.links.len(), found.cut_off), (60, false));
    let found = read(graph, &network, always(), 59).await;
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
                read(graph, &device, always(), 10).await.links.len()
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
        let found = read(graph, node, always(), 10).await;
        let outcomes = vec![outcome(1, 31, 1)];
        assert_eq!(
            found,
            Neighbours { links: vec![Arc::new(link.clone())], outcomes, ..Neighbours::default() }
        );
    }
    assert_eq!(read(graph, &node(NodeKind::Person, "d"), always(), 10).await, Neighbours::default());
}

pub async fn a_later_outcome_replaces_an_earlier_one_and_never_the_other_way_round(graph: &dyn Both) {
    let person = node(NodeKind::Person, "p");
    let seen = async |written: LoanOutcome| {
        graph.mark(std::slice::from_ref(&person), &written).await.unwrap();
        read(graph, &person, always(), 10).await.outcomes
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
    for (limit, links, outcomes, cut_off) in
        [(5, 5, 5, (true, true)), (12, 12, 12, (false, true)), (20, 12, 20, (false, false))]
    {
        let found = read(graph, &device, always(), limit).await;
        let cut_off_there = (found.cut_off, found.outcomes_cut_off);
        let counts = (found.links.len(), found.outcomes.len(), cut_off_there);
        assert_eq!(counts, (links, outcomes, cut_off), "limit {limit}");
    }
}

/// A link at a second of the story.
fn link_at(n: u8, second: i64, node: &Node) -> Link {
    Link { at: at(second * 1_000), ..link(n, std::slice::from_ref(node)) }
}

pub async fn a_window_is_read_to_the_second_the_newest_first_and_nothing_else(graph: &dyn RelationGraph) {
    let device = node(NodeKind::Device, "d");
    let day = 86_400;
    for (n, second) in [(5, 0), (4, 1), (3, 3_600), (2, 3_601), (1, 90 * day)] {
        graph.link(&link_at(n, second, &device)).await.unwrap();
    }
    let seen = async |from: i64, to: Option<i64>, limit: u32| {
        let window = Window { from: at(from * 1_000), to: to.map(|to| at(to * 1_000)) };
        let found = read(graph, &device, window, limit).await;
        let seen: Vec<_> = found.links.iter().map(|link| link.application).collect();
        (seen, found.cut_off)
    };
    let ids = |numbers: &[u8]| numbers.iter().map(|n| application(*n)).collect::<Vec<_>>();
    assert_eq!(seen(0, None, 9).await, (ids(&[1, 2, 3, 4, 5]), false));
    assert_eq!(seen(1, Some(3_600), 9).await, (ids(&[3, 4]), false), "both edges belong to it");
    assert_eq!(seen(2, Some(3_599), 9).await, (vec![], false));
    assert_eq!(seen(3_601, None, 9).await, (ids(&[1, 2]), false));
    assert_eq!(seen(0, Some(3_601), 2).await, (ids(&[2, 3]), true));
    assert_eq!(seen(90 * day + 1, None, 9).await, (vec![], false));
}

pub async fn fault_30_a_flood_hides_what_is_older_and_nothing_newer(graph: &dyn RelationGraph) {
    let phone = node(NodeKind::Phone, "p");
    for n in 1..=12 {
        // The ids run against the time, so that the order of ids would show.
        graph.link(&link_at(20 - n, i64::from(n), &phone)).await.unwrap();
    }
    let found = read(graph, &phone, always(), 3).await;
    let seen: Vec<_> = found.links.iter().map(|link| link.application).collect();
    assert_eq!((seen, found.cut_off), ([8, 9, 10].map(application).to_vec(), true));
}

pub async fn outcomes_of_any_age_stand_beside_every_window(graph: &dyn Both) {
    let person = node(NodeKind::Person, "p");
    graph.link(&link_at(1, 0, &person)).await.unwrap();
    graph.mark(std::slice::from_ref(&person), &outcome(1, 31, 1)).await.unwrap();
    for to in [None, Some(at(1_800_000))] {
        let window = Window { from: at(900_000), to };
        let found = read(graph, &person, window, 10).await;
        assert_eq!(found, Neighbours { outcomes: vec![outcome(1, 31, 1)], ..Neighbours::default() });
    }
}
