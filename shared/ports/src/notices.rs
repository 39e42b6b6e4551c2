//! Notices: what a channel's back end is told, and what became of telling it.

use crate::PortError;
use async_trait::async_trait;
use domain::{ApplicationId, Channel, Subject, journey::Status};
use jiff::Timestamp;
use serde::{
    Deserialize as _,
    de::value::{Error as NotAStatus, StrDeserializer},
};
use std::{fmt, str::FromStr};

/// Names a notice for ever: `<application id>.<status>.<entry number>`. A channel that hears the same name twice has
/// heard the same thing twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoticeId {
    pub application: ApplicationId,
    /// One that channels are told of ([`Status::is_told`]).
    pub status: Status,
    /// The journal entry that brought the journey there; 1, 2, 3, …
    pub entry: u32,
}

/// The text does not name a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a notice is called <application id>.<status>.<entry number>")]
pub struct NotANotice;

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.application, self.status, self.entry)
    }
}

impl FromStr for NoticeId {
    type Err = NotANotice;

    fn from_str(text: &str) -> Result<Self, NotANotice> {
        let mut parts = text.split('.');
        let (Some(application), Some(status), Some(entry), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotANotice);
        };
        let status =
            Status::deserialize(StrDeserializer::<NotAStatus>::new(status)).map_err(|_| NotANotice)?;
        let application = application.parse().map_err(|_| NotANotice)?;
        let entry = entry.parse().map_err(|_| NotANotice)?;
        let id = Self { application, status, entry };
        // One spelling: no leading zeros or signs.
        if status.is_told() && id.to_string() == text { Ok(id) } else { Err(NotANotice) }
    }
}

/// A notice, and what became of telling it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub id: NoticeId,
    pub channel: Channel,
    pub subject: Subject,
    /// When the journey came to its status.
    pub at: Timestamp,
    /// When it was first tried, or last sent again by an operator.
    pub begun_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// How the last attempt ended: the name of a delivery's outcome.
    pub outcome: String,
    pub state: NoticeState,
}

/// Where a notice stands. Times in the state are kept to the millisecond, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeState {
    /// Tried again when it is due.
    Pending { due_at: Timestamp },
    /// Taken by the channel. Forgotten after some weeks.
    Delivered { at: Timestamp },
    /// Given up. Stays until somebody sends it again.
    Dead { since: Timestamp },
}

/// Whether a notice was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    Yes,
    /// There is a row of that name.
    Known,
}

/// The memory of notices.
#[async_trait]
pub trait Notices: Send + Sync {
    /// The row, strongly consistent.
    async fn get(&self, id: NoticeId) -> Result<Option<Notice>, PortError>;

    /// Writes the row unless there is one.
    async fn record(&self, notice: &Notice) -> Result<Recorded, PortError>;
}

/// The notices that were not taken at once.
#[async_trait]
pub trait DueNotices: Send + Sync {
    /// Pending notices that are due by `until`, at most `limit`, earliest first. Eventually consistent.
    async fn due(&self, until: Timestamp, limit: u32) -> Result<Vec<Notice>, PortError>;

    /// Dead notices, at most `limit`, longest dead first. Eventually consistent.
    async fn dead(&self, limit: u32) -> Result<Vec<Notice>, PortError>;

    /// Takes a pending notice that is due at `due_at` for an attempt that ends before `until`, and gives its row as it
    /// is now, due at `until`. `None` when somebody else has taken it, or it is not pending any more.
    async fn claim(
        &self,
        id: NoticeId,
        due_at: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Notice>, PortError>;

    /// Writes what became of the attempt that was claimed until `claimed_until`. *Delivered* is always taken; anything
    /// else only from whoever still holds the claim, and `false` says that somebody else does.
    async fn conclude(&self, notice: &Notice, claimed_until: Timestamp) -> Result<bool, PortError>;

    /// Makes a notice pending anew, whatever it was: begun at `now`, no attempts, and due at `due_at`. `None` when there
    /// is no such row.
    async fn revive(
        &self,
        id: NoticeId,
        now: Timestamp,
        due_at: Timestamp,
    ) -> Result<Option<Notice>, PortError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_has_one_name() {
        let id = "07070707-0707-8707-8707-070707070707.paid_out.9";
        assert_eq!(id.parse::<NoticeId>().unwrap().to_string(), id);
        for bad in [
            "",
            "07070707-0707-8707-8707-070707070707",
            "07070707-0707-8707-8707-070707070707.paid_out",
            "07070707-0707-8707-8707-070707070707.paid_out.09",
            "07070707-0707-8707-8707-070707070707.paid_out.+9",
            "07070707-0707-8707-8707-070707070707.paid_out.9.9",
            "07070707-0707-8707-8707-070707070707.checking.9",
            "07070707-0707-8707-8707-070707070707.bought.9",
        ] {
            assert_eq!(bad.parse::<NoticeId>(), Err(NotANotice), "{bad}");
        }
    }
}
