//! A bank of these tests, with one fault at a time. It shares nothing with the simulated bank.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use jiff::Timestamp;
use local::bank_check::Rule;
use ports::{Clock as _, SystemClock};
use serde_json::{Value, json};
use signing::{Signer, Verifier, WebhookHeaders, keys};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

pub const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// How long a slow step of the bank takes. Longer than the check waits before it hangs up.
const STEP: Duration = Duration::from_millis(350);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    VerifiesNothing,
    PaysAgainAlways,
    TakesUnsigned,
    TakesAnySignature,
    TakesDoubledHeaders,
    VerifiesTrimmedBody,
    TakesOld,
    TakesEarly,
    LooksAtFirstSignatureOnly,
    AnswersUnsignedQuestions,
    PaysAgainUnderAKnownId,
    PaysAgainUnderANewId,
    TakesOtherAmount,
    ChangesTheAmount,
    PaysAllThatComeAtOnce,
    LeavesALockBehind,
    RecordsAfterTheAnswer,
    AnswersUnknownWith404,
    Forgets,
    AnswersAboutAnother,
    TellsNoAmount,
    TellsNoReference,
    NeverCallsBack,
    SignsWithAnotherKey,
    CallsBackUnsigned,
    SaysFailed,
    SaysAnotherAmount,
    AddsAField,
    NeverDeliversAgain,
    DeliversAgainUnderANewId,
    DeliversTwice,
    FollowsRedirects,
    AnswersHtml,
    AnswersAtLength,
    AnswersLate,
    RedirectsWhatIsRepeated,
    ThrottlesWithoutATime,
}

impl Fault {
    /// The faults that leave everything else in order, and the rules that they break.
    pub const EACH: [(Self, &[Rule]); 35] = [
        (Self::TakesUnsigned, &[Rule::S1]),
        // Whoever does not look for a key cannot notice a changed body.
        (Self::TakesAnySignature, &[Rule::S2, Rule::S4]),
        (Self::TakesDoubledHeaders, &[Rule::S3]),
        (Self::VerifiesTrimmedBody, &[Rule::S4]),
        (Self::TakesOld, &[Rule::S5]),
        (Self::TakesEarly, &[Rule::S6]),
        (Self::LooksAtFirstSignatureOnly, &[Rule::S7]),
        (Self::AnswersUnsignedQuestions, &[Rule::S8]),
        // Duplicates that come at once and those after a time-out are under a known id as well.
        (Self::PaysAgainUnderAKnownId, &[Rule::I1, Rule::I4, Rule::T2]),
        (Self::PaysAgainUnderANewId, &[Rule::I2]),
        (Self::TakesOtherAmount, &[Rule::I3]),
        (Self::ChangesTheAmount, &[Rule::I3]),
        (Self::PaysAllThatComeAtOnce, &[Rule::I4]),
        (Self::LeavesALockBehind, &[Rule::T1]),
        (Self::RecordsAfterTheAnswer, &[Rule::T2]),
        (Self::AnswersUnknownWith404, &[Rule::Q1]),
        (Self::Forgets, &[Rule::Q2]),
        (Self::AnswersAboutAnother, &[Rule::Q3]),
        (Self::TellsNoAmount, &[Rule::Q4]),
        (Self::TellsNoReference, &[Rule::Q4]),
        (Self::NeverCallsBack, &[Rule::C1]),
        (Self::SignsWithAnotherKey, &[Rule::C2]),
        (Self::CallsBackUnsigned, &[Rule::C2]),
        (Self::SaysFailed, &[Rule::C3]),
        (Self::SaysAnotherAmount, &[Rule::C3]),
        (Self::AddsAField, &[Rule::C3]),
        (Self::NeverDeliversAgain, &[Rule::C4]),
        (Self::DeliversAgainUnderANewId, &[Rule::C4]),
        (Self::DeliversTwice, &[Rule::C5]),
        (Self::FollowsRedirects, &[Rule::C6]),
        (Self::AnswersHtml, &[Rule::A1]),
        (Self::AnswersAtLength, &[Rule::A2]),
        (Self::AnswersLate, &[Rule::A3]),
        (Self::RedirectsWhatIsRepeated, &[Rule::A4]),
        (Self::ThrottlesWithoutATime, &[Rule::A6]),
    ];
}

#[derive(Clone)]
struct Payout {
    amount_fen: u64,
    reference: String,
    /// Ids of the messages that instructed it.
    ids: BTreeSet<String>,
}

struct Bank {
    fault: Fault,
    client: reqwest::Client,
    payouts: Mutex<BTreeMap<String, Payout>>,
    under_way: Mutex<BTreeMap<String, u32>>,
    locked: Mutex<BTreeSet<String>>,
    paid: AtomicU32,
    instructions: AtomicU32,
}

/// Starts the bank and returns its URL. It ends with the test.
pub async fn start(fault: Fault) -> String {
    let policy = match fault {
        Fault::FollowsRedirects => reqwest::redirect::Policy::default(),
        _ => reqwest::redirect::Policy::none(),
    };
    let bank = Arc::new(Bank {
        fault,
        client: reqwest::Client::builder().redirect(policy).no_proxy().build().unwrap(),
        payouts: Mutex::default(),
        under_way: Mutex::default(),
        locked: Mutex::default(),
        paid: AtomicU32::new(0),
        instructions: AtomicU32::new(0),
    });
    let router =
        Router::new().route("/payouts", post(instruct)).route("/payouts/query", post(query)).with_state(bank);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn genuine(headers: &HeaderMap, body: &[u8]) -> bool {
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    WebhookHeaders::from_pairs(pairs)
        .is_ok_and(|headers| Verifier::parse([SECRET]).unwrap().verify(&headers, body, now()).is_ok())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().unwrap().to_owned())
}

/// Counts the instructions about one payout that are being worked on, also when one is broken off.
struct UnderWay(Arc<Bank>, String);

impl UnderWay {
    fn begin(bank: &Arc<Bank>, payout: &str) -> Self {
        *bank.under_way.lock().unwrap().entry(payout.to_owned()).or_default() += 1;
        Self(Arc::clone(bank), payout.to_owned())
    }

    fn count(&self) -> u32 {
        self.0.under_way.lock().unwrap()[&self.1]
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        *self.0.under_way.lock().unwrap().get_mut(&self.1).unwrap() -= 1;
    }
}

impl Bank {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn accepts(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let is_doubled = headers.get_all("webhook-signature").iter().count() > 1;
        let (id, time) = (text(headers, "webhook-id"), text(headers, "webhook-timestamp"));
        let (Some(id), Some(time), Some(signature)) = (id, time, text(headers, "webhook-signature")) else {
            return self.has(Fault::VerifiesNothing) || self.has(Fault::TakesUnsigned);
        };
        if self.has(Fault::VerifiesNothing) {
            return true;
        }
        if is_doubled && !self.has(Fault::TakesDoubledHeaders) {
            return false;
        }
        let sent = Timestamp::from_second(time.parse().unwrap()).unwrap();
        let clock = match self.fault {
            Fault::TakesOld if sent < now() => sent,
            Fault::TakesEarly if sent > now() => sent,
            _ => now(),
        };
        if self.has(Fault::TakesAnySignature) {
            return (sent.as_second() - clock.as_second()).abs() <= 300;
        }
        let signature = match self.fault {
            Fault::LooksAtFirstSignatureOnly => signature.split(' ').next().unwrap().to_owned(),
            _ => signature,
        };
        let body = if self.has(Fault::VerifiesTrimmedBody) { body.trim_ascii_end() } else { body };
        let headers = WebhookHeaders { id, timestamp: time, signature };
        Verifier::parse([SECRET]).unwrap().verify(&headers, body, clock).is_ok()
    }

    /// Whether this instruction moves money.
    fn pays(&self, known: Option<&Payout>, id: &str, at_once: u32) -> bool {
        let Some(known) = known else { return true };
        match self.fault {
            Fault::PaysAgainAlways => true,
            Fault::PaysAgainUnderAKnownId => known.ids.contains(id),
            Fault::PaysAgainUnderANewId => !known.ids.contains(id),
            Fault::PaysAllThatComeAtOnce => at_once > 2,
            _ => false,
        }
    }

    /// Pays and calls back.
    fn pay(self: &Arc<Self>, instruction: &Value, known: Option<Payout>, id: String) -> Payout {
        let number = self.paid.fetch_add(1, Ordering::SeqCst) + 1;
        let mut ids = known.map(|known| known.ids).unwrap_or_default();
        ids.insert(id);
        let amount_fen = instruction["amount_fen"].as_u64().unwrap();
        let payout = Payout { amount_fen, reference: format!("RB-{number}"), ids };
        if !self.has(Fault::NeverCallsBack) {
            let (bank, instruction, reference) =
                (Arc::clone(self), instruction.clone(), payout.reference.clone());
            tokio::spawn(async move { bank.call_back(&instruction, &reference).await });
        }
        payout
    }

    async fn call_back(&self, instruction: &Value, reference: &str) {
        let mut body = json!({
            "payout_id": instruction["payout_id"], "application_id": instruction["application_id"],
            "outcome": "paid", "bank_reference": reference, "amount_fen": instruction["amount_fen"],
            "at": now().to_string(),
        });
        match self.fault {
            Fault::SaysFailed => body["outcome"] = json!("failed"),
            Fault::SaysAnotherAmount => body["amount_fen"] = json!(1),
            Fault::AddsAField => body["branch"] = json!("Xiamen"),
            _ => {}
        }
        let mut id = format!("msg_{reference}");
        for delivery in 0..3 {
            if delivery > 0 && self.has(Fault::DeliversAgainUnderANewId) {
                id = format!("msg_{reference}.{delivery}");
            }
            let status = self.deliver(&instruction["callback_url"], &id, &body).await;
            if self.has(Fault::DeliversTwice) && delivery == 0 {
                self.deliver(&instruction["callback_url"], &id, &body).await;
            }
            if !status.is_server_error() || self.has(Fault::NeverDeliversAgain) {
                return;
            }
        }
    }

    async fn deliver(&self, url: &Value, id: &str, body: &Value) -> StatusCode {
        let secret = match self.fault {
            Fault::SignsWithAnotherKey => keys::webhook_secret().unwrap(),
            _ => SECRET.to_owned(),
        };
        let body = body.to_string().into_bytes();
        let headers = Signer::parse([&*secret]).unwrap().sign(&id.parse().unwrap(), now(), &body);
        let mut request = self.client.post(url.as_str().unwrap());
        for (name, value) in headers.pairs() {
            if !(self.has(Fault::CallsBackUnsigned) && name == "webhook-signature") {
                request = request.header(name, value);
            }
        }
        // The receiver ends with its check.
        request.body(body).send().await.map_or(StatusCode::OK, |response| response.status())
    }

    async fn taken(&self) -> Response {
        let first = self.instructions.fetch_add(1, Ordering::SeqCst) == 0;
        match self.fault {
            Fault::AnswersAtLength => {
                let long = json!({"welcome": "x".repeat(70_000)});
                (StatusCode::ACCEPTED, axum::Json(long)).into_response()
            }
            Fault::AnswersLate if first => {
                tokio::time::sleep(Duration::from_millis(2_300)).await;
                StatusCode::ACCEPTED.into_response()
            }
            _ => StatusCode::ACCEPTED.into_response(),
        }
    }
}

async fn instruct(State(bank): State<Arc<Bank>>, headers: HeaderMap, body: Bytes) -> Response {
    if bank.has(Fault::ThrottlesWithoutATime) && bank.instructions.fetch_add(1, Ordering::SeqCst) == 0 {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    if !bank.accepts(&headers, &body) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let instruction: Value = serde_json::from_slice(&body).unwrap();
    let payout_id = instruction["payout_id"].as_str().unwrap().to_owned();
    let id = text(&headers, "webhook-id").unwrap_or_else(|| payout_id.clone());
    let under_way = UnderWay::begin(&bank, &payout_id);
    if bank.has(Fault::LeavesALockBehind) {
        bank.locked.lock().unwrap().insert(payout_id.clone());
        tokio::time::sleep(STEP).await;
        bank.locked.lock().unwrap().remove(&payout_id);
    }
    if bank.has(Fault::PaysAllThatComeAtOnce) {
        tokio::time::sleep(STEP).await;
    }
    if bank.has(Fault::RecordsAfterTheAnswer) {
        return record_late(&bank, &instruction, &payout_id, id, &under_way).await;
    }
    let known = bank.payouts.lock().unwrap().get(&payout_id).cloned();
    let amount_fen = instruction["amount_fen"].as_u64().unwrap();
    if known.as_ref().is_some_and(|known| known.amount_fen != amount_fen) {
        match bank.fault {
            Fault::TakesOtherAmount => return bank.taken().await,
            Fault::ChangesTheAmount => {
                bank.payouts.lock().unwrap().get_mut(&payout_id).unwrap().amount_fen = amount_fen;
                return StatusCode::CONFLICT.into_response();
            }
            Fault::PaysAgainAlways => {}
            _ => return StatusCode::CONFLICT.into_response(),
        }
    }
    let is_repeated = known.is_some();
    if bank.pays(known.as_ref(), &id, under_way.count()) {
        let payout = bank.pay(&instruction, known, id);
        bank.payouts.lock().unwrap().insert(payout_id, payout);
    }
    if is_repeated && bank.has(Fault::RedirectsWhatIsRepeated) {
        return (StatusCode::SEE_OTHER, [(header::LOCATION, "/payouts/1")]).into_response();
    }
    bank.taken().await
}

/// Pays first and writes it down later, one instruction of a payout at a time.
async fn record_late(
    bank: &Arc<Bank>,
    instruction: &Value,
    payout_id: &str,
    id: String,
    under_way: &UnderWay,
) -> Response {
    if under_way.count() > 1 {
        return StatusCode::CONFLICT.into_response();
    }
    let known = bank.payouts.lock().unwrap().get(payout_id).cloned();
    match known {
        Some(known) if known.amount_fen != instruction["amount_fen"].as_u64().unwrap() => {
            return StatusCode::CONFLICT.into_response();
        }
        Some(_) => {}
        None => {
            let payout = bank.pay(instruction, None, id);
            tokio::time::sleep(STEP).await;
            bank.payouts.lock().unwrap().insert(payout_id.to_owned(), payout);
        }
    }
    StatusCode::ACCEPTED.into_response()
}

async fn query(State(bank): State<Arc<Bank>>, headers: HeaderMap, body: Bytes) -> Response {
    // The faults in verifying are faults of instructions alone, but for the bank that verifies nothing at all.
    let is_accepted = match bank.fault {
        Fault::VerifiesNothing | Fault::AnswersUnsignedQuestions => true,
        _ => genuine(&headers, &body),
    };
    if !is_accepted {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let question: Value = serde_json::from_slice(&body).unwrap();
    let payout_id = question["payout_id"].as_str().unwrap();
    if bank.locked.lock().unwrap().contains(payout_id) {
        return StatusCode::LOCKED.into_response();
    }
    let known = bank.payouts.lock().unwrap().get(payout_id).cloned();
    let known = known.filter(|_| !bank.has(Fault::Forgets));
    let shown = match bank.fault {
        Fault::AnswersAboutAnother => payout_id.to_uppercase(),
        _ => payout_id.to_owned(),
    };
    let Some(known) = known else {
        let status = match bank.fault {
            Fault::AnswersUnknownWith404 => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        };
        return (status, axum::Json(json!({"payout_id": shown, "state": "unknown_to_us"}))).into_response();
    };
    let mut answer = json!({
        "payout_id": shown, "state": "paid", "bank_reference": known.reference, "amount_fen": known.amount_fen,
    });
    match bank.fault {
        Fault::TellsNoAmount => answer["amount_fen"] = Value::Null,
        Fault::TellsNoReference => answer["bank_reference"] = Value::Null,
        Fault::AnswersHtml => {
            return ([(header::CONTENT_TYPE, "text/html")], answer.to_string()).into_response();
        }
        _ => {}
    }
    axum::Json(answer).into_response()
}
