//! Whoever is told of what was recorded. Metrics, the log and traces are made from it.

use crate::journal::Entry;
use domain::ApplicationId;
use jiff::{SignedDuration, Timestamp};

/// A part of the way of an application, from the entry that asks for it to the entry that has its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Face,
    Phone,
    Score,
    Graph,
    Decide,
    /// From the acceptance to the bank's answer to the instruction, which is no entry.
    Instruct,
    /// From the entry before the instruction to the bank's word.
    Settle,
}

impl Stage {
    pub const ALL: [Stage; 7] = [
        Stage::Face,
        Stage::Phone,
        Stage::Score,
        Stage::Graph,
        Stage::Decide,
        Stage::Instruct,
        Stage::Settle,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Stage::Face => "face",
            Stage::Phone => "phone",
            Stage::Score => "score",
            Stage::Graph => "graph",
            Stage::Decide => "decide",
            Stage::Instruct => "instruct",
            Stage::Settle => "settle",
        }
    }
}

/// A stage that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageTime {
    pub stage: Stage,
    /// The number of the entry that asked for it.
    pub cause: u32,
    pub from: Timestamp,
    pub to: Timestamp,
}

impl StageTime {
    /// Never below zero: two functions' clocks need not agree.
    pub fn milliseconds(&self) -> f64 {
        (self.to.duration_since(self.from).as_secs_f64() * 1_000.0).max(0.0)
    }
}

/// Where an application has come, as far as anybody counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Milestone {
    Applied,
    Approved,
    Declined,
    Accepted,
    PaidOut,
    PayoutFailed,
    Cancelled,
    Expired,
}

impl Milestone {
    pub const fn as_str(self) -> &'static str {
        match self {
            Milestone::Applied => "applied",
            Milestone::Approved => "approved",
            Milestone::Declined => "declined",
            Milestone::Accepted => "accepted",
            Milestone::PaidOut => "paid_out",
            Milestone::PayoutFailed => "payout_failed",
            Milestone::Cancelled => "cancelled",
            Milestone::Expired => "expired",
        }
    }
}

/// An entry that was committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded<'a> {
    pub application: ApplicationId,
    pub entry: &'a Entry,
    /// The stages that it ended.
    pub stages: Vec<StageTime>,
    /// In the order of its events.
    pub reached: Vec<Milestone>,
}

/// Is told what happened. It must not wait, and what it cannot do it leaves undone: nothing depends on it.
pub trait Observer: Send + Sync {
    /// Once for every committed entry, by whoever committed it.
    fn recorded(&self, recorded: &Recorded<'_>);

    /// A bank has taken the instruction of an application's payout, at whichever try.
    fn instructed(&self, application: ApplicationId, stage: StageTime);

    /// How many payouts have had no known outcome for too long; zero is told too.
    fn unknown_payouts(&self, count: usize, at: Timestamp);

    /// How far behind the sweeper is after a run: the age of what it has not come to; zero is told too.
    fn swept(&self, lag: SignedDuration, at: Timestamp);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn recorded(&self, _: &Recorded<'_>) {}
    fn instructed(&self, _: ApplicationId, _: StageTime) {}
    fn unknown_payouts(&self, _: usize, _: Timestamp) {}
    fn swept(&self, _: SignedDuration, _: Timestamp) {}
}
