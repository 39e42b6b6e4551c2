//! A deterministic simulation of the whole product: every function as it is deployed, the embedded store, clock, chance
//! and network under one seed.
//!
//! Nothing runs by itself. Each call to the store, a queue or a counterparty waits at a [`gate`] until the scheduler
//! ([`world`]) lets it happen, so the seed chooses the order of all effects of all invocations, and what goes wrong with
//! each ([`effects`]). When nothing is left to happen, what must hold is checked ([`invariants`]). The same seed gives the
//! same trace, byte for byte; so a failing seed is a failing test.
//!
//! | real | simulated |
//! |---|---|
//! | every function, wired from the template and held to its role; the SDK and its adapters; the embedded DynamoDB; signatures both ways | queues (delay, duplicates, order, dead letters), counterparties, Lambda's time-outs, clocks |

mod borrowers;
pub mod command;
mod counterparties;
mod effects;
mod faults;
mod gate;
mod invariants;
pub mod seeds;
mod tables;
mod world;

pub use faults::{Counts, FaultKind, Safeguard};

use crate::{
    engines::{
        kms::{Kms, MasterKey},
        spec,
    },
    lending::{RELEASE, TEMPLATE, registry_of},
    load::{self, LoadError},
    people::{self, Owner, PeopleError},
    roles::Roles,
    stack::{Registry, StackOptions, environment},
    template::Template,
};
use aws::{Aws, DynamoFirms};
use contract::names::{secret, setting};
use domain::product::Product;
use gate::{Effect, Ends, Gate};
use jiff::{SignedDuration, Timestamp};
use lambda_kit::{Environment, Function};
use ports::firms::FirmLoader as _;
use serde_json::json;
use signing::{KeyedHasher, Signer, Verifier};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tables::{Recording, Tables};
use wiring::Outside;
use world::World;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// One secret for all: what is simulated here is not the keeping of secrets.
const SECRET: &str = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const HASH_KEY: [u8; 32] = [1; 32];
const BANKS: [&str; 2] = ["river-bank", "lake-bank"];
/// How many of the city's firms borrow.
const FIRMS: usize = 24;

/// Functions by name, with their time-outs.
type Functions = BTreeMap<String, (Arc<dyn Function>, Duration)>;
/// The functions that know for a while what they have heard of a counterparty.
const REMEMBERING: [&str; 2] = ["payout", "notify"];

/// What a run does without, to prove that the simulation would notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub without: Option<Safeguard>,
}

/// What came of one seed.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub seed: u64,
    /// What happened, in order, one line each.
    pub trace: String,
    pub applications: u32,
    /// Effects, deliveries and other things that happened, one at a time.
    pub steps: u32,
    pub faults: Counts,
    /// Empty when everything held.
    pub violations: Vec<String>,
}

/// The functions with the gate that they are wired to. One machine runs one seed after the other, on one thread.
pub struct Machine {
    gate: Arc<Gate>,
    aws: Aws,
    functions: Functions,
    registry: Registry,
    roles: Arc<Roles>,
    environments: BTreeMap<String, Environment>,
    readers: BTreeMap<String, String>,
    redelivery: BTreeMap<String, (SignedDuration, u32)>,
    recording: Recording,
    owners: Arc<[Owner]>,
    products: Vec<Product>,
    signer: Signer,
    verifier: Verifier,
    beginning: Timestamp,
    runtime: tokio::runtime::Runtime,
}

/// Firms to borrow in the simulation, sound ones first, with their owners.
pub fn owners(city: &Path) -> Result<Arc<[Owner]>, AnyError> {
    let hasher = KeyedHasher::new(&HASH_KEY)?;
    let today = domain::calendar::day_in_china(beginning()?);
    let loaded = load::load(city, &hasher, today).map_err(|error: LoadError| Box::new(error) as AnyError)?;
    let all =
        people::owners(city, &loaded, today).map_err(|error: PeopleError| Box::new(error) as AnyError)?;
    let sound = all.into_iter().filter(|o| {
        !o.firm.is_banned() && o.age_days > 730 && o.supported_fen >= 30_000_000 && o.firm.sources.len() == 8
    });
    Ok(sound.take(FIRMS).collect())
}

fn beginning() -> Result<Timestamp, AnyError> {
    Ok("2026-11-23T02:00:00Z".parse()?)
}

impl Machine {
    /// Wires every function of the template to a gate.
    pub fn new(owners: Arc<[Owner]>) -> Result<Self, AnyError> {
        let template = Template::parse(TEMPLATE)?;
        let gate = Arc::new(Gate::default());
        let kms = MasterKey::generate().as_ref().and_then(Kms::new).ok_or("no master key could be made")?;
        let ends = Ends(gate.clone(), Arc::new(kms));
        let aws = ends.aws();
        let outside = Outside { network: Some(Arc::new(ends)), ..Outside::at(gate.clone()) };
        let options = stack_options(&template);
        let names = names(&template, &options);
        let roles = Arc::new(Roles::of(&template));
        let registry = registry_of(&outside, &roles);
        let (mut functions, mut environments) = (BTreeMap::new(), BTreeMap::new());
        for spec in &template.functions {
            // The secrets do not change here, so they are settings from the start.
            let environment = environment(spec, &names, &options)?.with(secrets());
            let function = registry.build(&spec.name, &environment, &aws)?;
            functions.insert(spec.name.clone(), (function, spec.timeout));
            environments.insert(spec.name.clone(), environment);
        }
        let sources = template.functions.iter().flat_map(|f| f.queue_sources.iter().map(move |s| (s, f)));
        let readers = sources.map(|(source, f)| (source.queue.clone(), f.name.clone())).collect();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let mut machine = Self {
            gate,
            aws,
            functions,
            registry,
            roles,
            environments,
            readers,
            redelivery: redelivery(&template),
            recording: Recording::default(),
            owners,
            products: wiring::products()?.iter().cloned().collect(),
            signer: Signer::parse([SECRET])?,
            verifier: Verifier::parse([SECRET])?,
            beginning: beginning()?,
            runtime,
        };
        machine.recording = machine.record(&template)?;
        Ok(machine)
    }

    /// Runs one seed.
    pub fn run(&self, seed: u64, plan: Plan) -> Report {
        let mut world = match World::new(self, seed, plan) {
            Ok(world) => world,
            Err(error) => {
                let violations = vec![format!("the tables were not made: {error}")];
                return Report { seed, violations, ..Report::default() };
            }
        };
        self.runtime.block_on(tokio::task::unconstrained(world.run()));
        world.check();
        let applications = world.borrowers.iter().filter(|b| b.application.is_some()).count() as u32;
        let (steps, faults, violations) = (world.steps, world.counts, world.violations);
        Report { seed, trace: world.trace, applications, steps, faults, violations }
    }

    /// The functions of one run. Those that remember something between two invocations are new in each.
    fn functions(&self) -> Result<Functions, AnyError> {
        let mut functions = self.functions.clone();
        for name in REMEMBERING {
            if let (Some((function, _)), Some(environment)) =
                (functions.get_mut(name), self.environments.get(name))
            {
                *function = self.registry.build(name, environment, &self.aws)?;
            }
        }
        Ok(functions)
    }

    fn reader_of(&self, queue: &str) -> Option<String> {
        self.readers.get(queue).cloned()
    }

    fn redelivery_of(&self, queue: &str) -> (SignedDuration, u32) {
        self.redelivery.get(queue).copied().unwrap_or((SignedDuration::from_secs(60), 5))
    }

    /// Runs something on tables with nothing going wrong. `None` when it waits for anything but the tables.
    fn ask<T>(&self, tables: &Tables, what: impl Future<Output = T>) -> Option<T> {
        self.ask_and_see(tables, what, |_, _| ())
    }

    fn ask_and_see<T>(
        &self,
        tables: &Tables,
        what: impl Future<Output = T>,
        mut see: impl FnMut(&str, &[u8]),
    ) -> Option<T> {
        let _context = self.runtime.enter();
        let mut what = Box::pin(tokio::task::unconstrained(what));
        self.gate.enter(0, self.beginning);
        loop {
            if let Poll::Ready(done) = what.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Some(done);
            }
            let numbers = self.gate.ready(Timestamp::MAX);
            if numbers.is_empty() {
                return None;
            }
            for waiting in numbers.into_iter().filter_map(|number| self.gate.take(number)) {
                if let Effect::DynamoDb { operation, body, answer } = waiting.effect {
                    see(&operation, &body);
                    let said = tables.call(&operation, &body);
                    let _ = answer.send(Some((said.status, said.body)));
                }
            }
        }
    }

    /// Makes the tables and stores the firms once, and keeps the calls that did it.
    fn record(&self, template: &Template) -> Result<Recording, AnyError> {
        let tables = Tables::new(&Recording::default())?;
        let mut recording = Recording::default();
        for table in &template.tables {
            let made = self.ask_and_see(
                &tables,
                spec::create_table(&self.aws.dynamodb, &table.spec),
                |operation, body| {
                    if operation == "CreateTable" {
                        recording.tables.push(body.to_vec());
                    }
                },
            );
            made.ok_or("making a table waits for something else")??;
        }
        let archive = DynamoFirms::new(self.aws.dynamodb.clone(), crate::template::local_name("Firms"));
        let hasher = KeyedHasher::new(&HASH_KEY)?;
        for owner in self.owners.iter() {
            let name = owner.name.clone().try_into().map_err(|_| "a name")?;
            let id = owner.resident_id.clone().try_into().map_err(|_| "an id")?;
            let legal_representative = Some(hasher.identity(&name, &id).to_string());
            let firm = domain::FirmRecord { legal_representative, ..owner.firm.clone() };
            let code = firm.firm_code.to_string();
            let firms = [firm];
            let stored = self.ask_and_see(&tables, archive.put(&firms), |_, body| {
                recording.firms.insert(code.clone(), body.to_vec());
            });
            stored.ok_or("storing a firm waits for something else")??;
        }
        Ok(recording)
    }
}

fn redelivery(template: &Template) -> BTreeMap<String, (SignedDuration, u32)> {
    let queues = template.queues.iter().map(|queue| {
        let visibility = SignedDuration::from_secs(i64::from(queue.spec.visibility_timeout_s));
        let most = queue.spec.dlq.as_ref().map_or(5, |(_, most)| *most);
        (queue.spec.name.clone(), (visibility, most))
    });
    queues.collect()
}

fn names(template: &Template, options: &StackOptions) -> HashMap<String, String> {
    let defaults =
        template.parameters.iter().filter_map(|(name, default)| Some((name.clone(), default.clone()?)));
    let tables = template.tables.iter().map(|table| (table.logical_id.clone(), table.spec.name.clone()));
    let queues = template
        .queues
        .iter()
        .map(|queue| (queue.logical_id.clone(), format!("http://sqs.test/{}", queue.spec.name)));
    defaults
        .chain(options.parameters.clone())
        .chain(tables)
        .chain(queues)
        .chain(template.local_names())
        .collect()
}

fn secrets() -> [(String, String); 6] {
    let banks: BTreeMap<&str, &str> = BANKS.iter().map(|bank| (*bank, SECRET)).collect();
    let token_key = signing::keys::token_key_pair().map(|pair| pair.pkcs8).unwrap_or_default();
    [
        (secret::FACE_PROVIDER_SECRETS, SECRET.to_owned()),
        (secret::PHONE_PROVIDER_SECRETS, SECRET.to_owned()),
        (secret::CHANNEL_SECRETS, SECRET.to_owned()),
        (secret::BANK_SECRETS, json!(banks).to_string()),
        (secret::HASH_KEY, "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".to_owned()),
        (secret::TOKEN_KEY, token_key),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

fn stack_options(template: &Template) -> StackOptions {
    let far = "http://far.test".to_owned();
    let urls: BTreeMap<&str, String> = BANKS.iter().map(|bank| (*bank, far.clone())).collect();
    let parameters = [
        ("PublicUrl", "http://us.test".to_owned()),
        ("Release", RELEASE.to_owned()),
        ("FaceProviderUrl", far.clone()),
        ("PhoneProviderUrl", far.clone()),
        ("ChannelUrl", far.clone()),
        ("BankUrls", json!(urls).to_string()),
        ("HashKeyId", signing::national::key_id(&HASH_KEY)),
        // Of a key that nobody has: the bucket of models is empty.
        ("ModelSigners", format!("artpk_{}", signing::keys::hashing_key().unwrap_or_default())),
    ];
    let settings = [
        (setting::STATEMENTS_URL, "memory:///".to_owned()),
        (setting::MODELS_URL, "memory:///".to_owned()),
        // Nobody asks for an export here.
        (setting::EXPORTS_URL, "memory:///".to_owned()),
        (setting::RELATIONS_ARN, crate::engines::table_arn("relations")),
        (setting::ALLOW_LOCAL, "true".to_owned()),
    ];
    let known = |name: &str| template.parameters.contains_key(name);
    StackOptions {
        parameters: parameters
            .into_iter()
            .filter(|(n, _)| known(n))
            .map(|(n, v)| (n.to_owned(), v))
            .collect(),
        settings: settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..StackOptions::default()
    }
}
