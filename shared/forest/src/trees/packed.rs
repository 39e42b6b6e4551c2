//! Trees as they are laid out, to bytes and back.

use super::{
    Aggregate, Trees,
    layout::{Layout, Node, Tree},
};
use crate::{
    explain::is_reached,
    packed::{PackedError, Reader, Writer},
};

const AGGREGATES: [Aggregate; 4] = [Aggregate::Sum, Aggregate::Average, Aggregate::Min, Aggregate::Max];
/// Stands where a tree has no one target.
const WIDE: u32 = u32::MAX;
const NODES: PackedError = PackedError::Damaged("a node");
const TREES: PackedError = PackedError::Damaged("a tree");
const LEAVES: PackedError = PackedError::Damaged("a leaf");

impl Trees {
    pub(crate) fn write(&self, to: &mut Writer) {
        let layout = &self.layout;
        to.number(self.aggregate as usize);
        for length in [
            self.base.len(),
            layout.trees.len(),
            layout.nodes.len(),
            layout.reached.len(),
            layout.ranges.len(),
            layout.weights.len(),
        ] {
            to.number(length);
        }
        to.list(self.base.iter().flat_map(|base| [base.to_bits() as u32, (base.to_bits() >> 32) as u32]));
        to.list(layout.trees.iter().flat_map(|tree| [tree.root, tree.target.unwrap_or(WIDE)]));
        to.list(layout.nodes.iter().flat_map(|node| node.to_bits()));
        to.list(layout.reached.iter().map(|reached| reached.to_bits()));
        to.list(layout.ranges.iter().flat_map(|(from, to)| [*from, *to]));
        to.list(layout.weights.iter().flat_map(|(target, weight)| [*target, weight.to_bits()]));
    }

    pub(crate) fn read(from: &mut Reader) -> Result<Self, PackedError> {
        let aggregate = *AGGREGATES.get(from.number()?).ok_or(PackedError::Damaged("an aggregate"))?;
        let mut lengths = [0; 6];
        for length in &mut lengths {
            *length = from.number()?;
        }
        let [targets, trees, nodes, reached, ranges, weights] = lengths;
        let base =
            from.pairs(targets)?.map(|[low, high]| f64::from_bits(u64::from(high) << 32 | u64::from(low)));
        let base: Vec<f64> = base.collect();
        let tree =
            |[root, target]: [u32; 2]| Tree { root, depth: 0, target: (target != WIDE).then_some(target) };
        let mut layout = Layout {
            trees: from.pairs(trees)?.map(tree).collect(),
            nodes: from.pairs(nodes)?.map(Node::from_bits).collect(),
            reached: from.list(reached)?.map(f32::from_bits).collect(),
            ranges: from.pairs(ranges)?.map(|[from, to]| (from, to)).collect(),
            weights: from.pairs(weights)?.map(|[target, weight]| (target, f32::from_bits(weight))).collect(),
            ..Layout::default()
        };
        if base.is_empty() || !base.iter().all(|base| base.is_finite()) {
            return Err(PackedError::Damaged("a base value"));
        }
        let reached = &layout.reached;
        if !(reached.is_empty() || reached.len() == nodes) || !reached.iter().all(|rate| is_reached(*rate)) {
            return Err(PackedError::Damaged("a hit rate"));
        }
        follow(&mut layout)?;
        check_leaves(&layout, base.len() as u32)?;
        Ok(Self { layout, base, aggregate })
    }
}

/// Finds how deep the trees are and what they read. Every node has one parent, which stands before it, or is a root.
fn follow(layout: &mut Layout) -> Result<(), PackedError> {
    // The tree of each node and how deep it stands; what no parent has led to is of no tree.
    let mut found = vec![(u32::MAX, 0_u32); layout.nodes.len()];
    for (at, tree) in layout.trees.iter().enumerate() {
        match found.get_mut(tree.root as usize) {
            Some(place @ (u32::MAX, _)) => *place = (at as u32, 0),
            _ => return Err(TREES),
        }
    }
    for place in 0..found.len() {
        let (at, depth) = found[place];
        let tree = layout.trees.get_mut(at as usize).ok_or(NODES)?;
        tree.depth = tree.depth.max(depth);
        let Some((test, children)) = layout.test(place as u32) else { continue };
        layout.width = layout.width.max(test.feature as usize + 1);
        layout.equality |= test.equal;
        if !layout.nodes[place].has_threshold() {
            return Err(NODES);
        }
        for child in children {
            match found.get_mut(child as usize) {
                Some(below @ (u32::MAX, _)) => *below = (at, depth + 1),
                _ => return Err(NODES),
            }
        }
    }
    // A walk of eight takes as many steps as the last of them is deep.
    if layout.trees.is_sorted_by_key(|tree| tree.depth) { Ok(()) } else { Err(TREES) }
}

/// Every leaf reads the key for leaves, and adds finite numbers to targets that there are.
fn check_leaves(layout: &Layout, targets: u32) -> Result<(), PackedError> {
    let wide = layout.trees.iter().any(|tree| tree.target.is_none());
    if layout.ranges.len() != if wide { layout.nodes.len() } else { 0 } {
        return Err(LEAVES);
    }
    let known = |tree: &Tree| tree.target.is_none_or(|target| target < targets);
    let sound = |(target, weight): &(u32, f32)| *target < targets && weight.is_finite();
    let inside = |(from, to): &(u32, u32)| from <= to && *to as usize <= layout.weights.len();
    let leaf = |node: &Node| node.offset() != 0 || node.is_leaf(layout.stride());
    let fits = layout.trees.iter().all(known)
        && layout.weights.iter().all(sound)
        && layout.ranges.iter().all(inside)
        && layout.nodes.iter().all(leaf);
    if fits { Ok(()) } else { Err(LEAVES) }
}
