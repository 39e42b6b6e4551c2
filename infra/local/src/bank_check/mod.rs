//! `bank-check`: plays our side against a bank's endpoint and tells which rules of `BANKS.md` it meets.
//!
//! | | |
//! |---|---|
//! | triggered by | the command line, and tests |
//! | sends | signed instructions and questions in the very form of the product, and spoiled ones |
//! | receives | the bank's callbacks, on a receiver of its own |
//! | writes | nothing |
//!
//! Every probe has payouts of its own, so that a rule is judged by what the bank did about that rule. What a probe needs
//! to know of a payout, it takes from the bank's answers and from its callbacks alike: a bank that fails in one of them
//! is told that, and not that everything else failed too. Judgements that could change while callbacks are still on
//! their way are made at the end ([`Check::last_look`]).
//!
//! | file | holds |
//! |---|---|
//! | `command.rs` | the command line |
//! | `keys.rs`, `tls.rs` | keys and roots of trust |
//! | `client.rs` | requests, well and badly signed, and what all answers had in common |
//! | `receiver.rs` | the callback receiver |
//! | `probes.rs`, `last_look.rs` | the rules |
//! | `report.rs` | the table, and JSON |

mod client;
pub mod command;
mod keys;
mod last_look;
mod probes;
mod receiver;
mod report;
mod tls;

pub use keys::{CheckKeys, CheckKeysError};
pub use report::{Finding, Report, Rule, Verdict};

use client::Client;
use contract::bank::BankState;
use domain::{ApplicationId, PayoutId};
use ports::Clock;
use receiver::{Receiver, Way};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use url::Url;

/// What to check, and with what.
#[derive(Clone)]
pub struct CheckOptions {
    /// The bank's base URL, as the product has it in its settings.
    pub url: Url,
    pub keys: CheckKeys,
    /// Where the callback receiver listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// How the bank reaches the receiver, if not under the address that it listens on. The last part of the path is added.
    pub callback_url: Option<Url>,
    /// Allows `http` and addresses that are not public.
    pub allow_local: bool,
    /// PEM file with roots to trust besides the public ones.
    pub ca: Option<PathBuf>,
    /// Of each payout, in fen. One probe instructs one fen more.
    pub amount_fen: u64,
    pub payee: TestPayee,
    /// Longest wait for a callback, for its redelivery, and for a payout to be finished.
    pub patience: Duration,
    /// Longest that an answer may take.
    pub answer_within: Duration,
    /// How long to listen at the end for what should not come.
    pub quiet: Duration,
}

/// Who receives the test payouts. Somebody that the bank's test system knows.
#[derive(Clone)]
pub struct TestPayee {
    pub name: String,
    pub bank_card: String,
    pub firm_code: String,
}

/// How long an answer may take: as long as `payout` waits, which the template says.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

impl CheckOptions {
    /// 100 yuan, a payee that does not exist, 60 s for a callback, [`ANSWER_WITHIN`] for an answer, 2 s of quiet.
    pub fn new(url: Url, keys: CheckKeys) -> Self {
        Self {
            url,
            keys,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            callback_url: None,
            allow_local: false,
            ca: None,
            amount_fen: 10_000,
            payee: TestPayee {
                name: "张伟".to_owned(),
                bank_card: "4111111111111111".to_owned(),
                firm_code: "91350100M000100Y43".to_owned(),
            },
            patience: Duration::from_secs(60),
            answer_within: ANSWER_WITHIN,
            quiet: Duration::from_secs(2),
        }
    }
}

/// The check itself could not run. Never carries a key.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("the callback receiver cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the roots of trust cannot be read")]
    Roots(#[from] tls::RootsError),
    #[error("the HTTP client could not be built")]
    Client(#[from] reqwest::Error),
    #[error("no key or id could be made")]
    Key(#[from] signing::KeyError),
    #[error("an id is not one that a message can have")]
    Id(#[from] signing::webhook::NotAMessageId),
    #[error("a request could not be written")]
    Form(#[from] serde_json::Error),
    #[error("the address of a bank must be an http or https URL with a host and nothing after its path")]
    Address,
    #[error("an amount must lie between 1 fen and 10 million yuan")]
    Amount,
}

/// One payout of a probe.
#[derive(Clone)]
struct TestPayout {
    id: PayoutId,
    application: ApplicationId,
    amount_fen: u64,
    way: Way,
}

/// A check under way.
struct Check {
    options: CheckOptions,
    client: Client,
    receiver: Receiver,
    findings: BTreeMap<Rule, (Verdict, String)>,
    /// Bank references that the answers to questions named.
    references: BTreeMap<PayoutId, BTreeSet<String>>,
    /// What is judged in the last look.
    open: probes::Open,
}

/// Largest amount of a test payout, in fen.
const MOST_FEN: u64 = 1_000_000_000;

/// How often a payout that is not finished is asked about again, at the least.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Runs every rule that can be run. The report is complete even where the bank did not play along; an error means that
/// the check itself could not work.
pub async fn run(options: CheckOptions, clock: Arc<dyn Clock>) -> Result<Report, CheckError> {
    let url = options.url.to_string();
    let allow_local = options.allow_local;
    let mut check = Check::start(options, clock).await?;
    if check.transport().await && check.first_payout().await? {
        check.questions().await?;
        check.signatures().await?;
        check.idempotency().await?;
        check.time_out().await?;
        check.callbacks().await?;
        check.last_look().await?;
    }
    check.answers();
    Ok(Report::new(url, allow_local, check.findings))
}

impl Check {
    async fn start(options: CheckOptions, clock: Arc<dyn Clock>) -> Result<Self, CheckError> {
        if !(1..=MOST_FEN).contains(&options.amount_fen) {
            return Err(CheckError::Amount);
        }
        let receiver = Receiver::start(&options, Arc::clone(&clock)).await?;
        let client = Client::new(&options, clock)?;
        Ok(Self {
            options,
            client,
            receiver,
            findings: BTreeMap::new(),
            references: BTreeMap::new(),
            open: probes::Open::default(),
        })
    }

    /// Judges a rule. A rule that is not met stays so, whatever is seen later; one that is met several times has been
    /// seen in each of these ways.
    fn judge(&mut self, rule: Rule, is_met: bool, seen: impl Into<String>) {
        let seen = seen.into();
        match self.findings.get_mut(&rule) {
            Some((Verdict::NotMet, _)) => {}
            Some((Verdict::Met, before)) if is_met => {
                if !before.contains(&seen) {
                    before.push_str("; ");
                    before.push_str(&seen);
                }
            }
            _ => {
                let verdict = if is_met { Verdict::Met } else { Verdict::NotMet };
                self.findings.insert(rule, (verdict, seen));
            }
        }
    }

    fn not_tested(&mut self, rule: Rule, why: impl Into<String>) {
        self.findings.entry(rule).or_insert_with(|| (Verdict::NotTested, why.into()));
    }

    /// A payout that the bank has never seen.
    fn payout(&self, way: Way) -> Result<TestPayout, CheckError> {
        let application = ApplicationId::from_bytes(signing::keys::random_bytes()?);
        let amount_fen = self.options.amount_fen;
        Ok(TestPayout { id: application.payout_id(), application, amount_fen, way })
    }

    /// Asks about a payout, and keeps the reference that the answer names.
    async fn ask(&mut self, payout: &TestPayout) -> Result<client::Told, CheckError> {
        let told = self.client.ask(payout.id).await?;
        if let Some(reference) = &told.bank_reference {
            self.references.entry(payout.id).or_default().insert(reference.clone());
        }
        Ok(told)
    }

    /// Asks until the payout is finished, or its callback has come, or patience ends. Returns the last answer.
    async fn until_finished(&mut self, payout: &TestPayout) -> Result<client::Told, CheckError> {
        let deadline = Instant::now() + self.options.patience;
        loop {
            let called_back = self.receiver.count(payout.id) > 0;
            let told = self.ask(payout).await?;
            let is_final =
                matches!(told.state, Some(BankState::Paid | BankState::Refused | BankState::Failed));
            if is_final || called_back || Instant::now() >= deadline {
                return Ok(told);
            }
            let pause = ASK_EVERY.min(deadline.saturating_duration_since(Instant::now()));
            self.receiver.wait_for(payout.id, 1, pause).await;
        }
    }

    /// Every bank reference under which this payout was paid, as far as anybody told.
    fn references(&self, payout: PayoutId) -> BTreeSet<String> {
        let mut references = self.references.get(&payout).cloned().unwrap_or_default();
        references.extend(self.receiver.references(payout));
        references
    }
}
