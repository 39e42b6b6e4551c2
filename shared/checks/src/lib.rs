//! What `verify-face` and `verify-phone` have in common, which is all but their names and their provider.
//!
//! | | |
//! |---|---|
//! | triggered by | a queue of start commands; the provider's callback over HTTP |
//! | reads | `journeys`, and `applicants` when a check is started |
//! | writes | `journeys`: one entry per answer; `relations`: a mismatch under the device on which it happened |
//! | emits | the next attempt when the answer is *unknown*, the graph check when that waited for this proof, the decision when it completes the join; when an application ends here, its notice, and `unlink_claims` where its claims are unproven |
//! | retries | a start comes again from its queue and is the same check at the provider; a callback that could not be recorded is answered 503, so that the provider delivers it again |

mod callback;
mod start;
mod wire;

pub use callback::is_bound_to;
pub use wire::wire_in;

use async_trait::async_trait;
use counterparties::CheckKind;
use lambda_kit::{Failure, Function, Incoming, batch};
use ports::{applicants::Applicants, counterparty::CheckProvider, relation::ActRecorder};
use serde_json::Value;
use signing::Verifier;
use std::sync::Arc;
use steps::Journeys;

/// One of the two functions, with everything that it reaches.
#[derive(Clone)]
pub struct Checks {
    pub kind: CheckKind,
    pub journeys: Journeys,
    pub applicants: Arc<dyn Applicants>,
    pub acts: Arc<dyn ActRecorder>,
    pub provider: Arc<dyn CheckProvider>,
    pub verifier: Verifier,
    /// Where our callbacks are reached, without a trailing slash.
    pub public_url: Arc<str>,
}

#[async_trait]
impl Function for Checks {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        match Incoming::parse(event)? {
            Incoming::Batch(records) => {
                let checks = self.clone();
                let start = move |message| {
                    let checks = checks.clone();
                    async move { checks.start(message).await }
                };
                Ok(batch::run(records, start).await)
            }
            Incoming::Http(request) => Ok(self.answered(&request).await.into_event()),
            Incoming::Schedule | Incoming::Created(_) => {
                Err(Failure::new("telling what woke the function", "checks have a queue and a route"))
            }
        }
    }
}
