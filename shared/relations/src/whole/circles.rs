//! Firms that answer for each other's debts in a circle. Their applications are a ring without sharing anything.

use super::{Unproven, Whole};
use crate::TIE_BELIEVED_FOR;
use domain::{FirmCode, calendar::day_in_china};
use jiff::civil::Date;
use ports::relation::{Node, NodeKind, TieKind};
use std::collections::{BTreeMap, BTreeSet};

/// Firms that a circle has at least.
const LEAST: usize = 3;

/// The applications of each set of firms of which everyone reaches everyone over guarantees, where three or more applied.
pub(super) fn circles(whole: &Whole, unproven: &Unproven) -> Vec<Vec<u32>> {
    let since = day_in_china(whole.as_of).checked_sub(TIE_BELIEVED_FOR).unwrap_or(Date::MIN);
    let mut debtors: BTreeMap<FirmCode, BTreeSet<FirmCode>> = BTreeMap::new();
    for tie in whole.ties.values().flat_map(BTreeMap::values) {
        let is_guarantee = tie.kind == TieKind::Guarantee && tie.last_seen >= since;
        if let Some(debtor) = tie.party.hash.parse().ok().filter(|_| is_guarantee) {
            debtors.entry(tie.firm.clone()).or_default().insert(debtor);
        }
    }
    let applications = |firm: &FirmCode| -> Vec<u32> {
        let node = Node { kind: NodeKind::Firm, hash: firm.as_str().to_owned() };
        let number = whole.nodes.get_index_of(&node).and_then(|number| u32::try_from(number).ok());
        let here = number.filter(|node| !whole.is_crowd(*node)).map(|node| whole.at_node.get(node));
        let here = here.unwrap_or_default().iter().copied();
        here.filter(|at| unproven.holds(NodeKind::Firm, *at)).collect()
    };
    let mut circles = Vec::new();
    for firms in mutual(&debtors).into_iter().filter(|firms| firms.len() >= LEAST) {
        let applied: Vec<Vec<u32>> = firms.iter().map(applications).filter(|of| !of.is_empty()).collect();
        if applied.len() >= LEAST {
            circles.push(applied.concat());
        }
    }
    circles
}

/// The strongly connected components (Kosaraju): firms in the order in which a walk over debtors leaves them, the last one
/// first, each with those that reach it.
fn mutual(debtors: &BTreeMap<FirmCode, BTreeSet<FirmCode>>) -> Vec<Vec<FirmCode>> {
    let mut guarantors: BTreeMap<FirmCode, BTreeSet<FirmCode>> = BTreeMap::new();
    for (guarantor, of) in debtors {
        for debtor in of {
            guarantors.entry(debtor.clone()).or_default().insert(guarantor.clone());
        }
    }
    let mut left: Vec<FirmCode> = Vec::new();
    let mut seen = BTreeSet::new();
    for firm in debtors.keys() {
        left.extend(walk(firm, debtors, &mut seen));
    }
    let mut seen = BTreeSet::new();
    left.iter()
        .rev()
        .map(|firm| walk(firm, &guarantors, &mut seen))
        .filter(|found| !found.is_empty())
        .collect()
}

/// Everybody that is reached and was not seen before, in the order in which the walk leaves them. Without recursion: a
/// chain of guarantees may be long.
fn walk(
    from: &FirmCode,
    over: &BTreeMap<FirmCode, BTreeSet<FirmCode>>,
    seen: &mut BTreeSet<FirmCode>,
) -> Vec<FirmCode> {
    let mut left = Vec::new();
    let mut path: Vec<(FirmCode, Vec<FirmCode>)> = Vec::new();
    let next = |firm: &FirmCode| over.get(firm).into_iter().flatten().cloned().collect::<Vec<_>>();
    if seen.insert(from.clone()) {
        path.push((from.clone(), next(from)));
    }
    while let Some((firm, ahead)) = path.last_mut() {
        match ahead.pop() {
            Some(other) if seen.insert(other.clone()) => {
                let further = next(&other);
                path.push((other, further));
            }
            Some(_) => {}
            None => {
                left.push(firm.clone());
                path.pop();
            }
        }
    }
    left
}
