//! Making calls fail, before their effect or after it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a call fails. To the caller both look the same: the connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Without effect: the request never arrived.
    Before,
    /// With its effect: the answer was lost.
    After,
}

/// What a poller calls on a function's behalf. On AWS the service polls, so a function's *nth call* leaves these out.
const POLLING: [&str; 5] = [
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:DeleteMessageBatch",
    "sqs:ChangeMessageVisibility",
    "sqs:ChangeMessageVisibilityBatch",
];

#[derive(Debug)]
struct Rule {
    /// `dynamodb:PutItem`, …; `None` for every call but [`POLLING`].
    operation: Option<String>,
    /// Calls that the rule still lets through.
    spared: u32,
    fault: Fault,
}

/// The rules by which calls fail. Each rule fails one call and is gone.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Rule>>);

impl Faults {
    /// Fails the nth call (from 1) of an operation, named as `dynamodb:PutItem`, counted from now.
    pub fn fail(&self, operation: &str, nth: u32, fault: Fault) {
        self.add(Some(operation.to_owned()), nth, fault);
    }

    /// Fails the nth call (from 1) of any operation, counted from now. Polling a queue does not count.
    pub fn fail_nth_call(&self, nth: u32, fault: Fault) {
        self.add(None, nth, fault);
    }

    /// How many rules have not found their call yet.
    pub fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// Forgets all rules.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, operation: Option<String>, nth: u32, fault: Fault) {
        self.lock().push(Rule { operation, spared: nth.saturating_sub(1), fault });
    }

    /// What is to happen to this call. Every rule that matches counts it; the first whose turn has come takes it.
    pub(super) fn take(&self, operation: &str) -> Option<Fault> {
        let mut rules = self.lock();
        let mut fault = None;
        rules.retain_mut(|rule| {
            let matches = match &rule.operation {
                Some(wanted) => wanted == operation,
                None => !POLLING.contains(&operation),
            };
            if !matches {
                return true;
            }
            if rule.spared == 0 && fault.is_none() {
                fault = Some(rule.fault);
                return false;
            }
            rule.spared = rule.spared.saturating_sub(1);
            true
        });
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_call_fails_once_and_polling_does_not_count() {
        let faults = Faults::default();
        faults.fail_nth_call(2, Fault::After);
        let calls = ["dynamodb:Query", "sqs:ReceiveMessage", "dynamodb:PutItem", "dynamodb:PutItem"];
        assert_eq!(calls.map(|call| faults.take(call)), [None, None, Some(Fault::After), None]);
        assert_eq!(faults.waiting(), 0);
    }

    #[test]
    fn a_rule_for_one_operation_leaves_the_others_alone() {
        let faults = Faults::default();
        faults.fail("dynamodb:PutItem", 1, Fault::Before);
        assert_eq!(faults.take("dynamodb:Query"), None);
        assert_eq!(faults.take("dynamodb:PutItem"), Some(Fault::Before));
    }
}
