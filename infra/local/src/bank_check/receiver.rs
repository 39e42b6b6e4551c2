//! The callback receiver of the check: real HTTP, and every signature is verified.

use super::{CheckError, CheckOptions};
use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use bytes::Bytes;
use contract::bank::{BankCallback, BankOutcome};
use domain::PayoutId;
use ports::Clock;
use serde_json::Value;
use signing::{Verifier, VerifyError, WebhookHeaders, webhook::ID_HEADER};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::Instant};
use url::Url;

/// Largest callback that is read, in bytes; as in the product.
const LARGEST_CALLBACK: usize = 64 * 1024;

/// Most callbacks that are kept.
const MOST_KEPT: usize = 10_000;

/// Which of the receiver's addresses a payout names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Takes callbacks.
    Straight,
    /// Redirects to [`Way::Elsewhere`].
    Moved,
    /// Nobody should ever come here.
    Elsewhere,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Straight => "outcomes",
            Self::Moved => "moved",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// One callback as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// As the body names it, whether or not the rest is in order.
    pub(super) payout_id: Option<PayoutId>,
    pub(super) message_id: Option<String>,
    pub(super) genuine: Result<(), VerifyError>,
    /// The body in the product's strict reading, or what is wrong with it.
    pub(super) form: Result<BankCallback, String>,
    pub(super) at: Instant,
    pub(super) answered: u16,
    pub(super) way: Way,
}

struct Inbox {
    verifier: Verifier,
    clock: Arc<dyn Clock>,
    elsewhere: Url,
    received: Mutex<Vec<Received>>,
    /// Answers to the next callbacks about a payout; 200 when there are none left.
    script: Mutex<BTreeMap<PayoutId, VecDeque<StatusCode>>>,
    arrived: watch::Sender<usize>,
}

/// A running receiver. Dropping it stops it.
pub(super) struct Receiver {
    base: Url,
    inbox: Arc<Inbox>,
    server: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receiver {
    pub(super) async fn start(options: &CheckOptions, clock: Arc<dyn Clock>) -> Result<Self, CheckError> {
        let failed = |source| CheckError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let own = format!("http://{}/", listener.local_addr().map_err(failed)?);
        let base = match &options.callback_url {
            Some(url) => url.clone(),
            None => Url::parse(&own).map_err(|_| CheckError::Address)?,
        };
        let inbox = Arc::new(Inbox {
            verifier: options.keys.bank.clone(),
            clock,
            elsewhere: below(&base, Way::Elsewhere),
            received: Mutex::default(),
            script: Mutex::default(),
            arrived: watch::Sender::new(0),
        });
        // A name in front of the receiver may keep its path or drop it, so only the last part counts.
        let router = Router::new()
            .fallback(any(take))
            .layer(DefaultBodyLimit::max(LARGEST_CALLBACK))
            .with_state(Arc::clone(&inbox));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the callback receiver ended");
            }
        });
        Ok(Self { base, inbox, server })
    }

    /// Where the bank is to call back.
    pub(super) fn url(&self, way: Way) -> Url {
        below(&self.base, way)
    }

    /// The next callbacks about this payout get these answers, one each.
    pub(super) fn answer_next(&self, payout: PayoutId, answers: impl IntoIterator<Item = StatusCode>) {
        let mut script = self.inbox.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.entry(payout).or_default().extend(answers);
    }

    /// Every callback about this payout, in the order in which they came.
    pub(super) fn received(&self, payout: PayoutId) -> Vec<Received> {
        let of_it = |received: &&Received| received.payout_id == Some(payout);
        self.inbox.received().iter().filter(of_it).cloned().collect()
    }

    pub(super) fn all(&self) -> Vec<Received> {
        self.inbox.received().clone()
    }

    pub(super) fn count(&self, payout: PayoutId) -> usize {
        self.inbox.received().iter().filter(|received| received.payout_id == Some(payout)).count()
    }

    /// Waits for the given number of callbacks about this payout, and tells whether they came.
    pub(super) async fn wait_for(&self, payout: PayoutId, count: usize, patience: Duration) -> bool {
        let mut arrived = self.inbox.arrived.subscribe();
        // The condition is looked at again whenever any callback has arrived. The sender lives as long as `self`.
        let come = arrived.wait_for(|_| self.count(payout) >= count);
        tokio::time::timeout(patience, come).await.is_ok()
    }

    /// The references under which callbacks said that this payout was paid.
    pub(super) fn references(&self, payout: PayoutId) -> BTreeSet<String> {
        let paid = |received: Received| match received.form {
            Ok(callback) if callback.outcome == BankOutcome::Paid => Some(callback.bank_reference),
            _ => None,
        };
        self.received(payout).into_iter().filter_map(paid).collect()
    }
}

impl Inbox {
    fn received(&self) -> MutexGuard<'_, Vec<Received>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_answer(&self, payout: Option<PayoutId>) -> Option<StatusCode> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.get_mut(&payout?)?.pop_front()
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), VerifyError> {
        let pairs = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let headers = WebhookHeaders::from_pairs(pairs)?;
        self.verifier.verify(&headers, body, self.clock.now()).map(|_| ())
    }
}

async fn take(
    State(inbox): State<Arc<Inbox>>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let Some(way) = [Way::Straight, Way::Moved, Way::Elsewhere].into_iter().find(|way| way.name() == last)
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let genuine = inbox.verify(&headers, &body);
    let payout_id = payout_of(&body);
    let answer = match way {
        Way::Moved => StatusCode::TEMPORARY_REDIRECT,
        _ => match inbox.next_answer(payout_id) {
            Some(scripted) => scripted,
            None if genuine.is_err() => StatusCode::UNAUTHORIZED,
            None => StatusCode::OK,
        },
    };
    let received = Received {
        payout_id,
        message_id: headers.get(ID_HEADER).and_then(|id| id.to_str().ok()).map(str::to_owned),
        genuine,
        form: form(&body),
        at: Instant::now(),
        answered: answer.as_u16(),
        way,
    };
    let mut all = inbox.received();
    if all.len() < MOST_KEPT {
        all.push(received);
    }
    drop(all);
    inbox.arrived.send_modify(|count| *count += 1);
    match way {
        Way::Moved => (answer, [(header::LOCATION, inbox.elsewhere.to_string())]).into_response(),
        _ => answer.into_response(),
    }
}

/// The product's own reading. What is wrong is told by field, and never with the value.
fn form(body: &[u8]) -> Result<BankCallback, String> {
    lambda_kit::json::parse(body).map_err(|problem| match problem.errors.first() {
        Some(error) => format!("{} {}", error.pointer, error.detail),
        None => problem.title.to_string(),
    })
}

fn payout_of(body: &[u8]) -> Option<PayoutId> {
    serde_json::from_slice::<Value>(body).ok()?["payout_id"].as_str()?.parse().ok()
}

fn below(base: &Url, way: Way) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{}", base.path().trim_end_matches('/'), way.name()));
    url
}
