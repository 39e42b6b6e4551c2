//! Labels a recorded city with the code that production runs: `label <lines.jsonl>` reads links and overdue loans in the
//! order of time, as `models/training/rings.py` writes them, and prints one line per application.
//!
//! Each application is linked, checked against the graph as it stands, and tells the other members, as
//! `functions/graph-check` does; only the store is a map here.

use domain::{ApplicationId, RingId, calendar::day_in_china, checks::DIMENSIONS, ring::RingLabel};
use jiff::{SignedDuration, Timestamp, civil::Date};
use ports::relation::{Link, LoanOutcome, Neighbours, Node, NodeKind, Tie, TieKind, Ties, Window};
use relations::{FAN_OUT, Feature, Labels, Proof, Ring, Size, Spread, Standing, TieSpread};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

/// From so many points on the strategy lends; `models/strategies` has it.
const ACCEPTED: i32 = 590;
/// A firm is scored within so many seconds.
const SCORED_AFTER: SignedDuration = SignedDuration::from_secs(10);

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Outcome {
        outcome: LoanOutcome,
        nodes: Vec<Node>,
    },
    Application {
        link: Box<Link>,
        score: Score,
        truth: String,
        group: String,
        proof: Claimed,
        /// `<guarantor>><debtor>`, of the guarantees that the firm gives or has.
        #[serde(default)]
        guarantees: Vec<String>,
    },
}

/// Points, and what each of the [`DIMENSIONS`] adds or costs.
#[derive(Clone, Copy, Deserialize)]
struct Score(i32, [i32; DIMENSIONS.len()]);

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Claimed {
    Void,
    Proven,
}

#[derive(Default)]
struct Store {
    links: Vec<Arc<Link>>,
    at: HashMap<Node, Vec<usize>>,
    outcomes: HashMap<Node, BTreeMap<ApplicationId, LoanOutcome>>,
    ties: HashMap<Node, Vec<Tie>>,
}

impl Store {
    fn link(&mut self, link: Link) {
        for node in &link.nodes {
            self.at.entry(node.clone()).or_default().push(self.links.len());
        }
        self.links.push(Arc::new(link));
    }

    /// The record names a guarantee with both firms, from the first application of either on.
    fn guarantee(&mut self, guarantee: &str, on: Date) -> Result<(), Box<dyn Error>> {
        let (guarantor, debtor) = guarantee.split_once('>').ok_or("a guarantee has two firms")?;
        let firm = |code: &str| Node { kind: NodeKind::Firm, hash: code.to_owned() };
        let tie = Tie {
            kind: TieKind::Guarantee,
            firm: guarantor.parse()?,
            party: firm(debtor),
            first_seen: on,
            last_seen: on,
            count: 1,
            source: "rings.py".to_owned(),
        };
        for node in [firm(guarantor), firm(debtor)] {
            let known = self.ties.entry(node).or_default();
            if known.iter().all(|known| (&known.firm, &known.party) != (&tie.firm, &tie.party)) {
                known.push(tie.clone());
            }
        }
        Ok(())
    }

    /// What the adapter answers: the newest links of the window.
    fn neighbours(&self, node: &Node, window: Window) -> Neighbours {
        let limit = FAN_OUT as usize;
        let places = self.at.get(node).map_or([].as_slice(), Vec::as_slice).iter().rev();
        let links = places.map(|place| &self.links[*place]).take_while(|link| window.holds(link.at));
        let mut links: Vec<Arc<Link>> = links.take(limit + 1).cloned().collect();
        let mut outcomes: Vec<LoanOutcome> =
            self.outcomes.get(node).into_iter().flat_map(BTreeMap::values).copied().collect();
        let (cut_off, outcomes_cut_off) = (links.len() > limit, outcomes.len() > limit);
        links.truncate(limit);
        outcomes.truncate(limit);
        Neighbours { links, outcomes, cut_off, outcomes_cut_off }
    }
}

/// What is known of an application.
struct Known {
    truth: String,
    group: String,
    proof: Claimed,
    score: Score,
    at: Timestamp,
    own: Option<RingLabel>,
    heard: Option<RingLabel>,
    ring: Option<RingId>,
    points: BTreeMap<&'static str, i32>,
    reads: usize,
    judged: usize,
    nanoseconds: u128,
    size: Size,
    features: BTreeMap<&'static str, u32>,
}

#[derive(Serialize)]
struct Answer<'a> {
    application: ApplicationId,
    truth: &'a str,
    group: &'a str,
    /// Its own check's label, and the worst that it ever heard.
    own: Option<RingLabel>,
    heard: Option<RingLabel>,
    ring: Option<RingId>,
    points: &'a BTreeMap<&'static str, i32>,
    reads: usize,
    judged: usize,
    nanoseconds: u128,
    size: u32,
    firms: u32,
    features: &'a BTreeMap<&'static str, u32>,
}

#[expect(clippy::disallowed_methods, reason = "an evaluation measures the machine's own time")]
fn check(
    store: &Store,
    known: &HashMap<ApplicationId, Known>,
    own: Link,
    labels: &Labels,
) -> (Ring, usize, usize, u128) {
    let at = own.at;
    let started = Instant::now();
    // The store's own work is not counted.
    let mut reading = Duration::ZERO;
    let mut read = |node: &Node, window: Window| {
        let asked = Instant::now();
        let found = store.neighbours(node, window);
        reading += asked.elapsed();
        found
    };
    let mut ties = TieSpread::around(own.firm.clone(), own.at);
    loop {
        let nodes = ties.next_hop();
        if nodes.is_empty() {
            break;
        }
        for node in nodes {
            let known = store.ties.get(&node).cloned().unwrap_or_default();
            ties.add(node, Ties { ties: known, cut_off: false });
        }
    }
    let mut spread = Spread::around(own);
    loop {
        let nodes = spread.next_hop();
        if nodes.is_empty() {
            break;
        }
        for node in nodes {
            let found = read(&node, spread.window());
            spread.add(node, found);
        }
    }
    for firm in spread.tie(ties) {
        let found = read(&firm, spread.window());
        spread.add(firm, found);
    }
    let mut ring = Ring::of(&spread, labels);
    let mut judged = 0;
    if ring.is_doubtful() {
        let standing = |id: ApplicationId| {
            let other = known.get(&id)?;
            let proof = match other.proof {
                Claimed::Void => Proof::Void,
                Claimed::Proven => Proof::Proven,
            };
            let score = (at.duration_since(other.at) >= SCORED_AFTER).then_some(other.score);
            let Score(points, dimensions) = score.unwrap_or(Score(ACCEPTED, [0; DIMENSIONS.len()]));
            let declined = points < ACCEPTED || other.heard.is_some_and(RingLabel::is_suspicious);
            let costs = dimensions.map(|points| points.min(0).unsigned_abs());
            let points = score.map(|Score(points, _)| points);
            Some((id, Standing { proof, declined, points, costs, ring: other.ring }))
        };
        let doubtful = spread.doubtful();
        judged = doubtful.len();
        // A ring that waits for a proof is seen as it is once that is there.
        spread.judge(Proof::Proven, doubtful.into_iter().filter_map(standing));
        ring = Ring::of(&spread, labels);
    }
    let reads = spread.reads();
    (ring, reads, judged, (started.elapsed() - reading).as_nanos())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: label <lines.jsonl> [<labels.json>]")?;
    let labels = match arguments.next() {
        Some(file) => Labels::read(&std::fs::read_to_string(file)?)?,
        None => Labels::in_force()?,
    };
    let mut store = Store::default();
    let mut known: HashMap<ApplicationId, Known> = HashMap::new();
    for line in BufReader::new(File::open(file)?).lines() {
        let (link, score, truth, group, proof, guarantees) = match serde_json::from_str(&line?)? {
            Line::Outcome { outcome, nodes } => {
                for node in nodes {
                    let loans = store.outcomes.entry(node).or_default();
                    loans.insert(outcome.payout.application_id(), outcome);
                }
                continue;
            }
            Line::Application { link, score, truth, group, proof, guarantees } => {
                (*link, score, truth, group, proof, guarantees)
            }
        };
        let (own, at) = (link.application, link.at);
        for guarantee in &guarantees {
            store.guarantee(guarantee, day_in_china(link.at))?;
        }
        store.link(link.clone());
        let (ring, reads, judged, nanoseconds) = check(&store, &known, link, &labels);
        let notice = ring.notice();
        let size = Size { applications: notice.ring_size, firms: notice.ring_firms };
        let profile = ring.features.verdict.as_ref().map(|v| v.profile).unwrap_or_default();
        let gained: Vec<_> = labels
            .rules
            .iter()
            .filter_map(|rule| Some((rule.label.as_str(), rule.points(size, &profile)? - rule.fits)))
            .collect();
        for other in ring.to_notify() {
            if let Some(other) = known.get_mut(other) {
                other.heard = other.heard.max(notice.label);
                other.ring = [other.ring, notice.ring].into_iter().flatten().min();
                for (label, points) in &gained {
                    let most = other.points.entry(label).or_insert(*points);
                    *most = (*most).max(*points);
                }
            }
        }
        let points = gained.into_iter().collect();
        let features = Feature::ALL.iter().map(|(f, name)| (*name, f.of(size, &profile))).collect();
        let (own_label, ring) = (notice.label, notice.ring);
        let answer = Known {
            truth,
            group,
            proof,
            score,
            at,
            own: own_label,
            heard: own_label,
            ring,
            points,
            reads,
            judged,
            nanoseconds,
            size,
            features,
        };
        known.insert(own, answer);
    }
    write(&store, &known)
}

/// One line for each application, in the order in which they came.
fn write(store: &Store, known: &HashMap<ApplicationId, Known>) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for link in &store.links {
        let Some(k) = known.get(&link.application) else { continue };
        let answer = Answer {
            application: link.application,
            truth: &k.truth,
            group: &k.group,
            own: k.own,
            heard: k.heard,
            ring: k.ring,
            points: &k.points,
            reads: k.reads,
            judged: k.judged,
            nanoseconds: k.nanoseconds,
            size: k.size.applications,
            firms: k.size.firms,
            features: &k.features,
        };
        serde_json::to_writer(&mut out, &answer)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
