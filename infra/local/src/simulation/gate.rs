//! Where every effect of every function waits until the scheduler lets it happen.
//!
//! An SDK call or a request to a counterparty does nothing by itself: it is put down here with the invocation that made
//! it, and the invocation waits. The scheduler picks one, decides what becomes of it, and answers. So there is one order
//! of all effects, it is chosen by the seed, and between any two of them an invocation can be ended.

use crate::engines::kms::Kms;
use async_trait::async_trait;
use aws::Aws;
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use delivery::{Delivery, SignedRequest, Transport};
use futures::channel::oneshot;
use jiff::Timestamp;
use ports::Clock;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An effect that an invocation wants to have.
#[expect(clippy::large_enum_variant, reason = "a handful wait at a time")]
pub(super) enum Effect {
    DynamoDb {
        operation: String,
        body: Vec<u8>,
        answer: oneshot::Sender<Answered>,
    },
    Sqs {
        operation: String,
        body: Vec<u8>,
        answer: oneshot::Sender<Answered>,
    },
    Post {
        request: SignedRequest,
        answer: oneshot::Sender<Delivery>,
    },
    /// It has happened, and only its answer is still to come.
    Done(Reply),
}

/// An answer on its way to whoever waits for it.
pub(super) enum Reply {
    Sdk(oneshot::Sender<Answered>, Answered),
    Post(oneshot::Sender<Delivery>, Delivery),
}

impl Reply {
    /// Lets the answer arrive. Whoever has gone by now does not hear it.
    pub(super) fn arrive(self) {
        match self {
            Reply::Sdk(answer, answered) => drop(answer.send(answered)),
            Reply::Post(answer, delivery) => drop(answer.send(delivery)),
        }
    }

    /// Lets the caller hear that the connection broke.
    pub(super) fn lose(self) {
        match self {
            Reply::Sdk(answer, _) => drop(answer.send(None)),
            Reply::Post(answer, _) => drop(answer.send(Delivery::TimedOut)),
        }
    }
}

/// What the SDK hears: status and body, or that the connection broke.
pub(super) type Answered = Option<(u16, String)>;

/// An effect with whoever wants it.
pub(super) struct Waiting {
    pub number: u64,
    pub invocation: u64,
    pub effect: Effect,
    /// It is held up until then.
    pub not_before: Timestamp,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    /// The invocation that is running at this moment.
    running: u64,
    next_number: u64,
}

/// The effects that wait, and the clock that functions see.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    now: Mutex<Timestamp>,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reset(&self) {
        *self.state() = State::default();
    }

    /// Whatever is wanted from now on is wanted by this invocation, whose clock shows this time.
    pub(super) fn enter(&self, invocation: u64, now: Timestamp) {
        self.state().running = invocation;
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn want(&self, effect: Effect) {
        let mut state = self.state();
        let (number, invocation) = (state.next_number, state.running);
        state.next_number += 1;
        state.waiting.push(Waiting { number, invocation, effect, not_before: Timestamp::MIN });
    }

    /// The numbers of the effects that may happen at `now`, in the order in which they were wanted.
    pub(super) fn ready(&self, now: Timestamp) -> Vec<u64> {
        self.state().waiting.iter().filter(|w| w.not_before <= now).map(|w| w.number).collect()
    }

    /// When the first effect that is held up may go on.
    pub(super) fn next_ready(&self) -> Option<Timestamp> {
        self.state().waiting.iter().map(|w| w.not_before).min()
    }

    pub(super) fn take(&self, number: u64) -> Option<Waiting> {
        let mut state = self.state();
        let place = state.waiting.iter().position(|w| w.number == number)?;
        Some(state.waiting.remove(place))
    }

    pub(super) fn hold(&self, mut waiting: Waiting, until: Timestamp) {
        waiting.not_before = until;
        self.state().waiting.push(waiting);
    }

    /// The invocation has ended, and nobody wants its effects any more.
    pub(super) fn forget(&self, invocation: u64) {
        self.state().waiting.retain(|w| w.invocation != invocation);
    }

    pub(super) fn is_waiting(&self, invocation: u64) -> bool {
        self.state().waiting.iter().any(|w| w.invocation == invocation)
    }
}

impl Clock for Gate {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ends of the gate that the functions hold.
#[derive(Clone)]
pub(super) struct Ends(pub Arc<Gate>, pub Arc<Kms>);

impl std::fmt::Debug for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ends")
    }
}

#[async_trait]
impl Transport for Ends {
    async fn post(&self, request: SignedRequest) -> Delivery {
        let (answer, answered) = oneshot::channel();
        self.0.want(Effect::Post { request, answer });
        answered.await.unwrap_or(Delivery::TimedOut)
    }
}

/// The simulation answered with something that is no HTTP, or asks for a service that it does not have.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoAnswer(&'static str);

impl HttpConnector for Ends {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let body = request.body().bytes().unwrap_or_default().to_vec();
        let (answer, answered) = oneshot::channel();
        match target.split_once('.') {
            Some(("DynamoDB_20120810", operation)) => {
                self.0.want(Effect::DynamoDb { operation: operation.to_owned(), body, answer });
            }
            Some(("AmazonSQS", operation)) => {
                self.0.want(Effect::Sqs { operation: operation.to_owned(), body, answer });
            }
            // Keys come at once and always: what is simulated is what becomes of the effects on state and counterparties.
            Some(("TrentService", operation)) => drop(answer.send(Some(self.1.respond(operation, &body)))),
            _ => drop(answer),
        }
        HttpConnectorFuture::new(async move {
            let answered = answered.await.ok().flatten();
            let (status, body) =
                answered.ok_or_else(|| ConnectorError::io(NoAnswer("the connection broke").into()))?;
            let status =
                status.try_into().map_err(|_| ConnectorError::user(NoAnswer("no HTTP status").into()))?;
            let mut response = HttpResponse::new(status, SdkBody::from(body));
            response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
            Ok(response)
        })
    }
}

impl HttpClient for Ends {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl Ends {
    /// Clients over this gate, without retries of their own: every call and every failure is the scheduler's. Nothing is
    /// signed, resolved or watched for stalling either, which takes an eighth of a run.
    pub(super) fn aws(&self) -> Aws {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("ap-southeast-1"))
            .endpoint_url("http://aws.test")
            .http_client(SharedHttpClient::new(self.clone()))
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&config).allow_no_auth().build();
        let sqs = aws_sdk_sqs::config::Builder::from(&config).allow_no_auth().build();
        // Calls of KMS are few, so they may be signed.
        let anyone = Credentials::new("local", "local", None, None, "simulation");
        let others = config.to_builder().credentials_provider(SharedCredentialsProvider::new(anyone)).build();
        Aws::with_clients(
            aws_sdk_dynamodb::Client::from_conf(dynamodb),
            aws_sdk_sqs::Client::from_conf(sqs),
            others,
        )
    }
}
