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

use crate::{
    Clock, Handle, Keys, StartError,
    request::{Refusal, plain, signed},
    server::{Background, serve},
    system_clock,
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
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

/// Starts the channels' server.
pub async fn start(config: ChannelsConfig) -> Result<Handle, StartError> {
    let background = Background::new();
    let port = config.port;
    let channels = Channels { config, codes: Mutex::default() };
    let router = Router::new()
        .route("/codes", post(issue_code))
        .route("/exchange", post(exchange))
        .with_state(Arc::new(channels));
    serve(port, router, background).await
}

struct Channels {
    config: ChannelsConfig,
    codes: Mutex<HashMap<String, Code>>,
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

#[cfg(test)]
mod tests;
