//! The journal of a journey, the queues that carry its commands, and the index that tells which journeys are due.

use crate::PortError;
use async_trait::async_trait;
use domain::{
    ApplicationId,
    journey::{Command, Event},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};

/// One commit to a journal: the events that one invocation recorded together, and the commands that they emitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// 1, 2, 3, … without a gap.
    pub number: u32,
    pub at: Timestamp,
    /// Function and version that recorded it, for example `score/0.1.0`.
    pub by: String,
    pub events: Vec<Event>,
    /// Those that only a newer version knows are left out when it is read: nothing of the journey's state rests on them.
    #[serde(deserialize_with = "known_commands")]
    pub commands: Vec<Command>,
}

fn known_commands<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Command>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Read {
        Known(Command),
        Unknown(IgnoredAny),
    }
    let all: Vec<Read> = Vec::deserialize(deserializer)?;
    let known = |read| match read {
        Read::Known(command) => Some(command),
        Read::Unknown(IgnoredAny) => None,
    };
    Ok(all.into_iter().filter_map(known).collect())
}

/// Why an entry was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else has written this number. Read again, apply again.
    #[error("the journal has moved on")]
    Taken,
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The event-sourced journal: at most 9,999 entries per application, each written once and never changed.
#[async_trait]
pub trait Journal: Send + Sync {
    /// All entries in order, strongly consistent; empty when there are none.
    async fn load(&self, id: ApplicationId) -> Result<Vec<Entry>, PortError>;

    /// One conditional put. `due_at` enters the journey into the due index.
    ///
    /// Errors: [`AppendError::Taken`] when the number is already there.
    async fn append(
        &self,
        id: ApplicationId,
        entry: &Entry,
        due_at: Option<Timestamp>,
    ) -> Result<(), AppendError>;
}

/// The queues between functions.
#[async_trait]
pub trait CommandQueue: Send + Sync {
    /// Sends each command to the queue of its kind, and payouts to the queue of the application's bank. May deliver some
    /// and then fail; sending again does no harm.
    async fn send(&self, id: ApplicationId, bank: &str, commands: &[Command]) -> Result<(), PortError>;
}

/// A journal entry whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueEntry {
    pub id: ApplicationId,
    pub number: u32,
    pub due_at: Timestamp,
}

/// How far the sweeper has come, and what it keeps an eye on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Everything due up to here has been looked at.
    pub until: Timestamp,
    /// Payouts whose outcome is not known, at most [`MOST_WATCHED`]. Stands with the cursor, so that watching costs no
    /// call while there are none.
    pub payouts_in_doubt: Vec<PayoutInDoubt>,
}

/// Most payouts in doubt that are kept; more than these are only not counted.
pub const MOST_WATCHED: usize = 1_000;

/// A payout that was requested and of which no end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutInDoubt {
    pub id: ApplicationId,
    pub since: Timestamp,
}

/// The due index, read by the sweeper alone. Eventually consistent: an entry may show up a little late, never too early.
#[async_trait]
pub trait DueJourneys: Send + Sync {
    /// Entries due in `from ..= until`, at most `limit`, earliest first.
    async fn due(&self, from: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<DueEntry>, PortError>;

    /// Gives an entry another due time.
    async fn rearm(&self, id: ApplicationId, number: u32, due_at: Timestamp) -> Result<(), PortError>;

    /// How far the sweeper has come; `None` at first.
    async fn cursor(&self) -> Result<Option<Swept>, PortError>;

    async fn set_cursor(&self, to: &Swept) -> Result<(), PortError>;
}
