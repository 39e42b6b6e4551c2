//! Payouts whose outcome stays unknown: which of them the sweeper keeps an eye on between its looks, which thin out.

use crate::Sweeper;
use domain::journey::{Journey, Status};
use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use ports::journal::{MOST_WATCHED, PayoutInDoubt};

/// From when on a payout is kept an eye on. Looks come after half of the time that it has stood still, so that each is
/// seen between this and [`UNKNOWN_AFTER`].
const WATCHED_AFTER: SignedDuration = SignedDuration::from_mins(2);
/// From when on its outcome counts as unknown.
const UNKNOWN_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// Journeys read at the same time.
const READS_AT_ONCE: usize = 16;

/// The payouts in doubt.
#[derive(Debug, Default)]
pub(crate) struct Watched(pub(crate) Vec<PayoutInDoubt>);

impl Watched {
    /// Enters a journey whose payout has been open for long.
    pub(crate) fn see(&mut self, journey: &Journey, now: Timestamp) {
        let (id, since) = (journey.application.id, journey.updated_at);
        let is_known = self.0.iter().any(|payout| payout.id == id);
        if is_open(journey)
            && now.duration_since(since) >= WATCHED_AFTER
            && !is_known
            && self.0.len() < MOST_WATCHED
        {
            self.0.push(PayoutInDoubt { id, since });
        }
    }

    /// How many have been open for longer than anybody should wait for a bank.
    pub(crate) fn unknown(&self, now: Timestamp) -> usize {
        self.0.iter().filter(|payout| now.duration_since(payout.since) > UNKNOWN_AFTER).count()
    }
}

impl Sweeper {
    /// Those of the payouts that are still open. One whose journey cannot be read stays: nothing is known of it either.
    pub(crate) async fn still_open(&self, payouts: Vec<PayoutInDoubt>) -> Watched {
        let looks = payouts.into_iter().map(|payout| async move {
            match self.journeys.load(payout.id).await {
                Ok(Some(loaded)) if !is_open(&loaded.journey) => None,
                _ => Some(payout),
            }
        });
        let looks: Vec<_> = looks.collect();
        Watched(stream::iter(looks).buffered(READS_AT_ONCE).filter_map(std::future::ready).collect().await)
    }
}

fn is_open(journey: &Journey) -> bool {
    journey.status == Status::PayoutRequested
}
