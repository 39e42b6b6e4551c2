//! The own-number check: does the phone number belong to the person who applies?
//!
//! | | |
//! |---|---|
//! | triggered by | queue `phone-checks`; `POST /v1/callbacks/phone` from the provider |
//! | reads | `journeys`: the journal, and the applicant when a check is started |
//! | writes | `journeys`: one entry per answer |
//! | emits | the next attempt when the answer is *unknown*, the decision when it completes the join |
//! | retries | a start that fails comes again from the queue; a callback that cannot be recorded is answered 503 |
//!
//! How it works is told in [`checks`], which the face check shares.

mod wire;

pub use wire::{wire, wire_in};
