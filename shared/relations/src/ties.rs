//! Spreading out from a firm over what the record says: who owns and directs it, which phone it registered, who answers
//! for whose debts, who invoices whom.
//!
//! Ties are facts about firms, not acts of anybody: an ordinary firm has owners, suppliers and a guarantor. So they join
//! nobody by themselves. Guarantees bring the applications of the firms around into view, for the one label that needs
//! them; everything else is counted.

use crate::{FAN_OUT, TIE_BELIEVED_FOR};
use domain::{FirmCode, calendar::day_in_china};
use jiff::{Timestamp, civil::Date};
use ports::relation::{Node, NodeKind, Tie, TieKind, Ties};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Most nodes whose ties are read for one application.
pub const MAX_TIE_READS: usize = 8;
/// So many hops along guarantees close a circle of eight firms.
const GUARANTEE_HOPS: u32 = 4;
/// Most firms around whose applications are read.
pub const MAX_TIED_FIRMS: usize = 4;

/// The part of the record around a firm that was read. Reading it in any order gives the same.
#[derive(Clone, Debug)]
pub struct TieSpread {
    own: FirmCode,
    /// Ties that were last seen before this day are not believed any more.
    since: Date,
    read: BTreeMap<Node, Ties>,
    hops: u32,
    is_last_hop: bool,
    is_starved: bool,
}

impl TieSpread {
    /// The record around a firm, as it stands for an application that was received then.
    pub fn around(own: FirmCode, at: Timestamp) -> Self {
        let on = day_in_china(at);
        let since = on.checked_sub(TIE_BELIEVED_FOR).unwrap_or(Date::MIN);
        Self { own, since, read: BTreeMap::new(), hops: 0, is_last_hop: false, is_starved: false }
    }

    /// The nodes whose ties are to be read next; empty when the spread is done. First the firm, then along guarantees, hop by
    /// hop, and in the end once whom the firm invoices and who stands behind it.
    pub fn next_hop(&mut self) -> Vec<Node> {
        self.hops += 1;
        let mut ahead = match self.hops {
            1 => vec![firm_node(&self.own)],
            2..=GUARANTEE_HOPS => self.ahead(true),
            _ => Vec::new(),
        };
        if ahead.is_empty() && !self.is_last_hop {
            self.is_last_hop = true;
            self.hops = GUARANTEE_HOPS;
            ahead = self.ahead(false);
        }
        let budget = MAX_TIE_READS.saturating_sub(self.read.len());
        self.is_starved |= ahead.len() > budget;
        ahead.truncate(budget);
        ahead
    }

    /// What was not read of the firms that guarantees name, or else of the own firm's other ties; each once, guarantees and
    /// invoices first.
    fn ahead(&self, over_guarantees: bool) -> Vec<Node> {
        let mut ahead: BTreeSet<(TieKind, Node)> = BTreeSet::new();
        for tie in self.ties() {
            let is_guarantee = tie.kind == TieKind::Guarantee;
            let is_own = tie.firm == self.own || tie.party == firm_node(&self.own);
            if is_guarantee == over_guarantees && (is_guarantee || is_own) {
                ahead.extend([(tie.kind, tie.party.clone()), (tie.kind, firm_node(&tie.firm))]);
            }
        }
        let mut nodes: Vec<Node> = Vec::new();
        for (_, node) in ahead {
            if !self.read.contains_key(&node) && !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        nodes
    }

    /// Takes in what was found at a node.
    pub fn add(&mut self, node: Node, mut found: Ties) {
        found.ties.retain(|tie| tie.last_seen >= self.since);
        self.read.insert(node, found);
    }

    /// How many nodes were read.
    pub fn reads(&self) -> usize {
        self.read.len()
    }

    /// Whether anything within reach was left unread.
    pub fn cut_off(&self) -> bool {
        self.is_starved || self.read.values().any(|ties| ties.cut_off)
    }

    fn ties(&self) -> impl Iterator<Item = &Tie> {
        self.read.values().flat_map(|ties| &ties.ties)
    }

    /// Who answers for whom, or who invoices whom: (guarantor, debtor), (seller, buyer).
    pub(crate) fn between_firms(&self, kind: TieKind) -> BTreeSet<(&FirmCode, &str)> {
        let between = self.ties().filter(|tie| tie.kind == kind && tie.party.kind == NodeKind::Firm);
        between.map(|tie| (&tie.firm, tie.party.hash.as_str())).collect()
    }

    /// The most firms, the own one included, at one owner, director or registered phone of the own firm. A crowd counts
    /// nothing: it is an agent or an accountant.
    pub(crate) fn firms_at(&self, kinds: &[TieKind]) -> u32 {
        let is_of = |tie: &&Tie| kinds.contains(&tie.kind) && tie.party.kind != NodeKind::Firm;
        let parties: BTreeSet<&Node> =
            self.ties().filter(is_of).filter(|tie| tie.firm == self.own).map(|tie| &tie.party).collect();
        let firms = |party: &Node| {
            let found = self.read.get(party).filter(|found| !found.cut_off)?;
            let firms: BTreeSet<_> = found.ties.iter().filter(is_of).map(|tie| &tie.firm).collect();
            Some(firms.len())
        };
        let most = parties.into_iter().filter_map(firms).max().unwrap_or(usize::from(!self.read.is_empty()));
        u32::try_from(most).unwrap_or(FAN_OUT)
    }

    /// The firms that guarantees join with this one, the nearest first, each with the guarantee and the firm over which it
    /// was reached.
    pub(crate) fn guaranteed(&self) -> Vec<(FirmCode, Node, FirmCode)> {
        let edges = self.between_firms(TieKind::Guarantee);
        let mut reached: Vec<(FirmCode, Node, FirmCode)> = Vec::new();
        let mut ahead = VecDeque::from([self.own.clone()]);
        while let Some(from) = ahead.pop_front() {
            let next = edges.iter().filter_map(|(guarantor, debtor)| {
                let debtor: FirmCode = debtor.parse().ok()?;
                let other = match (**guarantor == from, debtor == from) {
                    (true, false) => debtor.clone(),
                    (false, true) => (*guarantor).clone(),
                    _ => return None,
                };
                Some((other, Node::guarantee(guarantor, &debtor)))
            });
            for (other, guarantee) in next {
                if other != self.own && reached.iter().all(|(known, _, _)| *known != other) {
                    ahead.push_back(other.clone());
                    reached.push((other, guarantee, from.clone()));
                }
            }
        }
        reached
    }

    /// The firms around whose applications are to be read.
    pub fn tied_firms(&self) -> Vec<Node> {
        let firms = self.guaranteed().into_iter().map(|(firm, _, _)| firm_node(&firm));
        firms.take(MAX_TIED_FIRMS).collect()
    }
}

fn firm_node(firm: &FirmCode) -> Node {
    Node { kind: NodeKind::Firm, hash: firm.as_str().to_owned() }
}

#[cfg(test)]
mod tests;
