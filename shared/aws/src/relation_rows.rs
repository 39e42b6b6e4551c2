//! Rows of the table `relations` as an export of it writes them, read without the SDK.
//!
//! A link stands under each of its nodes, so most lines only say again what one before them said. Only the keys of such a
//! line are read.

use crate::{acts::ACT, relations::OUTCOME, ties::TIE};
use domain::ApplicationId;
use ports::relation::{Link, LoanOutcome, Node, NodeKind, Tie, TieKind};
use serde::Deserialize;
use std::{borrow::Cow, collections::HashSet};

/// A row of the relation graph.
#[derive(Clone, Debug, PartialEq)]
pub enum RelationRow {
    Link(Box<Link>),
    Outcome(Node, LoanOutcome),
    Tie(Box<Tie>),
}

/// Reads lines of an export, and remembers which links it has given.
#[derive(Debug, Default)]
pub struct RelationRows {
    given: HashSet<ApplicationId>,
}

/// A line that no adapter of ours wrote. It never quotes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARow {
    #[error("it is not DynamoDB's JSON of a row with pk and sk")]
    Shape,
    #[error("its attribute {0} is missing or is not what it should be")]
    Attribute(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line<T> {
    item: T,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(rename = "S", borrow)]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Digits<'a> {
    #[serde(rename = "N", borrow)]
    digits: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(borrow)]
    pk: Text<'a>,
    #[serde(borrow)]
    sk: Text<'a>,
}

#[derive(Deserialize)]
struct LinkItem<'a> {
    #[serde(borrow)]
    link: Text<'a>,
}

#[derive(Deserialize)]
struct OutcomeItem<'a> {
    #[serde(borrow)]
    outcome: Text<'a>,
}

#[derive(Deserialize)]
struct TieItem<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    firm: Text<'a>,
    #[serde(borrow)]
    party: Text<'a>,
    #[serde(borrow)]
    first_seen: Text<'a>,
    #[serde(borrow)]
    last_seen: Text<'a>,
    #[serde(borrow)]
    deliveries: Digits<'a>,
    #[serde(borrow)]
    source: Text<'a>,
}

impl RelationRows {
    /// The row of a line; `None` for what this reader has given before, and for what is no part of the graph.
    ///
    /// # Errors
    /// [`NotARow`].
    pub fn row(&mut self, line: &[u8]) -> Result<Option<RelationRow>, NotARow> {
        let Keys { pk, sk } = item(line).ok_or(NotARow::Shape)?;
        let Some((kind, hash)) = node(&pk.text) else { return Ok(None) };
        if sk.text.starts_with(OUTCOME) {
            let node = Node { kind, hash: hash.to_owned() };
            let OutcomeItem { outcome } = item(line).ok_or(NotARow::Attribute("outcome"))?;
            let outcome = serde_json::from_str(&outcome.text).map_err(|_| NotARow::Attribute("outcome"))?;
            return Ok(Some(RelationRow::Outcome(node, outcome)));
        }
        if sk.text.starts_with(TIE) {
            return tie((kind, hash), line);
        }
        // What was done at a device without applying joins nobody and labels no ring.
        if sk.text.starts_with(ACT) {
            return Ok(None);
        }
        let application = sk.text.rsplit_once('#').and_then(|(_, id)| id.parse().ok());
        let application: ApplicationId = application.ok_or(NotARow::Attribute("sk"))?;
        // The same application always has the same link.
        if !self.given.insert(application) {
            return Ok(None);
        }
        let LinkItem { link } = item(line).ok_or(NotARow::Attribute("link"))?;
        let link: Link = serde_json::from_str(&link.text).map_err(|_| NotARow::Attribute("link"))?;
        match link.application == application {
            true => Ok(Some(RelationRow::Link(Box::new(link)))),
            false => Err(NotARow::Attribute("link")),
        }
    }
}

fn item<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Option<T> {
    serde_json::from_slice::<Line<T>>(line).ok().map(|line| line.item)
}

/// The node of a partition; `None` for the book of rings, which lies in the same table.
fn node(pk: &str) -> Option<(NodeKind, &str)> {
    let (kind, hash) = pk.split_once('#')?;
    Some((NodeKind::ALL.into_iter().find(|known| known.as_str() == kind)?, hash))
}

/// A tie stands under its firm and its party, and is given under its firm.
fn tie((under, hash): (NodeKind, &str), line: &[u8]) -> Result<Option<RelationRow>, NotARow> {
    let written: TieItem = item(line).ok_or(NotARow::Attribute("kind"))?;
    let kind = TieKind::ALL.into_iter().find(|known| known.as_str() == written.kind.text);
    let kind = kind.ok_or(NotARow::Attribute("kind"))?;
    if under != NodeKind::Firm || hash != written.firm.text {
        return Ok(None);
    }
    Ok(Some(RelationRow::Tie(Box::new(Tie {
        kind,
        firm: written.firm.text.parse().map_err(|_| NotARow::Attribute("firm"))?,
        party: Node { kind: kind.party(), hash: written.party.text.into_owned() },
        first_seen: written.first_seen.text.parse().map_err(|_| NotARow::Attribute("first_seen"))?,
        last_seen: written.last_seen.text.parse().map_err(|_| NotARow::Attribute("last_seen"))?,
        count: written.deliveries.digits.parse().map_err(|_| NotARow::Attribute("deliveries"))?,
        source: written.source.text.into_owned(),
    }))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLICATION: &str = "00000001-0000-8000-8000-000000000000";

    fn link(sk: &str, application: &str) -> String {
        let firm = r#"\"firm\":\"91350100M000100Y43\""#;
        let at = r#"\"at\":\"2026-11-02T08:00:00Z\""#;
        let nodes = r#"\"nodes\":[{\"kind\":\"device\",\"hash\":\"d\"}]"#;
        let link = format!(r#"{{\"application\":\"{application}\",{firm},{nodes},{at}}}"#);
        format!(r#"{{"Item":{{"link":{{"S":"{link}"}},"sk":{{"S":"{sk}"}},"pk":{{"S":"device#d"}}}}}}"#)
    }

    fn row(line: &str) -> Result<Option<RelationRow>, NotARow> {
        RelationRows::default().row(line.as_bytes())
    }

    #[test]
    fn a_link_is_given_once_whatever_stands_first_in_its_line() {
        let mut rows = RelationRows::default();
        let line = link(&format!("2026-11-02T08:00:00Z#{APPLICATION}"), APPLICATION);
        let Some(RelationRow::Link(found)) = rows.row(line.as_bytes()).unwrap() else { panic!("{line}") };
        assert_eq!((found.application.to_string().as_str(), found.nodes.len()), (APPLICATION, 1));
        assert_eq!(rows.row(line.replace("device#d", "phone#p").as_bytes()), Ok(None));
    }

    #[test]
    fn rings_their_history_and_acts_are_no_part_of_the_graph() {
        let act = r#"{"Item":{"pk":{"S":"device#d"},"sk":{"S":"seen#2026-11-26T18#sign_in#w"}}}"#;
        assert_eq!(row(act), Ok(None));
        for pk in ["rings#0", "ring#00000001-0000-8000-8000-000000000000", "nonsense"] {
            let line = format!(r#"{{"Item":{{"pk":{{"S":"{pk}"}},"sk":{{"S":"x"}}}}}}"#);
            assert_eq!(row(&line), Ok(None), "{pk}");
        }
    }

    #[test]
    fn a_line_that_is_no_row_says_what_is_wrong_and_quotes_nothing() {
        let other = "00000002-0000-8000-8000-000000000000";
        let cases = [
            ("{".to_owned(), NotARow::Shape),
            (r#"{"Item":{"pk":{"S":"device#d"}}}"#.to_owned(), NotARow::Shape),
            (link("2026-11-02T08:00:00Z", APPLICATION), NotARow::Attribute("sk")),
            (link(&format!("2026-11-02T08:00:00Z#{other}"), APPLICATION), NotARow::Attribute("link")),
            (link(&format!("2026-11-02T08:00:00Z#{APPLICATION}"), "x"), NotARow::Attribute("link")),
            (link("outcome#x", APPLICATION), NotARow::Attribute("outcome")),
            (link("tie#x", APPLICATION), NotARow::Attribute("kind")),
        ];
        for (line, expected) in cases {
            assert_eq!(row(&line), Err(expected), "{line}");
        }
    }
}
