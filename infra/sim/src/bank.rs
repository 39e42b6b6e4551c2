//! A bank. Start as many as there are banks; each has its own keys, limit and book.
//!
//! | route | signed by the lender | answer |
//! |---|---|---|
//! | `POST /payouts` | yes | 202, then a signed callback; the same `payout_id` with other terms: 409 |
//! | `POST /payouts/query` | yes | the state of one payout |
//! | `GET /book` | no, on loopback only | every payout of this bank |
//! | `GET /statement?day=2026-11-02&format=csv` | no, on loopback only | the day's file, as [`Statement`] has it; `format=jsonl` too |
//! | `POST /loans/{payout_id}/reports` | no, on loopback only | 202 and the callback that goes out, as [`Report`] has it |
//!
//! A payout is paid at most once, however often and in whatever way it is instructed. An instruction that is repeated is
//! answered 202 and its callback, if it was ever to come, comes again under the same message id.
//!
//! With `approval = bank_confirms` the bank refuses what is above [`BankConfig::limit_fen`] and pays the rest; with
//! `delegated` it pays.
//!
//! # How to make it misbehave
//!
//! Name the payout in [`BankConfig::behaviours`], or instruct a whole number of yuan that ends in:
//!
//! | yuan end in | [`Behaviour`] | answer to the instruction | money | callback |
//! |---|---|---|---|---|
//! | 77 | `TimeOutAfterPaying` | held back for [`BankConfig::hold`]; 202 when repeated | paid at once | none, ever |
//! | 78 | `ErrorOnce` | 500 the first time, then 202 | paid once, on the second | `paid` |
//! | 79 | `Refuse` | 202 | none | `refused` |
//! | 80 | `FailToPay` | 202 | none | `failed` |
//! | 81 | `ThrottleOnce` | 429 with `Retry-After: 1` the first time, then 202 | paid once, on the second | `paid` |
//! | 82 | `AnswerGarbage` | 200 and a page of HTML | paid | `paid` |
//! | 83 | `Redirect` | 307 to another address, always | none | none |
//! | 84 | `Gone` | 410, always | none | none |
//! | 85 | `PaySilently` | 202 | paid | none, ever |
//! | 86 | `CallBackTwice` | 202 | paid once | `paid`, twice |
//! | 87 | `Drip` | 200, then one byte a second without end; 202 when repeated | paid at once | none, ever |
//! | 88 | `ChangeItsMind` | 202 | paid | `paid`, then `failed`, then `paid`: three messages, each with an id of its own |
//! | 89 | `SayFailedThenPay` | 202 | paid, after the first callback was taken | `failed`, then `paid`: two messages |

mod reports;
mod statement;

pub use crate::book::{BookEntry, PayoutState};
pub use reports::{NotReported, Report, Reported};
pub use statement::{Statement, StatementLine};

use crate::{
    Clock, Delay, Gate, Handle, Keys, StartError,
    book::{Book, Record},
    courier::{Courier, callback_id, is_callback_url},
    digest, pause,
    request::{Refusal, signed},
    server::{Background, serve},
    system_clock,
};
use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What the bank does with an instruction; the table of this module tells the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// 202, and a callback with the bank's decision.
    Usual,
    TimeOutAfterPaying,
    ErrorOnce,
    Refuse,
    FailToPay,
    ThrottleOnce,
    AnswerGarbage,
    Redirect,
    Gone,
    PaySilently,
    CallBackTwice,
    Drip,
    ChangeItsMind,
    SayFailedThenPay,
}

impl Behaviour {
    fn by_amount(amount_fen: u64) -> Self {
        match (amount_fen / 100 % 100, amount_fen % 100) {
            (77, 0) => Self::TimeOutAfterPaying,
            (78, 0) => Self::ErrorOnce,
            (79, 0) => Self::Refuse,
            (80, 0) => Self::FailToPay,
            (81, 0) => Self::ThrottleOnce,
            (82, 0) => Self::AnswerGarbage,
            (83, 0) => Self::Redirect,
            (84, 0) => Self::Gone,
            (85, 0) => Self::PaySilently,
            (86, 0) => Self::CallBackTwice,
            (87, 0) => Self::Drip,
            (88, 0) => Self::ChangeItsMind,
            (89, 0) => Self::SayFailedThenPay,
            _ => Self::Usual,
        }
    }

    /// What is called back about a payout that ended so: the number of the message, and the outcome that it tells.
    fn words(self, ended: PayoutState) -> Vec<(u32, PayoutState)> {
        match self {
            Self::TimeOutAfterPaying | Self::PaySilently | Self::Drip => Vec::new(),
            Self::CallBackTwice => vec![(1, ended), (1, ended)],
            Self::ChangeItsMind => vec![(1, ended), (2, PayoutState::Failed), (3, ended)],
            // The first message went out before the end.
            Self::SayFailedThenPay => vec![(2, ended)],
            _ => vec![(1, ended)],
        }
    }

    /// Whether the money moves before the instruction is answered.
    fn pays_at_once(self) -> bool {
        matches!(self, Self::TimeOutAfterPaying | Self::Drip)
    }
}

/// Settings of one bank.
#[derive(Clone)]
pub struct BankConfig {
    /// Starts every bank reference.
    pub name: String,
    /// 0 picks a free port.
    pub port: u16,
    pub keys: Keys,
    /// Between the answer and the payment.
    pub delay: Delay,
    /// Before the first redelivery of a callback; doubles with each further one.
    pub redelivery_pause: Duration,
    /// How long [`Behaviour::TimeOutAfterPaying`] holds its answer back.
    pub hold: Duration,
    /// Most that this bank approves for one payout when it decides itself, in fen.
    pub limit_fen: u64,
    /// By payout id; comes before the table of this module.
    pub behaviours: BTreeMap<String, Behaviour>,
    /// Whether that table counts. Amounts that nobody chose must steer nothing.
    pub steered_by_amount: bool,
    /// Keeps the book over restarts.
    pub book: Option<PathBuf>,
    pub clock: Clock,
    /// Holds callbacks back until they are let out; they go by themselves without one.
    pub gate: Option<Gate>,
}

impl BankConfig {
    /// Usual delays, a free port, a limit of 1,000,000 yuan, a book in memory, the machine's clock.
    pub fn new(name: &str, keys: Keys) -> Self {
        Self {
            name: name.to_owned(),
            port: 0,
            keys,
            delay: Delay::default(),
            redelivery_pause: Duration::from_millis(50),
            hold: Duration::from_secs(30),
            limit_fen: 100_000_000,
            behaviours: BTreeMap::new(),
            steered_by_amount: true,
            book: None,
            clock: system_clock(),
            gate: None,
        }
    }
}

/// A running bank.
pub struct BankHandle {
    server: Handle,
    bank: Arc<Bank>,
}

impl BankHandle {
    /// Base URL, without a slash at the end.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Every payout that this bank holds, oldest first.
    pub fn book(&self) -> Vec<BookEntry> {
        self.bank.book().entries()
    }

    /// The file of one day in China.
    pub fn statement(&self, day: Date) -> Statement {
        Statement::of(&self.bank.book().entries(), day)
    }

    /// Tells the lender what became of a loan, by a signed callback to where the payout's own callback went. Returns
    /// what is said; it is delivered in the background, and [`Self::idle`] waits for it.
    pub fn report(&self, payout_id: &str, report: Report) -> Result<Reported, NotReported> {
        self.bank.report(payout_id, report)
    }

    /// Waits until every payment is made and every callback taken, refused or given up.
    pub async fn idle(&self) {
        self.server.idle().await;
    }

    /// How many payments and callbacks are under way.
    pub fn under_way(&self) -> usize {
        self.server.under_way()
    }

    /// Ends answers that are held back, drops what is still due, and ends.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// Starts a bank, and carries on with what its book says it has received and not finished.
pub async fn start(config: BankConfig) -> Result<BankHandle, StartError> {
    let background = Background::new();
    let bank = Arc::new(Bank {
        courier: Courier::new(Arc::clone(&config.clock), config.redelivery_pause, config.gate.clone())?,
        background: background.clone(),
        book: Mutex::new(Book::open(config.book.as_deref()).map_err(StartError::Book)?),
        stumbled: Mutex::default(),
        config,
    });
    let unfinished = bank.book().unfinished();
    let router = Router::new()
        .route("/payouts", post(instruct))
        .route("/payouts/query", post(query))
        .route("/book", get(book))
        .route("/statement", get(statement::get))
        .route("/loans/{payout_id}/reports", post(reports::post))
        .with_state(Arc::clone(&bank));
    let server = serve(bank.config.port, router, background).await?;
    for payout_id in unfinished {
        bank.carry_on(payout_id);
    }
    Ok(BankHandle { server, bank })
}

struct Bank {
    config: BankConfig,
    courier: Courier,
    background: Background,
    book: Mutex<Book>,
    /// Payouts that have had the one failure that they were to have.
    stumbled: Mutex<HashSet<String>>,
}

/// The lender's instruction. Holds personal data, so it cannot be printed.
#[derive(Deserialize)]
struct Instruction {
    payout_id: String,
    application_id: String,
    amount_fen: u64,
    annual_rate_bp: u32,
    term_months: u32,
    product: String,
    payee: Payee,
    approval: Approval,
    callback_url: String,
}

#[derive(Deserialize)]
struct Payee {
    name: String,
    bank_card: String,
    firm_code: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Approval {
    Delegated,
    BankConfirms,
}

impl Instruction {
    /// Stands for everything that must not change when an instruction is repeated.
    fn terms(&self) -> signing::KeyedHash {
        let terms = serde_json::json!([
            self.application_id,
            self.amount_fen,
            self.annual_rate_bp,
            self.term_months,
            self.product,
            self.payee.name,
            self.payee.bank_card,
            self.payee.firm_code,
            self.approval == Approval::BankConfirms,
        ]);
        digest("terms", &terms.to_string())
    }

    fn is_usable(&self) -> bool {
        let ids = [&self.payout_id, &self.application_id];
        ids.iter().all(|id| (1..=128).contains(&id.len()))
            && self.amount_fen > 0
            && self.term_months > 0
            && is_callback_url(&self.callback_url)
    }
}

#[derive(Deserialize)]
struct Query {
    payout_id: String,
}

#[derive(Serialize)]
struct Standing {
    payout_id: String,
    state: StandingState,
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_fen: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum StandingState {
    UnknownToUs,
    #[serde(untagged)]
    Known(PayoutState),
}

#[derive(Serialize)]
struct Callback<'a> {
    payout_id: &'a str,
    application_id: &'a str,
    outcome: PayoutState,
    bank_reference: &'a str,
    amount_fen: u64,
    at: jiff::Timestamp,
}

async fn instruct(
    State(bank): State<Arc<Bank>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let instruction: Instruction = signed(&bank.config.keys, &bank.config.clock, &headers, &body)?;
    if !instruction.is_usable() {
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, "the instruction is not usable"));
    }
    let behaviour = bank.behaviour(&instruction);
    if let Some(answer) = bank.turn_away(&instruction, behaviour) {
        return Ok(answer);
    }
    let payout_id = instruction.payout_id.clone();
    let is_new = bank.receive(instruction, behaviour)?;
    if is_new && behaviour.pays_at_once() {
        bank.settle(&payout_id);
    } else {
        bank.carry_on(payout_id);
    }
    Ok(bank.answer(behaviour, is_new).await)
}

async fn query(
    State(bank): State<Arc<Bank>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Standing>, Refusal> {
    let query: Query = signed(&bank.config.keys, &bank.config.clock, &headers, &body)?;
    let book = bank.book();
    let standing = match book.get(&query.payout_id) {
        None => Standing {
            payout_id: query.payout_id,
            state: StandingState::UnknownToUs,
            bank_reference: None,
            amount_fen: None,
        },
        Some(Record { entry, .. }) => Standing {
            payout_id: query.payout_id,
            state: StandingState::Known(entry.state),
            bank_reference: Some(entry.bank_reference.clone()),
            amount_fen: Some(entry.amount_fen),
        },
    };
    Ok(Json(standing))
}

async fn book(State(bank): State<Arc<Bank>>) -> Json<Vec<BookEntry>> {
    Json(bank.book().entries())
}

impl Bank {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn behaviour(&self, instruction: &Instruction) -> Behaviour {
        let named = self.config.behaviours.get(&instruction.payout_id).copied();
        named.unwrap_or_else(|| match self.config.steered_by_amount {
            true => Behaviour::by_amount(instruction.amount_fen),
            false => Behaviour::Usual,
        })
    }

    /// The answers after which the bank knows nothing of the instruction.
    fn turn_away(&self, instruction: &Instruction, behaviour: Behaviour) -> Option<Response> {
        let first_time = || {
            let mut stumbled = self.stumbled.lock().unwrap_or_else(PoisonError::into_inner);
            stumbled.insert(instruction.payout_id.clone())
        };
        match behaviour {
            Behaviour::Gone => Some(StatusCode::GONE.into_response()),
            Behaviour::Redirect => {
                let elsewhere = [(header::LOCATION, "/elsewhere")];
                Some((StatusCode::TEMPORARY_REDIRECT, elsewhere).into_response())
            }
            Behaviour::ErrorOnce if first_time() => Some(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
            Behaviour::ThrottleOnce if first_time() => {
                Some((StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response())
            }
            _ => None,
        }
    }

    /// Enters the instruction into the book, and tells whether it was new. Repeated, it may name a new callback
    /// address but nothing else.
    fn receive(&self, instruction: Instruction, behaviour: Behaviour) -> Result<bool, Refusal> {
        const NOT_WRITTEN: Refusal =
            Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the book could not be written");
        let terms = instruction.terms();
        let mut book = self.book();
        if let Some(known) = book.get(&instruction.payout_id) {
            if known.terms != terms {
                return Err(Refusal(StatusCode::CONFLICT, "this payout was instructed with other terms"));
            }
            if known.callback_url != instruction.callback_url {
                let moved = Record { callback_url: instruction.callback_url, ..known.clone() };
                book.put(moved).map_err(|_| NOT_WRITTEN)?;
            }
            return Ok(false);
        }
        if book.is_full() {
            return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "the book is full"));
        }
        let entry = BookEntry {
            bank_reference: book.next_reference(&self.config.name),
            amount_fen: instruction.amount_fen,
            state: PayoutState::Received,
            at: (self.config.clock)(),
            payout_id: instruction.payout_id,
            application_id: instruction.application_id,
        };
        let verdict = match (behaviour, instruction.approval) {
            (Behaviour::Refuse, _) => PayoutState::Refused,
            (Behaviour::FailToPay, _) => PayoutState::Failed,
            (_, Approval::BankConfirms) if entry.amount_fen > self.config.limit_fen => PayoutState::Refused,
            _ => PayoutState::Paid,
        };
        let callback_url = instruction.callback_url;
        let record = Record { entry, terms, callback_url, behaviour, verdict, reports: 0 };
        book.put(record).map_err(|_| NOT_WRITTEN)?;
        Ok(true)
    }

    /// Finishes a payout after the bank's usual time, and calls back.
    fn carry_on(self: &Arc<Self>, payout_id: String) {
        let bank = Arc::clone(self);
        self.background.spawn(async move {
            pause(bank.config.delay.of(&payout_id)).await;
            bank.speak_too_soon(&payout_id).await;
            bank.settle(&payout_id);
            bank.call_back(&payout_id).await;
        });
    }

    /// Moves the payout to its final state, once. A book that cannot be written leaves it where it was.
    fn settle(&self, payout_id: &str) {
        let mut book = self.book();
        while let Some(record) = book.get(payout_id).filter(|record| !record.entry.state.is_final()) {
            let mut record = record.clone();
            record.entry.state = match (record.entry.state, record.verdict) {
                (PayoutState::Received, PayoutState::Paid | PayoutState::Failed) => PayoutState::Approved,
                (_, verdict) => verdict,
            };
            record.entry.at = (self.config.clock)();
            if let Err(error) = book.put(record) {
                tracing::error!(payout_id, %error, "the book could not be written");
                return;
            }
        }
    }

    async fn call_back(&self, payout_id: &str) {
        let Some(record) = self.book().get(payout_id).filter(|record| record.entry.state.is_final()).cloned()
        else {
            return;
        };
        for (number, outcome) in record.behaviour.words(record.entry.state) {
            self.say(&record, number, outcome).await;
        }
    }

    /// Says `failed` about a payout that is still to be paid, if that is how the bank is to behave.
    async fn speak_too_soon(&self, payout_id: &str) {
        let is_open = |record: &&Record| {
            record.behaviour == Behaviour::SayFailedThenPay && !record.entry.state.is_final()
        };
        let Some(record) = self.book().get(payout_id).filter(is_open).cloned() else { return };
        self.say(&record, 1, PayoutState::Failed).await;
    }

    /// Delivers one word on a payout. The same number is the same message, however often it is said.
    async fn say(&self, record: &Record, number: u32, outcome: PayoutState) {
        let entry = &record.entry;
        let body = serde_json::to_vec(&Callback {
            payout_id: &entry.payout_id,
            application_id: &entry.application_id,
            outcome,
            bank_reference: &entry.bank_reference,
            amount_fen: entry.amount_fen,
            at: entry.at,
        });
        let Ok(body) = body else { return };
        let id = match number {
            1 => callback_id("payout", &entry.payout_id),
            later => callback_id(&format!("payout.{later}"), &entry.payout_id),
        };
        self.courier.deliver(&self.config.keys, &record.callback_url, &id, &body).await;
    }

    async fn answer(&self, behaviour: Behaviour, is_new: bool) -> Response {
        match behaviour {
            Behaviour::AnswerGarbage => (StatusCode::OK, "<html><body>Welcome</body></html>").into_response(),
            Behaviour::TimeOutAfterPaying if is_new => {
                tokio::select! {
                    () = pause(self.config.hold) => {}
                    () = self.background.stopped() => {}
                }
                StatusCode::ACCEPTED.into_response()
            }
            Behaviour::Drip if is_new => self.drip().into_response(),
            _ => StatusCode::ACCEPTED.into_response(),
        }
    }

    /// One space a second until the bank stops or the lender has had enough.
    fn drip(&self) -> Body {
        let background = self.background.clone();
        Body::from_stream(futures::stream::unfold(background, |background| async move {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {
                    Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b" ")), background))
                }
                () = background.stopped() => None,
            }
        }))
    }
}

#[cfg(test)]
#[expect(clippy::inconsistent_digit_grouping, reason = "amounts are written as yuan_fen")]
mod tests;
