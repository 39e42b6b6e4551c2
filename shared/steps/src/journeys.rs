//! Loading a journey and moving it on.

use crate::stages::{milestone, stages_ended};
use domain::{
    ApplicationId,
    journey::{AcceptedBy, Command, Event, Journey, STEP_DUE_AFTER, Status, TransitionError, transition},
};
use jiff::Timestamp;
use ports::{
    Clock, PortError,
    journal::{AppendError, CommandQueue, Entry, Journal},
    observer::{Milestone, Observer, Recorded},
};
use std::sync::Arc;

/// How often a commit that lost the race is tried again. Four checks and a ring notice can meet; more cannot.
const COMMIT_TRIES: u32 = 16;

/// A journey with the entries that it was folded from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub journey: Journey,
    pub entries: Vec<Entry>,
}

impl Loaded {
    /// When this very event was recorded.
    pub fn recorded_at(&self, event: &Event) -> Option<Timestamp> {
        self.entries.iter().find(|entry| entry.events.contains(event)).map(|entry| entry.at)
    }

    /// The notice of where the journey stands, as the entry that brought it there emitted it.
    pub fn notice(&self) -> Option<Command> {
        let emitted = self.entries.iter().rev().flat_map(|entry| &entry.commands).copied();
        let mut notices = emitted.filter(|command| matches!(command, Command::Notify { .. }));
        notices.next().filter(
            |command| matches!(command, Command::Notify { status, .. } if *status == self.journey.status),
        )
    }

    /// What the entry asked for, beside its notice, that brought the journey to its end.
    pub fn unlinking(&self) -> Option<Command> {
        let emitted = self.entries.iter().rev().flat_map(|entry| &entry.commands).copied();
        emitted.into_iter().find(|command| matches!(command, Command::UnlinkClaims))
    }

    /// Whether a later entry has entered the due index for certain, so that this one need not be looked after any more.
    pub fn is_superseded(&self, number: u32) -> bool {
        self.entries.iter().any(|entry| entry.number > number && entry.events.iter().any(starts))
    }
}

/// What came of an event.
#[derive(Clone, Debug)]
pub enum Advanced {
    /// Recorded now.
    Recorded(Box<Journey>),
    /// The step had been recorded before; what it emitted and is still outstanding was sent again.
    Repeated(Box<Journey>),
}

impl Advanced {
    pub fn journey(&self) -> &Journey {
        match self {
            Advanced::Recorded(journey) | Advanced::Repeated(journey) => journey,
        }
    }
}

/// Why a journey could not be moved on.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    #[error("there is no such application")]
    NotFound,
    #[error(transparent)]
    Transition(#[from] TransitionError),
    #[error("the journal moved on {COMMIT_TRIES} times while one event was being recorded")]
    Contended,
    #[error(transparent)]
    Port(#[from] PortError),
}

impl AdvanceError {
    /// Whether the same event may be recorded later.
    pub fn is_retryable(&self) -> bool {
        match self {
            AdvanceError::Contended => true,
            AdvanceError::Port(error) => error.is_retryable(),
            AdvanceError::NotFound | AdvanceError::Transition(_) => false,
        }
    }
}

/// The journeys, as one function sees them.
#[derive(Clone)]
pub struct Journeys {
    pub journal: Arc<dyn Journal>,
    pub commands: Arc<dyn CommandQueue>,
    pub clock: Arc<dyn Clock>,
    /// Is told of every entry that this function commits.
    pub observer: Arc<dyn Observer>,
    /// Function and version, written into each entry.
    pub by: Arc<str>,
}

impl Journeys {
    /// The journey as it stands; `None` when there is no such application.
    pub async fn load(&self, id: ApplicationId) -> Result<Option<Loaded>, AdvanceError> {
        let entries = self.journal.load(id).await?;
        let journey =
            Journey::fold(entries.iter().flat_map(|e| e.events.iter().map(move |event| (event, e.at))))?;
        Ok(journey.map(|journey| Loaded { journey, entries }))
    }

    /// The journey as its first entry left it.
    pub async fn load_first(&self, id: ApplicationId) -> Result<Option<Journey>, AdvanceError> {
        let entries = self.journal.load(id).await?;
        let first = entries.iter().take(1);
        Ok(Journey::fold(first.flat_map(|e| e.events.iter().map(move |event| (event, e.at))))?)
    }

    /// Records the first entry of a journey. When the journey has begun before, sends what it still waits for.
    pub async fn begin(&self, id: ApplicationId, events: &[Event]) -> Result<Advanced, AdvanceError> {
        match self.commit(id, None, events).await {
            Err(AdvanceError::Port(error)) => Err(error.into()),
            Ok(Some(journey)) => Ok(Advanced::Recorded(Box::new(journey))),
            Ok(None) => {
                let loaded = self.load(id).await?.ok_or(AdvanceError::NotFound)?;
                self.send_again(&loaded, &events[0]).await?;
                Ok(Advanced::Repeated(Box::new(loaded.journey)))
            }
            Err(other) => Err(other),
        }
    }

    /// Records one event, reading the journey first.
    pub async fn advance(&self, id: ApplicationId, event: &Event) -> Result<Advanced, AdvanceError> {
        let loaded = self.load(id).await?.ok_or(AdvanceError::NotFound)?;
        self.advance_from(loaded, std::slice::from_ref(event)).await
    }

    /// Records events on a journey that has been read already, in one entry. Reads again when it has moved on.
    pub async fn advance_from(&self, mut loaded: Loaded, events: &[Event]) -> Result<Advanced, AdvanceError> {
        let id = loaded.journey.application.id;
        for _ in 0..COMMIT_TRIES {
            match self.commit(id, Some(&loaded), events).await {
                Ok(Some(journey)) => return Ok(Advanced::Recorded(Box::new(journey))),
                Ok(None) => loaded = self.load(id).await?.ok_or(AdvanceError::NotFound)?,
                Err(AdvanceError::Transition(TransitionError::Repeated { .. })) => {
                    self.send_again(&loaded, &events[0]).await?;
                    return Ok(Advanced::Repeated(Box::new(loaded.journey)));
                }
                Err(other) => return Err(other),
            }
        }
        Err(AdvanceError::Contended)
    }

    /// One conditional put, then the commands. `None` when somebody else wrote the entry first.
    async fn commit(
        &self,
        id: ApplicationId,
        loaded: Option<&Loaded>,
        events: &[Event],
    ) -> Result<Option<Journey>, AdvanceError> {
        let at = self.clock.now();
        let mut state = loaded.map(|l| l.journey.clone());
        let mut reached: Vec<Milestone> = Vec::new();
        for event in events {
            let before = state.as_ref().map(|journey| journey.status);
            let (journey, _) = transition(state, event, at)?;
            reached.extend(milestone(before, journey.status));
            state = Some(journey);
        }
        let Some(journey) = state else { return Err(AdvanceError::NotFound) };
        let before = loaded.map(|l| l.journey.outstanding()).unwrap_or_default();
        let mut commands: Vec<Command> =
            journey.outstanding().into_iter().filter(|c| !before.contains(c)).collect();
        let number = loaded.map_or(0, |l| l.entries.len() as u32) + 1;
        let came_from = loaded.map(|l| l.journey.status);
        commands.extend(journey.notice(came_from, number));
        commands.extend(journey.unlinking(came_from));
        let entry = Entry { number, at, by: self.by.as_ref().to_owned(), events: events.to_vec(), commands };
        match self.journal.append(id, &entry, armed(came_from, &journey, events)).await {
            Ok(()) => {}
            Err(AppendError::Taken) => return Ok(None),
            Err(AppendError::Port(error)) => return Err(error.into()),
        }
        self.tell(id, loaded, &entry, reached);
        // First, so that whoever finds the notice of this end knows that its claims are being taken back.
        let (first, rest): (Vec<Command>, Vec<Command>) =
            entry.commands.iter().partition(|command| matches!(command, Command::UnlinkClaims));
        for commands in [first, rest] {
            self.commands.send(id, &journey.application.bank, &commands).await?;
        }
        Ok(Some(journey))
    }

    /// Tells the observer of an entry that is committed now.
    fn tell(
        &self,
        application: ApplicationId,
        loaded: Option<&Loaded>,
        entry: &Entry,
        reached: Vec<Milestone>,
    ) {
        let before = loaded.map(|loaded| loaded.entries.as_slice()).unwrap_or_default();
        let stages = stages_ended(before, entry);
        self.observer.recorded(&Recorded { application, entry, stages, reached });
    }

    /// Sends again what the recorded step emitted and nobody has acted on, and what [`is_unconfirmed`].
    async fn send_again(&self, loaded: &Loaded, event: &Event) -> Result<(), AdvanceError> {
        let recorded =
            loaded.entries.iter().rev().find(|e| e.events.iter().any(|known| known.same_step(event)));
        let outstanding = loaded.journey.outstanding();
        let commands: Vec<Command> = recorded
            .map(|entry| {
                let waited_for = |c: &Command| outstanding.contains(c) || is_unconfirmed(c);
                entry.commands.iter().copied().filter(waited_for).collect()
            })
            .unwrap_or_default();
        let application = &loaded.journey.application;
        self.commands.send(application.id, &application.bank, &commands).await?;
        Ok(())
    }
}

/// Which entries enter the due index. Not all that emit commands: a message or callback whose commands were lost
/// comes again and sends them, so only what a borrower's request starts needs somebody to look after it. From the
/// first entry on the sweeper looks again for as long as the journey lives, and its last look sends the notice of where
/// the journey stands once more. Some enter anew, because they end a wait that may have moved the next look to the end of
/// the offer: an acceptance, a ring that takes an offer back, and the cancelling of an offer. And so do ends that nobody
/// would look at any more: one in the first entry, and the correction of an end. Most applications cost the index one
/// write.
fn armed(came_from: Option<Status>, journey: &Journey, events: &[Event]) -> Option<Timestamp> {
    let offer_taken_back = journey.status == Status::Deciding
        && events.iter().any(|event| matches!(event, Event::RingFound { .. }));
    let ended_unseen = journey.status.is_end()
        && came_from.is_none_or(|status| {
            status.is_end() || (status == Status::Offered && journey.status == Status::Cancelled)
        });
    if ended_unseen {
        journey.updated_at.checked_add(STEP_DUE_AFTER).ok()
    } else if offer_taken_back || events.iter().any(starts) {
        journey.due_at()
    } else {
        None
    }
}

/// Whether the journal does not know if anybody acted on a command: the journey does not wait for it.
fn is_unconfirmed(command: &Command) -> bool {
    matches!(command, Command::Notify { .. } | Command::UnlinkClaims)
}

/// Whether an event is what a borrower's request starts. Its entry is always armed.
fn starts(event: &Event) -> bool {
    matches!(event, Event::Received { .. } | Event::Accepted { by: AcceptedBy::Borrower, .. })
}
