//! An operator's commands, as the event of a direct invocation.

use crate::{MOST_PER_RUN, Notify, PAGE, Summary};
use jiff::Timestamp;
use lambda_kit::Failure;
use ports::{
    PortError,
    endpoints::EndpointId,
    notices::{Notice, NoticeId, NoticeState},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Rows that a list shows of each kind at most.
const LISTED: u32 = 100;

/// `{"resend": "<notice>"}`, `{"resend_dead": true}`, `{"enable": "channel#mini_program"}` or `{"list": true}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorCommand {
    /// Try one notice now, whatever became of it, and for another three days if need be.
    Resend(NoticeId),
    /// The same for all dead notices, the longest dead first, as many as one invocation can do.
    ResendDead,
    /// Send to an endpoint again that was disabled or held back: a channel's or a bank's. Pending notices are tried
    /// within the hour.
    Enable(EndpointId),
    /// Show what is pending and what is dead: at most a hundred of each.
    List,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    #[serde(default)]
    resend: Option<String>,
    #[serde(default)]
    resend_dead: bool,
    #[serde(default)]
    enable: Option<String>,
    #[serde(default)]
    list: bool,
}

const NAMES: [&str; 4] = ["resend", "resend_dead", "enable", "list"];

impl OperatorCommand {
    /// `None` for an event that is no command.
    pub fn parse(event: &Value) -> Result<Option<Self>, Failure> {
        const READING: &str = "reading an operator's command";
        if !NAMES.iter().any(|name| event.get(name).is_some()) {
            return Ok(None);
        }
        let event = Event::deserialize(event).map_err(|error| Failure::new(READING, error))?;
        let command = match event {
            Event { resend: Some(id), resend_dead: false, enable: None, list: false } => {
                Self::Resend(id.parse().map_err(|error| Failure::new(READING, error))?)
            }
            Event { resend: None, resend_dead: true, enable: None, list: false } => Self::ResendDead,
            Event { resend: None, resend_dead: false, enable: Some(endpoint), list: false } => {
                Self::Enable(endpoint.parse().map_err(|error| Failure::new(READING, error))?)
            }
            Event { resend: None, resend_dead: false, enable: None, list: true } => Self::List,
            _ => return Err(Failure::new(READING, "one command at a time")),
        };
        Ok(Some(command))
    }
}

impl Notify {
    /// Carries out a command and tells what came of it.
    pub(crate) async fn obey(&self, command: OperatorCommand) -> Result<Value, Failure> {
        tracing::warn!(?command, "an operator's command");
        let failed = |error: PortError| Failure::new("carrying out an operator's command", error);
        match command {
            OperatorCommand::Resend(id) => {
                let mut summary = Summary::default();
                match self.revive(id).await.map_err(failed)? {
                    Some(notice) => summary.count(self.try_one(&notice).await),
                    None => return Err(Failure::new("sending a notice again", "there is no such notice")),
                }
                Ok(json!(summary))
            }
            OperatorCommand::ResendDead => Ok(json!(self.resend_dead().await?)),
            OperatorCommand::Enable(endpoint) => {
                self.endpoints.enable(&endpoint).await.map_err(failed)?;
                Ok(json!({ "enabled": endpoint.as_str() }))
            }
            OperatorCommand::List => {
                let pending = self.due.due(Timestamp::MAX, LISTED).await.map_err(failed)?;
                let dead = self.due.dead(LISTED).await.map_err(failed)?;
                let shown = |notices: &[Notice]| notices.iter().map(row).collect::<Vec<_>>();
                Ok(json!({ "pending": shown(&pending), "dead": shown(&dead) }))
            }
        }
    }

    /// Due at once, and begun anew.
    async fn revive(&self, id: NoticeId) -> Result<Option<Notice>, PortError> {
        let now = self.journeys.clock.now();
        self.due.revive(id, now, now).await
    }

    async fn resend_dead(&self) -> Result<Summary, Failure> {
        let begun = self.journeys.clock.now();
        let mut summary = Summary::default();
        let mut revived = 0;
        while revived < MOST_PER_RUN && self.journeys.clock.now().duration_since(begun) <= crate::BEGINS_FOR {
            let page = self.due.dead(PAGE).await.map_err(|e| Failure::new("reading what is dead", e))?;
            let mut again = Vec::new();
            for notice in page {
                // The index may still show what was revived a moment ago: it was dead before this run began.
                let revivable = matches!(notice.state, NoticeState::Dead { since } if since <= begun);
                if revivable && let Some(notice) = self.revive_if_dead(&notice).await? {
                    again.push(notice);
                }
            }
            if again.is_empty() {
                break;
            }
            revived += again.len();
            for some in again.chunks(crate::AT_ONCE) {
                self.try_all(some, &mut summary).await;
            }
        }
        Ok(summary)
    }

    async fn revive_if_dead(&self, notice: &Notice) -> Result<Option<Notice>, Failure> {
        let failed = |error: PortError| Failure::new("sending a dead notice again", error);
        match self.notices.get(notice.id).await.map_err(failed)? {
            Some(Notice { state: NoticeState::Dead { .. }, .. }) => {
                self.revive(notice.id).await.map_err(failed)
            }
            _ => Ok(None),
        }
    }
}

/// A row as an operator sees it: no subject.
fn row(notice: &Notice) -> Value {
    let (state, at) = match notice.state {
        NoticeState::Pending { due_at } => ("due_at", due_at),
        NoticeState::Dead { since } => ("dead_since", since),
        NoticeState::Delivered { at } => ("delivered_at", at),
    };
    json!({
        "notice": notice.id.to_string(),
        "channel": notice.channel.as_str(),
        "attempts": notice.attempts,
        "outcome": notice.outcome,
        "begun_at": notice.begun_at.to_string(),
        state: at.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_no_command_is_for_others_to_read() {
        for event in [json!({}), json!({ "Records": [] }), json!({ "detail-type": "Scheduled Event" })] {
            assert_eq!(OperatorCommand::parse(&event).unwrap(), None);
        }
    }

    #[test]
    fn commands_are_read_strictly() {
        let id = "07070707-0707-8707-8707-070707070707.paid_out.9";
        let parsed = |event: Value| OperatorCommand::parse(&event).ok().flatten();
        assert_eq!(parsed(json!({ "resend": id })), Some(OperatorCommand::Resend(id.parse().unwrap())));
        assert_eq!(parsed(json!({ "resend_dead": true })), Some(OperatorCommand::ResendDead));
        assert_eq!(
            parsed(json!({ "enable": "bank#river-bank" })),
            Some(OperatorCommand::Enable(EndpointId::bank("river-bank")))
        );
        for bad in [
            json!({ "resend": "all" }),
            json!({ "resend_dead": false }),
            json!({ "resend_dead": true, "list": true }),
            json!({ "enable": "river-bank" }),
            json!({ "enable": "bank#river-bank", "force": true }),
        ] {
            assert!(OperatorCommand::parse(&bad).is_err(), "{bad}");
        }
    }
}
