//! The face check: is the person in front of the camera the one who applies?
//!
//! | | |
//! |---|---|
//! | triggered by | queue `face-checks`; `POST /v1/callbacks/face` from the provider |
//! | reads | `journeys`; `applicants`: the person, when a check is started |
//! | writes | `journeys`: one entry per answer; `relations`: a mismatch under the device on which it happened |
//! | emits | the next attempt when the answer is *unknown*, the graph check when that waited for this proof, the decision when it completes the join; when an application ends here, its notice, and `unlink_claims` where its claims are unproven |
//! | retries | a start that fails comes again from the queue; a callback that cannot be recorded is answered 503 |
//!
//! How it works is told in [`checks`], which the phone check shares.

mod wire;

pub use wire::{wire, wire_in};
