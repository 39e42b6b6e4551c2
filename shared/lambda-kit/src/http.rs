//! HTTP in and out, in the shapes of API Gateway's HTTP API (payload format 2.0).

use crate::Failure;
use aws_lambda_events::event::apigw::ApiGatewayV2httpRequest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use contract::http::{FieldError, Problem};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;

/// The largest body that any route takes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// A request.
pub struct Request {
    pub method: String,
    /// The route as the template spells it, for example `POST /v1/applications/{id}/accept`.
    pub route: String,
    pub path: String,
    pub source_ip: String,
    pub body: Vec<u8>,
    headers: HashMap<String, String>,
    path_parameters: HashMap<String, String>,
    query_parameters: HashMap<String, String>,
}

impl Request {
    /// A header by its lower-case name. API Gateway joins repeated headers with commas.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// A parameter of the route.
    pub fn path_parameter(&self, name: &str) -> Option<&str> {
        self.path_parameters.get(name).map(String::as_str)
    }

    /// A parameter of the query, decoded. API Gateway joins repeated ones with commas.
    pub fn query_parameter(&self, name: &str) -> Option<&str> {
        self.query_parameters.get(name).map(String::as_str)
    }
}

impl TryFrom<ApiGatewayV2httpRequest> for Request {
    type Error = Failure;

    fn try_from(event: ApiGatewayV2httpRequest) -> Result<Self, Failure> {
        let text = event.body.unwrap_or_default();
        let body = if event.is_base64_encoded {
            STANDARD.decode(text).map_err(|e| Failure::new("decoding a request body", e))?
        } else {
            text.into_bytes()
        };
        let headers = event
            .headers
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut query_parameters: HashMap<String, String> = HashMap::new();
        for (name, value) in event.query_string_parameters.iter() {
            let known = query_parameters.entry(name.to_owned());
            known.and_modify(|known| *known = format!("{known},{value}")).or_insert_with(|| value.to_owned());
        }
        Ok(Self {
            method: event.request_context.http.method.to_string(),
            route: event.route_key.unwrap_or_default(),
            path: event.raw_path.unwrap_or_default(),
            source_ip: event.request_context.http.source_ip.unwrap_or_default(),
            body,
            headers,
            path_parameters: event.path_parameters,
            query_parameters,
        })
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    content_type: &'static str,
    body: String,
    headers: Vec<(&'static str, String)>,
}

impl Response {
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        match serde_json::to_string(body) {
            Ok(body) => Self { status, content_type: "application/json", body, headers: Vec::new() },
            Err(_) => Self::from(internal()),
        }
    }

    /// JSON text that is ready.
    pub fn raw_json(status: u16, body: String) -> Self {
        Self::text(status, "application/json", body)
    }

    /// Text of another kind.
    pub fn text(status: u16, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, body, headers: Vec::new() }
    }

    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The answer as API Gateway wants it.
    pub fn into_event(self) -> Value {
        let mut headers = serde_json::Map::new();
        headers.insert("content-type".into(), self.content_type.into());
        headers.insert("cache-control".into(), "no-store".into());
        headers.insert("x-content-type-options".into(), "nosniff".into());
        for (name, value) in self.headers {
            headers.insert(name.into(), value.into());
        }
        json!({ "statusCode": self.status, "headers": headers, "body": self.body, "isBase64Encoded": false })
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        let body = serde_json::to_string(&problem).unwrap_or_default();
        Self { status: problem.status, content_type: "application/problem+json", body, headers: Vec::new() }
    }
}

/// A problem document without bad fields. `kind` becomes its type, `/problems/<kind>`.
pub fn problem(status: u16, kind: &str, title: &str) -> Problem {
    Problem {
        kind: format!("/problems/{kind}"),
        title: title.to_owned(),
        status,
        detail: None,
        errors: Vec::new(),
    }
}

/// 500: our fault, and of no use to try again.
pub fn internal() -> Problem {
    problem(500, "internal", "Something went wrong on our side")
}

/// The answer when a call of ours failed: 503 with `Retry-After` in so many seconds where the same request may be served
/// then, else 500. This is where the error's chain, which carries no personal data, is logged.
pub fn failed(error: &dyn std::error::Error, retryable: bool, retry_after_seconds: u32) -> Response {
    tracing::error!(error = crate::chain(error), retryable, "a request could not be served");
    if retryable {
        let busy = problem(503, "unavailable", "Try the same request again in a moment");
        return Response::from(busy).with_header("retry-after", retry_after_seconds.to_string());
    }
    internal().into()
}

/// 422 with every bad field named.
pub fn invalid(errors: Vec<FieldError>) -> Problem {
    Problem { errors, ..problem(422, "invalid-request", "Some fields are not right") }
}
