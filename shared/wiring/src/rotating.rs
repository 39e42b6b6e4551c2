//! A function whose secrets may change while it runs.
//!
//! The secrets are read once at the start, while the SDK warms up, and again by the first invocation after
//! [`READ_AGAIN_AFTER`]. When they have changed, the function is wired anew with them, so that a key that was rotated
//! reaches every instance within minutes and without a deployment. What cannot be read, or cannot be wired, changes nothing
//! but that somebody is told: a misspelt secret stops no instance that runs.
//!
//! Ending the instance, so that Lambda starts another one, was weighed: an instance that ends itself between two
//! invocations fails the next one, and every rotation would be a cold start for everybody at once.

use crate::WireError;
use async_trait::async_trait;
use aws::{Aws, SecretsManager};
use contract::names::setting;
use jiff::{SignedDuration, Timestamp};
use lambda_kit::{Environment, Failure, Function};
use ports::{
    Clock, SystemClock,
    secrets::{SecretStore, Secrets},
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// How long secrets are used before they are read again.
pub const READ_AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// When they are read again after they could not be read or wired.
const TRY_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// How long an invocation waits for them. The SDK's own limits are made for calls without which nothing goes on.
const READ_WITHIN: Duration = Duration::from_secs(1);

/// Wires a function from its settings, secrets included.
pub type Wire = Box<
    dyn Fn(&Environment) -> Result<Arc<dyn Function>, Box<dyn std::error::Error + Send + Sync>> + Send + Sync,
>;

/// A function with its secrets as they were last read.
pub struct Rotating {
    store: Arc<dyn SecretStore>,
    settings: Environment,
    wire: Wire,
    clock: Arc<dyn Clock>,
    /// Locked while the secrets are read, so that invocations at the same time read once.
    current: Mutex<Current>,
}

struct Current {
    function: Arc<dyn Function>,
    version: String,
    read_again_at: Timestamp,
}

/// Starts a function on Lambda with the secrets that its setting names.
pub async fn rotating<F: Function + 'static>(
    settings: Environment,
    aws: &Aws,
    wire: impl Fn(&Environment, &Aws) -> Result<F, WireError> + Send + Sync + 'static,
) -> Result<Rotating, WireError> {
    let store = SecretsManager::new(aws.secrets_manager(), settings.get(setting::SECRETS_ARN)?);
    let aws = aws.clone();
    let wire: Wire = Box::new(move |settings| Ok(Arc::new(wire(settings, &aws)?)));
    Rotating::start(settings, Arc::new(store), Arc::new(SystemClock), wire).await
}

impl Rotating {
    /// Reads the secrets and wires the function for the first time.
    pub async fn start(
        settings: Environment,
        store: Arc<dyn SecretStore>,
        clock: Arc<dyn Clock>,
        wire: Wire,
    ) -> Result<Self, WireError> {
        let Secrets { version, values } = store.read().await.map_err(WireError::other("the secret"))?;
        let function = wire(&settings.with(values)).map_err(WireError::other("a secret or setting"))?;
        let read_again_at = after(clock.now(), READ_AGAIN_AFTER);
        let current = Mutex::new(Current { function, version, read_again_at });
        Ok(Self { store, settings, wire, clock, current })
    }

    async fn current(&self) -> Arc<dyn Function> {
        let mut current = self.current.lock().await;
        let now = self.clock.now();
        if now >= current.read_again_at {
            let wait = if self.refresh(&mut current).await { READ_AGAIN_AFTER } else { TRY_AGAIN_AFTER };
            current.read_again_at = after(now, wait);
        }
        Arc::clone(&current.function)
    }

    /// Whether the function now runs on the secrets as they are.
    async fn refresh(&self, current: &mut Current) -> bool {
        let secrets = match tokio::time::timeout(READ_WITHIN, self.store.read()).await {
            Ok(Ok(secrets)) => secrets,
            Ok(Err(error)) => {
                tracing::error!(error = lambda_kit::chain(&error), "the secrets could not be read again");
                return false;
            }
            Err(_) => {
                tracing::error!("the secrets could not be read again in time");
                return false;
            }
        };
        if secrets.version == current.version {
            return true;
        }
        match (self.wire)(&self.settings.with(secrets.values)) {
            Ok(function) => {
                tracing::info!(version = secrets.version, "the secrets have changed and are in use");
                current.function = function;
                current.version = secrets.version;
                true
            }
            Err(error) => {
                let error = lambda_kit::chain(error.as_ref());
                tracing::error!(
                    version = secrets.version,
                    error,
                    "the secrets have changed and are not usable"
                );
                false
            }
        }
    }
}

fn after(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[async_trait]
impl Function for Rotating {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        self.current().await.call(event).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ports::{FixedClock, PortError};
    use std::sync::Mutex as Lock;

    /// Holds what the next reading gives: `None` is an outage.
    struct Store(Lock<Option<(u32, &'static str)>>, Lock<u32>);

    #[async_trait]
    impl SecretStore for Store {
        async fn read(&self) -> Result<Secrets, PortError> {
            *self.1.lock().unwrap() += 1;
            let held = *self.0.lock().unwrap();
            let (version, word) = held.ok_or_else(|| PortError::unavailable("reading", "an outage"))?;
            let values = [("WORD".to_owned(), word.to_owned())].into();
            Ok(Secrets { version: version.to_string(), values })
        }
    }

    /// Answers the secret that it was wired with.
    struct Echo(String);

    #[async_trait]
    impl Function for Echo {
        async fn call(&self, _: Value) -> Result<Value, Failure> {
            Ok(self.0.clone().into())
        }
    }

    struct Setup {
        store: Arc<Store>,
        clock: Arc<FixedClock>,
        function: Rotating,
    }

    async fn start(word: &'static str) -> Result<Setup, WireError> {
        let store = Arc::new(Store(Lock::new(Some((1, word))), Lock::default()));
        let clock = Arc::new(FixedClock::at(Timestamp::UNIX_EPOCH));
        let wire: Wire = Box::new(|settings| match settings.get("WORD")? {
            "unusable" => Err("a secret that is not usable".into()),
            word => Ok(Arc::new(Echo(word.to_owned()))),
        });
        let settings = Environment::from_map(Default::default());
        let function = Rotating::start(settings, store.clone(), clock.clone(), wire).await?;
        Ok(Setup { store, clock, function })
    }

    impl Setup {
        fn put(&self, held: Option<(u32, &'static str)>) {
            *self.store.0.lock().unwrap() = held;
        }

        fn reads(&self) -> u32 {
            *self.store.1.lock().unwrap()
        }

        async fn says(&self) -> Value {
            self.function.call(Value::Null).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_changed_secret_is_in_use_after_five_minutes_and_not_read_before() {
        let s = start("old").await.unwrap();
        s.put(Some((2, "new")));
        s.clock.advance(READ_AGAIN_AFTER - SignedDuration::from_nanos(1));
        assert_eq!((s.says().await, s.reads()), ("old".into(), 1));
        s.clock.advance(SignedDuration::from_nanos(1));
        assert_eq!((s.says().await, s.reads()), ("new".into(), 2));
        assert_eq!((s.says().await, s.reads()), ("new".into(), 2));
    }

    #[tokio::test]
    async fn an_outage_and_an_unusable_secret_leave_the_function_as_it_is_and_are_tried_again_soon() {
        let s = start("old").await.unwrap();
        s.clock.advance(READ_AGAIN_AFTER);
        s.put(None);
        assert_eq!((s.says().await, s.reads()), ("old".into(), 2));
        s.put(Some((2, "unusable")));
        assert_eq!((s.says().await, s.reads()), ("old".into(), 2), "not at once");
        s.clock.advance(TRY_AGAIN_AFTER);
        assert_eq!((s.says().await, s.reads()), ("old".into(), 3));
        s.clock.advance(TRY_AGAIN_AFTER);
        s.put(Some((3, "new")));
        assert_eq!((s.says().await, s.reads()), ("new".into(), 4));
    }

    #[tokio::test]
    async fn invocations_at_the_same_time_read_once() {
        let s = start("old").await.unwrap();
        s.clock.advance(READ_AGAIN_AFTER);
        s.put(Some((2, "new")));
        let said = tokio::join!(s.says(), s.says(), s.says());
        assert_eq!(said, ("new".into(), "new".into(), "new".into()));
        assert_eq!(s.reads(), 2);
    }

    #[tokio::test]
    async fn nothing_starts_on_an_unusable_secret() {
        assert!(start("unusable").await.is_err());
    }
}
