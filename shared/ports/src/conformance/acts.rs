//! What the graph promises of sign-ins and failed checks.

use super::at;
use crate::relation::{
    Act, ActKind, ActRecorder, Acts, KnownLinks, Neighbours, Node, NodeKind, RecentActs, RelationGraph,
    SeenAct, Window,
};

/// An adapter that records acts and reads them, and knows links too.
pub trait Both: ActRecorder + RecentActs + RelationGraph {}

impl<T: ActRecorder + RecentActs + RelationGraph> Both for T {}

const HOUR: i64 = 3_600_000;

fn device() -> Node {
    Node { kind: NodeKind::Device, hash: "d".to_owned() }
}

fn sign_in(who: &str, hours: i64) -> Act {
    Act { kind: ActKind::SignIn, who: who.to_owned(), at: at(hours * HOUR) }
}

fn since(hours: i64) -> Window {
    Window { from: at(hours * HOUR), to: None }
}

pub async fn nothing_was_done_at_a_node_at_first(graph: &dyn Both) {
    assert_eq!(graph.acts(&device(), since(0), 10).await.unwrap(), Acts::default());
}

pub async fn an_act_stands_under_its_node_once_for_each_hour(graph: &dyn Both) {
    for (who, hours) in [("a", 0), ("a", 0), ("a", 2), ("b", 2)] {
        graph.record(&device(), &sign_in(who, hours)).await.unwrap();
    }
    let seen = |who: &str, hours: i64| SeenAct {
        kind: ActKind::SignIn,
        who: who.to_owned(),
        first_seen: at(hours * HOUR),
        last_seen: at(hours * HOUR),
    };
    let found = graph.acts(&device(), since(0), 10).await.unwrap();
    assert_eq!(found.acts, [seen("b", 2), seen("a", 2), seen("a", 0)], "the newest first");
    let links = graph.neighbours(&device(), since(-1), 10, &KnownLinks::default()).await.unwrap();
    assert_eq!(links, Neighbours::default(), "no link is made of it");
}

pub async fn acts_are_read_from_the_hour_in_which_a_window_begins(graph: &dyn Both) {
    for hours in 0..5 {
        graph.record(&device(), &sign_in(&format!("a{hours}"), hours)).await.unwrap();
    }
    let seen = async |from, to: Option<i64>, limit| {
        let window = Window { to: to.map(|to| at(to * HOUR)), ..since(from) };
        let found = graph.acts(&device(), window, limit).await.unwrap();
        (found.acts.len(), found.cut_off)
    };
    assert_eq!(seen(3, None, 10).await, (2, false));
    assert_eq!(seen(1, Some(3), 10).await, (3, false));
    assert_eq!(seen(0, None, 4).await, (4, true));
    assert_eq!(seen(0, None, 5).await, (5, false));
}

pub async fn an_act_that_is_forgotten_was_of_that_one_in_that_hour(graph: &dyn Both) {
    for (who, hours) in [("a", 0), ("a", 2), ("b", 0)] {
        graph.record(&device(), &sign_in(who, hours)).await.unwrap();
    }
    for _ in 0..2 {
        graph.forget(&device(), &sign_in("a", 0)).await.unwrap();
    }
    let found = graph.acts(&device(), since(0), 10).await.unwrap().acts;
    let left: Vec<(&str, _)> = found.iter().map(|act| (act.who.as_str(), act.first_seen)).collect();
    assert_eq!(left, [("a", at(2 * HOUR)), ("b", at(0))]);
}
