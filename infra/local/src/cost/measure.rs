//! Plays the demo's mix by hand, one application after the other, so that the same calls are made every time: messages
//! are delivered one by one, callbacks are let in one by one, and time passes only where it is made to.

use super::usage::{self, Functions, Usage};
use crate::{
    borrower::{Applicant, Borrower, Wish},
    counterparties::CounterpartyOptions,
    demo::{self, Case, Then},
    engines::Write,
    lending::{Lending, LendingOptions},
    load, log_bytes, people,
};
use jiff::{SignedDuration, Timestamp};
use ports::{Clock as _, FixedClock, relation::Tie};
use reqwest::Client;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// When it begins. With nanoseconds, since times are stored as they are written and most have some.
const BEGINNING: &str = "2026-11-23T02:00:00.123456789Z";
/// How long callbacks may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a bank may take to answer; one of the cases waits for it.
const BANK_TIMEOUT: Duration = Duration::from_millis(500);
/// The sweeper comes every minute.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// What one case of the mix used.
#[derive(Clone, Debug)]
pub struct CaseUsage {
    pub name: &'static str,
    pub applications: u32,
    /// All applications of the case together.
    pub functions: Functions,
    /// What was written, in order.
    pub writes: Vec<Write>,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    pub cases: Vec<CaseUsage>,
    /// A run of the sweeper that finds nothing: it comes every minute, whatever happens.
    pub idle_sweep: Usage,
    /// Memory of each function by the template, in megabytes.
    pub memory_mb: BTreeMap<String, u32>,
    /// Most messages in a batch of each function.
    pub batch_sizes: BTreeMap<String, u32>,
}

struct Player {
    lending: Lending,
    gate: sim::Gate,
    clock: Arc<FixedClock>,
    client: Client,
}

/// Plays every case of the demo, and fails unless each ends as it should.
pub async fn measure() -> Result<Measured, AnyError> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/city"));
    let beginning: Timestamp = BEGINNING.parse()?;
    let player = Player::start(beginning).await?;
    let key = signing::keys::decode_base64(&player.lending.keys.hash_key)?;
    let today = domain::calendar::day_in_china(beginning);
    let mut loaded = load::load(folder, &signing::KeyedHasher::new(&key)?, today)?;
    let owners = people::owners(folder, &loaded, today)?;
    let mix = demo::cases(&owners, &loaded.ties, 0)?;
    let firms: BTreeSet<&str> = mix.iter().map(|case| case.applicant.firm_code.as_str()).collect();
    loaded.ties = near(&loaded.ties, &firms);
    player.lending.store(&loaded).await?;
    let measured = player.measure(mix).await;
    player.lending.stop().await;
    measured
}

/// The ties within three steps of the firms. The check of an application goes two; storing the city's would take longer
/// than all the rest.
fn near(ties: &[Tie], firms: &BTreeSet<&str>) -> Vec<Tie> {
    const STEPS: u32 = 3;
    let mut reached: BTreeSet<&str> = firms.clone();
    for _ in 1..STEPS {
        let touched = ties.iter().map(|tie| [tie.firm.as_str(), tie.party.hash.as_str()]);
        let touched = touched.filter(|ends| ends.iter().any(|end| reached.contains(end)));
        let touched: Vec<&str> = touched.flatten().collect();
        reached.extend(touched);
    }
    let is_near =
        |tie: &&Tie| reached.contains(tie.firm.as_str()) || reached.contains(tie.party.hash.as_str());
    ties.iter().filter(is_near).cloned().collect()
}

impl Player {
    async fn start(beginning: Timestamp) -> Result<Self, AnyError> {
        let clock = Arc::new(FixedClock::at(beginning));
        let (gate, outside) = (sim::Gate::default(), clock.clone());
        let counterparties = CounterpartyOptions {
            delay: Some(sim::Delay::NONE),
            clock: Some(Arc::new(move || outside.now())),
            gate: Some(gate.clone()),
            ..CounterpartyOptions::default()
        };
        let options = LendingOptions {
            counterparties,
            background: false,
            bank_timeout: Some(BANK_TIMEOUT),
            clock: clock.clone(),
            metrics: Some(Arc::new(log_bytes::CountedMetrics)),
            ..LendingOptions::default()
        };
        Ok(Self { lending: Lending::start(options).await?, gate, clock, client: Client::new() })
    }

    async fn measure(&self, mix: Vec<Case>) -> Result<Measured, AnyError> {
        self.sweep().await?;
        self.take();
        self.sweep().await?;
        let idle = usage::sum(self.take().values());
        let mut cases: Vec<CaseUsage> = Vec::new();
        let mut all = mix.into_iter().peekable();
        while let Some(first) = all.next() {
            // Applications of one name belong together: a ring is found when its last member applies.
            let mut members = vec![first];
            while let Some(next) = all.next_if(|case| case.name == members[0].name) {
                members.push(next);
            }
            cases.push(self.play(&members, &idle).await?);
        }
        let stack = &self.lending.stack;
        let (memory_mb, batch_sizes) = (stack.memory_mb(), stack.batch_sizes());
        Ok(Measured { cases, idle_sweep: idle, memory_mb, batch_sizes })
    }

    /// One case, and two minutes after it, in which the sweeper looks twice.
    async fn play(&self, members: &[Case], idle: &Usage) -> Result<CaseUsage, AnyError> {
        self.take();
        self.lending.engines.take_writes();
        let mut played = Vec::new();
        for (place, case) in members.iter().enumerate() {
            played.push(self.apply(case, place).await?);
        }
        self.sweep().await?;
        self.sweep().await?;
        for (case, (borrower, id)) in members.iter().zip(&played) {
            let answer = borrower.read(id).await?;
            if answer["status"] != case.expected {
                return Err(
                    format!("{}: {} in place of {}", case.name, answer["status"], case.expected).into()
                );
            }
        }
        let writes = self.lending.engines.take_writes();
        let mut functions = self.take();
        let sweeper = functions.entry("sweeper".to_owned()).or_default();
        *sweeper -= idle;
        *sweeper -= idle;
        // The next case must not find this one in the overlap of the sweeper's runs.
        self.clock.advance(MINUTE + MINUTE);
        self.sweep().await?;
        let applications = u32::try_from(members.len())?;
        Ok(CaseUsage { name: members[0].name, applications, functions, writes })
    }

    /// From the sign-in until nothing moves any more. The status is read once where the borrower has to answer.
    async fn apply(&self, case: &Case, place: usize) -> Result<(Borrower, String), AnyError> {
        let borrower = self.sign_in(case.applicant.clone()).await?;
        let id = self.ask(&borrower, &case.wish, &format!("{}-{place}", case.name)).await?;
        self.settle().await?;
        if matches!(case.then, Then::Accept | Then::Cancel) {
            let seen: Value = borrower.read(&id).await?;
            match case.then {
                Then::Accept => borrower.accept(&id, &seen).await?,
                _ => borrower.cancel(&id).await?,
            };
            self.settle().await?;
        }
        Ok((borrower, id))
    }

    async fn sign_in(&self, applicant: Applicant) -> Result<Borrower, AnyError> {
        let (url, channel) = (self.lending.url(), &self.lending.counterparties.channel_url);
        Ok(Borrower::sign_in(&self.client, &url, channel, applicant).await?)
    }

    async fn ask(&self, borrower: &Borrower, wish: &Wish, name: &str) -> Result<String, AnyError> {
        // An idempotency key has no spaces.
        let key: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        Ok(borrower.apply(wish, &key).await?)
    }

    /// Delivers messages one batch at a time, and callbacks one at a time, until there are none.
    async fn settle(&self) -> Result<(), AnyError> {
        loop {
            let mut moved = false;
            for queue in self.lending.stack.queues() {
                moved |= self.lending.stack.deliver(&queue).await?.is_some();
                self.callbacks_wait().await?;
            }
            if !moved && !self.gate.let_one_out() {
                return Ok(());
            }
            self.callbacks_wait().await?;
        }
    }

    /// Until every callback that is under way stands before the gate.
    async fn callbacks_wait(&self) -> Result<(), AnyError> {
        let waiting = async {
            while self.lending.counterparties.under_way() != self.gate.waiting() {
                tokio::task::yield_now().await;
            }
        };
        Ok(tokio::time::timeout(PATIENCE, waiting).await?)
    }

    /// A minute passes, the sweeper looks, and what it sent is brought to its end.
    async fn sweep(&self) -> Result<(), AnyError> {
        self.clock.advance(MINUTE);
        self.lending.stack.run_schedule("sweeper").await?;
        self.settle().await
    }

    fn take(&self) -> Functions {
        usage::take(&self.lending)
    }
}
