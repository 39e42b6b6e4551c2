//! Calling a function as Lambda would: with its time-out, and with a panic that ends nothing but the invocation.

use crate::template::FunctionSpec;
use lambda_kit::{Failure, Function, chain};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// A function of the template with its code.
pub struct Deployed {
    pub spec: FunctionSpec,
    function: Arc<dyn Function>,
}

/// Why an invocation has no answer.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    #[error("the function failed")]
    Failed(#[from] Failure),
    #[error("the function panicked")]
    Panicked,
    #[error("the function took longer than {} ms", .0.as_millis())]
    TimedOut(Duration),
}

impl Deployed {
    pub(crate) fn new(spec: FunctionSpec, function: Arc<dyn Function>) -> Self {
        Self { spec, function }
    }

    /// One invocation. It goes on when the caller goes away, as on Lambda; at the time-out it is ended.
    pub async fn invoke(&self, event: Value) -> Result<Value, InvocationError> {
        let function = Arc::clone(&self.function);
        let mut invocation = tokio::spawn(async move { function.call(event).await });
        let result = match tokio::time::timeout(self.spec.timeout, &mut invocation).await {
            Ok(Ok(answer)) => answer.map_err(InvocationError::from),
            Ok(Err(_)) => Err(InvocationError::Panicked),
            Err(_) => {
                invocation.abort();
                Err(InvocationError::TimedOut(self.spec.timeout))
            }
        };
        if let Err(error) = &result {
            tracing::error!(function = self.spec.name, error = chain(error), "an invocation failed");
        }
        result
    }
}
