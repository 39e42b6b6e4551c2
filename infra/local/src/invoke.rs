//! Calling a function as Lambda would: with its time-out, and with a panic that ends nothing but the invocation.

use crate::{log_bytes, template::FunctionSpec};
use lambda_kit::{Failure, Function, Invocation, chain};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A function of the template with its code.
pub struct Deployed {
    pub spec: FunctionSpec,
    function: Arc<dyn Function>,
    name: Arc<str>,
    invocations: Mutex<Invocations>,
}

/// How often a function was called, and for how long it ran on this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Invocations {
    pub count: u64,
    /// Of these, how many the HTTP API made.
    pub requests: u64,
    /// Each invocation rounded up to a whole one, as Lambda bills it.
    pub milliseconds: u64,
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
        let name = spec.name.as_str().into();
        Self { spec, function, name, invocations: Mutex::default() }
    }

    /// What has been counted since the last call of this.
    pub(crate) fn take_invocations(&self) -> Invocations {
        std::mem::take(&mut *self.invocations.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, lasted: Duration) {
        let mut counted = self.invocations.lock().unwrap_or_else(PoisonError::into_inner);
        counted.count += 1;
        counted.milliseconds += u64::try_from(lasted.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX).max(1);
    }

    /// One invocation by the HTTP API.
    pub(crate) async fn invoke_by_http(&self, event: Value) -> Result<Value, InvocationError> {
        self.invocations.lock().unwrap_or_else(PoisonError::into_inner).requests += 1;
        self.invoke(event).await
    }

    /// One invocation. It goes on when the caller goes away, as on Lambda; at the time-out it is ended.
    #[expect(clippy::disallowed_methods, reason = "how long an invocation takes is the machine's own time")]
    pub async fn invoke(&self, event: Value) -> Result<Value, InvocationError> {
        let function = Arc::clone(&self.function);
        let begun = Instant::now();
        let call = async move { function.call(event).await };
        let mut invocation =
            tokio::spawn(log_bytes::of(Arc::clone(&self.name), Invocation::new("local", None).serve(call)));
        let result = match tokio::time::timeout(self.spec.timeout, &mut invocation).await {
            Ok(Ok(answer)) => answer.map_err(InvocationError::from),
            Ok(Err(_)) => Err(InvocationError::Panicked),
            Err(_) => {
                invocation.abort();
                Err(InvocationError::TimedOut(self.spec.timeout))
            }
        };
        self.count(begun.elapsed());
        if let Err(error) = &result {
            tracing::error!(function = self.spec.name, error = chain(error), "an invocation failed");
        }
        result
    }
}
