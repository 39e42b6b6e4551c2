//! What happens to an application, and what is to be done next.

use super::Status;
use crate::{
    application::Application,
    checks::{CheckAnswer, ElementsAnswer, GraphFeatures, RingNotice, Score},
    decision::Decision,
    ids::{ApplicationId, PayoutId},
    reason::Reason,
};
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Received {
        application: Box<Application>,
    },
    ElementsChecked {
        answer: ElementsAnswer,
    },
    FaceChecked {
        attempt: u8,
        answer: CheckAnswer,
        message_id: String,
    },
    PhoneChecked {
        attempt: u8,
        answer: CheckAnswer,
        message_id: String,
    },
    Scored {
        score: Score,
    },
    GraphChecked {
        features: GraphFeatures,
    },
    /// The graph check would hold claims against this application that nobody has proven yet. It is done once this
    /// application has proven its own, and then only what is proven counts.
    GraphWaits,
    /// Another member's graph check found a ring that this application belongs to.
    RingFound {
        finder: ApplicationId,
        ring: RingNotice,
    },
    Decided {
        revision: u32,
        strategy: String,
        decision: Decision,
    },
    /// The borrower agrees to the offer that rests on this revision of the facts, and to no other.
    Accepted {
        by: AcceptedBy,
        revision: u32,
    },
    PayoutRequested {
        payout_id: PayoutId,
    },
    /// The ledger's nth resolution of the payout says that the bank has paid.
    PaidOut {
        bank_reference: String,
        resolution: u32,
    },
    /// The ledger's nth resolution of the payout says that nothing is paid.
    PayoutFailed {
        reason: Reason,
        resolution: u32,
    },
    Expired,
    Cancelled,
}

/// How an offer came to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AcceptedBy {
    Borrower,
    /// The application accepted an offer of the full amount up to a rate in advance.
    InAdvance,
}

impl Event {
    /// The event's name as the journal spells it.
    pub const fn name(&self) -> &'static str {
        match self {
            Event::Received { .. } => "received",
            Event::ElementsChecked { .. } => "elements_checked",
            Event::FaceChecked { .. } => "face_checked",
            Event::PhoneChecked { .. } => "phone_checked",
            Event::Scored { .. } => "scored",
            Event::GraphChecked { .. } => "graph_checked",
            Event::GraphWaits => "graph_waits",
            Event::RingFound { .. } => "ring_found",
            Event::Decided { .. } => "decided",
            Event::Accepted { .. } => "accepted",
            Event::PayoutRequested { .. } => "payout_requested",
            Event::PaidOut { .. } => "paid_out",
            Event::PayoutFailed { .. } => "payout_failed",
            Event::Expired => "expired",
            Event::Cancelled => "cancelled",
        }
    }

    /// Whether two events report the same step, so that the second one is a repetition, whatever it says.
    pub fn same_step(&self, other: &Event) -> bool {
        match (self, other) {
            (Event::FaceChecked { attempt: a, .. }, Event::FaceChecked { attempt: b, .. })
            | (Event::PhoneChecked { attempt: a, .. }, Event::PhoneChecked { attempt: b, .. }) => a == b,
            (Event::RingFound { finder: a, ring: x }, Event::RingFound { finder: b, ring: y }) => {
                a == b && x == y
            }
            (Event::Decided { revision: a, .. }, Event::Decided { revision: b, .. })
            | (Event::PaidOut { resolution: a, .. }, Event::PaidOut { resolution: b, .. })
            | (Event::PayoutFailed { resolution: a, .. }, Event::PayoutFailed { resolution: b, .. }) => {
                a == b
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// Something to be done next, by the function that reads the command's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    StartFaceCheck {
        attempt: u8,
    },
    StartPhoneCheck {
        attempt: u8,
    },
    Score,
    CheckGraph,
    /// Take what the application only claimed, and never proved, out of the relation graph.
    UnlinkClaims,
    Decide,
    /// Instruct the bank, or, when it has been instructed, ask it.
    PayOut,
    /// Tell the channel that entry `entry` of the journal brought the journey to `status`.
    Notify {
        status: Status,
        entry: u32,
    },
}
