//! The local runner: everything that `infra/template.yaml` wires, in one process on embedded engines.
//!
//! Triggered by the binary of this crate and by tests. It reads the template ([`template`]), starts the engines
//! ([`engines`]), makes the tables and queues that the template names, builds the functions with the settings that the
//! template gives them ([`stack`]), and calls them with the events that Lambda would send: of HTTP requests
//! ([`gateway`]), of queued messages ([`poller`]), of schedules ([`schedule`]) and of new files ([`eventbridge`]), with
//! Lambda's time-outs ([`invoke`]). A call that a function's role does not allow is refused ([`roles`]).
//! A message whose function failed stays in its queue and is delivered again, as on AWS.

pub mod bank_check;
pub mod bench;
pub mod borrower;
pub mod cost;
pub mod counterparties;
pub mod demo;
pub mod deployed;
pub mod drift;
pub mod engines;
pub mod eventbridge;
pub mod gateway;
pub mod invoke;
pub mod keys;
pub mod lending;
pub mod load;
pub mod log_bytes;
pub mod models;
pub mod people;
pub mod poller;
pub mod prices;
pub mod processes;
pub mod reconcile;
pub mod replay;
pub mod rings;
pub mod roles;
mod runtime_api;
pub mod schedule;
pub mod secrets;
pub mod simulation;
pub mod stack;
pub mod template;
pub mod trace;
