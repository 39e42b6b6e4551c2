//! The Lambda runtime loop.

use crate::{Function, failure::chain};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use std::sync::Arc;

/// Why a function did not start or its loop ended.
pub type StartError = lambda_runtime::Error;

/// Answers invocations until Lambda ends the process. Logs are JSON lines.
pub async fn serve(function: impl Function + 'static) -> Result<(), StartError> {
    let function = Arc::new(function);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let function = Arc::clone(&function);
        async move {
            function.call(event.payload).await.map_err(|error| -> lambda_runtime::Error {
                tracing::error!(error = chain(&error), "the invocation failed");
                error.into()
            })
        }
    }))
    .await
}

/// Sets up JSON log lines; the level comes from `RUST_LOG`, else `info`.
pub fn init_logs() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_current_span(true).without_time().init();
}
