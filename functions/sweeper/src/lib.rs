//! The sweeper: looks after journeys that stand still, so that nothing is lost when a message is.
//!
//! | | |
//! |---|---|
//! | triggered by | a schedule |
//! | keeps in memory | which entries its last run has seen the end of, because each run begins a minute before the end of the last |
//! | reads | the due index of `journeys`, the journal of each journey that is due, and whether its notice is in `notices` |
//! | writes | `journeys`: *expired* entries, new due times, the cursor |
//! | tells | how many payouts have had no known outcome for over five minutes, as the metric `UnknownPayouts`; how far behind it is, as `SweeperLagSeconds` |
//! | emits | again, the commands that an overdue journey still waits for, and the notice of an offer or an end that nobody has seen to |
//! | retries | the next run looks again at whatever could not be given a new due time |
//!
//! A live journey never leaves the index: an entry gets its next due time before the cursor moves past it. A journey that
//! cannot be looked at is given a later time too, so that it holds up nobody else.

mod look;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod watch;
mod wire;

pub use look::{LONGEST_WAIT, Look, SHORTEST_WAIT, look};
pub use wire::{wire, wire_in};

use async_trait::async_trait;
use domain::{
    ApplicationId,
    journey::{Command, Event, Journey},
};
use futures::{FutureExt as _, future::join_all};
use jiff::{SignedDuration, Timestamp};
use lambda_kit::{Failure, Function, Incoming};
use look::later;
use ports::{
    journal::{DueEntry, DueJourneys, Swept},
    notices::{NoticeId, Notices},
};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};
use steps::{AdvanceError, Journeys, Loaded};
use watch::Watched;

/// How far before the cursor every run begins, for entries that showed up late in the index.
const OVERLAP: SignedDuration = SignedDuration::from_secs(60);
/// Entries read at once. More only when that many are due at the very same instant.
const PAGE: u32 = 250;
/// After this long no further page is begun, and the next run goes on from there. A page takes a second or two and what is
/// left of the function's 50 s is enough for one whose calls are given up only after their own time-outs.
const TIME_BUDGET: SignedDuration = SignedDuration::from_secs(40);
/// Entries looked after at the same time.
const AT_ONCE: usize = 16;
/// When to look again at a journey that could not be looked at, if that may pass by itself and if it may not.
const AFTER_PASSING_FAULT: SignedDuration = SignedDuration::from_mins(1);
const AFTER_LASTING_FAULT: SignedDuration = SignedDuration::from_hours(1);

/// The function with everything that it reaches.
#[derive(Clone)]
pub struct Sweeper {
    journeys: Journeys,
    due: Arc<dyn DueJourneys>,
    notices: Arc<dyn Notices>,
    finished: Arc<Mutex<Finished>>,
}

/// Entries of which nothing is left to be done, and when they were due. Whoever forgets them looks at them again, which
/// costs two reads for each and changes nothing.
type Finished = HashMap<(ApplicationId, u32), Timestamp>;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Entries of the index.
    pub looked_at: u32,
    /// Journeys whose commands or notice were sent again.
    pub sent: u32,
    /// Journeys that were ended because their time was up.
    pub expired: u32,
    /// Journeys that could not be looked at; each is logged, and looked at again later.
    pub failed: u32,
}

/// What was done about one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Nothing,
    Sent,
    Expired,
    Failed,
}

/// What came of one entry.
struct Tended {
    deed: Deed,
    /// When to look again; `None` for never.
    again_at: Option<Timestamp>,
    /// The journey, where it stands still.
    stands: Option<Box<Journey>>,
}

impl Tended {
    fn done(deed: Deed, again_at: Option<Timestamp>) -> Self {
        Self { deed, again_at, stands: None }
    }

    fn failed(again_at: Timestamp) -> Self {
        Self::done(Deed::Failed, Some(again_at))
    }
}

#[async_trait]
impl Function for Sweeper {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        let Incoming::Schedule = Incoming::parse(event)? else {
            return Err(Failure::new("reading a schedule event", "the sweeper runs on its schedule only"));
        };
        let summary = self.sweep().await?;
        serde_json::to_value(summary).map_err(|error| Failure::new("writing the summary", error))
    }
}

impl Sweeper {
    pub fn new(journeys: Journeys, due: Arc<dyn DueJourneys>, notices: Arc<dyn Notices>) -> Self {
        Self { journeys, due, notices, finished: Arc::default() }
    }

    /// One run: from a little before the cursor until now, or until its time is used.
    async fn sweep(&self) -> Result<Summary, Failure> {
        let until = self.journeys.clock.now();
        let cursor = self.due.cursor().await.map_err(|e| Failure::new("reading the cursor", e))?;
        // Without a cursor nothing has been looked at, however long ago it was due.
        let swept = cursor.unwrap_or(Swept { until: Timestamp::UNIX_EPOCH, payouts_in_doubt: Vec::new() });
        let watched = self.still_open(swept.payouts_in_doubt).await;
        let finished = std::mem::take(&mut *self.finished.lock().unwrap_or_else(PoisonError::into_inner));
        let mut run = Run::begin(swept.until, watched, finished);
        while let Some((from, limit)) = run.next_page()
            && self.journeys.clock.now().duration_since(until) < TIME_BUDGET
        {
            let page = self
                .due
                .due(from, until, limit)
                .await
                .map_err(|e| Failure::new("reading the due index", e))?;
            let new = run.turn(page, limit, until);
            for entries in new.chunks(AT_ONCE) {
                self.look_after_all(entries, until, &mut run).await;
            }
            let swept = Swept { until: run.swept_until(), payouts_in_doubt: run.watched.0.clone() };
            self.due.set_cursor(&swept).await.map_err(|e| Failure::new("setting the cursor", e))?;
        }
        self.journeys.observer.unknown_payouts(run.watched.unknown(until), until);
        // From the beginning of the run: what became due since is the next run's, and no lag.
        self.journeys.observer.swept(until.duration_since(run.swept_until()), until);
        let (summary, held) = (run.summary, run.held);
        tracing::info!(?summary, "swept");
        *self.finished.lock().unwrap_or_else(PoisonError::into_inner) = run.finished();
        match held {
            None => Ok(summary),
            Some(_) => Err(Failure::new(
                "giving an entry a new due time",
                "at least one entry could not be given one; the cursor waits before it",
            )),
        }
    }

    async fn look_after_all(&self, entries: &[DueEntry], now: Timestamp, run: &mut Run) {
        let looks = entries.iter().map(|&entry| AssertUnwindSafe(self.look_after(entry, now)).catch_unwind());
        for (entry, looked) in entries.iter().zip(join_all(looks).await) {
            let tended = looked.unwrap_or_else(|_| {
                tracing::error!(application_id = %entry.id, "looking after a journey panicked");
                Tended::failed(later(now, AFTER_LASTING_FAULT))
            });
            run.count(tended.deed);
            if tended.deed == Deed::Nothing && tended.again_at.is_none() {
                run.finished.insert((entry.id, entry.number), entry.due_at);
            }
            if let Some(journey) = &tended.stands {
                run.watched.see(journey, now);
            }
            if let Some(again_at) = tended.again_at
                && let Err(error) = self.due.rearm(entry.id, entry.number, again_at).await
            {
                let error = lambda_kit::chain(&error);
                tracing::error!(application_id = %entry.id, error, "an entry got no new due time");
                run.hold(entry.due_at);
            }
        }
    }

    /// Does what one entry asks for.
    async fn look_after(&self, entry: DueEntry, now: Timestamp) -> Tended {
        self.tend(entry, now).await.unwrap_or_else(|error| {
            let retryable = error.is_retryable();
            let wait = if retryable { AFTER_PASSING_FAULT } else { AFTER_LASTING_FAULT };
            let chain = lambda_kit::chain(&error);
            tracing::error!(application_id = %entry.id, error = chain, retryable, "a journey could not be looked after");
            Tended::failed(later(now, wait))
        })
    }

    async fn tend(&self, entry: DueEntry, now: Timestamp) -> Result<Tended, AdvanceError> {
        let loaded = self.journeys.load(entry.id).await?.ok_or(AdvanceError::NotFound)?;
        if loaded.is_superseded(entry.number) {
            return Ok(Tended::done(Deed::Nothing, None));
        }
        match look(&loaded.journey, now) {
            Look::Nothing => Ok(Tended::done(self.tell(&loaded).await?, None)),
            Look::Later { again_at } => Ok(Tended::done(self.tell(&loaded).await?, Some(again_at))),
            Look::Send { again_at } => {
                let Journey { application, .. } = &loaded.journey;
                let commands = loaded.journey.outstanding();
                self.journeys.commands.send(entry.id, &application.bank, &commands).await?;
                let sent = Tended::done(Deed::Sent, Some(again_at));
                Ok(Tended { stands: Some(Box::new(loaded.journey)), ..sent })
            }
            Look::Expire => match self.journeys.advance_from(loaded, &[Event::Expired]).await {
                Ok(_) => Ok(Tended::done(Deed::Expired, None)),
                // It moved on at the last moment. Where to, the next look tells.
                Err(AdvanceError::Transition(_)) => {
                    Ok(Tended::done(Deed::Nothing, Some(later(now, SHORTEST_WAIT))))
                }
                Err(error) => Err(error),
            },
        }
    }

    /// Sends the notice of where the journey stands once more, unless it has been seen to. This is what brings it to the
    /// channel when the function that recorded the offer or the end could not send it.
    async fn tell(&self, loaded: &Loaded) -> Result<Deed, AdvanceError> {
        let Some(command @ Command::Notify { status, entry }) = loaded.notice() else {
            return Ok(Deed::Nothing);
        };
        let Journey { application, .. } = &loaded.journey;
        if self.notices.get(NoticeId { application: application.id, status, entry }).await?.is_some() {
            return Ok(Deed::Nothing);
        }
        // It is sent before the notice, so that nothing is known of it either.
        let commands: Vec<Command> = [command].into_iter().chain(loaded.unlinking()).collect();
        self.journeys.commands.send(application.id, &application.bank, &commands).await?;
        Ok(Deed::Sent)
    }
}

/// How far one run has come.
struct Run {
    /// Where the last run ended.
    cursor: Timestamp,
    /// From where the next page is read, and how many entries; `None` when the run is over.
    next: Option<(Timestamp, u32)>,
    /// Everything before this has been looked at.
    reached: Timestamp,
    /// The earliest entry that got no new due time.
    held: Option<Timestamp>,
    /// Pages overlap where entries are due at the same instant, and the index shows a new due time a little late.
    seen: HashSet<(ApplicationId, u32)>,
    finished: Finished,
    watched: Watched,
    summary: Summary,
}

impl Run {
    fn begin(cursor: Timestamp, watched: Watched, finished: Finished) -> Self {
        Self {
            cursor,
            next: Some((earlier(cursor, OVERLAP), PAGE)),
            reached: cursor,
            held: None,
            seen: finished.keys().copied().collect(),
            finished,
            watched,
            summary: Summary::default(),
        }
    }

    fn next_page(&self) -> Option<(Timestamp, u32)> {
        self.next
    }

    /// Takes a page, tells which of its entries have not been looked at in this run, and where to read on. A page full
    /// of one instant is read again, twice as long.
    fn turn(&mut self, page: Vec<DueEntry>, limit: u32, until: Timestamp) -> Vec<DueEntry> {
        let from = self.next.map_or(self.cursor, |(from, _)| from);
        let last = page.last().map(|entry| entry.due_at).filter(|_| page.len() >= limit as usize);
        let new: Vec<DueEntry> =
            page.into_iter().filter(|entry| self.seen.insert((entry.id, entry.number))).collect();
        (self.next, self.reached) = match last {
            None => (None, until),
            Some(last) if last <= from => (Some((from, limit.saturating_mul(2))), self.reached),
            Some(last) => (Some((last, PAGE)), last),
        };
        new
    }

    fn count(&mut self, deed: Deed) {
        self.summary.looked_at += 1;
        match deed {
            Deed::Nothing => {}
            Deed::Sent => self.summary.sent += 1,
            Deed::Expired => self.summary.expired += 1,
            Deed::Failed => self.summary.failed += 1,
        }
    }

    /// What the next run, which begins a little before this one's end, would meet again.
    fn finished(mut self) -> Finished {
        let from = earlier(self.swept_until(), OVERLAP);
        self.finished.retain(|_, due_at| *due_at >= from);
        self.finished
    }

    fn hold(&mut self, due_at: Timestamp) {
        self.held = Some(self.held.map_or(due_at, |held| held.min(due_at)));
    }

    /// Where the cursor may stand: never before where it stood, never past an entry that must be looked at again.
    fn swept_until(&self) -> Timestamp {
        self.held.map_or(self.reached, |held| held.min(self.reached)).max(self.cursor)
    }
}

/// `at` less `wait`, at least the beginning of time.
fn earlier(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.checked_sub(wait).unwrap_or(Timestamp::MIN)
}
