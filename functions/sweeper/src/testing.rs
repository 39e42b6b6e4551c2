//! Ports in memory, which fail where a test wants them to.

use crate::Sweeper;
use async_trait::async_trait;
use domain::{
    Application, ApplicationId,
    journey::{Command, Event},
    samples,
};
use jiff::{SignedDuration, Timestamp};
use ports::{
    FixedClock, PortError,
    journal::{AppendError, CommandQueue, DueEntry, DueJourneys, Entry, Journal, Swept},
    notices::{Notice, NoticeId, Notices, Recorded},
    observer::{self, Observer, StageTime},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};
use steps::Journeys;

pub(crate) fn start() -> Timestamp {
    "2026-11-02T08:00:00Z".parse().unwrap()
}

pub(crate) fn id(n: u16) -> ApplicationId {
    let [high, low] = n.to_be_bytes();
    ApplicationId::from_bytes([high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low])
}

pub(crate) fn application(n: u16) -> Application {
    Application { id: id(n), ..samples::application() }
}

/// Everything that a sweeper reaches.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) journals: Mutex<BTreeMap<ApplicationId, Vec<Entry>>>,
    pub(crate) due: Mutex<BTreeMap<(ApplicationId, u32), Timestamp>>,
    pub(crate) cursor: Mutex<Option<Swept>>,
    /// What was told of payouts with an unknown outcome.
    pub(crate) unknown: Mutex<Vec<usize>>,
    /// What was told of how far behind it is.
    pub(crate) lag: Mutex<Vec<SignedDuration>>,
    /// How long each reading of the due index takes.
    pub(crate) page_takes: Mutex<SignedDuration>,
    clock: Mutex<Option<Arc<FixedClock>>>,
    pub(crate) sent: Mutex<Vec<(ApplicationId, Vec<Command>)>>,
    pub(crate) notices: Mutex<Vec<Notice>>,
    /// Journals that cannot be read.
    pub(crate) unreadable: Mutex<BTreeSet<ApplicationId>>,
    /// Entries that take no new due time.
    pub(crate) stuck: Mutex<BTreeSet<ApplicationId>>,
}

impl Memory {
    /// A journey that was received at the start and is due after `wait`.
    pub(crate) fn received(&self, n: u16, wait: SignedDuration) {
        let events = vec![Event::Received { application: Box::new(application(n)) }];
        self.write(n, events);
        self.due.lock().unwrap().insert((id(n), 1), start().checked_add(wait).unwrap());
    }

    pub(crate) fn write(&self, n: u16, events: Vec<Event>) {
        let mut journals = self.journals.lock().unwrap();
        let entries = journals.entry(id(n)).or_default();
        let number = entries.len() as u32 + 1;
        entries.push(Entry { number, at: start(), by: "test/1".into(), events, commands: Vec::new() });
    }

    /// The sweeper over this memory when it is `wait` after the start.
    pub(crate) fn sweeper(self: &Arc<Self>, wait: SignedDuration) -> Sweeper {
        let clock = Arc::new(FixedClock::at(start().checked_add(wait).unwrap()));
        *self.clock.lock().unwrap() = Some(clock.clone());
        let journeys = Journeys {
            journal: self.clone(),
            commands: self.clone(),
            clock,
            observer: self.clone(),
            by: "sweeper/test".into(),
        };
        Sweeper::new(journeys, self.clone(), self.clone())
    }

    pub(crate) fn swept_until(&self) -> Option<Timestamp> {
        self.cursor.lock().unwrap().as_ref().map(|swept| swept.until)
    }

    pub(crate) fn due_at(&self, n: u16) -> Timestamp {
        self.due.lock().unwrap()[&(id(n), 1)]
    }
}

#[async_trait]
impl Journal for Memory {
    async fn load(&self, id: ApplicationId) -> Result<Vec<Entry>, PortError> {
        if self.unreadable.lock().unwrap().contains(&id) {
            return Err(PortError::broken("loading a journal", "as the test wants it"));
        }
        Ok(self.journals.lock().unwrap().get(&id).cloned().unwrap_or_default())
    }

    async fn append(
        &self,
        id: ApplicationId,
        entry: &Entry,
        _due_at: Option<Timestamp>,
    ) -> Result<(), AppendError> {
        self.journals.lock().unwrap().entry(id).or_default().push(entry.clone());
        Ok(())
    }
}

#[async_trait]
impl CommandQueue for Memory {
    async fn send(&self, id: ApplicationId, _bank: &str, commands: &[Command]) -> Result<(), PortError> {
        if !commands.is_empty() {
            self.sent.lock().unwrap().push((id, commands.to_vec()));
        }
        Ok(())
    }
}

#[async_trait]
impl DueJourneys for Memory {
    async fn due(&self, from: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<DueEntry>, PortError> {
        if let Some(clock) = &*self.clock.lock().unwrap() {
            clock.advance(*self.page_takes.lock().unwrap());
        }
        let due = self.due.lock().unwrap();
        let mut due: Vec<DueEntry> = due
            .iter()
            .filter(|(_, at)| (from..=until).contains(*at))
            .map(|(&(id, number), &due_at)| DueEntry { id, number, due_at })
            .collect();
        due.sort_by_key(|entry| (entry.due_at, entry.id, entry.number));
        due.truncate(limit as usize);
        Ok(due)
    }

    async fn rearm(&self, id: ApplicationId, number: u32, due_at: Timestamp) -> Result<(), PortError> {
        if self.stuck.lock().unwrap().contains(&id) {
            return Err(PortError::unavailable("rearming", "as the test wants it"));
        }
        self.due.lock().unwrap().insert((id, number), due_at);
        Ok(())
    }

    async fn cursor(&self) -> Result<Option<Swept>, PortError> {
        Ok(self.cursor.lock().unwrap().clone())
    }

    async fn set_cursor(&self, to: &Swept) -> Result<(), PortError> {
        *self.cursor.lock().unwrap() = Some(to.clone());
        Ok(())
    }
}

impl Observer for Memory {
    fn recorded(&self, _: &observer::Recorded<'_>) {}

    fn instructed(&self, _: ApplicationId, _: StageTime) {}

    fn unknown_payouts(&self, count: usize, _: Timestamp) {
        self.unknown.lock().unwrap().push(count);
    }

    fn swept(&self, lag: SignedDuration, _: Timestamp) {
        self.lag.lock().unwrap().push(lag);
    }
}

#[async_trait]
impl Notices for Memory {
    async fn get(&self, id: NoticeId) -> Result<Option<Notice>, PortError> {
        Ok(self.notices.lock().unwrap().iter().find(|notice| notice.id == id).cloned())
    }

    async fn record(&self, notice: &Notice) -> Result<Recorded, PortError> {
        self.notices.lock().unwrap().push(notice.clone());
        Ok(Recorded::Yes)
    }
}
