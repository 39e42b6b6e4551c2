//! The lending domain, pure: no I/O, no clock, no wire format, no personal value outside its own hiding type.
//!
//! Everything turns on [`journey`]: a loan application is a list of events, and one pure function turns
//! the events so far and a new event into the next state and the commands to send.

pub mod application;
pub mod calendar;
pub mod checks;
pub mod decision;
pub mod erasure;
pub mod feature_row;
pub mod firm;
pub mod ids;
pub mod journey;
pub mod label;
pub mod ledger;
pub mod loan;
pub mod money;
pub mod person;
pub mod product;
pub mod reason;
pub mod ring;
#[cfg(any(test, feature = "samples"))]
pub mod samples;

pub use application::{Application, Channel, Consents};
pub use feature_row::FeatureRow;
pub use firm::{FirmCode, FirmRecord};
pub use ids::{ApplicationId, PayoutId, RingId, Subject, TraceId};
pub use label::Label;
pub use money::{BasisPoints, Fen};
pub use reason::Reason;
