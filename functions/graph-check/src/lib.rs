//! Looks for the ring around an application.
//!
//! | | |
//! |---|---|
//! | triggered by | queue of graph checks, command `check_graph` |
//! | reads | `journeys`; `relations`, strongly consistent, two hops, at most [`relations::MAX_READS`] nodes |
//! | writes | `relations`: the application's link; `journeys`: *graph checked*, and *ring found* at every other live member |
//! | emits | `decide`, when this was the last fact, and for each member whose decision the ring takes back |
//! | retries | a record that failed comes again; every step may be repeated |
//!
//! The order carries the guarantees. The link is written before anything is read, so of two members that apply in the
//! same instant at least one sees the other. The members are told before the check itself is recorded, so a run that
//! dies in between comes again and tells them, and once the check is recorded nobody is left to tell. When the graph
//! cannot be read nothing is recorded, and without a graph check nothing is decided.

mod wire;

pub use wire::{wire, wire_in};

use async_trait::async_trait;
use contract::queue::CommandMessage;
use domain::{
    ApplicationId,
    checks::{GraphFeatures, RingNotice},
    journey::{Command, Event},
};
use futures::{StreamExt, TryStreamExt, stream};
use lambda_kit::{Failure, Function, Incoming, RecordError, batch};
use ports::{
    PortError,
    relation::{Link, Node, RelationGraph},
};
use relations::{FAN_OUT, Neighbourhood, Ring, link_of};
use serde_json::Value;
use std::sync::Arc;
use steps::{AdvanceError, Journeys, Loaded};

/// Nodes read at once.
const READS_AT_ONCE: usize = 16;
/// Members told at once.
const NOTICES_AT_ONCE: usize = 8;

/// The function with everything that it reaches.
#[derive(Clone)]
pub struct GraphChecker {
    journeys: Journeys,
    graph: Arc<dyn RelationGraph>,
}

#[async_trait]
impl Function for GraphChecker {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        let Incoming::Batch(records) = Incoming::parse(event)? else {
            return Err(Failure::new("reading a batch", "graph-check is woken by its queue only"));
        };
        let checker = self.clone();
        Ok(batch::run(records, move |message| {
            let checker = checker.clone();
            async move { checker.handle(message).await }
        })
        .await)
    }
}

impl GraphChecker {
    async fn handle(&self, message: CommandMessage) -> Result<(), RecordError> {
        if message.command != Command::CheckGraph {
            return Err(RecordError::Handler("the queue of graph checks carries another command"));
        }
        let id = message.application_id;
        let loaded = self.journeys.load(id).await?.ok_or(AdvanceError::NotFound)?;
        let own = link_of(&loaded.journey.application, loaded.journey.received_at);
        if loaded.journey.status.is_end() {
            // Identities that were burnt on a device stay linked to it, however early the journey ended.
            return Ok(self.graph.link(&own).await?);
        }
        if let Some(features) = loaded.journey.facts.graph.clone() {
            // Everybody was told before this was recorded; only its own command may have been lost.
            return self.record(loaded, features).await;
        }
        self.graph.link(&own).await?;
        let ring = Ring::of(&self.explore(own).await?);
        self.tell(id, &ring).await?;
        self.record(loaded, ring.features).await
    }

    /// Reads the graph around an application: its own nodes, then those of the applications found there.
    async fn explore(&self, own: Link) -> Result<Neighbourhood, PortError> {
        let mut around = Neighbourhood::around(own);
        self.read(&mut around, Neighbourhood::first_hop).await?;
        self.read(&mut around, Neighbourhood::second_hop).await?;
        Ok(around)
    }

    async fn read(
        &self,
        around: &mut Neighbourhood,
        hop: fn(&Neighbourhood) -> Vec<Node>,
    ) -> Result<(), PortError> {
        let reads = hop(around).into_iter().map(|node| {
            let graph = Arc::clone(&self.graph);
            async move {
                let found = graph.neighbours(&node, FAN_OUT).await?;
                Ok::<_, PortError>((node, found))
            }
        });
        let mut found = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        while let Some((node, neighbours)) = found.try_next().await? {
            around.add(node, neighbours);
        }
        Ok(())
    }

    /// Tells every other member of the ring. One that has ended, or knows of a ring as large, needs no telling.
    async fn tell(&self, finder: ApplicationId, ring: &Ring) -> Result<(), AdvanceError> {
        let (notice, members) = (ring.notice(), ring.to_notify());
        if !members.is_empty() {
            tracing::warn!(
                application_id = %finder,
                ring_size = notice.ring_size,
                ring_firms = notice.ring_firms,
                told = members.len(),
                "found a ring"
            );
        }
        let notices: Vec<_> =
            members.iter().map(|member| tell_one(self.journeys.clone(), *member, finder, notice)).collect();
        stream::iter(notices).buffer_unordered(NOTICES_AT_ONCE).try_collect().await
    }

    async fn record(&self, loaded: Loaded, features: GraphFeatures) -> Result<(), RecordError> {
        match self.journeys.advance_from(loaded, &[Event::GraphChecked { features }]).await {
            Ok(_) => Ok(()),
            // The journey ended while the graph was being read.
            Err(AdvanceError::Transition(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

async fn tell_one(
    journeys: Journeys,
    member: ApplicationId,
    finder: ApplicationId,
    ring: RingNotice,
) -> Result<(), AdvanceError> {
    match journeys.advance(member, &Event::RingFound { finder, ring }).await {
        Ok(_) | Err(AdvanceError::NotFound | AdvanceError::Transition(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
