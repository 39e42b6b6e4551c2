//! Many seeds on all cores.

use super::{AnyError, Counts, Machine, Plan, Report};
use crate::people::Owner;
use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub seeds: u64,
    pub applications: u64,
    /// Effects, deliveries and other things that happened, one at a time.
    pub steps: u64,
    pub faults: Counts,
    /// The seeds in which something did not hold, in ascending order.
    pub failed: Vec<Report>,
}

impl Tally {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.applications += u64::from(report.applications);
        self.steps += u64::from(report.steps);
        self.faults.merge(&report.faults);
        if !report.violations.is_empty() {
            self.failed.push(report);
        }
    }
}

/// Runs `seeds` on as many threads as there are cores, until `most` of them have failed; tells `see` of each that ended.
pub fn run(
    owners: &Arc<[Owner]>,
    seeds: Range<u64>,
    plan: Plan,
    most: usize,
    see: impl Fn(&Report) + Sync,
) -> Result<Tally, AnyError> {
    let next = AtomicU64::new(seeds.start);
    let tally = Mutex::new(Tally::default());
    let work = || -> Result<(), AnyError> {
        let machine = Machine::new(owners.clone())?;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return Ok(());
            }
            let report = machine.run(seed, plan);
            see(&report);
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.add(report);
            if tally.failed.len() >= most {
                next.store(seeds.end, Ordering::Relaxed);
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
    })?;
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.failed.sort_by_key(|report| report.seed);
    Ok(tally)
}
