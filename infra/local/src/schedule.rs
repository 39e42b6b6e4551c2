//! EventBridge schedules: calls a function at a steady rate.

use crate::invoke::Deployed;
use jiff::Timestamp;
use ports::Clock;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

/// The event that EventBridge sends.
pub(crate) fn event(rule: &str, now: Timestamp) -> Value {
    json!({
        "version": "0",
        "id": format!("local-{}", now.as_millisecond()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": "local",
        "resources": [format!("arn:aws:events:local:000000000000:rule/{rule}")],
        "detail": {},
    })
}

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
        let _ = function.invoke(event(&function.spec.name, clock.now())).await;
    }
}
