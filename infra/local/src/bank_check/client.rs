//! Requests to the bank: signed as the product signs them, or spoiled in one way; and what all answers had in common.

use super::{CheckError, CheckOptions, TestPayee, TestPayout, keys::CheckKeys, receiver::Receiver, tls};
use contract::bank::{BankState, Payee, PayoutInstruction, PayoutQuery};
use domain::{BasisPoints, Fen, PayoutId, product::Approval};
use jiff::SignedDuration;
use ports::Clock;
use reqwest::{StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use signing::{
    MessageId, Signer,
    webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER},
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};
use url::{Host, Url};

/// Largest answer that the product reads, in bytes.
pub(super) const LARGEST_ANSWER: usize = 64 * 1024;

/// Where the check stops reading. Higher than what is allowed, so that one long answer breaks one rule.
const MOST_READ: usize = 1024 * 1024;

/// How much longer than allowed the check waits for an answer, for the same reason.
const OVERTIME: u32 = 3;

/// How often a request that is throttled is sent again.
const THROTTLED_TRIES: u32 = 3;

/// Longest `Retry-After` that the check waits out.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Seconds outside the window: one more than allowed.
const OUTSIDE: i64 = signing::webhook::TOLERANCE_SECONDS as i64 + 1;
/// The same ahead, with half a minute in which the instruction may arrive.
const AHEAD: i64 = 330;

/// How a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// As it should be.
    Ours,
    WithoutId,
    WithoutTime,
    WithoutSignature,
    /// By a key that the bank does not know.
    Stranger,
    /// The signature header stands there twice.
    Doubled,
    /// One fen more than was signed.
    OtherAmount,
    /// The same JSON with a space after it.
    AddedSpace,
    /// Signed 301 seconds ago.
    TooOld,
    /// Signed 330 seconds from now: by a second beyond the window it would be inside once it has arrived.
    TooNew,
    /// Two signatures, as during a rotation; one is by a key that the bank does not know.
    StrangerThenOurs,
    OursThenStranger,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// `None` when no complete answer came.
    pub(super) status: Option<u16>,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// For the report: the status, never the body.
    pub(super) fn shown(&self) -> String {
        self.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string())
    }
}

/// What a bank told when it was asked. Read leniently: each rule looks at its own field.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) status: Option<u16>,
    pub(super) state: Option<BankState>,
    pub(super) bank_reference: Option<String>,
    pub(super) amount_fen: Option<u64>,
    /// The answer names the payout that was asked for.
    pub(super) about_it: bool,
}

impl Told {
    /// The bank holds the payout.
    pub(super) fn is_known(&self) -> bool {
        self.state.is_some_and(|state| state != BankState::UnknownToUs)
    }

    pub(super) fn is_paid(&self) -> bool {
        self.state == Some(BankState::Paid)
    }

    pub(super) fn shown(&self) -> String {
        match (self.status, self.state) {
            (None, _) => "no answer".to_owned(),
            (Some(status), None) => format!("{status} without a state"),
            (Some(200), Some(state)) => state_name(state).to_owned(),
            (Some(status), Some(state)) => format!("{status} and {}", state_name(state)),
        }
    }
}

pub(super) fn state_name(state: BankState) -> &'static str {
    match state {
        BankState::UnknownToUs => "unknown_to_us",
        BankState::Received => "received",
        BankState::Approved => "approved",
        BankState::Paid => "paid",
        BankState::Refused => "refused",
        BankState::Failed => "failed",
    }
}

/// What all answers had in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) answers: u32,
    pub(super) unanswered: u32,
    pub(super) questions: u32,
    pub(super) slowest: Duration,
    pub(super) largest: usize,
    pub(super) not_json: Option<&'static str>,
    pub(super) redirect: Option<u16>,
    pub(super) throttled: u32,
    pub(super) without_retry_after: u32,
    /// Answers to questions that did not name the payout asked for.
    pub(super) about_another: u32,
}

pub(super) struct Client {
    http: reqwest::Client,
    tls: Arc<ClientConfig>,
    base: Url,
    keys: CheckKeys,
    payee: TestPayee,
    clock: Arc<dyn Clock>,
    answer_within: Duration,
    tally: Mutex<Tally>,
}

impl Client {
    pub(super) fn new(options: &CheckOptions, clock: Arc<dyn Clock>) -> Result<Self, CheckError> {
        let base = options.url.clone();
        let plain = base.username().is_empty() && base.password().is_none();
        let whole = base.query().is_none() && base.fragment().is_none();
        if !(matches!(base.scheme(), "http" | "https") && base.has_host() && plain && whole) {
            return Err(CheckError::Address);
        }
        let tls = tls::config(options.ca.as_deref())?;
        let http = reqwest::Client::builder()
            .use_preconfigured_tls((*tls).clone())
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .referer(false)
            .user_agent(concat!("lending-bank-check/", env!("CARGO_PKG_VERSION")))
            .timeout(options.answer_within.saturating_mul(OVERTIME))
            .build()?;
        let (keys, payee) = (options.keys.clone(), options.payee.clone());
        let answer_within = options.answer_within;
        Ok(Self { http, tls, base, keys, payee, clock, answer_within, tally: Mutex::default() })
    }

    pub(super) fn tally(&self) -> Tally {
        self.count().clone()
    }

    fn count(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses behind the bank's name.
    pub(super) async fn addresses(&self) -> Vec<SocketAddr> {
        let port = self.base.port_or_known_default().unwrap_or_default();
        match self.base.host() {
            Some(Host::Ipv4(address)) => vec![SocketAddr::new(address.into(), port)],
            Some(Host::Ipv6(address)) => vec![SocketAddr::new(address.into(), port)],
            Some(Host::Domain(name)) => match tokio::net::lookup_host((name, port)).await {
                Ok(addresses) => addresses.collect(),
                Err(_) => Vec::new(),
            },
            None => Vec::new(),
        }
    }

    /// `POST {bank}/payouts` as the product sends it: the payout's id is the message's id.
    pub(super) async fn instruct(
        &self,
        receiver: &Receiver,
        payout: &TestPayout,
    ) -> Result<Answer, CheckError> {
        self.instruct_as(receiver, payout, Seal::Ours, &payout.id.to_string().parse()?).await
    }

    pub(super) async fn instruct_as(
        &self,
        receiver: &Receiver,
        payout: &TestPayout,
        seal: Seal,
        id: &MessageId,
    ) -> Result<Answer, CheckError> {
        let body = self.instruction(receiver, payout)?;
        let sent = match seal {
            Seal::OtherAmount => {
                let more = TestPayout { amount_fen: payout.amount_fen + 1, ..payout.clone() };
                self.instruction(receiver, &more)?
            }
            Seal::AddedSpace => [&*body, b" "].concat(),
            _ => body.clone(),
        };
        Ok(self.post("/payouts", seal, id, &body, &sent).await)
    }

    /// Sends a whole instruction, and closes the connection a while later without having read a byte. `false` when
    /// nothing could be sent.
    pub(super) async fn hang_up(
        &self,
        receiver: &Receiver,
        payout: &TestPayout,
        hold: Duration,
    ) -> Result<bool, CheckError> {
        let body = self.instruction(receiver, payout)?;
        let url = self.url("/payouts");
        let id = payout.id.to_string().parse()?;
        let mut request = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            url.path(),
            authority(&url),
            body.len()
        );
        for (name, value) in self.headers(Seal::Ours, &id, &body) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let whole = [request.as_bytes(), &body].concat();
        Ok(tokio::time::timeout(self.answer_within, self.write_and_close(&whole, hold))
            .await
            .is_ok_and(|sent| sent.is_ok()))
    }

    /// `POST {bank}/payouts/query`, each time under an id of its own.
    pub(super) async fn ask(&self, payout: PayoutId) -> Result<Told, CheckError> {
        let answer = self.ask_as(payout, Seal::Ours).await?;
        let told = read(&answer, payout);
        let mut tally = self.count();
        tally.questions += u32::from(answer.is_success());
        tally.about_another += u32::from(answer.is_success() && !told.about_it);
        Ok(told)
    }

    pub(super) async fn ask_as(&self, payout: PayoutId, seal: Seal) -> Result<Answer, CheckError> {
        let body = serde_json::to_vec(&PayoutQuery { payout_id: payout })?;
        let id = format!("{payout}.query.{}", signing::keys::random_id()?).parse()?;
        Ok(self.post("/payouts/query", seal, &id, &body, &body).await)
    }

    fn instruction(&self, receiver: &Receiver, payout: &TestPayout) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&PayoutInstruction {
            payout_id: payout.id,
            application_id: payout.application,
            amount_fen: Fen(payout.amount_fen),
            annual_rate_bp: BasisPoints(600),
            term_months: 12,
            product: "bank-check",
            payee: Payee {
                name: &self.payee.name,
                bank_card: &self.payee.bank_card,
                firm_code: &self.payee.firm_code,
            },
            approval: Approval::Delegated,
            callback_url: receiver.url(payout.way).to_string(),
        })
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// Signs `body` and sends `sent`; again with a new time when the bank asks to come later.
    async fn post(&self, path: &'static str, seal: Seal, id: &MessageId, body: &[u8], sent: &[u8]) -> Answer {
        let mut tries = 0;
        loop {
            tries += 1;
            let (answer, retry_after) = self.post_once(path, seal, id, body, sent).await;
            if answer.status != Some(429) || tries == THROTTLED_TRIES {
                return answer;
            }
            tokio::time::sleep(retry_after.unwrap_or(Duration::from_secs(1))).await;
        }
    }

    async fn post_once(
        &self,
        path: &'static str,
        seal: Seal,
        id: &MessageId,
        body: &[u8],
        sent: &[u8],
    ) -> (Answer, Option<Duration>) {
        let mut request = self.http.post(self.url(path)).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in self.headers(seal, id, body) {
            request = request.header(name, value);
        }
        let begun = Instant::now();
        let answered = match request.body(sent.to_vec()).send().await {
            Ok(response) => self.read(response, path).await,
            Err(_) => None,
        };
        let mut tally = self.count();
        tally.slowest = tally.slowest.max(begun.elapsed());
        match answered {
            Some((answer, retry_after)) => {
                tally.answers += 1;
                (answer, retry_after)
            }
            None => {
                tally.unanswered += 1;
                (Answer::default(), None)
            }
        }
    }

    /// Reads an answer and notes what is wrong with its form.
    async fn read(
        &self,
        mut response: reqwest::Response,
        path: &'static str,
    ) -> Option<(Answer, Option<Duration>)> {
        let status = response.status();
        let retry_after = retry_after(&response);
        let says_json = says_json(&response);
        let mut body = Vec::new();
        while body.len() <= MOST_READ {
            match response.chunk().await.ok()? {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => break,
            }
        }
        let mut tally = self.count();
        tally.largest = tally.largest.max(body.len());
        if status.is_redirection() {
            tally.redirect = Some(status.as_u16());
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            tally.throttled += 1;
            tally.without_retry_after += u32::from(retry_after.is_none());
        }
        let is_json = says_json && serde_json::from_slice::<Value>(&body).is_ok();
        let may_be_empty = path == "/payouts" && body.is_empty();
        if status.is_success() && !is_json && !may_be_empty {
            tally.not_json = Some(path);
        }
        Some((Answer { status: Some(status.as_u16()), body }, retry_after))
    }

    fn headers(&self, seal: Seal, id: &MessageId, body: &[u8]) -> Vec<(&'static str, String)> {
        let now = self.clock.now();
        let at = match seal {
            Seal::TooOld => now.checked_sub(SignedDuration::from_secs(OUTSIDE)).unwrap_or(now),
            Seal::TooNew => now.checked_add(SignedDuration::from_secs(AHEAD)).unwrap_or(now),
            _ => now,
        };
        let signature = |signer: &Signer| signer.sign(id, at, body).signature;
        let (ours, stranger) = (signature(&self.keys.ours), signature(&self.keys.stranger));
        let signature = match seal {
            Seal::Stranger => stranger,
            Seal::StrangerThenOurs => format!("{stranger} {ours}"),
            Seal::OursThenStranger => format!("{ours} {stranger}"),
            _ => ours,
        };
        let mut headers = vec![
            (ID_HEADER, id.to_string()),
            (TIMESTAMP_HEADER, at.as_second().to_string()),
            (SIGNATURE_HEADER, signature.clone()),
        ];
        match seal {
            Seal::WithoutId => headers.retain(|(name, _)| *name != ID_HEADER),
            Seal::WithoutTime => headers.retain(|(name, _)| *name != TIMESTAMP_HEADER),
            Seal::WithoutSignature => headers.retain(|(name, _)| *name != SIGNATURE_HEADER),
            Seal::Doubled => headers.push((SIGNATURE_HEADER, signature)),
            _ => {}
        }
        headers
    }

    async fn write_and_close(&self, whole: &[u8], hold: Duration) -> std::io::Result<()> {
        let addresses = self.addresses().await;
        let stream = TcpStream::connect(&*addresses).await?;
        if self.base.scheme() == "http" {
            return write(stream, whole, hold).await;
        }
        let host = self.base.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
        write(stream, whole, hold).await
    }
}

/// The connection closes when the stream is dropped.
async fn write(mut stream: impl AsyncWrite + Unpin, whole: &[u8], hold: Duration) -> std::io::Result<()> {
    stream.write_all(whole).await?;
    stream.flush().await?;
    tokio::time::sleep(hold).await;
    Ok(())
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn says_json(response: &reqwest::Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

fn read(answer: &Answer, payout: PayoutId) -> Told {
    let value: Value = match serde_json::from_slice(&answer.body) {
        Ok(value) if answer.is_success() => value,
        _ => return Told { status: answer.status, ..Told::default() },
    };
    Told {
        status: answer.status,
        state: BankState::deserialize(&value["state"]).ok(),
        bank_reference: value["bank_reference"].as_str().map(str::to_owned),
        amount_fen: value["amount_fen"].as_u64(),
        about_it: value["payout_id"].as_str() == Some(&*payout.to_string()),
    }
}
