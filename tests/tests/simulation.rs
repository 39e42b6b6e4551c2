//! The deterministic simulation: hundreds of seeds hold, the same seed is the same run, and each safeguard is missed
//! when it is turned off.

#![allow(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use local::{
    people::Owner,
    simulation::{self, Machine, Plan, Report, Safeguard, seeds},
};
use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

/// Seeds that every run of the tests tries.
const SEEDS: u64 = 500;
/// A safeguard that is turned off must be missed by then.
const MISSED_BY: u64 = 2_000;

fn owners() -> Arc<[Owner]> {
    static OWNERS: OnceLock<Arc<[Owner]>> = OnceLock::new();
    let city = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/local/city");
    OWNERS.get_or_init(|| simulation::owners(&city).unwrap()).clone()
}

fn first_violation(plan: Plan, most: u64) -> Option<Report> {
    let tally = seeds::run(&owners(), 0..most, plan, 1, |_| ()).unwrap();
    tally.failed.into_iter().next()
}

#[test]
fn faults_1_to_21_nothing_is_lost_or_paid_twice_whatever_goes_wrong() {
    if let Some(report) = first_violation(Plan::default(), SEEDS) {
        let seed = report.seed;
        panic!("seed {seed}: {:?}\n{}", report.violations, report.trace);
    }
}

#[test]
fn the_same_seed_is_the_same_run_byte_for_byte_whatever_ran_before() {
    let (first, second) = (Machine::new(owners()).unwrap(), Machine::new(owners()).unwrap());
    for seed in 0..20 {
        let trace = first.run(seed, Plan::default()).trace;
        assert!(trace.len() > 500, "a run leaves a trace");
        if seed % 2 == 0 {
            assert_eq!(trace, second.run(seed, Plan::default()).trace, "seed {seed}");
        }
    }
}

fn is_missed(without: Safeguard) {
    let found = first_violation(Plan { without: Some(without) }, MISSED_BY);
    assert!(found.is_some(), "nobody missed {without:?} in {MISSED_BY} seeds");
}

#[test]
fn a_journal_without_its_condition_is_found_out() {
    is_missed(Safeguard::JournalCondition);
}

#[test]
fn a_payout_without_its_one_key_is_found_out() {
    is_missed(Safeguard::PayoutKey);
}

#[test]
fn a_ledger_that_takes_a_replayed_word_is_found_out() {
    is_missed(Safeguard::ReplayStore);
}

#[test]
fn commands_that_nobody_sends_again_are_found_out() {
    is_missed(Safeguard::OutboxResend);
}

#[test]
fn fault_6_a_slow_worker_without_a_fence_is_found_out() {
    is_missed(Safeguard::Fencing);
}
