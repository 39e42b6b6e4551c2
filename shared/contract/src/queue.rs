//! The body of a queue message: an id and a command, and nothing personal, since a body may end in a dead-letter queue.

use domain::{ApplicationId, journey::Command};
use serde::{Deserialize, Serialize};

/// `{"application_id": "…", "command": "start_phone_check", "attempt": 2}`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandMessage {
    pub application_id: ApplicationId,
    #[serde(flatten)]
    pub command: Command,
}
