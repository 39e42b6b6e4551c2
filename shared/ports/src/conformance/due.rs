//! What the index of due journeys promises. Checks write entries, so they need a journal on the same store.

use super::{application, at};
use crate::journal::{DueEntry, DueJourneys, Entry, Journal, PayoutInDoubt, Swept};
use domain::journey::Event;
use jiff::{SignedDuration, Timestamp};

async fn append(store: &impl Journal, n: u8, number: u32, due_at: Option<Timestamp>) {
    let (at, by) = (at(0), "intake/0.1.0".to_owned());
    let entry = Entry { number, at, by, events: vec![Event::Expired], commands: Vec::new() };
    store.append(application(n), &entry, due_at).await.unwrap();
}

async fn due(store: &impl DueJourneys, from: i64, until: i64, limit: u32) -> Vec<(u8, u32)> {
    let found = store.due(at(from), at(until), limit).await.unwrap();
    let which = |entry: &DueEntry| (1..=40).find(|n| application(*n) == entry.id).unwrap();
    found.iter().map(|entry| (which(entry), entry.number)).collect()
}

pub async fn nothing_is_due_at_first(store: &(impl Journal + DueJourneys)) {
    assert_eq!(due(store, 0, 1_000_000, 100).await, []);
}

pub async fn what_is_due_comes_earliest_first_whatever_its_shard(store: &(impl Journal + DueJourneys)) {
    for n in 1..=40_u8 {
        append(store, n, 1, Some(at(i64::from(n) * 7919 % 41 * 10))).await;
    }
    let found = store.due(at(0), at(1_000), 100).await.unwrap();
    assert_eq!(found.len(), 40);
    assert!(found.is_sorted_by_key(|entry| entry.due_at), "{found:?}");
}

pub async fn the_limit_keeps_the_earliest(store: &(impl Journal + DueJourneys)) {
    for n in 1..=40_u8 {
        append(store, n, 1, Some(at(i64::from(n) * 10))).await;
    }
    assert_eq!(due(store, 0, 1_000, 3).await, [(1, 1), (2, 1), (3, 1)]);
    assert_eq!(due(store, 0, 1_000, 0).await, []);
}

pub async fn the_range_holds_both_ends_and_nothing_outside(store: &(impl Journal + DueJourneys)) {
    for n in 1..=5_u8 {
        append(store, n, 1, Some(at(i64::from(n) * 10))).await;
    }
    // Due times may be kept to the millisecond, rounded up; these ends lie on whole milliseconds of that.
    let until = at(41);
    let found = store.due(at(20), until, 100).await.unwrap();
    let ids: Vec<_> = found.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [application(2), application(3), application(4)]);
    assert_eq!(due(store, 42, 48, 100).await, []);
    assert_eq!(due(store, 48, 42, 100).await, []);
}

pub async fn no_entry_is_due_a_moment_early(store: &(impl Journal + DueJourneys)) {
    append(store, 1, 1, Some(at(10))).await;
    let just_before = at(10) - SignedDuration::from_nanos(1);
    assert_eq!(store.due(at(0), just_before, 100).await.unwrap(), []);
    let found = store.due(at(0), at(11), 100).await.unwrap();
    assert!(found[0].due_at >= at(10) && found[0].due_at < at(11), "{found:?}");
}

pub async fn a_sweep_that_starts_where_the_last_one_ended_misses_nothing(
    store: &(impl Journal + DueJourneys),
) {
    for n in 1..=20_u8 {
        append(store, n, 1, Some(at(0) + SignedDuration::from_micros(i64::from(n) * 137))).await;
    }
    let mut seen = std::collections::BTreeSet::new();
    for step in 0..8 {
        let (from, until) = (step * 500, (step + 1) * 500);
        let moment = |micros| at(0) + SignedDuration::from_micros(micros);
        let found = store.due(moment(from), moment(until), 100).await.unwrap();
        seen.extend(found.iter().map(|entry| entry.id));
    }
    assert_eq!(seen.len(), 20);
}

pub async fn an_entry_without_a_due_time_is_never_due(store: &(impl Journal + DueJourneys)) {
    append(store, 1, 1, None).await;
    append(store, 1, 2, Some(at(10))).await;
    assert_eq!(due(store, 0, 1_000_000, 100).await, [(1, 2)]);
}

pub async fn a_rearmed_entry_is_due_at_its_new_time_only(store: &(impl Journal + DueJourneys)) {
    append(store, 1, 1, Some(at(10))).await;
    store.rearm(application(1), 1, at(500)).await.unwrap();
    assert_eq!(due(store, 0, 400, 100).await, []);
    assert_eq!(due(store, 400, 600, 100).await, [(1, 1)]);
}

pub async fn rearming_arms_an_entry_that_was_not_and_changes_nothing_else(
    store: &(impl Journal + DueJourneys),
) {
    append(store, 1, 1, None).await;
    let before = store.load(application(1)).await.unwrap();
    store.rearm(application(1), 1, at(10)).await.unwrap();
    assert_eq!(due(store, 0, 400, 100).await, [(1, 1)]);
    assert_eq!(store.load(application(1)).await.unwrap(), before);
}

pub async fn an_entry_that_is_not_there_cannot_be_rearmed(store: &(impl Journal + DueJourneys)) {
    append(store, 1, 1, None).await;
    assert!(!store.rearm(application(1), 2, at(10)).await.unwrap_err().is_retryable());
    assert_eq!(due(store, 0, 1_000, 100).await, []);
    assert_eq!(store.load(application(1)).await.unwrap().len(), 1);
}

pub async fn the_cursor_is_nowhere_at_first_and_then_where_it_was_set(store: &(impl Journal + DueJourneys)) {
    assert_eq!(store.cursor().await.unwrap(), None);
    let in_doubt = vec![PayoutInDoubt { id: application(1), since: at(5) }];
    for (until, payouts_in_doubt) in [(at(10), in_doubt), (at(20), Vec::new())] {
        let swept = Swept { until, payouts_in_doubt };
        store.set_cursor(&swept).await.unwrap();
        assert_eq!(store.cursor().await.unwrap(), Some(swept));
    }
    assert_eq!(due(store, 0, 1_000, 100).await, []);
}
