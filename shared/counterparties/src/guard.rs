//! Keeps us from sending where it makes no sense: an endpoint that asked for time, that has closed, or that hangs.
//!
//! One that hangs keeps a worker for as long as the time-out is, and there are only so many workers for it. So it is left
//! alone for a while after [`TIME_OUTS`] time-outs in a row, by all instances, and after that until it answers again, one
//! time-out is enough.

use delivery::Delivery;
use jiff::{SignedDuration, Timestamp};
use ports::{
    Clock, PortError,
    endpoints::{EndpointId, EndpointState, Endpoints},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How long an instance believes what it has read. What another instance is told in that time, this one may not have
/// heard of yet.
pub const BELIEVED_FOR: SignedDuration = SignedDuration::from_secs(5);

/// So many time-outs in a row that an endpoint hangs.
const TIME_OUTS: u32 = 3;
/// For so long an endpoint that hangs is left alone.
const LEFT_ALONE_FOR: SignedDuration = SignedDuration::from_secs(30);

/// Whether something may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Open,
    /// Not before this time.
    HeldBack {
        until: Timestamp,
    },
    /// Not until somebody has enabled the endpoint.
    Disabled,
}

/// What this instance knows of endpoints, and tells the others.
pub struct Guard {
    endpoints: Arc<dyn Endpoints>,
    clock: Arc<dyn Clock>,
    believed_for: SignedDuration,
    /// When each endpoint was read, and what was read or has been heard since.
    seen: Mutex<HashMap<EndpointId, (Timestamp, EndpointState)>>,
    /// The time-outs in a row that this instance met.
    time_outs: Mutex<HashMap<EndpointId, u32>>,
}

impl Guard {
    /// A guard that believes what it has read for `believed_for` ([`BELIEVED_FOR`]), so that a busy instance reads once
    /// in that time.
    pub fn new(endpoints: Arc<dyn Endpoints>, clock: Arc<dyn Clock>, believed_for: SignedDuration) -> Self {
        Self { endpoints, clock, believed_for, seen: Mutex::default(), time_outs: Mutex::default() }
    }

    /// Whether something may be sent to the endpoint now.
    pub async fn passage(&self, endpoint: &EndpointId) -> Result<Passage, PortError> {
        let now = self.clock.now();
        let state = match self.believed(endpoint, now) {
            Some(state) => state,
            None => {
                let state = self.endpoints.get(endpoint).await?;
                self.seen().insert(endpoint.clone(), (now, state));
                state
            }
        };
        Ok(match state {
            EndpointState { disabled_since: Some(_), .. } => Passage::Disabled,
            EndpointState { not_before: Some(until), .. } if now < until => Passage::HeldBack { until },
            EndpointState { .. } => Passage::Open,
        })
    }

    /// Takes note of what the endpoint answered to something that was sent. It has answered, whatever becomes of the
    /// note, so a note that cannot be written is logged and forgotten: the endpoint will say it again.
    pub async fn note(&self, endpoint: &EndpointId, delivery: &Delivery) {
        let now = self.clock.now();
        let hangs = self.counted(endpoint, delivery).then_some(LEFT_ALONE_FOR);
        let asked = delivery.retry_after().and_then(|after| SignedDuration::try_from(after).ok());
        let written = if *delivery == Delivery::Gone {
            self.remember(endpoint, now, |state| _ = state.disabled_since.get_or_insert(now));
            tracing::error!(%endpoint, "the endpoint is closed; nothing is sent there until it is enabled");
            self.endpoints.disable(endpoint, now).await
        } else if let Some(until) = asked.max(hangs).and_then(|wait| now.checked_add(wait).ok())
            && until > now
        {
            self.remember(endpoint, now, |state| state.not_before = state.not_before.max(Some(until)));
            let why = if hangs.is_some() { "hangs" } else { "asks for time" };
            tracing::warn!(%endpoint, %until, why, "the endpoint is left alone");
            self.endpoints.hold_back(endpoint, until).await
        } else {
            return;
        };
        if let Err(error) = written {
            let error = lambda_kit::chain(&error);
            tracing::error!(%endpoint, error, "what the endpoint said could not be written down");
        }
    }

    /// Counts time-outs in a row; whether these are so many that the endpoint hangs.
    fn counted(&self, endpoint: &EndpointId, delivery: &Delivery) -> bool {
        let mut time_outs = self.time_outs.lock().unwrap_or_else(PoisonError::into_inner);
        if *delivery != Delivery::TimedOut {
            time_outs.remove(endpoint);
            return false;
        }
        let count = time_outs.entry(endpoint.clone()).or_default();
        *count = count.saturating_add(1);
        *count >= TIME_OUTS
    }

    /// What was read a moment ago. A clock that went backwards has read nothing.
    fn believed(&self, endpoint: &EndpointId, now: Timestamp) -> Option<EndpointState> {
        let (read_at, state) = *self.seen().get(endpoint)?;
        let age = now.duration_since(read_at);
        (age >= SignedDuration::ZERO && age < self.believed_for).then_some(state)
    }

    /// Changes what this instance believes, for as long as it would have believed it anyway.
    fn remember(&self, endpoint: &EndpointId, now: Timestamp, change: impl FnOnce(&mut EndpointState)) {
        let known = self.believed(endpoint, now).is_some();
        if let Some((_, state)) = self.seen().get_mut(endpoint).filter(|_| known) {
            change(state);
        }
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<EndpointId, (Timestamp, EndpointState)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Endpoints in memory, which count how often they are read.

    use super::*;
    use async_trait::async_trait;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Default)]
    pub(crate) struct Memory {
        pub(crate) states: Mutex<HashMap<EndpointId, EndpointState>>,
        pub(crate) reads: AtomicU32,
        pub(crate) writes: AtomicU32,
    }

    impl Memory {
        fn change(&self, endpoint: &EndpointId, change: impl FnOnce(&mut EndpointState)) {
            self.writes.fetch_add(1, Ordering::SeqCst);
            change(self.states.lock().unwrap().entry(endpoint.clone()).or_default());
        }
    }

    #[async_trait]
    impl Endpoints for Memory {
        async fn get(&self, endpoint: &EndpointId) -> Result<EndpointState, PortError> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            Ok(self.states.lock().unwrap().get(endpoint).copied().unwrap_or_default())
        }

        async fn hold_back(&self, endpoint: &EndpointId, until: Timestamp) -> Result<(), PortError> {
            self.change(endpoint, |state| state.not_before = state.not_before.max(Some(until)));
            Ok(())
        }

        async fn disable(&self, endpoint: &EndpointId, since: Timestamp) -> Result<(), PortError> {
            self.change(endpoint, |state| _ = state.disabled_since.get_or_insert(since));
            Ok(())
        }

        async fn enable(&self, endpoint: &EndpointId) -> Result<(), PortError> {
            self.change(endpoint, |state| *state = EndpointState::default());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::Memory, *};
    use ports::FixedClock;
    use std::{sync::atomic::Ordering, time::Duration};

    struct Scene {
        memory: Arc<Memory>,
        clock: Arc<FixedClock>,
    }

    impl Scene {
        fn new() -> Self {
            let clock = FixedClock::at("2026-11-02T08:00:00Z".parse().unwrap());
            Self { memory: Arc::default(), clock: Arc::new(clock) }
        }

        /// One instance of a function.
        fn instance(&self) -> Guard {
            Guard::new(self.memory.clone(), self.clock.clone(), BELIEVED_FOR)
        }

        fn pass(&self, seconds: i64) {
            self.clock.advance(SignedDuration::from_secs(seconds));
        }
    }

    fn river() -> EndpointId {
        EndpointId::bank("river-bank")
    }

    fn throttled(seconds: u64) -> Delivery {
        Delivery::Throttled { retry_after: Some(Duration::from_secs(seconds)) }
    }

    #[tokio::test]
    async fn an_endpoint_that_asks_for_time_is_left_alone_by_every_instance_until_then() {
        let scene = Scene::new();
        let (asked, other) = (scene.instance(), scene.instance());
        assert_eq!(asked.passage(&river()).await.unwrap(), Passage::Open);
        asked.note(&river(), &throttled(60)).await;
        let until = scene.clock.now() + SignedDuration::from_secs(60);
        for guard in [&asked, &other] {
            assert_eq!(guard.passage(&river()).await.unwrap(), Passage::HeldBack { until });
        }
        scene.pass(59);
        assert_eq!(other.passage(&river()).await.unwrap(), Passage::HeldBack { until });
        scene.pass(1);
        for guard in [&asked, &other] {
            assert_eq!(guard.passage(&river()).await.unwrap(), Passage::Open);
        }
    }

    #[tokio::test]
    async fn a_server_that_is_unavailable_may_ask_for_time_too() {
        let scene = Scene::new();
        let guard = scene.instance();
        let after = Some(Duration::from_secs(60));
        guard.note(&river(), &Delivery::ServerError { status: 503, retry_after: after }).await;
        assert!(matches!(guard.passage(&river()).await.unwrap(), Passage::HeldBack { .. }));
    }

    #[tokio::test]
    async fn a_closed_endpoint_stays_closed_until_somebody_enables_it() {
        let scene = Scene::new();
        let (told, other) = (scene.instance(), scene.instance());
        told.note(&river(), &Delivery::Gone).await;
        for _ in 0..3 {
            scene.pass(24 * 3_600);
            assert_eq!(told.passage(&river()).await.unwrap(), Passage::Disabled);
            assert_eq!(other.passage(&river()).await.unwrap(), Passage::Disabled);
        }
        scene.memory.enable(&river()).await.unwrap();
        scene.pass(5);
        assert_eq!(told.passage(&river()).await.unwrap(), Passage::Open);
        assert_eq!(other.passage(&river()).await.unwrap(), Passage::Open);
    }

    #[tokio::test]
    async fn an_endpoint_that_hangs_is_left_alone_by_every_instance_until_it_answers_again() {
        let scene = Scene::new();
        let (waiting, other) = (scene.instance(), scene.instance());
        for delivery in [Delivery::TimedOut, Delivery::TimedOut, Delivery::Unreachable, Delivery::TimedOut] {
            waiting.note(&river(), &delivery).await;
        }
        assert_eq!(waiting.passage(&river()).await.unwrap(), Passage::Open, "never three in a row");
        for _ in 0..2 {
            waiting.note(&river(), &Delivery::TimedOut).await;
        }
        let until = scene.clock.now() + SignedDuration::from_secs(30);
        for guard in [&waiting, &other] {
            scene.pass(5);
            assert_eq!(guard.passage(&river()).await.unwrap(), Passage::HeldBack { until });
        }
        assert_eq!(other.passage(&EndpointId::bank("lake-bank")).await.unwrap(), Passage::Open);
        scene.pass(20);
        assert_eq!(waiting.passage(&river()).await.unwrap(), Passage::Open);
        waiting.note(&river(), &Delivery::TimedOut).await;
        assert!(matches!(waiting.passage(&river()).await.unwrap(), Passage::HeldBack { .. }), "still hangs");
        scene.pass(30);
        waiting.note(&river(), &Delivery::Unreachable).await;
        waiting.note(&river(), &Delivery::TimedOut).await;
        assert_eq!(waiting.passage(&river()).await.unwrap(), Passage::Open, "it has answered since");
    }

    #[tokio::test]
    async fn a_busy_instance_reads_once_in_five_seconds_and_writes_only_what_is_new() {
        let scene = Scene::new();
        let guard = scene.instance();
        for _ in 0..100 {
            assert_eq!(guard.passage(&river()).await.unwrap(), Passage::Open);
            guard.note(&river(), &Delivery::Unreachable).await;
            guard.note(&river(), &Delivery::Throttled { retry_after: None }).await;
            guard.note(&river(), &throttled(0)).await;
        }
        assert_eq!(scene.memory.reads.load(Ordering::SeqCst), 1);
        assert_eq!(scene.memory.writes.load(Ordering::SeqCst), 0);
        scene.pass(5);
        guard.passage(&river()).await.unwrap();
        assert_eq!(scene.memory.reads.load(Ordering::SeqCst), 2);
    }
}
