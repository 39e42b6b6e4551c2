//! The back ends of the channels in which borrowers sign in.
//!
//! `POST /codes` is what the front end would do on the phone: it says who is there and gets a one-time code. It needs no
//! signature. `POST /exchange`, signed by the lender, turns the code into what the channel vouches for, once:
//!
//! | answer | when |
//! |---|---|
//! | 200 | first use, right channel, within five minutes |
//! | 404 | no such code in this channel, or older than five minutes |
//! | 409 | used before |
//!
//! `POST /notices`, signed by the lender, tells what became of an application. A notice is taken once by its `webhook-id`;
//! a copy of it is answered 200 too. The subject decides how well the channel listens, which also [`ChannelsHandle::listen`]
//! changes for all of them:
//!
//! | subject ends with | answer |
//! |---|---|
//! | `-notices-fail-<n>` | 500 to the first n deliveries of each notice, then 200 |
//! | `-notices-later-<s>` | 429 with `Retry-After: <s>` to the first delivery, then 200 |
//! | `-notices-gone` | 410 |

use crate::{
    Clock, Handle, Keys, StartError,
    request::{Refusal, message_id, plain, signed},
    server::{Background, serve},
    system_clock,
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// How long a code can be exchanged.
const LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// Most codes that are remembered.
const MOST_CODES: usize = 1_000_000;

/// Most notices that are remembered.
const MOST_NOTICES: usize = 1_000_000;

/// Settings of the channels' server.
#[derive(Clone)]
pub struct ChannelsConfig {
    /// 0 picks a free port.
    pub port: u16,
    pub keys: Keys,
    pub clock: Clock,
}

impl ChannelsConfig {
    /// A free port and the machine's clock.
    pub fn new(keys: Keys) -> Self {
        Self { port: 0, keys, clock: system_clock() }
    }
}

/// How well the channels listen to notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listening {
    /// As the subject of each notice asks for.
    #[default]
    BySubject,
    /// Every delivery is answered 500.
    Failing,
    /// Every delivery is answered 503 with `Retry-After` in seconds.
    Busy { retry_after_s: u32 },
    /// Every delivery is answered 410.
    Gone,
}

/// A notice that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenNotice {
    /// The `webhook-id` that it came under.
    pub id: String,
    pub application_id: String,
    pub subject: String,
    pub status: String,
    pub at: String,
    /// How often it was delivered, taken or not.
    pub deliveries: u32,
}

/// The running channels.
pub struct ChannelsHandle {
    handle: Handle,
    channels: Arc<Channels>,
}

impl std::ops::Deref for ChannelsHandle {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl ChannelsHandle {
    /// Changes how well all channels listen from here on.
    pub fn listen(&self, listening: Listening) {
        *self.channels.listening.lock().unwrap_or_else(PoisonError::into_inner) = listening;
    }

    /// The notices that were taken, each once, in the order in which they were.
    pub fn notices(&self) -> Vec<TakenNotice> {
        self.channels.notices.lock().unwrap_or_else(PoisonError::into_inner).taken.clone()
    }

    /// How many deliveries of notices came, taken or not.
    pub fn deliveries(&self) -> u32 {
        let notices = self.channels.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.deliveries.values().sum()
    }

    pub async fn stop(self) {
        self.handle.stop().await;
    }
}

/// Starts the channels' server.
pub async fn start(config: ChannelsConfig) -> Result<ChannelsHandle, StartError> {
    let background = Background::new();
    let port = config.port;
    let channels = Arc::new(Channels {
        config,
        codes: Mutex::default(),
        listening: Mutex::default(),
        notices: Mutex::default(),
    });
    let router = Router::new()
        .route("/codes", post(issue_code))
        .route("/exchange", post(exchange))
        .route("/notices", post(take_notice))
        .with_state(Arc::clone(&channels));
    let handle = serve(port, router, background).await?;
    Ok(ChannelsHandle { handle, channels })
}

struct Channels {
    config: ChannelsConfig,
    codes: Mutex<HashMap<String, Code>>,
    listening: Mutex<Listening>,
    notices: Mutex<Notices>,
}

/// What the channels have heard.
#[derive(Default)]
struct Notices {
    taken: Vec<TakenNotice>,
    /// Where each is in `taken`.
    places: HashMap<String, usize>,
    /// How often each message came.
    deliveries: HashMap<String, u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoticeBody {
    application_id: String,
    subject: String,
    status: String,
    at: String,
}

struct Code {
    channel: String,
    issued: Timestamp,
    used: bool,
    sign_in: SignIn,
}

/// What a front end tells. Holds personal data, so it cannot be printed.
#[derive(Deserialize)]
struct CodeRequest {
    channel: String,
    #[serde(flatten)]
    sign_in: SignIn,
}

/// What a channel vouches for.
#[derive(Clone, Serialize, Deserialize)]
struct SignIn {
    subject: String,
    device: String,
    network: String,
    #[serde(default)]
    place: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account_opened_at: Option<Timestamp>,
    #[serde(default)]
    verified_person: Option<VerifiedPerson>,
}

#[derive(Clone, Serialize, Deserialize)]
struct VerifiedPerson {
    name: String,
    resident_id: String,
}

#[derive(Serialize)]
struct IssuedCode {
    code: String,
}

#[derive(Deserialize)]
struct ExchangeRequest {
    channel: String,
    code: String,
}

async fn issue_code(State(channels): State<Arc<Channels>>, body: Bytes) -> Result<Json<IssuedCode>, Refusal> {
    let request: CodeRequest = plain(&body)?;
    let code = signing::keys::random_id()
        .map_err(|_| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "no code could be made"))?;
    let issued = (channels.config.clock)();
    let mut codes = channels.codes.lock().unwrap_or_else(PoisonError::into_inner);
    if codes.len() >= MOST_CODES {
        return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "too many codes"));
    }
    codes.insert(
        code.clone(),
        Code { channel: request.channel, issued, used: false, sign_in: request.sign_in },
    );
    Ok(Json(IssuedCode { code }))
}

async fn exchange(
    State(channels): State<Arc<Channels>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<SignIn>, Refusal> {
    const UNKNOWN: Refusal = Refusal(StatusCode::NOT_FOUND, "no such code");
    let request: ExchangeRequest = signed(&channels.config.keys, &channels.config.clock, &headers, &body)?;
    let now = (channels.config.clock)();
    let mut codes = channels.codes.lock().unwrap_or_else(PoisonError::into_inner);
    let code = codes.get_mut(&request.code).ok_or(UNKNOWN)?;
    if code.channel != request.channel {
        return Err(UNKNOWN);
    }
    if code.used {
        return Err(Refusal(StatusCode::CONFLICT, "the code has been used"));
    }
    if now.duration_since(code.issued) > LIFETIME {
        return Err(UNKNOWN);
    }
    code.used = true;
    Ok(Json(code.sign_in.clone()))
}

async fn take_notice(
    State(channels): State<Arc<Channels>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let notice: NoticeBody = signed(&channels.config.keys, &channels.config.clock, &headers, &body)?;
    let id = message_id(&headers)?;
    let listening = *channels.listening.lock().unwrap_or_else(PoisonError::into_inner);
    let mut guard = channels.notices.lock().unwrap_or_else(PoisonError::into_inner);
    let notices = &mut *guard;
    if notices.deliveries.len() >= MOST_NOTICES {
        return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "too many notices"));
    }
    let deliveries = notices.deliveries.entry(id.clone()).or_default();
    *deliveries += 1;
    let deliveries = *deliveries;
    if let Some(refused) = turned_away(listening, &notice.subject, deliveries) {
        return Ok(refused);
    }
    if let Some(place) = notices.places.get(&id) {
        notices.taken[*place].deliveries = deliveries;
        return Ok(StatusCode::OK.into_response());
    }
    notices.places.insert(id.clone(), notices.taken.len());
    let NoticeBody { application_id, subject, status, at } = notice;
    notices.taken.push(TakenNotice { id, application_id, subject, status, at, deliveries });
    Ok(StatusCode::OK.into_response())
}

/// The answer to a delivery that is not taken, the nth of its notice.
fn turned_away(listening: Listening, subject: &str, nth: u32) -> Option<Response> {
    let after = |marker: &str| subject.rsplit_once(marker).and_then(|(_, n)| n.parse::<u32>().ok());
    let busy =
        |status: StatusCode, seconds: u32| (status, [(RETRY_AFTER, seconds.to_string())]).into_response();
    match listening {
        Listening::Failing => Some(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
        Listening::Busy { retry_after_s } => Some(busy(StatusCode::SERVICE_UNAVAILABLE, retry_after_s)),
        Listening::Gone => Some(StatusCode::GONE.into_response()),
        Listening::BySubject if subject.ends_with("-notices-gone") => Some(StatusCode::GONE.into_response()),
        Listening::BySubject => match (after("-notices-fail-"), after("-notices-later-")) {
            (Some(first), _) if nth <= first => Some(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
            (_, Some(seconds)) if nth == 1 => Some(busy(StatusCode::TOO_MANY_REQUESTS, seconds)),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests;
