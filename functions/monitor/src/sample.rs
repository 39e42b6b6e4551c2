//! Which applications a window has: from the due index, without a scan and without a write.
//!
//! An application's first entry is in the due index for ever: it is armed when the application is received and, while the
//! journey lives, given later times by the sweeper. So whoever was received in a span is listed there from its beginning
//! until as long after its end as a journey lives. What is listed and was received on another day shows when its journal
//! is read.

use domain::ApplicationId;
use jiff::{SignedDuration, Timestamp};
use ports::{PortError, journal::DueJourneys};
use std::collections::{BTreeSet, HashSet};

/// How long after a span the first entries of its applications are still looked for. An offer stands for a day and checks
/// take minutes; only an application whose bank does not answer for longer is missed, until it has ended.
const LOOKED_AFTER_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Entries read at once. More only when that many are due at the very same instant.
const PAGE: u32 = 1_000;
/// Most entries that are listed; more than ten thousand applications a day.
const MOST_LISTED: usize = 500_000;

/// Applications of the index.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    pub listed: usize,
    /// At most as many as asked for. An id is a keyed hash, so the smallest ids are a sample that nothing else chose,
    /// and they are the same ones whenever the same applications are listed.
    pub ids: BTreeSet<ApplicationId>,
}

/// Lists the applications that were received in `from .. until`, and some that were received a little before or after.
pub(crate) async fn sample(
    due: &dyn DueJourneys,
    from: Timestamp,
    until: Timestamp,
    most: usize,
) -> Result<Sample, PortError> {
    let until = until.checked_add(LOOKED_AFTER_FOR).unwrap_or(Timestamp::MAX);
    let mut sample = Sample::default();
    let (mut next, mut limit) = (from, PAGE);
    let mut at_next: HashSet<(ApplicationId, u32)> = HashSet::new();
    while sample.listed < MOST_LISTED {
        let page = due.due(next, until, limit).await?;
        let is_last = page.len() < limit as usize;
        let last = page.last().map_or(until, |entry| entry.due_at);
        for entry in &page {
            let is_new = !(entry.due_at == next && at_next.contains(&(entry.id, entry.number)));
            if is_new && entry.number == 1 {
                sample.listed += 1;
                sample.ids.insert(entry.id);
                if sample.ids.len() > most {
                    sample.ids.pop_last();
                }
            }
        }
        if is_last {
            break;
        }
        // Pages overlap in the instant at which one ends; one that is full of a single instant is read again, longer.
        limit = if last == next { limit.saturating_mul(2) } else { PAGE };
        if last != next {
            at_next.clear();
        }
        at_next.extend(page.iter().filter(|e| e.due_at == last).map(|e| (e.id, e.number)));
        next = last;
    }
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use ports::journal::{DueEntry, Swept};

    /// An index in memory.
    struct Index(Vec<DueEntry>);

    #[async_trait]
    impl DueJourneys for Index {
        async fn due(
            &self,
            from: Timestamp,
            until: Timestamp,
            limit: u32,
        ) -> Result<Vec<DueEntry>, PortError> {
            let mut found: Vec<DueEntry> =
                self.0.iter().copied().filter(|e| e.due_at >= from && e.due_at <= until).collect();
            found.sort_by_key(|entry| (entry.due_at, entry.id, entry.number));
            found.truncate(limit as usize);
            Ok(found)
        }

        async fn rearm(&self, _: ApplicationId, _: u32, _: Timestamp) -> Result<(), PortError> {
            unreachable!("nothing is written")
        }

        async fn cursor(&self) -> Result<Option<Swept>, PortError> {
            unreachable!("the sweeper's")
        }

        async fn set_cursor(&self, _: &Swept) -> Result<(), PortError> {
            unreachable!("nothing is written")
        }
    }

    fn entry(id: u32, number: u32, second: i64) -> DueEntry {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&id.to_be_bytes());
        DueEntry { id: ApplicationId::from_bytes(bytes), number, due_at: at(second) }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    async fn sampled(entries: Vec<DueEntry>, most: usize) -> Sample {
        sample(&Index(entries), at(0), at(10_000), most).await.unwrap()
    }

    #[tokio::test]
    async fn every_application_is_listed_once_by_its_first_entry() {
        let late = LOOKED_AFTER_FOR.as_secs() + 10_000;
        let entries = vec![
            entry(1, 1, 0),
            entry(1, 5, 20),
            entry(2, 1, 20),
            entry(3, 1, -1),
            entry(4, 1, late),
            entry(5, 1, late + 1),
        ];
        let sample = sampled(entries, 10).await;
        assert_eq!(sample.listed, 3);
        assert_eq!(sample.ids, [entry(1, 1, 0).id, entry(2, 1, 0).id, entry(4, 1, 0).id].into());
    }

    #[tokio::test]
    async fn pages_that_end_in_the_middle_of_an_instant_lose_and_count_nothing_twice() {
        for instants in [1, 3, 7, 4_000] {
            let entries: Vec<DueEntry> = (0..3_500).map(|n| entry(n, 1, i64::from(n % instants))).collect();
            let sample = sampled(entries, 10_000).await;
            assert_eq!((sample.listed, sample.ids.len()), (3_500, 3_500), "{instants} instants");
        }
    }

    #[tokio::test]
    async fn of_more_than_wanted_the_same_are_taken_whatever_their_order() {
        let forwards: Vec<DueEntry> = (0..2_000).map(|n| entry(n, 1, i64::from(n))).collect();
        let backwards: Vec<DueEntry> = (0..2_000).map(|n| entry(n, 1, i64::from(2_000 - n))).collect();
        let (one, other) = (sampled(forwards, 100).await, sampled(backwards, 100).await);
        assert_eq!((one.listed, one.ids.len()), (2_000, 100));
        assert_eq!(one.ids, other.ids);
    }
}
