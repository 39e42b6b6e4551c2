//! The queues of a stack: delivering what is in them, and their dead letters.

use super::{Stack, StackError};
use crate::{
    engines::{Engines, QueueSpec},
    poller::{Delivered, Source},
    template::Template,
};
use aws_sdk_sqs::types::Message;
use std::{collections::BTreeMap, time::Duration};

/// Most batches that one [`Stack::drain`] delivers. More means that functions send each other messages for ever.
pub(super) const MAX_DRAINED_BATCHES: usize = 100_000;

/// A queue of the running stack.
pub(super) struct RunningQueue {
    pub(super) url: String,
    dead_letters: Option<String>,
}

impl Stack {
    /// The names of the queues that functions read.
    pub fn queues(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.spec.queue.clone()).collect()
    }

    /// Delivers messages, one batch at a time and one queue after the other, until all queues are empty. A message that
    /// failed comes back at once, as if its visibility time-out had passed, and so at last goes to its dead-letter queue.
    pub async fn drain(&self) -> Result<Delivered, StackError> {
        let mut all = Delivered::default();
        for _ in 0..MAX_DRAINED_BATCHES {
            let mut idle = true;
            for source in &self.sources {
                if let Some(delivered) = deliver_one(source, Some(Duration::ZERO)).await? {
                    idle = false;
                    all.handled += delivered.handled;
                    all.failed += delivered.failed;
                }
            }
            if idle {
                return Ok(all);
            }
        }
        Err(StackError::NeverEmpty)
    }

    /// Delivers one batch of one queue; `None` when it is empty. What failed stays hidden for the visibility time-out,
    /// unless the stack was started with another redelivery.
    pub async fn deliver(&self, queue: &str) -> Result<Option<Delivered>, StackError> {
        let source = self.sources.iter().find(|source| source.spec.queue == queue);
        let source = source.ok_or_else(|| StackError::Unknown(queue.to_owned()))?;
        deliver_one(source, source.redelivery).await
    }

    /// Puts a message into a queue, whatever it says.
    pub async fn send(&self, queue: &str, body: &str) -> Result<(), StackError> {
        let url = &self.queue(queue)?.url;
        let sent = self.sqs.send_message().queue_url(url).message_body(body).send().await;
        sent.map(|_| ()).map_err(StackError::queue("sending to", queue))
    }

    /// The bodies of a queue's dead letters. They stay where they are.
    pub async fn dead_letters(&self, queue: &str) -> Result<Vec<String>, StackError> {
        let (name, url) = self.dead_letters_of(queue)?;
        let letters = self.take_all(name, url).await?;
        for letter in &letters {
            let request = self.sqs.change_message_visibility().queue_url(url).visibility_timeout(0);
            let request = request.set_receipt_handle(letter.receipt_handle.clone());
            request.send().await.map_err(StackError::queue("returning to", name))?;
        }
        Ok(letters.into_iter().filter_map(|letter| letter.body).collect())
    }

    /// Sends a queue's dead letters to it again, as an operator would once the cause is gone. Returns how many.
    pub async fn redrive(&self, queue: &str) -> Result<usize, StackError> {
        let (name, url) = self.dead_letters_of(queue)?;
        let letters = self.take_all(name, url).await?;
        for letter in &letters {
            self.send(queue, letter.body().unwrap_or_default()).await?;
            let request = self.sqs.delete_message().queue_url(url);
            let request = request.set_receipt_handle(letter.receipt_handle.clone());
            request.send().await.map_err(StackError::queue("deleting from", name))?;
        }
        Ok(letters.len())
    }

    /// Receives until nothing is left that can be seen.
    async fn take_all(&self, queue: &str, url: &str) -> Result<Vec<Message>, StackError> {
        let mut all = Vec::new();
        loop {
            let request = self.sqs.receive_message().queue_url(url).max_number_of_messages(10);
            let answer = request.wait_time_seconds(0).send().await;
            let messages =
                answer.map_err(StackError::queue("receiving from", queue))?.messages.unwrap_or_default();
            if messages.is_empty() {
                return Ok(all);
            }
            all.extend(messages);
        }
    }

    pub(super) fn queue(&self, name: &str) -> Result<&RunningQueue, StackError> {
        self.queues.get(name).ok_or_else(|| StackError::Unknown(name.to_owned()))
    }

    fn dead_letters_of(&self, queue: &str) -> Result<(&str, &str), StackError> {
        let dead_letters = self.queue(queue)?.dead_letters.as_deref();
        let name = dead_letters.ok_or_else(|| StackError::NoDeadLetters(queue.to_owned()))?;
        Ok((name, &self.queue(name)?.url))
    }
}

async fn deliver_one(source: &Source, redelivery: Option<Duration>) -> Result<Option<Delivered>, StackError> {
    let batch = source.receive().await?;
    if batch.is_empty() {
        return Ok(None);
    }
    source.deliver(&batch, redelivery).await.map(Some)
}

/// Dead-letter queues first, since a queue's rule names its own.
pub(super) async fn create_queues(
    template: &Template,
    engines: &Engines,
) -> Result<BTreeMap<String, RunningQueue>, StackError> {
    let mut specs: Vec<&QueueSpec> = template.queues.iter().map(|queue| &queue.spec).collect();
    specs.sort_by_key(|spec| spec.dlq.is_some());
    let mut queues = BTreeMap::new();
    for spec in specs {
        let url = engines.create_queue(spec).await?;
        let dead_letters = spec.dlq.as_ref().map(|(name, _)| name.clone());
        queues.insert(spec.name.clone(), RunningQueue { url, dead_letters });
    }
    Ok(queues)
}
