//! What the graph promises of the record.

use super::firm_code;
use crate::relation::{FirmTies, Node, NodeKind, Tie, TieKind, TieLoader, Ties};
use jiff::civil::{Date, date};

/// An adapter that loads ties and reads them.
pub trait Both: FirmTies + TieLoader {}

impl<T: FirmTies + TieLoader> Both for T {}

fn firm(n: usize) -> Node {
    Node { kind: NodeKind::Firm, hash: firm_code(n).to_string() }
}

fn owned_by(of: usize, person: &str, on: Date) -> Tie {
    Tie {
        kind: TieKind::Shareholder,
        firm: firm_code(of),
        party: Node { kind: NodeKind::Person, hash: person.to_owned() },
        first_seen: on,
        last_seen: on,
        count: 1,
        source: "related_parties".to_owned(),
    }
}

const MAY: Date = date(2026, 5, 1);
const JUNE: Date = date(2026, 6, 1);

pub async fn a_firm_has_no_ties_at_first(graph: &dyn Both) {
    assert_eq!(graph.ties(&firm(1), 10).await.unwrap(), Ties::default());
}

pub async fn a_tie_stands_under_its_firm_and_its_party(graph: &dyn Both) {
    let guarantee = Tie { kind: TieKind::Guarantee, party: firm(2), ..owned_by(1, "", MAY) };
    let ties = [owned_by(1, "p", MAY), guarantee];
    graph.tie(&ties).await.unwrap();
    let [owner, guarantee] = ties;
    let found = async |node: &Node| graph.ties(node, 10).await.unwrap().ties;
    assert_eq!(found(&firm(1)).await, [guarantee.clone(), owner.clone()]);
    assert_eq!(found(&firm(2)).await, [guarantee]);
    assert_eq!(found(&owner.party.clone()).await, [owner]);
}

pub async fn a_tie_that_is_delivered_again_keeps_its_first_day_and_counts_each_day_once(graph: &dyn Both) {
    let [may, june] = [MAY, JUNE].map(|on| owned_by(1, "p", on));
    for tie in [&may, &may, &june, &june, &may] {
        graph.tie(std::slice::from_ref(tie)).await.unwrap();
    }
    let expected = Tie { last_seen: JUNE, count: 2, ..may };
    assert_eq!(graph.ties(&firm(1), 10).await.unwrap().ties, [expected]);
}

pub async fn more_ties_than_the_limit_are_cut_off_and_say_so(graph: &dyn Both) {
    let ties: Vec<Tie> = (1..=12).map(|n| owned_by(n, "p", MAY)).collect();
    graph.tie(&ties).await.unwrap();
    for (limit, seen, cut_off) in [(5, 5, true), (12, 12, false), (20, 12, false)] {
        let found = graph.ties(&ties[0].party, limit).await.unwrap();
        assert_eq!((found.ties.len(), found.cut_off), (seen, cut_off), "limit {limit}");
    }
}
