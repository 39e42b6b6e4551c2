//! Notices: tells the channel's back end of every offer and every end, at least once, and remembers what became of it.
//! Only what a journey has left again before anybody could send its notice may go untold: the notice of where it went
//! since is what counts.
//!
//! | | |
//! |---|---|
//! | triggered by | queue `notice-requests`; a schedule; an operator's command ([`OperatorCommand`]) as a direct invocation |
//! | reads | `journeys`: the journal; `notices`; `endpoints` |
//! | writes | `notices`: one row per notice; `endpoints`: what a channel asks for |
//! | emits | signed notices to channels; no commands |
//! | retries | a notice that is not taken is tried again by the schedule for three days ([`delivery::Schedule`]), then it is dead and stays until an operator sends it again |
//!
//! A notice is sent first and recorded then: whoever dies in between sends it again under the same name, and a channel
//! that takes it twice knows it by that name. An attempt of the schedule is claimed before it is made, so that of two
//! runs that meet only one sends.

mod attempt;
mod operator;
#[cfg(test)]
mod tests;
mod wire;

pub use operator::OperatorCommand;
pub use wire::{wire, wire_in};

use async_trait::async_trait;
use attempt::after;
use contract::{channel, queue::CommandMessage};
use domain::journey::Command;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use lambda_kit::{Failure, Function, Incoming, RecordError, batch};
use ports::{
    PortError,
    counterparty::ChannelNotices,
    endpoints::Endpoints,
    notices::{DueNotices, Notice, NoticeId, NoticeState, Notices, Recorded},
};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use steps::{AdvanceError, Journeys};

/// How long an attempt is claimed for: longer than the function may run.
const CLAIM: SignedDuration = SignedDuration::from_secs(60);
/// Notices read at once, and tried at the same time.
const PAGE: u32 = 64;
const AT_ONCE: usize = 16;
/// Notices that one run tries at most; the next run goes on from there.
const MOST_PER_RUN: usize = 1_024;
/// How long a run begins new attempts. The last ones take as long as a channel that does not
/// answer and two calls to DynamoDB that hang, and still end within the function's time-out.
const BEGINS_FOR: SignedDuration = SignedDuration::from_secs(15);

/// The function with everything that it reaches.
#[derive(Clone)]
pub struct Notify {
    pub journeys: Journeys,
    pub notices: Arc<dyn Notices>,
    pub due: Arc<dyn DueNotices>,
    pub channels: Arc<dyn ChannelNotices>,
    pub endpoints: Arc<dyn Endpoints>,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Attempts that were claimed.
    pub tried: u32,
    pub delivered: u32,
    /// Not taken, and due again later.
    pub put_off: u32,
    /// Given up.
    pub dead: u32,
    /// Attempts that could not be made or written down; each is logged, and due again when its claim ends.
    pub failed: u32,
}

impl Summary {
    fn count(&mut self, tried: Result<Option<NoticeState>, PortError>) {
        match tried {
            Ok(None) => return,
            Ok(Some(NoticeState::Delivered { .. })) => self.delivered += 1,
            Ok(Some(NoticeState::Pending { .. })) => self.put_off += 1,
            Ok(Some(NoticeState::Dead { .. })) => self.dead += 1,
            Err(error) => {
                tracing::error!(error = lambda_kit::chain(&error), "an attempt at a notice failed");
                self.failed += 1;
            }
        }
        self.tried += 1;
    }
}

#[async_trait]
impl Function for Notify {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        if let Some(command) = OperatorCommand::parse(&event)? {
            return self.obey(command).await;
        }
        match Incoming::parse(event)? {
            Incoming::Batch(records) => {
                let handle = move |message| {
                    let function = self.clone();
                    async move { function.tell(message).await }
                };
                Ok(batch::run(records, handle).await)
            }
            Incoming::Schedule => {
                let summary = self.try_what_is_due().await?;
                tracing::info!(?summary, "tried what was due");
                serde_json::to_value(summary).map_err(|error| Failure::new("writing the summary", error))
            }
            Incoming::Http(_) | Incoming::Created(_) => {
                Err(Failure::new("reading an event", "notify has a queue, a schedule and commands"))
            }
        }
    }
}

impl Notify {
    /// Tells the channel for the first time, unless somebody has before.
    async fn tell(&self, message: CommandMessage) -> Result<(), RecordError> {
        let Command::Notify { status, entry } = message.command else {
            return Err(RecordError::Handler("the command belongs to another queue"));
        };
        let id = NoticeId { application: message.application_id, status, entry };
        if self.notices.get(id).await?.is_some() {
            return Ok(());
        }
        let notice = self.read(id).await?;
        let concluded = self.attempt(notice).await?;
        if self.notices.record(&concluded).await? == Recorded::Known {
            // Two copies of one command met, and the other was written down first. Delivered is the word that counts.
            let delivered = matches!(concluded.state, NoticeState::Delivered { .. });
            if delivered {
                self.due.conclude(&concluded, Timestamp::MIN).await?;
            }
        }
        Ok(())
    }

    /// What is to be told, from the journal: the command alone is not believed.
    async fn read(&self, id: NoticeId) -> Result<Notice, RecordError> {
        let loaded = self.journeys.load(id.application).await?.ok_or(AdvanceError::NotFound)?;
        let emitted = Command::Notify { status: id.status, entry: id.entry };
        let entry = loaded.entries.iter().find(|entry| entry.number == id.entry);
        let entry = entry
            .filter(|entry| entry.commands.contains(&emitted))
            .ok_or(RecordError::Handler("the journal does not hold the notice that the command names"))?;
        let application = &loaded.journey.application;
        let now = self.journeys.clock.now();
        Ok(Notice {
            id,
            channel: application.channel,
            subject: application.subject.clone(),
            at: entry.at,
            begun_at: now,
            attempts: 0,
            outcome: String::new(),
            state: NoticeState::Pending { due_at: now },
        })
    }

    /// One attempt: the notice as it is to be written down after it.
    async fn attempt(&self, notice: Notice) -> Result<Notice, PortError> {
        let body = channel::Notice {
            application_id: notice.id.application,
            subject: notice.subject.clone(),
            status: notice.id.status,
            at: notice.at,
        };
        let told = self.channels.tell(notice.channel, &notice.id, &body).await?;
        let concluded = after(notice, &told, self.journeys.clock.now());
        if let NoticeState::Dead { .. } = concluded.state {
            let (notice, outcome) = (concluded.id, &concluded.outcome);
            tracing::error!(%notice, outcome, "a notice is given up; it stays until it is sent again");
        }
        Ok(concluded)
    }

    /// Tries what is due, until nothing is or the run has done enough.
    async fn try_what_is_due(&self) -> Result<Summary, Failure> {
        let begun = self.journeys.clock.now();
        let mut summary = Summary::default();
        let mut looked_at = 0;
        while looked_at < MOST_PER_RUN {
            let now = self.journeys.clock.now();
            if now.duration_since(begun) > BEGINS_FOR {
                break;
            }
            // What was tried in this run is due later than its beginning, or not at all.
            let page = self.due.due(begun, PAGE).await;
            let page = page.map_err(|error| Failure::new("reading what is due", error))?;
            let is_last = page.len() < PAGE as usize;
            let tried_before = summary.tried;
            for some in page.chunks(AT_ONCE) {
                self.try_all(some, &mut summary).await;
            }
            looked_at += page.len();
            // The index shows what was tried a little late: a page of which nothing could be claimed is such a view.
            if is_last || summary.tried == tried_before {
                break;
            }
        }
        Ok(summary)
    }

    async fn try_all(&self, notices: &[Notice], summary: &mut Summary) {
        for tried in join_all(notices.iter().map(|notice| self.try_one(notice))).await {
            summary.count(tried);
        }
    }

    /// Claims a pending notice and tries it; `None` when somebody else has claimed it.
    async fn try_one(&self, notice: &Notice) -> Result<Option<NoticeState>, PortError> {
        let NoticeState::Pending { due_at } = notice.state else { return Ok(None) };
        let now = self.journeys.clock.now();
        let claimed_until = now.checked_add(CLAIM).unwrap_or(Timestamp::MAX);
        let Some(claimed) = self.due.claim(notice.id, due_at, claimed_until).await? else { return Ok(None) };
        let concluded = self.attempt(claimed).await?;
        let held = self.due.conclude(&concluded, claimed_until).await?;
        Ok(held.then_some(concluded.state))
    }
}
