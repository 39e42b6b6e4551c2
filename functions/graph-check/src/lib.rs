//! Looks for the ring around an application.
//!
//! | | |
//! |---|---|
//! | triggered by | queue of graph checks, commands `check_graph` and `unlink_claims` |
//! | reads | `journeys`; `relations`, three hops, strongly consistent but for what the record says of firms; with the journeys of a ring's members at most [`relations::MAX_READS`] reads |
//! | writes | `relations`: the application's link, which loses its claims when the application ends without proving them, and the sighting of a suspicious ring; `journeys`: *graph checked*, and *ring found* at every other live member |
//! | emits | `decide`, when this was the last fact, and for each member whose decision the ring takes back |
//! | retries | a record that failed comes again; every step may be repeated |
//!
//! The order carries the guarantees. The link is written before anything is read, so of two members that apply in the
//! same instant at least one sees the other. The members are told before the check itself is recorded, so a run that
//! dies in between comes again and tells them, and once the check is recorded nobody is left to tell. Before a ring is
//! held against anybody the journeys of its members are looked at: what somebody claimed and never proved joins nobody.
//! A ring that hangs on claims that are still being checked waits for the application's own proof (*graph waits*), which
//! asks for the check again. Only applications with a ring that is suspicious, or that its members' scores could make so, pay
//! for all this, and only a suspicious one for the writes of a sighting. When the graph cannot be read nothing is recorded,
//! and without a graph check nothing is decided.

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
    relation::{Acts, FirmTies, KnownLinks, Link, Node, RecentActs, RelationGraph},
    rings::RingBook,
};
use relations::{FAN_OUT, Labels, Proof, Ring, Spread, Standing, TieSpread, link_of, without_claims};
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
    ties: Arc<dyn FirmTies>,
    acts: Arc<dyn RecentActs>,
    rings: Arc<dyn RingBook>,
    labels: Arc<Labels>,
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
        let id = message.application_id;
        match message.command {
            Command::CheckGraph => self.check(id).await,
            Command::UnlinkClaims => self.unlink_claims(id).await,
            _ => Err(RecordError::Handler("the queue of graph checks carries another command")),
        }
    }

    async fn check(&self, id: ApplicationId) -> Result<(), RecordError> {
        let loaded = self.journeys.load(id).await?.ok_or(AdvanceError::NotFound)?;
        let own = link_of(&loaded.journey.application, loaded.journey.received_at);
        if loaded.journey.status.is_end() {
            // What the channel saw stays linked, however early the journey ended. A run before this one may have linked
            // the rest.
            return match loaded.journey.is_proven() {
                true => Ok(self.graph.link(&own).await?),
                false => self.take_back(&own).await,
            };
        }
        if let Some(features) = loaded.journey.facts.graph.clone() {
            // Everybody was told before this was recorded; only its own command may have been lost.
            return self.record(loaded, features).await;
        }
        self.graph.link(&own).await?;
        let at = own.at;
        let Some(ring) = self.look_around(own, Proof::of(&loaded.journey)).await? else {
            return self.wait(loaded).await;
        };
        self.tell(id, &ring).await?;
        if let Some(sighting) = ring.sighting(id, at) {
            self.rings.record(&sighting).await?;
        }
        self.record(loaded, ring.features).await
    }

    /// Takes back what the application only claimed, if it has ended without proving it.
    async fn unlink_claims(&self, id: ApplicationId) -> Result<(), RecordError> {
        let Loaded { journey, .. } = self.journeys.load(id).await?.ok_or(AdvanceError::NotFound)?;
        if !journey.status.is_end() || journey.is_proven() {
            return Ok(());
        }
        self.take_back(&link_of(&journey.application, journey.received_at)).await
    }

    async fn take_back(&self, own: &Link) -> Result<(), RecordError> {
        let (seen, claims) = without_claims(own);
        self.graph.unlink(own, &claims).await?;
        // Who reads it at the device must not be led on to what it claimed.
        Ok(self.graph.link(&seen).await?)
    }

    /// The ring around an application that has proven so much of its own claims. What only claims hold together is looked
    /// at twice; `None` when it hangs on claims that are still being checked.
    pub async fn look_around(&self, own: Link, proof: Proof) -> Result<Option<Ring>, AdvanceError> {
        let mut ties = TieSpread::around(own.firm.clone(), own.at);
        let mut spread = Spread::around(own);
        let known = KnownLinks::default();
        let (device, window) = (spread.device().cloned(), spread.window());
        let acts = async {
            match &device {
                Some(device) => self.acts.acts(device, window, FAN_OUT).await,
                None => Ok(Acts::default()),
            }
        };
        let (_, _, acts) =
            futures::try_join!(self.explore(&mut spread, &known), self.explore_ties(&mut ties), acts)?;
        spread.act(acts);
        let tied_firms = spread.tie(ties);
        self.read(&mut spread, tied_firms, &known).await?;
        let ring = Ring::of(&spread, &self.labels);
        if !ring.is_doubtful() {
            return Ok(Some(ring));
        }
        let journeys = spread.doubtful().into_iter().map(|id| {
            let journeys = self.journeys.clone();
            async move {
                let loaded = journeys.load(id).await?;
                Ok::<_, AdvanceError>(loaded.map(|loaded| (id, Standing::of(&loaded.journey))))
            }
        });
        let journeys: Vec<_> = journeys.collect();
        let standings: Vec<_> = stream::iter(journeys).buffer_unordered(READS_AT_ONCE).try_collect().await?;
        spread.judge(proof, standings.into_iter().flatten());
        let believed = Ring::of(&spread, &self.labels);
        if !believed.is_doubtful() {
            return Ok(Some(believed));
        }
        spread.doubt_pending();
        let proven = Ring::of(&spread, &self.labels);
        Ok((proof == Proof::Proven || proven == believed).then_some(proven))
    }

    /// Puts the check off until the application has proven its own claims.
    async fn wait(&self, loaded: Loaded) -> Result<(), RecordError> {
        let id = loaded.journey.application.id;
        match self.journeys.advance_from(loaded, &[Event::GraphWaits]).await {
            Ok(_) => Ok(()),
            // It has proven them meanwhile, or has ended. The proof found the check still under way and asked for none.
            Err(AdvanceError::Transition(_)) => {
                Box::pin(self.check(id)).await?;
                self.unlink_claims(id).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the graph hop by hop, the nodes of each at once.
    async fn explore(&self, spread: &mut Spread, known: &KnownLinks) -> Result<(), PortError> {
        loop {
            let nodes = spread.next_hop();
            if nodes.is_empty() {
                return Ok(());
            }
            self.read(spread, nodes, known).await?;
        }
    }

    async fn read(&self, spread: &mut Spread, nodes: Vec<Node>, known: &KnownLinks) -> Result<(), PortError> {
        let window = spread.window();
        let reads = nodes.into_iter().map(|node| {
            let graph = Arc::clone(&self.graph);
            async move {
                let found = graph.neighbours(&node, window, FAN_OUT, known).await?;
                Ok::<_, PortError>((node, found))
            }
        });
        let mut found = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
        while let Some((node, neighbours)) = found.try_next().await? {
            spread.add(node, neighbours);
        }
        Ok(())
    }

    /// Reads what the record says around the firm, hop by hop.
    async fn explore_ties(&self, ties: &mut TieSpread) -> Result<(), PortError> {
        loop {
            let nodes = ties.next_hop();
            if nodes.is_empty() {
                return Ok(());
            }
            let reads = nodes.into_iter().map(|node| {
                let ties = Arc::clone(&self.ties);
                async move {
                    let found = ties.ties(&node, FAN_OUT).await?;
                    Ok::<_, PortError>((node, found))
                }
            });
            let mut found = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
            while let Some((node, found)) = found.try_next().await? {
                ties.add(node, found);
            }
        }
    }

    /// Tells every other member of the ring. One that has ended, or knows of a ring as large, needs no telling.
    async fn tell(&self, finder: ApplicationId, ring: &Ring) -> Result<(), AdvanceError> {
        let (notice, members) = (ring.notice(), ring.to_notify());
        if !members.is_empty() {
            tracing::warn!(
                application_id = %finder,
                ring_size = notice.ring_size,
                ring_firms = notice.ring_firms,
                label = notice.label.map(|label| label.as_str()),
                told = members.len(),
                "found a ring"
            );
        }
        let notices: Vec<_> =
            members.iter().map(|member| tell_one(self.journeys.clone(), *member, finder, notice)).collect();
        stream::iter(notices).buffer_unordered(NOTICES_AT_ONCE).try_collect().await
    }

    async fn record(&self, loaded: Loaded, features: GraphFeatures) -> Result<(), RecordError> {
        let id = loaded.journey.application.id;
        match self.journeys.advance_from(loaded, &[Event::GraphChecked { features }]).await {
            Ok(_) => Ok(()),
            // The journey ended while the graph was being read, and its claims may have been taken back before they were
            // written.
            Err(AdvanceError::Transition(_)) => self.unlink_claims(id).await,
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
