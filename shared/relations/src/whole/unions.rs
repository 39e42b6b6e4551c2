//! Components: who belongs together over any number of joining nodes.

use super::{Unproven, Whole, circles};

/// Disjoint sets of numbers; each is called by its smallest member.
#[derive(Clone, Debug)]
pub(super) struct Unions(Vec<u32>);

impl Unions {
    pub(super) fn of(count: u32) -> Self {
        Self((0..count).collect())
    }

    /// The smallest member of the set.
    pub(super) fn find(&mut self, member: u32) -> u32 {
        let mut at = member;
        while self.0[at as usize] != at {
            let above = self.0[self.0[at as usize] as usize];
            self.0[at as usize] = above;
            at = above;
        }
        at
    }

    pub(super) fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b) as usize] = a.min(b);
    }

    /// For each number the smallest member of its set.
    pub(super) fn roots(mut self) -> Vec<u32> {
        for member in 0..self.0.len() {
            // The smaller ones are roots or point to roots already.
            self.0[member] = self.0[self.0[member] as usize];
        }
        self.0
    }
}

/// For each application the oldest one of its component.
pub(super) fn components(whole: &Whole, unproven: &Unproven) -> Vec<u32> {
    let mut unions = Unions::of(u32::try_from(whole.applications()).unwrap_or(u32::MAX));
    for node in (0..whole.at_node.len()).filter_map(|node| u32::try_from(node).ok()) {
        if !whole.joins(node) {
            continue;
        }
        let kind = whole.kind(node);
        let mut held = whole.at_node.get(node).iter().filter(|at| unproven.holds(kind, **at));
        let Some(first) = held.next() else { continue };
        held.for_each(|other| unions.join(*first, *other));
    }
    for circle in circles::circles(whole, unproven) {
        circle.iter().for_each(|member| unions.join(circle[0], *member));
    }
    unions.roots()
}

/// The members of each set of two or more, sets and members in their order.
pub(super) fn groups(roots: &[u32]) -> Vec<Vec<u32>> {
    let mut sizes = vec![0_u32; roots.len()];
    roots.iter().for_each(|root| sizes[*root as usize] += 1);
    let mut places = vec![u32::MAX; roots.len()];
    let mut groups: Vec<Vec<u32>> = Vec::new();
    for (member, root) in roots.iter().enumerate() {
        let size = sizes[*root as usize];
        if size < 2 {
            continue;
        }
        let place = &mut places[*root as usize];
        if *place == u32::MAX {
            *place = groups.len() as u32;
            groups.push(Vec::with_capacity(size as usize));
        }
        groups[*place as usize].push(member as u32);
    }
    groups
}
