//! What a spread has read: every application and every node once, each under a number, so that nothing that is asked of it
//! later compares or copies texts.

use domain::{ApplicationId, PayoutId};
use foldhash::fast::RandomState;
use indexmap::{Equivalent, IndexSet};
use ports::relation::{Link, Node};
use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// The place of an application or of a node.
pub(crate) type Number = u32;

/// The applications and nodes that were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    links: Vec<Arc<Link>>,
    numbers: HashMap<ApplicationId, Number, RandomState>,
    /// The different nodes of each application, in their order; empty while it was seen at nodes only that join nobody.
    touched: Vec<Vec<Number>>,
    /// Every node that was read or that an application touches.
    nodes: IndexSet<Named, RandomState>,
    /// What stands at each node that was read.
    crowds: Vec<Option<Crowd>>,
    reads: usize,
}

/// A node, where it is written. Most are never copied from the first application that names them.
#[derive(Clone, Debug)]
enum Named {
    By(Arc<Link>, usize),
    Alone(Node),
}

impl Deref for Named {
    type Target = Node;

    fn deref(&self) -> &Node {
        match self {
            Named::By(link, place) => &link.nodes[*place],
            Named::Alone(node) => node,
        }
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Named {}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl Equivalent<Named> for Node {
    fn equivalent(&self, other: &Named) -> bool {
        *self == **other
    }
}

/// What stands at a node that was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowd {
    /// In the order of their ids.
    pub(crate) links: Vec<Number>,
    /// Days overdue, of the loans that are. A loan runs for longer than the window, so its age does not matter.
    pub(crate) overdue: Vec<(PayoutId, u32)>,
    pub(crate) cut_off: bool,
    pub(crate) outcomes_cut_off: bool,
}

impl Found {
    /// Keeps what stands at a node. Only where sharing it `joins` are the nodes of its applications looked at.
    pub(crate) fn read(
        &mut self,
        node: Node,
        links: impl ExactSizeIterator<Item = Arc<Link>>,
        joins: bool,
    ) -> &mut Crowd {
        self.links.reserve(links.len());
        self.numbers.reserve(links.len());
        let mut here = Vec::with_capacity(links.len());
        for link in links {
            let number = self.keep(link);
            if joins {
                self.touch(number);
            }
            here.push(number);
        }
        here.sort_unstable_by_key(|number| self.links[*number as usize].application);
        here.dedup();
        let place = self.nodes.insert_full(Named::Alone(node)).0;
        if self.crowds.len() <= place {
            self.crowds.resize_with(self.nodes.len(), || None);
        }
        self.reads += usize::from(self.crowds[place].is_none());
        self.crowds[place].insert(Crowd { links: here, ..Crowd::default() })
    }

    /// Keeps an application. One whose nodes were not told the first time gets them.
    fn keep(&mut self, link: Arc<Link>) -> Number {
        let next = number(self.links.len());
        let place = *self.numbers.entry(link.application).or_insert(next);
        match self.links.get_mut(place as usize) {
            None => self.links.push(link),
            Some(known) if known.nodes.is_empty() => *known = link,
            Some(_) => {}
        }
        place
    }

    /// The application that a spread begins with.
    pub(crate) fn begin(&mut self, own: Arc<Link>) {
        let own = self.keep(own);
        self.touch(own);
    }

    fn touch(&mut self, application: Number) {
        let place = application as usize;
        if self.touched.len() <= place {
            self.touched.resize_with(self.links.len(), Vec::new);
        }
        if !self.touched[place].is_empty() {
            return;
        }
        let link = Arc::clone(&self.links[place]);
        let names = (0..link.nodes.len()).map(|at| Named::By(Arc::clone(&link), at));
        let mut touched: Vec<Number> = names.map(|name| number(self.nodes.insert_full(name).0)).collect();
        if !link.nodes.is_sorted_by(|before, after| before < after) {
            touched.sort_unstable_by(|one, other| self.node(*one).cmp(self.node(*other)));
            touched.dedup();
        }
        self.touched[place] = touched;
    }

    /// How many nodes were read.
    pub(crate) fn reads(&self) -> usize {
        self.reads
    }

    /// How many applications there are.
    pub(crate) fn applications(&self) -> usize {
        self.links.len()
    }

    /// How many nodes there are, read or not.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn link(&self, application: Number) -> &Link {
        &self.links[application as usize]
    }

    pub(crate) fn touched(&self, application: Number) -> &[Number] {
        self.touched.get(application as usize).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn node(&self, node: Number) -> &Node {
        &self.nodes[node as usize]
    }

    pub(crate) fn number_of(&self, node: &Node) -> Option<Number> {
        self.nodes.get_index_of(node).map(number)
    }

    pub(crate) fn crowd(&self, node: Number) -> Option<&Crowd> {
        self.crowds.get(node as usize)?.as_ref()
    }

    pub(crate) fn crowds(&self) -> impl Iterator<Item = &Crowd> {
        self.crowds.iter().flatten()
    }
}

/// Far fewer than fit are ever read.
fn number(place: usize) -> Number {
    Number::try_from(place).unwrap_or(Number::MAX)
}
