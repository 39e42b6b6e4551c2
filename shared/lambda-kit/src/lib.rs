//! What every Lambda function needs around its handler: the runtime loop, settings, the shapes of Lambda's events,
//! the batch loop with partial failures, and problem documents.
//!
//! A handler sees `serde_json::Value` in Lambda's own shapes (API Gateway HTTP API payload 2.0, SQS, schedule), so the
//! local runner calls it with exactly what AWS would send.

// A panic in one record of a batch must not take its neighbours with it; `cargo lambda build` would set this by itself.
#[cfg(panic = "abort")]
compile_error!("the batch loop catches panics: build with panic = \"unwind\"");

pub mod batch;
mod environment;
mod failure;
pub mod http;
mod incoming;
pub mod json;
mod serve;

pub use batch::{Record, RecordError};
pub use environment::{Environment, EnvironmentError};
pub use failure::{Failure, chain};
pub use incoming::Incoming;
pub use serve::{StartError, init_logs, json_lines, serve};
pub use telemetry::Invocation;

use async_trait::async_trait;
use serde_json::Value;

/// One Lambda function.
#[async_trait]
pub trait Function: Send + Sync {
    /// Handles one invocation. An error fails the whole invocation, so that Lambda delivers it again.
    async fn call(&self, event: Value) -> Result<Value, Failure>;
}
