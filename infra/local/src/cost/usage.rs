//! What a function used, counted where it is called and where it calls.

use crate::{engines::CallCount, lending::Lending, log_bytes, prices};
use std::{
    collections::BTreeMap,
    ops::{AddAssign, SubAssign},
};

/// What one function used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Requests at the HTTP API.
    pub requests: f64,
    pub invocations: f64,
    /// As Lambda would bill them, at the speed of this machine.
    pub milliseconds: f64,
    pub read_units: f64,
    pub write_units: f64,
    pub sends: f64,
    /// With messages.
    pub receives: f64,
    /// Without: on AWS they depend on the time that passes and not on applications.
    pub empty_receives: f64,
    pub deletes: f64,
    pub log_bytes: f64,
    /// Calls of other services, by service.
    pub others: BTreeMap<String, f64>,
}

/// By function.
pub type Functions = BTreeMap<String, Usage>;

/// Everything that was counted since the last time.
pub fn take(lending: &Lending) -> Functions {
    let mut functions = Functions::new();
    for (function, invoked) in lending.stack.take_invocations() {
        let usage = functions.entry(function).or_default();
        usage.requests = invoked.requests as f64;
        usage.invocations = invoked.count as f64;
        usage.milliseconds = invoked.milliseconds as f64;
    }
    for (caller, operations) in lending.engines.calls_by_caller() {
        // What the runner does for itself no function does on AWS.
        let Some(usage) = functions.get_mut(&caller) else { continue };
        for (operation, count) in &operations {
            usage.call(operation, count);
        }
    }
    lending.engines.reset_calls();
    for (function, bytes) in log_bytes::take() {
        if let Some(usage) = functions.get_mut(&*function) {
            usage.log_bytes = bytes as f64;
        }
    }
    functions.retain(|_, usage| *usage != Usage::default());
    functions
}

impl Usage {
    fn call(&mut self, operation: &str, count: &CallCount) {
        let calls = count.calls as f64;
        match operation.split_once(':').unwrap_or_default() {
            ("dynamodb", _) => {
                self.read_units += count.read_units;
                self.write_units += count.write_units;
            }
            ("sqs", "ReceiveMessage") => {
                self.receives += calls - count.empty as f64;
                self.empty_receives += count.empty as f64;
            }
            ("sqs", operation) if operation.starts_with("SendMessage") => self.sends += calls,
            ("sqs", _) => self.deletes += calls,
            (service, _) => *self.others.entry(service.to_owned()).or_default() += calls,
        }
    }

    /// Requests to queues without those that found nothing.
    pub fn sqs_requests(&self) -> f64 {
        self.sends + self.receives + self.deletes
    }

    /// What is paid for, at this much memory.
    pub fn priced(&self, memory_mb: u32) -> prices::Usage {
        prices::Usage {
            read_units: self.read_units,
            write_units: self.write_units,
            sqs_requests: self.sqs_requests(),
            http_requests: self.requests,
            lambda_requests: self.invocations,
            lambda_gb_seconds: self.milliseconds / 1_000.0 * f64::from(memory_mb) / 1_024.0,
            log_bytes: self.log_bytes,
            kms_requests: self.others.get("kms").copied().unwrap_or_default(),
        }
    }

    /// The same with full batches: under load a poller takes and deletes many messages at once, and a function handles
    /// them in one invocation. Its time is left as it is, since it works as much.
    pub fn in_batches(&self, of: u32) -> Usage {
        let of = f64::from(of.max(1));
        let by_queue = self.invocations - self.requests;
        Usage {
            receives: self.receives / of,
            deletes: self.deletes / of,
            invocations: self.requests + by_queue / of,
            ..self.clone()
        }
    }

    /// Every figure by every figure.
    fn each(&mut self, other: &Usage, change: impl Fn(&mut f64, f64)) {
        change(&mut self.requests, other.requests);
        change(&mut self.invocations, other.invocations);
        change(&mut self.milliseconds, other.milliseconds);
        change(&mut self.read_units, other.read_units);
        change(&mut self.write_units, other.write_units);
        change(&mut self.sends, other.sends);
        change(&mut self.receives, other.receives);
        change(&mut self.empty_receives, other.empty_receives);
        change(&mut self.deletes, other.deletes);
        change(&mut self.log_bytes, other.log_bytes);
        for (service, calls) in &other.others {
            change(self.others.entry(service.clone()).or_default(), *calls);
        }
    }
}

impl AddAssign<&Usage> for Usage {
    fn add_assign(&mut self, other: &Usage) {
        self.each(other, |one, other| *one += other);
    }
}

impl SubAssign<&Usage> for Usage {
    fn sub_assign(&mut self, other: &Usage) {
        self.each(other, |one, other| *one -= other);
    }
}

/// The sum over functions.
pub fn sum<'a>(usages: impl IntoIterator<Item = &'a Usage>) -> Usage {
    usages.into_iter().fold(Usage::default(), |mut sum, usage| {
        sum += usage;
        sum
    })
}
