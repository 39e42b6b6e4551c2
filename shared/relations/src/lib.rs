//! Rings in the relation graph: pure algorithms on the small neighbourhood of one application.
//!
//! Triggered by `functions/graph-check`, which writes the application's own link first ([`link_of`]), then reads
//! what [`Neighbourhood`] asks for in two hops and records the [`Ring`] that comes out. Nothing here reads, writes or
//! knows the time: windows are measured from the application's own link, so a message that comes late or twice finds
//! the same ring in the same graph.
//!
//! Two applications belong together when they share a *strong* node: bank card, device, phone, person, or the firm
//! itself. Address and network are *weak*: thousands share one in good faith, so they are counted and join nobody. For
//! the same reason a node with more than [`FAN_OUT`] applications joins nobody (a device in a service hall); whoever
//! floods a node to hide in the crowd shows in its count instead. A person is the exception and always joins: nobody
//! is the legal representative of fifty applicants by accident, and no count would tell.
//!
//! Loans that went overdue stand at the nodes of their applications too. An application that shares a joining node with
//! one of them is linked with that debt.

mod neighbourhood;
mod ring;

pub use neighbourhood::Neighbourhood;
pub use ring::Ring;

use domain::{Application, checks::RingNotice};
use jiff::{SignedDuration, Timestamp};
use ports::relation::{Link, Node, NodeKind};

/// Most applications read at one node; a node with more is a crowd.
pub const FAN_OUT: u32 = 50;
/// Most nodes read for one application, both hops together.
pub const MAX_READS: usize = 60;
/// Links further away in time than this do not count.
pub const WINDOW: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Most pieces of evidence kept.
pub const MAX_EVIDENCE: usize = 32;
/// Most applications named in one piece of evidence: an entry of the journal pays by its size.
pub const MAX_EVIDENCE_APPLICATIONS: usize = 16;
/// Most other members told of a ring, the newest first. Older ones have ended, since an offer stands for a day, or saw
/// the ring grow around themselves.
pub const MAX_NOTICES: usize = 100;
/// From this ring on its members are told. It is the smallest ring that the strategy refuses (a test in
/// `shared/strategy` holds one against the other): one person with two firms, or a firm that applies again, is none.
pub const NOTIFY_FROM: RingNotice = RingNotice { ring_size: 3, ring_firms: 3 };

/// Whether sharing a node of this kind joins two applications.
pub const fn is_strong(kind: NodeKind) -> bool {
    match kind {
        NodeKind::Card | NodeKind::Device | NodeKind::Phone | NodeKind::Person | NodeKind::Firm => true,
        NodeKind::Address | NodeKind::Network => false,
    }
}

/// The link of an application: every node that it touches, at the time `at` when it was received. The same application
/// always gives the same link, so writing it again changes nothing.
pub fn link_of(application: &Application, at: Timestamp) -> Link {
    let traces = &application.traces;
    let mut nodes: Vec<Node> = [
        (NodeKind::Card, &traces.card),
        (NodeKind::Device, &traces.device),
        (NodeKind::Phone, &traces.phone),
        (NodeKind::Person, &traces.person),
        (NodeKind::Network, &traces.network),
    ]
    .into_iter()
    .chain(traces.address.as_ref().map(|address| (NodeKind::Address, address)))
    .map(|(kind, hash)| Node { kind, hash: hash.clone() })
    .collect();
    nodes.push(Node { kind: NodeKind::Firm, hash: application.firm_code.as_str().to_owned() });
    nodes.sort_unstable();
    Link { application: application.id, firm: application.firm_code.clone(), nodes, at }
}

#[cfg(test)]
mod tests;
