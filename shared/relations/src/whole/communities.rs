//! Communities: a component that is too large to be compared whole is cut where it hangs together least.
//!
//! The Leiden algorithm (Traag, Waltman, van Eck 2019, doi:10.1038/s41598-019-41695-z) by `leiden-rs`, on applications and
//! the nodes between them, by modularity. It draws from a generator with a fixed seed that gives the same numbers on every
//! processor, adds up in one order, and calls no function of the platform's mathematics, so that the same component is cut
//! in the same way everywhere. A test holds it to that.

use super::{
    Unproven, Whole,
    unions::{Unions, groups},
};
use crate::profile::MAX_COMPARED;
use leiden_rs::{GraphDataBuilder, Leiden, LeidenConfig, LeidenError};
use std::collections::BTreeMap;

/// Any number would do, as long as it stays.
const SEED: u64 = 301;

/// Cuts the components that have more members than a profile compares. For each application the oldest one of its part,
/// and how many components were large.
pub(super) fn cut(
    whole: &Whole,
    unproven: &Unproven,
    mut roots: Vec<u32>,
) -> Result<(Vec<u32>, usize), LeidenError> {
    let mut large = 0;
    for component in groups(&roots).into_iter().filter(|members| members.len() > MAX_COMPARED) {
        let parts = communities(whole, unproven, &component)?;
        parts.iter().zip(&component).for_each(|(part, at)| roots[*at as usize] = *part);
        large += 1;
    }
    Ok((roots, large))
}

/// For each member the oldest one of its community.
fn communities(whole: &Whole, unproven: &Unproven, members: &[u32]) -> Result<Vec<u32>, LeidenError> {
    // Members are in the order of time; nodes are taken in the order of their names, whatever number they have.
    let mut at: BTreeMap<(&ports::relation::Node, u32), Vec<usize>> = BTreeMap::new();
    for (place, member) in members.iter().enumerate() {
        let held = |node: &&u32| whole.joins(**node) && unproven.holds(whole.kind(**node), *member);
        for node in whole.rows.nodes.get(*member).iter().filter(held) {
            at.entry((&whole.nodes[*node as usize], *node)).or_default().push(place);
        }
    }
    at.retain(|_, sharers| sharers.len() > 1);
    let mut graph = GraphDataBuilder::new(members.len() + at.len());
    for (node, sharers) in at.values().enumerate() {
        for sharer in sharers {
            graph.add_edge(*sharer, members.len() + node, 1.0)?;
        }
    }
    let config = LeidenConfig { seed: Some(SEED), ..LeidenConfig::default() };
    let partition = Leiden::new(config).run(&graph.build()?)?.partition;
    // Whatever is said of a community, its members share something with each other.
    let mut unions = Unions::of(members.len() as u32);
    for sharers in at.values() {
        let mut first: BTreeMap<usize, usize> = BTreeMap::new();
        for sharer in sharers {
            let first = *first.entry(partition.community_of(*sharer)).or_insert(*sharer);
            unions.join(first as u32, *sharer as u32);
        }
    }
    Ok(unions.roots().into_iter().map(|root| members[root as usize]).collect())
}
