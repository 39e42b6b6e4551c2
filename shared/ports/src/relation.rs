//! The relation table: which applications touched which device, phone, card, person, firm, address and network.

use crate::PortError;
use async_trait::async_trait;
use domain::{ApplicationId, FirmCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a node stands for. Strong kinds join applications into a ring; weak ones only add to suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    Card,
    Device,
    Phone,
    Person,
    Firm,
    Address,
    Network,
}

impl NodeKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            NodeKind::Card => "card",
            NodeKind::Device => "device",
            NodeKind::Phone => "phone",
            NodeKind::Person => "person",
            NodeKind::Firm => "firm",
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

/// One application and every node that it touches. Stored under each of its nodes, so that reading a node tells
/// where to go on from there without another read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub application: ApplicationId,
    pub firm: FirmCode,
    pub nodes: Vec<Node>,
    pub at: Timestamp,
}

/// The applications at a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    pub links: Vec<Link>,
    /// There are more than the limit.
    pub cut_off: bool,
}

/// The relation graph. Fraud is never gated on an index: reads are strongly consistent on the base table.
#[async_trait]
pub trait RelationGraph: Send + Sync {
    /// Writes the link under each of its nodes. Writing it again changes nothing.
    async fn link(&self, link: &Link) -> Result<(), PortError>;

    /// At most `limit` links at a node.
    async fn neighbours(&self, node: &Node, limit: u32) -> Result<Neighbours, PortError>;
}
