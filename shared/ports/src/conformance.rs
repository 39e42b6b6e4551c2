//! The suite that every adapter must pass, whatever engine is behind it.
//!
//! Each check is an async function whose name is the promise that it checks; it panics when the promise is broken. A
//! check expects tables that hold nothing, and an index that has caught up by the time it is read. It is test code that
//! ships as a module, so that a new adapter is held to it in one line per check.

#![expect(clippy::unwrap_used, reason = "checks panic, as tests do")]

pub mod acts;
pub mod applicants;
pub mod data_keys;
pub mod due;
pub mod endpoints;
pub mod firms;
pub mod journal;
pub mod ledger;
pub mod loans;
pub mod notices;
pub mod quotas;
pub mod relations;
pub mod rings;
pub mod sign_ins;
pub mod ties;

use domain::{ApplicationId, FirmCode};
use jiff::{SignedDuration, Timestamp};

/// The nth application.
fn application(n: u8) -> ApplicationId {
    // The last byte picks the shard of the due index, so that a run of applications spreads over all shards.
    ApplicationId::from_bytes([n; 16])
}

/// A moment, so many milliseconds into the story. It has nanoseconds, which must survive.
fn at(milliseconds: i64) -> Timestamp {
    let start: Timestamp = "2026-11-02T08:00:00.123456789Z".parse().unwrap();
    start + SignedDuration::from_millis(milliseconds)
}

/// The nth firm code with a right check character.
fn firm_code(n: usize) -> FirmCode {
    let checks = "0123456789ABCDEFGHJKLMNPQRTUWXY".chars();
    checks.filter_map(|check| format!("9135010000{n:07}{check}").parse().ok()).next().unwrap()
}
