//! Checks over the store: the function's own look around an application.

use super::{
    AnyError,
    city::{Application, City},
    table::Loaded,
};
use crate::{engines::Engines, template::local_name};
use aws::{Aws, DynamoRelations};
use contract::names::setting;
use graph_check::GraphChecker;
use hdrhistogram::Histogram;
use lambda_kit::Environment;
use ports::relation::{KnownLinks, Link, Neighbours, Node, RelationGraph as _};
use relations::{FAN_OUT, Proof, Spread};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    process::Command,
    time::Instant,
};
use wiring::Outside;

/// Checks that warm the store up and are not counted.
const WARM_UP: usize = 200;

/// What checks took.
pub(super) struct Times {
    /// Microseconds.
    pub times: Histogram<u64>,
    /// Calls for one check.
    pub reads: Histogram<u64>,
    /// Applications in the ring.
    pub members: Histogram<u64>,
}

impl Times {
    pub(super) fn none() -> Result<Self, AnyError> {
        let histogram = || Histogram::<u64>::new_with_bounds(1, 60_000_000, 3);
        Ok(Self { times: histogram()?, reads: histogram()?, members: histogram()? })
    }

    pub(super) fn row(&self, name: &str) -> Vec<String> {
        let ms = |q: f64| self.times.value_at_quantile(q) as f64 / 1_000.0;
        let number = |of: &Histogram<u64>, q: f64| of.value_at_quantile(q).to_string();
        vec![
            name.to_owned(),
            self.times.len().to_string(),
            format!("{:.2} / {:.2} / {:.2}", ms(0.5), ms(0.99), self.times.max() as f64 / 1_000.0),
            format!("{} / {} / {}", number(&self.reads, 0.5), number(&self.reads, 0.99), self.reads.max()),
            format!("{} / {}", number(&self.members, 0.5), self.members.max()),
        ]
    }
}

fn checker(engines: &Engines) -> Result<GraphChecker, AnyError> {
    let aws = Aws::from_sdk_config(&engines.sdk_config());
    let tables = [(setting::JOURNEYS_TABLE, "Journeys"), (setting::RELATIONS_TABLE, "Relations")];
    let tables = tables.map(|(setting, table)| (setting.to_owned(), local_name(table)));
    Ok(graph_check::wire_in(&Environment::from_map(HashMap::from(tables)), &aws, &Outside::real())?)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
async fn check(
    engines: &Engines,
    checker: &GraphChecker,
    link: Link,
    times: &mut Times,
) -> Result<(), AnyError> {
    engines.reset_calls();
    let started = Instant::now();
    let ring = checker.look_around(link, Proof::Proven).await?;
    let elapsed = started.elapsed();
    let reads: u64 = engines.calls().values().map(|calls| calls.calls).sum();
    times.times.saturating_record(u64::try_from(elapsed.as_micros())?);
    times.reads.saturating_record(reads);
    times.members.saturating_record(ring.map_or(0, |ring| ring.features.ring_size.into()));
    Ok(())
}

fn link(city: &City, of: &Application) -> Result<Link, AnyError> {
    city.link(*of).ok_or_else(|| "the city has no more codes".into())
}

/// Every check twice, and the second time counts: what it reads is in memory.
pub(super) async fn warm(city: &City, loaded: &Loaded, of: &[Application]) -> Result<Times, AnyError> {
    let (engines, _) = loaded.open()?;
    let checker = checker(&engines)?;
    let mut ignored = Times::none()?;
    for application in of.iter().chain(of.iter().cycle().take(WARM_UP)) {
        check(&engines, &checker, link(city, application)?, &mut ignored).await?;
    }
    let mut times = Times::none()?;
    for application in of {
        check(&engines, &checker, link(city, application)?, &mut times).await?;
    }
    engines.stop().await;
    Ok(times)
}

/// Before every check the engine is started anew and the operating system forgets the file, so that each page comes from
/// the disk once.
pub(super) async fn cold(city: &City, loaded: &Loaded, of: &[Application]) -> Result<Times, AnyError> {
    let mut times = Times::none()?;
    for application in of {
        forget(&loaded.database())?;
        let (engines, _) = loaded.open()?;
        let checker = checker(&engines)?;
        check(&engines, &checker, link(city, application)?, &mut times).await?;
        engines.stop().await;
    }
    Ok(times)
}

/// `dd` can ask for that without being root.
fn forget(file: &Path) -> Result<(), AnyError> {
    let input = format!("if={}", file.display());
    let forgotten = Command::new("dd").args([&input, "iflag=nocache", "count=0", "status=none"]).status()?;
    if forgotten.success() { Ok(()) } else { Err("dd could not make the system forget the file".into()) }
}

/// A neighbourhood as a check reads it.
pub(super) struct Neighbourhood {
    pub own: Link,
    pub read: BTreeMap<Node, Neighbours>,
}

/// Reads neighbourhoods into memory.
pub(super) async fn neighbourhoods(
    city: &City,
    loaded: &Loaded,
    of: &[Application],
) -> Result<Vec<Neighbourhood>, AnyError> {
    let (engines, aws) = loaded.open()?;
    let graph = DynamoRelations::new(aws.dynamodb.clone(), local_name("Relations"));
    let mut all = Vec::new();
    for application in of {
        let own = link(city, application)?;
        let (mut read, known) = (BTreeMap::new(), KnownLinks::default());
        let mut spread = Spread::around(own.clone());
        loop {
            let nodes = spread.next_hop();
            if nodes.is_empty() {
                break;
            }
            for node in nodes {
                let found = graph.neighbours(&node, spread.window(), FAN_OUT, &known).await?;
                read.insert(node.clone(), found.clone());
                spread.add(node, found);
            }
        }
        all.push(Neighbourhood { own, read });
    }
    engines.stop().await;
    Ok(all)
}
