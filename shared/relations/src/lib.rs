//! Rings in the relation graph: pure algorithms on the small neighbourhood of one application.
//!
//! Triggered by `functions/graph-check`, which writes the application's own link first ([`link_of`]), then reads what
//! its [`Spread`] asks for hop by hop and records the [`Ring`] that comes out. Nothing here reads, writes or knows the
//! time: windows are measured from the application's own link, so a message that comes late or twice finds the same
//! ring in the same graph.
//!
//! Two applications belong together when they share a *strong* node: bank card, device, account, phone, person, the firm
//! itself. Address and network are *weak*: thousands share one in good faith, so they are counted and
//! join nobody. For the same reason a node with more than [`FAN_OUT`] applications joins nobody (a device in a service
//! hall); whoever floods a node to hide in the crowd shows in its count instead. A person is the exception and always
//! joins, and so does an account: nobody is the legal representative of fifty applicants by accident, and no count would
//! tell.
//!
//! Device, account and network were seen by the channel. Everything else is a *claim* until registration, face and phone agree
//! with it: anybody can write a victim's phone into an application. So before a ring is held against anybody, the
//! journeys of its members are looked at ([`Spread::doubtful`], [`Spread::judge`]), and a claim that came to nothing
//! joins nobody. Claims that are still being checked are held against nobody either: a ring that hangs on them waits until
//! the application has proven its own, and then only what is proven counts ([`Spread::doubt_pending`]). Two members
//! that share nothing but claims are seen together by the one that proves its own last. Whoever was not looked at is
//! believed. An application without a ring, or with one that no label could fit whatever its members scored, pays
//! nothing for that.
//!
//! What the record says of firms, their ties ([`TieSpread`]), joins nobody either: an ordinary firm has a guarantor and
//! owners. Guarantees bring the applications of the firms around into view, and only where these answer for each other
//! in a circle do they make a ring.
//!
//! What a ring looks like is its profile; what it is called follows from the profile by [`Labels`], a scorecard whose
//! numbers stand together in `models/rings`.
//!
//! Loans that went overdue stand at the nodes of their applications too. An application that shares a joining node with
//! one of them is linked with that debt.

mod found;
mod label;
mod members;
mod profile;
mod ring;
mod spread;
mod ties;
mod whole;

pub use label::{Feature, Labels, LabelsError, Rule, Sign, Size};
pub use members::{Member, Members};
pub use profile::profile;
pub use ring::Ring;
pub use spread::{Proof, Scope, Spread, Standing, Step};
pub use ties::{MAX_TIE_READS, MAX_TIED_FIRMS, TieSpread};
pub use whole::{Differences, Labelled, TooLarge, Whole, WholeBuilder, WholeError, WholeRing, differences};

use domain::Application;
use jiff::{SignedDuration, Timestamp};
use ports::relation::{Link, Node, NodeKind};

/// Most applications read at one node; a node with more is a crowd.
pub const FAN_OUT: u32 = 50;
/// Most reads for one application: nodes of all hops, and journeys of members.
pub const MAX_READS: usize = 60;
/// Most hops.
pub const MAX_HOPS: u32 = 3;
/// Reads that are kept back for the journeys of members; more of them are looked at when reads are left.
pub const MAX_JUDGED: usize = 16;
/// For how many days a tie is believed that no delivery has confirmed since.
pub const TIE_BELIEVED_FOR: SignedDuration = SignedDuration::from_hours(400 * 24);
/// Links further away in time than this do not count.
pub const WINDOW: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Most pieces of evidence kept.
pub const MAX_EVIDENCE: usize = 32;
/// Most applications named in one piece of evidence: an entry of the journal pays by its size.
pub const MAX_EVIDENCE_APPLICATIONS: usize = 16;
/// Most other members told of a ring, the newest first. Older ones have ended, since an offer stands for a day, or saw
/// the ring grow around themselves.
pub const MAX_NOTICES: usize = 100;
/// Whether sharing a node of this kind joins two applications.
pub const fn is_strong(kind: NodeKind) -> bool {
    match kind {
        NodeKind::Card
        | NodeKind::Device
        | NodeKind::Account
        | NodeKind::Phone
        | NodeKind::Person
        | NodeKind::Firm => true,
        NodeKind::Guarantee | NodeKind::Address | NodeKind::Network => false,
    }
}

/// Whether sharing a node of this kind joins where it is a crowd or not. A person and an account always do.
pub(crate) const fn can_join(kind: NodeKind, is_crowd: bool) -> bool {
    is_strong(kind) && (matches!(kind, NodeKind::Person | NodeKind::Account) || !is_crowd)
}

/// Whether a node of this kind is only what the applicant says, until the checks agree. Device, account and network come
/// from the channel's session.
pub const fn is_claim(kind: NodeKind) -> bool {
    !matches!(kind, NodeKind::Device | NodeKind::Account | NodeKind::Network)
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
    .chain(traces.account.as_ref().map(|account| (NodeKind::Account, account)))
    .chain(traces.address.as_ref().map(|address| (NodeKind::Address, address)))
    .map(|(kind, hash)| Node { kind, hash: hash.clone() })
    .collect();
    nodes.push(Node { kind: NodeKind::Firm, hash: application.firm_code.as_str().to_owned() });
    nodes.sort_unstable();
    Link {
        application: application.id,
        firm: application.firm_code.clone(),
        nodes,
        at,
        amount_fen: application.amount_fen.0,
        bank: application.bank.clone(),
        place: application.place.clone(),
        account_days: application.account_days,
    }
}

/// What is left of the link of an application that ended before it had proven its claims, and the nodes that it only
/// claimed. What the channel saw of it stays true; a claim that came to nothing must neither fill a victim's node nor hide
/// others at it.
pub fn without_claims(link: &Link) -> (Link, Vec<Node>) {
    let (claims, seen): (Vec<Node>, Vec<Node>) =
        link.nodes.iter().cloned().partition(|node| is_claim(node.kind));
    (Link { nodes: seen, ..link.clone() }, claims)
}

#[cfg(test)]
mod tests;
