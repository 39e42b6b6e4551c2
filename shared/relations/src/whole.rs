//! The whole graph at once: what a table export holds, joined, cut into rings and labelled.
//!
//! A live check sees three hops around one application and only ever joins. Here the closure over every joining node is
//! taken, so this is where a ring falls apart again that a claim held together which came to nothing, or a node that has
//! become a crowd since. What joins is decided by the same rules, and a ring is looked at by the very code of a check:
//! a [`Spread`] is filled with what stands at the ring's nodes, without limits on hops and reads.
//!
//! Everything is kept as numbers: applications, nodes and texts are interned, what stands where are two flat arrays. A
//! million nodes with ten million edges take less than half a gigabyte. The order in which links are added makes no
//! difference.

mod circles;
mod communities;
mod labelling;
mod names;
mod unions;

pub use labelling::{Labelled, WholeRing};
pub use names::{Differences, differences};

use crate::{FAN_OUT, Proof, Standing, WINDOW, can_join, is_claim};
use domain::{ApplicationId, FirmCode, PayoutId};
use indexmap::IndexSet;
use jiff::Timestamp;
use ports::relation::{Link, LoanOutcome, Node, NodeKind, Tie, Ties, Window};
use std::collections::BTreeMap;

/// Takes in links, outcomes and ties in any order.
#[derive(Debug)]
pub struct WholeBuilder {
    as_of: Timestamp,
    window: Window,
    rows: Rows,
    nodes: IndexSet<Node>,
    outcomes: Vec<(u32, LoanOutcome)>,
    ties: TieBook,
}

/// What the record says, under each firm and each party; in the order in which a table has it.
type TieBook = BTreeMap<Node, BTreeMap<TieKey, Tie>>;
type TieKey = (&'static str, FirmCode, Node);

/// There is more in the graph than can be numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the graph has more than {} nodes, applications or edges", u32::MAX)]
pub struct TooLarge;

/// Why the whole graph was not labelled.
#[derive(Debug, thiserror::Error)]
pub enum WholeError {
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error("a component cannot be cut into communities")]
    Communities(#[from] leiden_rs::LeidenError),
}

/// Applications, column by column.
#[derive(Clone, Debug, Default)]
struct Rows {
    ids: Vec<ApplicationId>,
    at: Vec<Timestamp>,
    amounts: Vec<u64>,
    account_days: Vec<Option<u32>>,
    firms: IndexSet<FirmCode>,
    firm: Vec<u32>,
    /// Banks and places; the empty text is no place.
    texts: IndexSet<String>,
    bank: Vec<u32>,
    place: Vec<u32>,
    nodes: Lists,
}

/// Lists of numbers in one array.
#[derive(Clone, Debug)]
struct Lists {
    ends: Vec<u32>,
    flat: Vec<u32>,
}

impl Default for Lists {
    fn default() -> Self {
        Self { ends: vec![0], flat: Vec::new() }
    }
}

impl Lists {
    fn push(&mut self, list: impl IntoIterator<Item = u32>) -> Result<(), TooLarge> {
        self.flat.extend(list);
        self.ends.push(number(self.flat.len())?);
        Ok(())
    }

    fn get(&self, at: u32) -> &[u32] {
        let at = at as usize;
        &self.flat[self.ends[at] as usize..self.ends[at + 1] as usize]
    }

    fn len(&self) -> usize {
        self.ends.len() - 1
    }
}

fn number(of: usize) -> Result<u32, TooLarge> {
    u32::try_from(of).map_err(|_| TooLarge)
}

impl WholeBuilder {
    /// The graph as it was at a moment: links that are older than [`WINDOW`] then do not count.
    pub fn at(as_of: Timestamp) -> Self {
        let from = as_of.checked_sub(WINDOW).unwrap_or(Timestamp::MIN);
        let window = Window { from, to: None };
        let (rows, nodes) = (Rows::default(), IndexSet::new());
        Self { as_of, window, rows, nodes, outcomes: Vec::new(), ties: TieBook::new() }
    }

    /// Adds an application. It may be added as often as it is found.
    ///
    /// # Errors
    /// [`TooLarge`] past four billion edges.
    pub fn link(&mut self, link: Link) -> Result<(), TooLarge> {
        if !self.window.holds(link.at) {
            return Ok(());
        }
        let mut nodes = Vec::with_capacity(link.nodes.len());
        for node in link.nodes {
            nodes.push(number(self.nodes.insert_full(node).0)?);
        }
        nodes.sort_unstable();
        nodes.dedup();
        let rows = &mut self.rows;
        rows.ids.push(link.application);
        rows.at.push(link.at);
        rows.amounts.push(link.amount_fen);
        rows.account_days.push(link.account_days);
        rows.firm.push(number(rows.firms.insert_full(link.firm).0)?);
        rows.bank.push(number(rows.texts.insert_full(link.bank).0)?);
        rows.place.push(number(rows.texts.insert_full(link.place.unwrap_or_default()).0)?);
        rows.nodes.push(nodes)
    }

    /// Adds how a loan does, as it stands at a node.
    ///
    /// # Errors
    /// [`TooLarge`] past four billion nodes.
    pub fn outcome(&mut self, node: Node, outcome: LoanOutcome) -> Result<(), TooLarge> {
        self.outcomes.push((number(self.nodes.insert_full(node).0)?, outcome));
        Ok(())
    }

    /// Adds what the record says of a firm and a party.
    pub fn tie(&mut self, tie: Tie) {
        let firm = Node { kind: NodeKind::Firm, hash: tie.firm.as_str().to_owned() };
        let key = (tie.kind.as_str(), tie.firm.clone(), tie.party.clone());
        self.ties.entry(firm).or_default().insert(key.clone(), tie.clone());
        self.ties.entry(tie.party.clone()).or_default().insert(key, tie);
    }

    /// # Errors
    /// [`TooLarge`] past four billion edges.
    pub fn finish(self) -> Result<Whole, TooLarge> {
        let Self { as_of, window, rows, nodes, outcomes, ties } = self;
        let rows = rows.in_order(&nodes)?;
        let at_node = rows.by_node(nodes.len())?;
        let mut at: BTreeMap<u32, BTreeMap<PayoutId, LoanOutcome>> = BTreeMap::new();
        for (node, outcome) in outcomes {
            let loans = at.entry(node).or_default();
            let latest = loans.entry(outcome.payout).or_insert(outcome);
            if outcome.version > latest.version {
                *latest = outcome;
            }
        }
        Ok(Whole { as_of, window, rows, nodes, at_node, outcomes: at, ties })
    }
}

impl Rows {
    /// Every application once, the oldest first. Of copies that differ the one with the smallest nodes is kept, so that no
    /// order of lines shows.
    fn in_order(self, nodes: &IndexSet<Node>) -> Result<Self, TooLarge> {
        let row = |at: &u32| *at as usize;
        let names = |at: &u32| -> Vec<&Node> {
            let mut names: Vec<&Node> =
                self.nodes.get(*at).iter().filter_map(|n| nodes.get_index(*n as usize)).collect();
            names.sort_unstable();
            names
        };
        let mut order: Vec<u32> = (0..number(self.ids.len())?).collect();
        order.sort_unstable_by(|a, b| {
            let key = |at: &u32| (self.ids[row(at)], self.at[row(at)], self.amounts[row(at)]);
            key(a).cmp(&key(b)).then_with(|| names(a).cmp(&names(b)))
        });
        order.dedup_by_key(|at| self.ids[row(at)]);
        // As the sort keys of the table order them.
        order.sort_unstable_by_key(|at| (self.at[row(at)].as_second(), self.ids[row(at)]));
        let mut lists = Lists::default();
        for at in &order {
            lists.push(self.nodes.get(*at).iter().copied())?;
        }
        fn picked<T: Copy>(of: &[T], order: &[u32]) -> Vec<T> {
            order.iter().map(|at| of[*at as usize]).collect()
        }
        Ok(Self {
            ids: picked(&self.ids, &order),
            at: picked(&self.at, &order),
            amounts: picked(&self.amounts, &order),
            account_days: picked(&self.account_days, &order),
            firm: picked(&self.firm, &order),
            bank: picked(&self.bank, &order),
            place: picked(&self.place, &order),
            nodes: lists,
            firms: self.firms,
            texts: self.texts,
        })
    }

    /// The applications at each node, the oldest first.
    fn by_node(&self, nodes: usize) -> Result<Lists, TooLarge> {
        let mut ends = vec![0_u32; nodes + 1];
        for node in &self.nodes.flat {
            ends[*node as usize + 1] += 1;
        }
        for node in 0..nodes {
            ends[node + 1] += ends[node];
        }
        let mut next = ends.clone();
        let mut flat = vec![0; self.nodes.flat.len()];
        for application in 0..number(self.ids.len())? {
            for node in self.nodes.get(application) {
                let place = &mut next[*node as usize];
                flat[*place as usize] = application;
                *place += 1;
            }
        }
        Ok(Lists { ends, flat })
    }
}

/// The whole graph of a window. Applications and nodes are numbers in it, applications in the order of their time.
#[derive(Debug)]
pub struct Whole {
    as_of: Timestamp,
    window: Window,
    rows: Rows,
    nodes: IndexSet<Node>,
    at_node: Lists,
    outcomes: BTreeMap<u32, BTreeMap<PayoutId, LoanOutcome>>,
    ties: TieBook,
}

impl Whole {
    /// Applications in the window.
    pub fn applications(&self) -> usize {
        self.rows.ids.len()
    }

    /// Nodes that they touch.
    pub fn nodes(&self) -> usize {
        self.at_node.ends.windows(2).filter(|ends| ends[0] < ends[1]).count()
    }

    /// Applications at nodes, counted at each.
    pub fn edges(&self) -> usize {
        self.at_node.flat.len()
    }

    fn kind(&self, node: u32) -> NodeKind {
        self.nodes[node as usize].kind
    }

    fn overdue(&self, node: u32) -> impl Iterator<Item = &LoanOutcome> {
        self.outcomes.get(&node).into_iter().flat_map(BTreeMap::values)
    }

    /// Whether more stands at the node than a check reads.
    fn is_crowd(&self, node: u32) -> bool {
        self.at_node.get(node).len() > FAN_OUT as usize
    }

    /// What a check would read of the record at a node.
    fn ties_at(&self, node: &Node) -> Ties {
        let most = FAN_OUT as usize;
        let all = self.ties.get(node).into_iter().flat_map(BTreeMap::values);
        let mut ties: Vec<Tie> = all.take(most + 1).cloned().collect();
        let cut_off = ties.len() > most;
        ties.truncate(most);
        Ties { ties, cut_off }
    }

    /// Whether sharing the node joins applications.
    fn joins(&self, node: u32) -> bool {
        can_join(self.kind(node), self.is_crowd(node))
    }

    /// The link of an application, as it was added.
    fn link(&self, application: u32) -> Link {
        let nodes = self.rows.nodes.get(application).iter().map(|n| self.nodes[*n as usize].clone());
        let mut nodes: Vec<Node> = nodes.collect();
        nodes.sort_unstable();
        Link { nodes, ..self.bare_link(application) }
    }

    /// The same without its nodes, for those who are counted and not followed.
    fn bare_link(&self, application: u32) -> Link {
        let (rows, at) = (&self.rows, application as usize);
        let text = |number: u32| rows.texts[number as usize].clone();
        Link {
            application: rows.ids[at],
            firm: rows.firms[rows.firm[at] as usize].clone(),
            nodes: Vec::new(),
            at: rows.at[at],
            amount_fen: rows.amounts[at],
            bank: text(rows.bank[at]),
            place: Some(text(rows.place[at])).filter(|place| !place.is_empty()),
            account_days: rows.account_days[at],
        }
    }
}

/// The applications that were looked at and have not proven what they claim: it came to nothing, or is being checked.
#[derive(Debug, Default)]
struct Unproven(Vec<bool>);

impl Unproven {
    fn of(whole: &Whole, standings: &BTreeMap<ApplicationId, Standing>) -> Self {
        let is_unproven = |id| standings.get(id).is_some_and(|standing| standing.proof < Proof::Proven);
        Self(whole.rows.ids.iter().map(is_unproven).collect())
    }

    /// Whether the application is taken at its word that it stands at a node of this kind.
    fn holds(&self, kind: NodeKind, application: u32) -> bool {
        !is_claim(kind) || !self.0.get(application as usize).is_some_and(|is_unproven| *is_unproven)
    }
}

#[cfg(test)]
mod tests;
