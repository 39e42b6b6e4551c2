//! The relation table: which applications touched which device, phone, card, person, firm, address and network.

use crate::PortError;
use async_trait::async_trait;
use domain::{ApplicationId, FirmCode, PayoutId};
use jiff::{SignedDuration, Timestamp, civil::Date};
use serde::{Deserialize, Deserializer, Serialize};
use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// What a node stands for. Strong kinds join applications into a ring; weak ones only add to suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    Card,
    Device,
    /// The borrower's account at a channel.
    Account,
    Phone,
    Person,
    Firm,
    /// One firm answers for another's debts; both touch it. Its hash is [`Node::guarantee`].
    Guarantee,
    Address,
    Network,
}

impl NodeKind {
    /// Every kind, the strongest first.
    pub const ALL: [NodeKind; 9] = [
        NodeKind::Card,
        NodeKind::Device,
        NodeKind::Account,
        NodeKind::Phone,
        NodeKind::Person,
        NodeKind::Firm,
        NodeKind::Guarantee,
        NodeKind::Address,
        NodeKind::Network,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            NodeKind::Card => "card",
            NodeKind::Device => "device",
            NodeKind::Account => "account",
            NodeKind::Phone => "phone",
            NodeKind::Person => "person",
            NodeKind::Firm => "firm",
            NodeKind::Guarantee => "guarantee",
            NodeKind::Address => "address",
            NodeKind::Network => "network",
        }
    }
}

/// A thing that applications can share: its kind and a keyed hash (for a firm, the public code).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Node {
    pub kind: NodeKind,
    pub hash: String,
}

impl Node {
    /// The node of a guarantee. Firm codes are public, so it tells who answers for whom.
    pub fn guarantee(guarantor: &FirmCode, debtor: &FirmCode) -> Self {
        Self { kind: NodeKind::Guarantee, hash: format!("{guarantor}>{debtor}") }
    }
}

/// One application and every node that it touches. Stored under each of its nodes, so that reading a node tells
/// where to go on from there without another read. It is smaller than 1 KB, so that each copy costs one write unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub application: ApplicationId,
    pub firm: FirmCode,
    /// Kinds that only a newer version knows are left out when it is read.
    #[serde(deserialize_with = "known_nodes")]
    pub nodes: Vec<Node>,
    pub at: Timestamp,
    /// What was asked for; 0 in a link from before this was kept.
    #[serde(default)]
    pub amount_fen: u64,
    /// Who was asked.
    #[serde(default)]
    pub bank: String,
    /// Keyed hash of the coarse place of the sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Whole days from the opening of the account to the application, if the channel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_days: Option<u32>,
}

fn known_nodes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Node>, D::Error> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        kind: Cow<'a, str>,
        hash: String,
    }
    let named: Vec<Named<'de>> = Vec::deserialize(deserializer)?;
    let known = |Named { kind, hash }: Named<'de>| {
        let kind = NodeKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
        Some(Node { kind, hash })
    };
    Ok(named.into_iter().filter_map(known).collect())
}

/// How the record ties a firm to a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TieKind {
    /// The firm answers for the debts of the party, a firm.
    Guarantee,
    /// The firm invoices the party, a firm.
    Invoice,
    /// The party, a person, holds shares in the firm.
    Shareholder,
    /// The party, a person, directs the firm.
    Director,
    /// The party is the phone that the firm registered.
    RegisteredPhone,
}

impl TieKind {
    /// Every kind.
    pub const ALL: [TieKind; 5] = [
        TieKind::Guarantee,
        TieKind::Invoice,
        TieKind::Shareholder,
        TieKind::Director,
        TieKind::RegisteredPhone,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            TieKind::Guarantee => "guarantee",
            TieKind::Invoice => "invoice",
            TieKind::Shareholder => "shareholder",
            TieKind::Director => "director",
            TieKind::RegisteredPhone => "registered_phone",
        }
    }

    /// What a party of this kind is.
    pub const fn party(self) -> NodeKind {
        match self {
            TieKind::Guarantee | TieKind::Invoice => NodeKind::Firm,
            TieKind::Shareholder | TieKind::Director => NodeKind::Person,
            TieKind::RegisteredPhone => NodeKind::Phone,
        }
    }
}

/// What a source says of a firm and a party. It stands under both, so that either leads to the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tie {
    pub kind: TieKind,
    pub firm: FirmCode,
    pub party: Node,
    /// The days on which deliveries said so first and last.
    pub first_seen: Date,
    pub last_seen: Date,
    /// How many deliveries said so.
    pub count: u32,
    /// Which source does, as the archive names it.
    pub source: String,
}

/// Ties of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ties {
    pub ties: Vec<Tie>,
    /// There are more than the limit.
    pub cut_off: bool,
}

/// Something done at a device without applying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActKind {
    /// An account signed in.
    SignIn,
    /// An account that was opened within the day before signed in.
    SignUp,
    /// The face of somebody else was shown for a person.
    FaceMismatch,
    /// The phone in the hand was not the person's.
    PhoneMismatch,
}

impl ActKind {
    /// Every kind.
    pub const ALL: [ActKind; 4] =
        [ActKind::SignIn, ActKind::SignUp, ActKind::FaceMismatch, ActKind::PhoneMismatch];

    pub const fn as_str(self) -> &'static str {
        match self {
            ActKind::SignIn => "sign_in",
            ActKind::SignUp => "sign_up",
            ActKind::FaceMismatch => "face_mismatch",
            ActKind::PhoneMismatch => "phone_mismatch",
        }
    }
}

/// One act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub kind: ActKind,
    /// Keyed hash: of the account that signed in, or of the person whose check failed.
    pub who: String,
    pub at: Timestamp,
}

/// What somebody did at a node within one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenAct {
    pub kind: ActKind,
    pub who: String,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
}

/// What was done at a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acts {
    pub acts: Vec<SeenAct>,
    /// There is more than the limit.
    pub cut_off: bool,
}

/// Links from `from` on, and not later than `to` where one is given; both to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Timestamp,
    pub to: Option<Timestamp>,
}

impl Window {
    pub fn holds(&self, at: Timestamp) -> bool {
        at.as_second() >= self.from.as_second() && self.to.is_none_or(|to| at.as_second() <= to.as_second())
    }
}

/// How a loan does, as it stands under each node of its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoanOutcome {
    pub payout: PayoutId,
    /// Zero when nothing is overdue.
    pub overdue_days: u32,
    /// Of the report that says so.
    pub at: Timestamp,
    /// Of the loan; tells the later of two outcomes.
    pub version: u64,
}

/// What stands at a node: the applications, and how the loans among them do that were ever overdue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    pub links: Vec<Arc<Link>>,
    pub outcomes: Vec<LoanOutcome>,
    /// There are more links in the window than the limit.
    pub cut_off: bool,
    /// There are more outcomes than the limit.
    pub outcomes_cut_off: bool,
}

/// The links that were read for one purpose. A link stands under each of its nodes; whoever meets it again need not read it
/// out again.
#[derive(Debug, Default)]
pub struct KnownLinks(Mutex<HashMap<ApplicationId, Arc<Link>>>);

impl KnownLinks {
    /// The link of an application, which is read out unless it is known.
    ///
    /// # Errors
    /// What reading it out gives.
    pub fn link<E>(
        &self,
        application: ApplicationId,
        read: impl FnOnce() -> Result<Link, E>,
    ) -> Result<Arc<Link>, E> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = known.get(&application) {
            return Ok(Arc::clone(link));
        }
        let link = Arc::new(read()?);
        known.insert(application, Arc::clone(&link));
        Ok(link)
    }
}

/// The relation graph. Fraud is never gated on an index: reads are strongly consistent on the base table.
#[async_trait]
pub trait RelationGraph: Send + Sync {
    /// Writes the link under each of its nodes. Writing it again changes nothing.
    async fn link(&self, link: &Link) -> Result<(), PortError>;

    /// Deletes the link under these of its nodes. Deleting it again changes nothing.
    async fn unlink(&self, link: &Link, from: &[Node]) -> Result<(), PortError>;

    /// At most `limit` links of the window at a node, the newest first, and as many outcomes of any age. Links outside the
    /// window are not read. However many outcomes there are, they hide no link. Of links that are `known` only the keys are
    /// read.
    async fn neighbours(
        &self,
        node: &Node,
        window: Window,
        limit: u32,
        known: &KnownLinks,
    ) -> Result<Neighbours, PortError>;
}

/// What the record says of firms, in the relation graph.
#[async_trait]
pub trait FirmTies: Send + Sync {
    /// At most `limit` ties of a firm, a person or a phone; what was written a moment ago may be missing.
    async fn ties(&self, node: &Node, limit: u32) -> Result<Ties, PortError>;
}

/// Where what the record says of firms is put.
#[async_trait]
pub trait TieLoader: Send + Sync {
    /// Writes each tie under its firm and its party. One that stands there already keeps its first day; its last day and
    /// its count move on, unless it was written for that day before. May write some and fail; writing again completes it.
    async fn tie(&self, ties: &[Tie]) -> Result<(), PortError>;
}

/// What was done at devices, in the relation graph.
#[async_trait]
pub trait RecentActs: Send + Sync {
    /// At most `limit` acts of the window at a node, the newest first; the window to the hour. Strongly consistent.
    async fn acts(&self, node: &Node, window: Window, limit: u32) -> Result<Acts, PortError>;
}

/// For how long after its hour an act is kept: as long as the longest window in which anybody looks for acts.
pub const ACTS_KEPT_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Where acts are recorded.
#[async_trait]
pub trait ActRecorder: Send + Sync {
    /// Keeps the act under the node, for [`ACTS_KEPT_FOR`]. Recording it again changes nothing, and another one of the same
    /// kind by the same one within the same hour only when it was seen last.
    async fn record(&self, node: &Node, act: &Act) -> Result<(), PortError>;

    /// Forgets under the node what was recorded of that kind, by that one, within that hour.
    async fn forget(&self, node: &Node, act: &Act) -> Result<(), PortError>;
}

/// Where outcomes of loans are put into the graph.
#[async_trait]
pub trait LoanOutcomes: Send + Sync {
    /// Writes the outcome under each of the nodes, unless a later one of the same loan stands there. May write some
    /// and fail; writing again completes it.
    async fn mark(&self, nodes: &[Node], outcome: &LoanOutcome) -> Result<(), PortError>;
}
