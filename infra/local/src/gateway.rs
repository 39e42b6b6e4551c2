//! API Gateway's HTTP API, as far as the template uses it: a route leads to a function, the request becomes an event of
//! payload format 2.0, and the function's answer becomes the response.
//!
//! What API Gateway answers itself is answered with its words: 404 `Not Found` (also for a known path under another
//! method), 403 `Forbidden` where IAM guards the route and the request is not signed as it wants it, 413 for a body over 10 MB, 500 `Internal Server Error` when the function fails, panics, runs into its own
//! time-out or answers with something that is no response, 503 `Service Unavailable` after 30 seconds.

mod access;

pub use access::{AccessKey, SERVICE};

use crate::{invoke::Deployed, template::Route};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use ports::Clock;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch};

/// Most that API Gateway takes.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
/// Longest that API Gateway waits for a function.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct HttpRequest {
    pub method: String,
    /// Percent-encoded, without the query.
    pub path: String,
    pub query: String,
    /// In the order of arrival; a name may come more than once.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub source_ip: String,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What API Gateway says itself.
    fn message(status: u16, text: &str) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: json!({ "message": text }).to_string().into_bytes() }
    }
}

/// Sees every request with the answer that it gets.
pub type Witness = Arc<dyn Fn(&HttpRequest, &HttpAnswer) + Send + Sync>;

/// The routes and the functions behind them.
pub struct Gateway {
    routes: Vec<(Route, Arc<Deployed>)>,
    witness: Option<Witness>,
    /// Who may call the routes that IAM guards.
    signer: Option<AccessKey>,
    clock: Arc<dyn Clock>,
    requests: AtomicU64,
}

/// A route that fits, with its parameters.
struct Match<'a> {
    route: &'a Route,
    function: &'a Arc<Deployed>,
    parameters: BTreeMap<String, String>,
}

impl Gateway {
    pub(crate) fn new(
        functions: &BTreeMap<String, Arc<Deployed>>,
        signer: Option<AccessKey>,
        clock: Arc<dyn Clock>,
        witness: Option<Witness>,
    ) -> Self {
        let routes = functions.values().flat_map(|function| {
            function.spec.routes.iter().map(|route| (route.clone(), Arc::clone(function)))
        });
        Self { routes: routes.collect(), witness, signer, clock, requests: AtomicU64::new(0) }
    }

    /// Answers one request.
    pub async fn handle(&self, request: HttpRequest) -> HttpAnswer {
        let answer = self.answer(&request).await;
        if let Some(witness) = &self.witness {
            witness(&request, &answer);
        }
        answer
    }

    async fn answer(&self, request: &HttpRequest) -> HttpAnswer {
        if request.body.len() > MAX_BODY_BYTES {
            return too_large();
        }
        let Some(found) = self.route(&request.method, &request.path) else {
            return HttpAnswer::message(404, "Not Found");
        };
        if found.route.is_signed && !self.is_signed(request) {
            return HttpAnswer::message(403, "Forbidden");
        }
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let Some(event) = event(request, found.route, &found.parameters, self.clock.now(), number) else {
            return HttpAnswer::message(400, "Bad Request");
        };
        let invocation = tokio::time::timeout(INTEGRATION_TIMEOUT, found.function.invoke_by_http(event));
        match invocation.await {
            Ok(Ok(value)) => answer(&value).unwrap_or_else(internal_error),
            Ok(Err(_)) => internal_error(),
            Err(_) => HttpAnswer::message(503, "Service Unavailable"),
        }
    }

    fn is_signed(&self, request: &HttpRequest) -> bool {
        self.signer.as_ref().is_some_and(|signer| signer.has_signed(request, self.clock.now()))
    }

    /// The route that fits, of several the one with the fewest parameters.
    fn route(&self, method: &str, path: &str) -> Option<Match<'_>> {
        let fitting = self.routes.iter().filter(|(route, _)| route.method == method);
        let fitting = fitting.filter_map(|(route, function)| {
            parameters(&route.path, path).map(|parameters| Match { route, function, parameters })
        });
        fitting.min_by_key(|found| found.parameters.len())
    }
}

fn internal_error() -> HttpAnswer {
    HttpAnswer::message(500, "Internal Server Error")
}

fn too_large() -> HttpAnswer {
    HttpAnswer::message(413, "Request Entity Too Large")
}

/// The parameters of a path that fits the pattern, decoded.
fn parameters(pattern: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    let mut wanted = pattern.split('/');
    let mut given = path.split('/');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parameters),
            (Some(segment), Some(value)) => {
                match segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) {
                    Some(name) if !value.is_empty() => {
                        parameters.insert(name.to_owned(), decoded(value)?);
                    }
                    None if decoded(value)? == segment => {}
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
}

/// Percent-decoded; `None` when it is not UTF-8 then.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// The event of payload format 2.0. `None` when the path cannot be decoded.
///
/// HTTP APIs hand the path on decoded, join repeated headers with commas, and move cookies to a list of their own.
fn event(
    request: &HttpRequest,
    route: &Route,
    parameters: &BTreeMap<String, String>,
    now: Timestamp,
    number: u64,
) -> Option<Value> {
    let path = decoded(&request.path)?;
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    let mut cookies: Vec<&str> = Vec::new();
    let from_proxy = [
        ("x-forwarded-for".to_owned(), request.source_ip.clone()),
        ("x-forwarded-proto".to_owned(), "http".to_owned()),
    ];
    for (name, value) in request.headers.iter().chain(&from_proxy) {
        let name = name.to_ascii_lowercase();
        if name == "cookie" {
            cookies.extend(value.split(';').map(str::trim));
            continue;
        }
        headers
            .entry(name)
            .and_modify(|known| *known = format!("{known},{value}"))
            .or_insert_with(|| value.clone());
    }
    let content_type = headers.get("content-type").map_or("", String::as_str);
    let text = std::str::from_utf8(&request.body).ok().filter(|_| is_text(content_type));
    let mut event = json!({
        "version": "2.0",
        "routeKey": route.key(),
        "rawPath": path,
        "rawQueryString": request.query,
        "isBase64Encoded": text.is_none() && !request.body.is_empty(),
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": headers.get("host"),
            "domainPrefix": "local",
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source_ip,
                "userAgent": headers.get("user-agent"),
            },
            "requestId": format!("local-{number}"),
            "routeKey": route.key(),
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
    });
    let fields = event.as_object_mut()?;
    if !parameters.is_empty() {
        fields.insert("pathParameters".to_owned(), json!(parameters));
    }
    if !request.query.is_empty() {
        fields.insert("queryStringParameters".to_owned(), json!(query_parameters(&request.query)));
    }
    if !cookies.is_empty() {
        fields.insert("cookies".to_owned(), json!(cookies));
    }
    if !request.body.is_empty() {
        let body = text.map_or_else(|| STANDARD.encode(&request.body), str::to_owned);
        fields.insert("body".to_owned(), body.into());
    }
    fields.insert("headers".to_owned(), json!(headers));
    Some(event)
}

/// Content types whose bodies API Gateway hands on as text; all others it encodes in base64.
fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&essence.as_str())
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
}

fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        parameters
            .entry(name.into_owned())
            .and_modify(|known| *known = format!("{known},{value}"))
            .or_insert_with(|| value.clone().into_owned());
    }
    parameters
}

/// The response in a function's answer; `None` when it is none. An answer without `statusCode` is a body.
fn answer(value: &Value) -> Option<HttpAnswer> {
    let Some(status) = value.get("statusCode") else {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        return Some(HttpAnswer { status: 200, headers, body: value.to_string().into_bytes() });
    };
    let status = u16::try_from(status.as_u64()?).ok().filter(|status| (100..600).contains(status))?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    };
    let none = Map::new();
    let headers = value.get("headers").and_then(Value::as_object).unwrap_or(&none);
    let mut headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| Some((name.to_ascii_lowercase(), text(value)?)))
        .collect::<Option<_>>()?;
    for cookie in value.get("cookies").and_then(Value::as_array).into_iter().flatten() {
        headers.push(("set-cookie".to_owned(), text(cookie)?));
    }
    let body = value.get("body").and_then(Value::as_str).unwrap_or_default();
    let body = match value.get("isBase64Encoded").and_then(Value::as_bool) {
        Some(true) => STANDARD.decode(body).ok()?,
        _ => body.as_bytes().to_vec(),
    };
    Some(HttpAnswer { status, headers, body })
}

/// Takes a port of this machine that nobody outside it can reach; 0 takes any that is free. What the functions need to
/// know of it (`PUBLIC_URL`) is known before they are built.
pub async fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Serves until told to stop.
pub(crate) async fn serve(gateway: Arc<Gateway>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let service = Router::new().fallback(over_http).with_state(gateway);
    let service = service.into_make_service_with_connect_info::<SocketAddr>();
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the gateway ended");
    }
}

async fn over_http(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let answer = match to_bytes(body, MAX_BODY_BYTES).await {
        Err(_) => too_large(),
        Ok(body) => {
            let headers = head.headers.iter().map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            });
            let request = HttpRequest {
                method: head.method.to_string(),
                path: head.uri.path().to_owned(),
                query: head.uri.query().unwrap_or_default().to_owned(),
                headers: headers.collect(),
                body: body.to_vec(),
                source_ip: peer.ip().to_string(),
            };
            gateway.handle(request).await
        }
    };
    let head = Response::builder().status(answer.status);
    let head = answer.headers.iter().fold(head, |head, (name, value)| head.header(name, value));
    head.body(Body::from(answer.body)).unwrap_or_else(|_| {
        let mut response = Response::new(Body::from(internal_error().body));
        *response.status_mut() = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

#[cfg(test)]
mod tests;
