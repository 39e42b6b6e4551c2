//! The same neighbourhoods, already in memory, in three libraries: ours, networkx and python-igraph. Each makes a graph of
//! what was read, finds the ring and its features; the features have to be the same.

use super::{AnyError, checks::Neighbourhood};
use domain::ApplicationId;
use hdrhistogram::Histogram;
use ports::relation::{Link, Neighbours, Node};
use relations::{Labels, Ring, Spread};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const TURNS: usize = 5;
/// The libraries as the script names them.
const OTHERS: [&str; 2] = ["networkx", "igraph"];

/// What a library took for a neighbourhood, in nanoseconds.
pub(super) struct Library {
    pub name: String,
    pub times: Histogram<u64>,
}

impl Library {
    fn new(name: &str) -> Result<Self, AnyError> {
        Ok(Self { name: name.to_owned(), times: Histogram::new_with_bounds(1, 60_000_000_000, 3)? })
    }

    pub(super) fn row(&self, ours: &Self) -> Vec<String> {
        let us = |q: f64| self.times.value_at_quantile(q) as f64 / 1_000.0;
        let ratio = |of: fn(&Histogram<u64>) -> f64| of(&self.times) / of(&ours.times);
        vec![
            self.name.clone(),
            format!("{:.1} / {:.1} / {:.1}", us(0.5), us(0.99), self.times.mean() / 1_000.0),
            format!("×{:.0}", ratio(|times| times.value_at_quantile(0.5) as f64)),
            format!("×{:.0}", ratio(Histogram::mean)),
        ]
    }
}

/// Lets the libraries take turns; ours is the first.
pub(super) fn measure(all: &[Neighbourhood], python: Option<&Path>) -> Result<Vec<Library>, AnyError> {
    let labels = Labels::in_force()?;
    let mut ours = Library::new("ours")?;
    let mut expected = Vec::new();
    let mut others = python.map(|python| Others::start(python, all)).transpose()?;
    let mut libraries = OTHERS
        .iter()
        .filter(|_| others.is_some())
        .map(|name| Library::new(name))
        .collect::<Result<Vec<_>, _>>()?;
    for _ in 0..TURNS {
        expected = all.iter().map(|one| take_a_turn(one, &labels, &mut ours)).collect();
        let Some(others) = &mut others else { continue };
        for library in &mut libraries {
            let answer = others.ask(&library.name)?;
            for nanoseconds in answer.nanoseconds {
                library.times.saturating_record(nanoseconds);
            }
            if let Some(place) = (0..all.len()).find(|at| answer.features.get(*at) != expected.get(*at)) {
                let (theirs, ours) = (answer.features.get(place), &expected[place]);
                return Err(format!("{} found {theirs:?} where ours found {ours:?}", library.name).into());
            }
        }
    }
    drop(expected);
    libraries.insert(0, ours);
    Ok(libraries)
}

/// As the adapter hands it over: every link read out once, a moment ago.
fn as_just_read(of: &Neighbourhood) -> BTreeMap<Node, Neighbours> {
    let mut known: BTreeMap<ApplicationId, Arc<Link>> = BTreeMap::new();
    let mut once = |link: &Arc<Link>| -> Arc<Link> {
        Arc::clone(known.entry(link.application).or_insert_with(|| Arc::new(Link::clone(link))))
    };
    let read = of.read.iter().map(|(node, found)| {
        let links = found.links.iter().map(&mut once).collect();
        (node.clone(), Neighbours { links, ..found.clone() })
    });
    read.collect()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
fn take_a_turn(of: &Neighbourhood, labels: &Labels, ours: &mut Library) -> Value {
    let (own, mut read) = (of.own.clone(), as_just_read(of));
    let started = Instant::now();
    // Finding what was read is the store's work.
    let mut reading = Duration::ZERO;
    let mut spread = Spread::around(own);
    loop {
        let nodes = spread.next_hop();
        if nodes.is_empty() {
            break;
        }
        for node in nodes {
            let asked = Instant::now();
            let found = read.remove(&node).unwrap_or_default();
            reading += asked.elapsed();
            spread.add(node, found);
        }
    }
    let ring = Ring::of(&spread, labels);
    let elapsed = started.elapsed().saturating_sub(reading);
    ours.times.saturating_record(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    features(&ring)
}

/// What the libraries have to agree on, in the order in which the script gives it.
fn features(ring: &Ring) -> Value {
    let features = &ring.features;
    let Some(profile) = features.verdict.as_ref().map(|verdict| verdict.profile) else {
        return json!([features.ring_size, features.ring_firms]);
    };
    json!([
        features.ring_size,
        features.ring_firms,
        profile.persons,
        profile.devices,
        profile.cards,
        profile.phones,
        profile.addresses,
        profile.networks,
        profile.lenders,
        profile.density_percent,
        profile.shared_device_percent,
        profile.shared_card_percent,
        profile.shared_phone_percent,
        profile.shared_person_percent,
        profile.shared_address_percent,
        profile.shared_network_percent,
        profile.places,
        profile.same_amount_percent,
        profile.new_accounts,
        profile.stacked_lenders,
        profile.burst,
        profile.span_hours,
        profile.persons_on_device,
        profile.firms_on_card,
        profile.firms_on_phone,
        profile.firms_of_person,
    ])
}

#[derive(Deserialize)]
struct Answer {
    nanoseconds: Vec<u64>,
    features: Vec<Value>,
}

/// The Python process, which is asked line by line.
struct Others {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Others {
    fn start(python: &Path, all: &[Neighbourhood]) -> Result<Self, AnyError> {
        let script =
            PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/training/ring_speed.py"));
        let mut process =
            Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = process.stdin.take().ok_or("python has no input")?;
        let output = BufReader::new(process.stdout.take().ok_or("python has no output")?);
        let mut others = Self { process, input, output };
        let told: Vec<Value> = all.iter().map(told).collect();
        serde_json::to_writer(&mut others.input, &told)?;
        others.input.write_all(b"\n")?;
        others.input.flush()?;
        Ok(others)
    }

    fn ask(&mut self, library: &str) -> Result<Answer, AnyError> {
        writeln!(self.input, "{library}")?;
        self.input.flush()?;
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("python ended before it had answered".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        // It ends with its input; whatever it does, it must not outlive this.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A neighbourhood for the script: every link once, and which of them were read at each node.
fn told(of: &Neighbourhood) -> Value {
    let name = |node: &Node| json!([node.kind.as_str(), node.hash]);
    let mut seen = BTreeSet::new();
    let all = of.read.values().flat_map(|found| &found.links).map(|link| &**link).chain([&of.own]);
    let once: Vec<Value> = all
        .filter(|link| seen.insert(link.application))
        .map(|link| {
            let nodes: Vec<Value> = link.nodes.iter().map(name).collect();
            json!({
                "id": link.application,
                "firm": link.firm,
                "bank": link.bank,
                "place": link.place,
                "amount": link.amount_fen,
                "account_days": link.account_days,
                "at": link.at.as_second(),
                "nodes": nodes,
            })
        })
        .collect();
    let read: Vec<Value> = of
        .read
        .iter()
        .map(|(node, found)| {
            let at: Vec<_> = found.links.iter().map(|link| link.application).collect();
            json!({ "node": name(node), "cut_off": found.cut_off, "links": at })
        })
        .collect();
    json!({ "own": of.own.application, "links": once, "read": read })
}
