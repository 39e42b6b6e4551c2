//! The product under test: [`TestApp`] runs everything on memory and on a clock that the test sets, and nothing moves
//! unless the test lets it: [`TestApp::settle`] delivers messages and callbacks until there are none. Nothing sleeps.

pub mod analyst;
mod documented;
pub mod models;

use documented::Undocumented;
use domain::FirmRecord;
use jiff::{SignedDuration, Timestamp, civil::Date};
use local::{
    borrower::{Applicant, Borrower, BorrowerError, Wish},
    counterparties::CounterpartyOptions,
    keys::Keys,
    lending::{Lending, LendingOptions},
    load::{self, Loaded},
    people::{self, Owner},
};
use ports::{Clock as _, FixedClock};
use reqwest::Client;
use serde_json::Value;
use signing::KeyedHasher;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use telemetry::MetricLog;
use wiring::Offering;

/// When every test begins.
pub fn beginning() -> Timestamp {
    "2026-11-23T02:00:00Z".parse().expect("a time")
}

/// A key file in which each bank has a body key, one of AES and one of SM4.
fn keys_with_body_keys(folder: &Path) -> PathBuf {
    let mut keys = Keys::generate(["river-bank", "lake-bank"]).expect("keys");
    let body_keys = [signing::keys::a256gcm_key(), signing::keys::sm4gcm_key()];
    for (secrets, body_key) in keys.banks.values_mut().zip(body_keys) {
        *secrets = format!("{secrets} {}", body_key.expect("a key"));
    }
    let path = folder.join("keys.json");
    std::fs::write(&path, serde_json::to_vec(&keys).expect("JSON")).expect("a key file");
    path
}

/// The product with its clock.
pub struct TestApp {
    pub lending: Lending,
    pub clock: Arc<FixedClock>,
    pub client: Client,
    _undocumented: Undocumented,
}

/// How a test application differs from the usual one.
#[derive(Clone, Debug, Default)]
pub struct TestOptions {
    /// The SDK tries failed calls again, as on AWS.
    pub sdk_retries: bool,
    /// The banks ask for sealed bodies.
    pub sealed: bool,
    /// Folder for the tables, in place of memory.
    pub state: Option<PathBuf>,
    /// What is offered in place of the packaged products, at banks that no amount steers.
    pub offering: Option<Arc<Offering>>,
    /// Takes the lines of metrics.
    pub metrics: Option<Arc<Lines>>,
}

/// Keeps the lines of metrics.
#[derive(Debug, Default)]
pub struct Lines(Mutex<Vec<Value>>);

impl Lines {
    /// Those that were told since the last call of this.
    pub fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl MetricLog for Lines {
    fn line(&self, text: &str) {
        let line = serde_json::from_str(text).expect("a line is JSON");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl TestApp {
    pub async fn start() -> Self {
        Self::start_with(TestOptions { sdk_retries: true, ..TestOptions::default() }).await
    }

    pub async fn start_with(options: TestOptions) -> Self {
        let clock = Arc::new(FixedClock::at(beginning()));
        let folder = tempfile::tempdir().expect("a folder");
        let outside = clock.clone();
        let counterparties = CounterpartyOptions {
            delay: Some(sim::Delay::NONE),
            plain_banks: options.offering.is_some(),
            clock: Some(Arc::new(move || outside.now())),
            ..CounterpartyOptions::default()
        };
        let undocumented = Undocumented::default();
        let keys = options.sealed.then(|| keys_with_body_keys(folder.path()));
        let options = LendingOptions {
            state: options.state,
            keys,
            counterparties,
            background: false,
            sdk_retries: options.sdk_retries,
            bank_timeout: Some(Duration::from_millis(300)),
            clock: clock.clone(),
            offering: options.offering,
            metrics: options.metrics.map(|lines| lines as Arc<dyn MetricLog>),
            witness: Some(undocumented.witness()),
            ..LendingOptions::default()
        };
        let lending = Lending::start(options).await.expect("the product starts");
        let client = Client::new();
        Self { lending, clock, client, _undocumented: undocumented }
    }

    /// Puts a firm of the first city into the archive and gives its owner.
    pub async fn firm(&self, owner: &Owner) -> Owner {
        let key = signing::keys::decode_base64(&self.lending.keys.hash_key).expect("a key");
        let hasher = KeyedHasher::new(&key).expect("a key");
        let name = owner.name.clone().try_into().expect("a name");
        let id = owner.resident_id.clone().try_into().expect("an id");
        let legal_representative = Some(hasher.identity(&name, &id).to_string());
        let firm = FirmRecord { legal_representative, ..owner.firm.clone() };
        self.lending.store_firms(std::slice::from_ref(&firm)).await.expect("the firm is stored");
        Owner { firm, ..owner.clone() }
    }

    /// Puts the whole first city into the archive and the relation graph, as the runner does.
    pub async fn load_city(&self) {
        let key = signing::keys::decode_base64(&self.lending.keys.hash_key).expect("a key");
        let hasher = KeyedHasher::new(&key).expect("a key");
        let loaded = load::load(&city(), &hasher, today()).expect("the city loads");
        self.lending.store(&loaded).await.expect("the city is stored");
    }

    pub async fn sign_in(&self, applicant: Applicant) -> Borrower {
        self.try_sign_in(applicant).await.expect("the borrower signs in")
    }

    pub async fn try_sign_in(&self, applicant: Applicant) -> Result<Borrower, BorrowerError> {
        let channel = &self.lending.counterparties.channel_url;
        Borrower::sign_in(&self.client, &self.lending.url(), channel, applicant).await
    }

    /// Delivers messages and callbacks until there are none left.
    pub async fn settle(&self) {
        for _ in 0..1_000 {
            let delivered = self.lending.stack.drain().await.expect("the queues can be drained");
            self.lending.counterparties.idle().await;
            if delivered.handled == 0 && delivered.failed == 0 {
                return;
            }
        }
        panic!("the product never comes to rest");
    }

    /// Moves the clock, lets the sweeper look, and settles.
    pub async fn sweep_after(&self, wait: SignedDuration) {
        self.clock.advance(wait);
        self.lending.stack.run_schedule("sweeper").await.expect("the sweeper runs");
        self.settle().await;
    }

    /// The ledger, as a function sees it.
    pub fn ledger(&self) -> aws::DynamoLedger {
        aws::DynamoLedger::new(self.lending.aws.dynamodb.clone(), "payouts")
    }

    /// Payouts that the banks have paid, as (application id, fen).
    pub fn paid_by_banks(&self) -> Vec<(String, u64)> {
        let banks = self.lending.counterparties.banks.values();
        let entries = banks.flat_map(|bank| bank.book());
        let paid = entries.filter(|e| e.state == sim::bank::PayoutState::Paid);
        paid.map(|e| (e.application_id, e.amount_fen)).collect()
    }

    /// Ends it. No role may have refused anything, not even what its function could do without.
    pub async fn stop(self) {
        let denied = self.lending.roles.denied();
        self.lending.stop().await;
        assert!(denied.is_empty(), "{denied:?}");
    }
}

/// A loan of CNY 100,000 from the bank that has delegated the decision, accepted in advance.
pub fn quick() -> Wish {
    Wish {
        product: "river-quick",
        amount_fen: 10_000_000,
        term_months: 12,
        face_recognition: true,
        accept_up_to_bp: Some(1_500),
    }
}

/// The same, to be accepted once it is offered.
pub fn quick_without_acceptance() -> Wish {
    Wish { accept_up_to_bp: None, ..quick() }
}

/// The first city's owners, best score first.
pub fn owners() -> &'static [Owner] {
    static OWNERS: OnceLock<Vec<Owner>> = OnceLock::new();
    OWNERS.get_or_init(|| people::owners(&city(), loaded(), today()).expect("the city has owners"))
}

/// The first city, under a key of its own.
pub fn loaded() -> &'static Loaded {
    static LOADED: OnceLock<Loaded> = OnceLock::new();
    LOADED.get_or_init(|| {
        let hasher = KeyedHasher::new(&[1; 32]).expect("a key");
        load::load(&city(), &hasher, today()).expect("the city loads")
    })
}

/// Sound firms: old enough, with data from every source and enough revenue for [`quick`].
pub fn sound_owners() -> impl Iterator<Item = &'static Owner> {
    owners().iter().filter(|o| {
        !o.firm.is_banned() && o.age_days > 730 && o.supported_fen >= 30_000_000 && o.firm.sources.len() == 8
    })
}

/// Firms on which nearly everything is known and of which nothing else than the score speaks against a loan, weakest first.
pub fn weak_owners() -> impl Iterator<Item = &'static Owner> {
    owners().iter().rev().filter(|o| {
        !o.firm.is_banned() && o.age_days > 730 && o.supported_fen >= 30_000_000 && o.firm.sources.len() >= 6
    })
}

fn today() -> Date {
    domain::calendar::day_in_china(beginning())
}

fn city() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/local/city")
}

/// The code of the first reason in an answer.
pub fn first_reason(answer: &Value) -> &str {
    answer["reasons"][0]["code"].as_str().unwrap_or_default()
}
