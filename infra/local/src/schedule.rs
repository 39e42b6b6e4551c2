//! EventBridge schedules: calls a function at a steady rate.

use crate::{eventbridge, invoke::Deployed};
use ports::Clock;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

/// Calls the function every so often until told to stop. Never twice at once: a run that takes longer than the rate
/// delays the next one.
pub(crate) async fn run(
    function: Arc<Deployed>,
    every: Duration,
    clock: Arc<dyn Clock>,
    mut stop: watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        // A failure has been logged; the next tick tries again.
        let _ = function.invoke(eventbridge::scheduled(&function.spec.name, clock.now())).await;
    }
}
