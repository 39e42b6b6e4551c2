//! The steps that more than one function takes: [`Journeys`] loads a journey and records what happened to it,
//! [`settle`] brings a bank's word into the ledger and the journal.
//!
//! The order is always: load, apply, commit, send. A send that fails after the commit fails the invocation, so the
//! message or callback comes again, finds its step recorded, and sends what is still outstanding.

mod journeys;
mod settle;
mod stages;

pub use journeys::{AdvanceError, Advanced, Journeys, Loaded};
pub use settle::{
    BadReference, BankAnswer, BankWord, SettleError, Settlement, contest, follow_ledger, give_up, settle,
};
pub use stages::stages_ended;
