//! Commands on SQS standard queues, one queue per kind of command; for payouts one per bank, so that a bank that hangs
//! keeps nobody waiting but its own borrowers.

use crate::failure::port_error;
use async_trait::async_trait;
use aws_sdk_sqs::Client;
use contract::queue::CommandMessage;
use domain::{ApplicationId, journey::Command};
use futures::future::join_all;
use ports::{PortError, journal::CommandQueue};
use std::collections::BTreeMap;

const SENDING: &str = "sending a command";

/// The queues that a function may send to. The others stay empty, as they do in its role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueUrls {
    pub face_checks: Option<String>,
    pub phone_checks: Option<String>,
    pub scores: Option<String>,
    pub graph_checks: Option<String>,
    pub decisions: Option<String>,
    /// By bank.
    pub payouts: BTreeMap<String, String>,
    pub notices: Option<String>,
}

impl QueueUrls {
    fn of(&self, command: Command, bank: &str) -> Result<&str, PortError> {
        let url = match command {
            Command::StartFaceCheck { .. } => self.face_checks.as_ref(),
            Command::StartPhoneCheck { .. } => self.phone_checks.as_ref(),
            Command::Score => self.scores.as_ref(),
            Command::CheckGraph | Command::UnlinkClaims => self.graph_checks.as_ref(),
            Command::Decide => self.decisions.as_ref(),
            Command::PayOut => self.payouts.get(bank),
            Command::Notify { .. } => self.notices.as_ref(),
        };
        url.map(String::as_str).ok_or_else(|| {
            let bank = (command == Command::PayOut).then(|| bank.to_owned());
            PortError::broken(SENDING, NoQueue { command, bank })
        })
    }
}

/// The function emits a command that its wiring has no queue for.
#[derive(Debug, thiserror::Error)]
#[error("no queue is wired for the command {command:?}{}", .bank.as_ref().map(|bank| format!(" to {bank}")).unwrap_or_default())]
struct NoQueue {
    command: Command,
    bank: Option<String>,
}

/// Sends commands, all at once.
#[derive(Clone, Debug)]
pub struct SqsCommandQueue {
    client: Client,
    urls: QueueUrls,
}

impl SqsCommandQueue {
    pub fn new(client: Client, urls: QueueUrls) -> Self {
        Self { client, urls }
    }

    async fn send_one(&self, url: &str, message: CommandMessage) -> Result<(), PortError> {
        let body = serde_json::to_string(&message).map_err(|error| PortError::broken(SENDING, error))?;
        let send = self.client.send_message().queue_url(url).message_body(body).send();
        send.await.map(|_| ()).map_err(|error| port_error(SENDING, &error))
    }
}

#[async_trait]
impl CommandQueue for SqsCommandQueue {
    /// Calls `SendMessage`, once per command and in parallel: each kind of command has a queue of its own, so there is
    /// nothing to batch. When a command has no queue, none is sent. When one cannot be sent, the others still are.
    async fn send(&self, id: ApplicationId, bank: &str, commands: &[Command]) -> Result<(), PortError> {
        let urls =
            commands.iter().map(|command| self.urls.of(*command, bank)).collect::<Result<Vec<&str>, _>>()?;
        let messages =
            commands.iter().map(|command| CommandMessage { application_id: id, command: *command });
        let sends = urls.into_iter().zip(messages).map(|(url, message)| self.send_one(url, message));
        join_all(sends).await.into_iter().collect()
    }
}
