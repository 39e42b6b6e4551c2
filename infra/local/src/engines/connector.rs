//! The HTTP client that the SDK is given: no sockets, the engines answer.

use super::{
    EngineError, RUNNER,
    calls::{Calls, Cost},
    dynamodb::DynamoDb,
    faults::{Fault, Faults},
    kms::{Kms, MasterKey},
    secrets::SecretsManager,
    writes::Writes,
};
use crate::roles::{self, Denied, Roles};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use std::{
    fmt,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::watch;
use winterbaume_core::{MockRequest, MockService};
use winterbaume_sqs::SqsService;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("a fault was injected")]
    Injected,
    #[error("the engines have stopped")]
    Stopped,
    #[error("no engine serves the target {0:?}")]
    NotServed(String),
    #[error("the engine gave an answer that is no HTTP response")]
    NotHttp,
}

impl From<NoAnswer> for ConnectorError {
    fn from(why: NoAnswer) -> ConnectorError {
        match why {
            NoAnswer::NotServed(_) | NoAnswer::NotHttp => ConnectorError::user(why.into()),
            NoAnswer::Injected | NoAnswer::Stopped => ConnectorError::io(why.into()),
        }
    }
}

/// The engines and what watches them.
pub(super) struct EmbeddedServices {
    pub(super) dynamodb: DynamoDb,
    sqs: SqsService,
    kms: Kms,
    pub(super) secrets: SecretsManager,
    pub(super) calls: Calls,
    pub(super) writes: Writes,
    pub(super) faults: Faults,
    pub(super) sent: watch::Sender<u64>,
    /// What functions may call; empty as long as there are none.
    pub(super) roles: OnceLock<Arc<Roles>>,
    answered: AtomicU64,
}

impl fmt::Debug for EmbeddedServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedServices").finish_non_exhaustive()
    }
}

/// What an engine says: HTTP status and body.
struct Said {
    status: u16,
    body: SdkBody,
}

impl EmbeddedServices {
    pub(super) fn start(file: Option<&Path>, master: &MasterKey) -> Result<Self, EngineError> {
        Ok(Self {
            dynamodb: DynamoDb::start(file)?,
            sqs: SqsService::new(),
            kms: Kms::new(master).ok_or(EngineError::MasterKey)?,
            secrets: SecretsManager::default(),
            calls: Calls::default(),
            writes: Writes::default(),
            faults: Faults::default(),
            sent: watch::Sender::new(0),
            roles: OnceLock::new(),
            answered: AtomicU64::new(0),
        })
    }

    pub(super) async fn stop(&self) {
        self.dynamodb.stop().await;
    }

    /// All services speak AWS JSON: the header `x-amz-target` names service and operation.
    async fn answer(&self, caller: &str, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let (service, operation) = match target.split_once('.') {
            Some(("DynamoDB_20120810", operation)) => ("dynamodb", operation),
            Some(("AmazonSQS", operation)) => ("sqs", operation),
            Some(("TrentService", operation)) => ("kms", operation),
            Some(("secretsmanager", operation)) => ("secretsmanager", operation),
            _ => return Err(NoAnswer::NotServed(target)),
        };
        let name = format!("{service}:{operation}");
        if let Err(denied) = self.allow(caller, service, operation, &request) {
            self.calls.count(caller, &name, Cost { refused: true, ..Cost::default() });
            return self.response(refusal(&denied));
        }
        let fault = self.faults.take(&name);
        if fault == Some(Fault::Before) {
            return Err(NoAnswer::Injected);
        }
        let (said, cost) = match service {
            "dynamodb" => self.ask_dynamodb(operation, &request).await?,
            "sqs" => self.ask_sqs(&request).await,
            "kms" => said(self.kms.respond(operation, request.body().bytes().unwrap_or_default())),
            _ => said(self.secrets.respond(operation, request.body().bytes().unwrap_or_default())),
        };
        self.calls.count(caller, &name, cost);
        self.writes.note(caller, operation, request.body().bytes().unwrap_or_default(), cost);
        if service == "sqs" && operation.starts_with("SendMessage") && !cost.refused {
            self.sent.send_modify(|count| *count += 1);
        }
        if fault == Some(Fault::After) {
            return Err(NoAnswer::Injected);
        }
        self.response(said)
    }

    /// Whether the role of the function that calls allows the call. The runner itself may call anything.
    fn allow(
        &self,
        caller: &str,
        service: &str,
        operation: &str,
        request: &HttpRequest,
    ) -> Result<(), Denied> {
        let Some(roles) = self.roles.get().filter(|_| caller != RUNNER) else { return Ok(()) };
        let body = request.body().bytes().unwrap_or_default();
        roles.check(caller, &roles::asked(roles.names(), service, operation, body))
    }

    async fn ask_dynamodb(&self, operation: &str, request: &HttpRequest) -> Result<(Said, Cost), NoAnswer> {
        let body = request.body().bytes().unwrap_or_default();
        let answer = self.dynamodb.call(operation, body).await.ok_or(NoAnswer::Stopped)?;
        Ok((Said { status: answer.status, body: SdkBody::from(answer.body) }, answer.cost))
    }

    async fn ask_sqs(&self, request: &HttpRequest) -> (Said, Cost) {
        let headers = request.headers().iter().filter_map(|(name, value)| {
            let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, http::HeaderValue::from_str(value).ok()?))
        });
        let asked = MockRequest {
            method: request.method().to_owned(),
            uri: request.uri().to_owned(),
            headers: headers.collect(),
            body: bytes::Bytes::copy_from_slice(request.body().bytes().unwrap_or_default()),
        };
        let answer = self.sqs.handle(asked).await;
        let is_receive =
            request.headers().get("x-amz-target").is_some_and(|t| t.ends_with(".ReceiveMessage"));
        let empty = is_receive && !has_messages(&answer.body);
        let cost = Cost { refused: answer.status >= 400, empty, ..Cost::default() };
        (Said { status: answer.status, body: SdkBody::from(answer.body) }, cost)
    }

    fn response(&self, said: Said) -> Result<HttpResponse, NoAnswer> {
        let status = said.status.try_into().map_err(|_| NoAnswer::NotHttp)?;
        let mut response = HttpResponse::new(status, said.body);
        let number = self.answered.fetch_add(1, Ordering::Relaxed);
        let headers = response.headers_mut();
        headers.insert("content-type", "application/x-amz-json-1.0");
        headers.insert("x-amzn-requestid", format!("local-{number}"));
        Ok(response)
    }
}

/// Whether the answer to a receive holds any message.
fn has_messages(body: &[u8]) -> bool {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    answer["Messages"].as_array().is_some_and(|messages| !messages.is_empty())
}

/// What IAM says.
fn refusal(denied: &Denied) -> Said {
    let body = serde_json::json!({
        "__type": "com.amazon.coral.service#AccessDeniedException",
        "Message": denied.to_string(),
    });
    Said { status: 400, body: SdkBody::from(body.to_string()) }
}

/// What an engine without units says, and whether it refuses.
fn said((status, body): (u16, String)) -> (Said, Cost) {
    (Said { status, body: SdkBody::from(body) }, Cost { refused: status >= 400, ..Cost::default() })
}

/// The HTTP client of one caller, and the one connector that it has.
#[derive(Clone, Debug)]
pub(super) struct EmbeddedClient {
    pub(super) services: Arc<EmbeddedServices>,
    /// For whom calls are counted.
    pub(super) caller: Arc<str>,
}

impl HttpConnector for EmbeddedClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { services, caller } = self.clone();
        let answer = async move { services.answer(&caller, request).await.map_err(ConnectorError::from) };
        HttpConnectorFuture::new(answer)
    }
}

impl HttpClient for EmbeddedClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
