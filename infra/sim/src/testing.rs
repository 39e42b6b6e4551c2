//! A lender for the counterparties' tests: signs requests, receives callbacks, and knows nothing of the product.

use crate::{Clock, Keys};
use axum::{Router, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use signing::WebhookHeaders;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

pub(crate) const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const OTHER_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(crate) fn keys(secret: &str) -> Keys {
    Keys::shared(secret).unwrap()
}

/// A clock that stands still.
pub(crate) fn clock() -> Clock {
    Arc::new(|| Timestamp::from_second(1_800_000_000).unwrap())
}

/// One callback as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Received {
    pub(crate) message_id: String,
    pub(crate) body: Value,
}

#[derive(Default)]
struct Inbox {
    received: Mutex<Vec<Received>>,
    /// Answers to the next callbacks; 204 when there are none left.
    answers: Mutex<VecDeque<u16>>,
}

/// The lender's side of one test.
pub(crate) struct Lender {
    keys: Keys,
    client: reqwest::Client,
    inbox: Arc<Inbox>,
    pub(crate) callback_url: String,
}

impl Lender {
    /// Listens for callbacks that are signed with `secret`; others are answered 401 and not kept.
    pub(crate) async fn start(secret: &str) -> Self {
        let inbox = Arc::<Inbox>::default();
        let state = (Arc::clone(&inbox), keys(secret));
        let router = Router::new().route("/callback", post(receive)).with_state(state);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let callback_url = format!("http://{}/callback", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self { keys: keys(secret), client, inbox, callback_url }
    }

    /// The next callbacks get these answers, one each.
    pub(crate) fn answer_next(&self, statuses: &[u16]) {
        self.inbox.answers.lock().unwrap().extend(statuses);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.inbox.received.lock().unwrap().clone()
    }

    /// Posts a signed request.
    pub(crate) async fn post(&self, url: &str, body: &Value) -> reqwest::Response {
        self.post_as("msg_request", url, body).await.unwrap()
    }

    pub(crate) async fn post_as(
        &self,
        message_id: &str,
        url: &str,
        body: &Value,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let body = body.to_string().into_bytes();
        let mut request = self.client.post(url);
        for (name, value) in self.keys.own.sign(&message_id.parse().unwrap(), clock()(), &body).pairs() {
            request = request.header(name, value);
        }
        request.body(body).send().await
    }

    /// Posts a request without a signature.
    pub(crate) async fn post_plain(&self, url: &str, body: &Value) -> reqwest::Response {
        self.client.post(url).body(body.to_string()).send().await.unwrap()
    }

    pub(crate) async fn get(&self, url: &str) -> Value {
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }
}

async fn receive(
    State((inbox, keys)): State<(Arc<Inbox>, Keys)>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let headers = WebhookHeaders::from_pairs(pairs).unwrap();
    let Ok(message_id) = keys.lender.verify(&headers, &body, clock()()) else {
        return StatusCode::UNAUTHORIZED;
    };
    let received =
        Received { message_id: message_id.to_string(), body: serde_json::from_slice(&body).unwrap() };
    inbox.received.lock().unwrap().push(received);
    let answer = inbox.answers.lock().unwrap().pop_front().unwrap_or(204);
    StatusCode::from_u16(answer).unwrap()
}
