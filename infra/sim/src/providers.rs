//! The providers of the face check and of the own-number check, on one server.
//!
//! `POST /face/checks` and `POST /phone/checks`, signed by the lender with the key of that check, are answered
//! `202 {"accepted":true}`. After a short delay the answer goes to the request's `callback_url`, signed. A second start of
//! the same `check_id` and `attempt` sends the same answer again under the same message id.
//!
//! # What decides the answer
//!
//! The last four digits of the phone number, unless [`ProvidersConfig::behaviours`] names the number:
//!
//! | ends in | phone check | face check |
//! |---|---|---|
//! | 0001 | unknown, always | match |
//! | 0002 | unknown on the first attempt, then match | match |
//! | 0003 | mismatch | match |
//! | 0004 | match | mismatch |
//! | 0005 | match, called back twice | match, called back twice |
//! | 0006 | silent on the first attempt, then match | match |
//! | 0007 | match | silent on the first attempt, then match |
//! | other | match | match |
//!
//! Whatever the phone, a face never matches a resident id whose check character is wrong (GB 11643-1999).

use crate::{
    Clock, Delay, Gate, Handle, Keys, StartError,
    courier::{Courier, callback_id, is_callback_url},
    pause,
    request::{Refusal, signed},
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
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Most checks that are remembered. A provider that is full says 503 rather than forget an answer.
const MOST_CHECKS: usize = 1_000_000;

/// Which of the two checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Face,
    Phone,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Face => "face",
            Self::Phone => "phone",
        }
    }
}

/// How a provider behaves towards one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    Match,
    Mismatch,
    /// Unknown, however often it is asked.
    Unknown,
    /// Unknown on the first attempt, then match.
    UnknownOnce,
    /// No callback on the first attempt, then match.
    SilentOnce,
    /// Match, and the same callback twice.
    Twice,
}

impl std::str::FromStr for Behaviour {
    type Err = NotASteer;

    fn from_str(text: &str) -> Result<Self, NotASteer> {
        Ok(match text {
            "match" => Self::Match,
            "mismatch" => Self::Mismatch,
            "unknown" => Self::Unknown,
            "unknown-once" => Self::UnknownOnce,
            "silent-once" => Self::SilentOnce,
            "twice" => Self::Twice,
            _ => return Err(NotASteer),
        })
    }
}

/// One person's behaviour as text: `face:13800000000=mismatch`.
#[derive(Clone)]
pub struct Steer {
    kind: Kind,
    phone: String,
    behaviour: Behaviour,
}

/// The text is not a [`Steer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be face:<phone>=<behaviour> or phone:<phone>=<behaviour>, the behaviour one of match, mismatch, unknown, unknown-once, silent-once, twice"
)]
pub struct NotASteer;

impl std::str::FromStr for Steer {
    type Err = NotASteer;

    fn from_str(text: &str) -> Result<Self, NotASteer> {
        let (kind, rest) = text.split_once(':').ok_or(NotASteer)?;
        let (phone, behaviour) = rest.split_once('=').ok_or(NotASteer)?;
        let kind = match kind {
            "face" => Kind::Face,
            "phone" => Kind::Phone,
            _ => return Err(NotASteer),
        };
        Ok(Self { kind, phone: phone.to_owned(), behaviour: behaviour.parse()? })
    }
}

impl Steer {
    /// For [`ProvidersConfig::behaviours`].
    pub fn into_entry(self) -> ((Kind, String), Behaviour) {
        ((self.kind, self.phone), self.behaviour)
    }
}

/// Settings of the providers' server.
#[derive(Clone)]
pub struct ProvidersConfig {
    /// 0 picks a free port.
    pub port: u16,
    pub face_keys: Keys,
    pub phone_keys: Keys,
    pub delay: Delay,
    /// Before the first redelivery of a callback; doubles with each further one.
    pub redelivery_pause: Duration,
    /// By check and phone number; comes before the table of this module.
    pub behaviours: BTreeMap<(Kind, String), Behaviour>,
    pub clock: Clock,
    /// Holds callbacks back until they are let out; they go by themselves without one.
    pub gate: Option<Gate>,
}

impl ProvidersConfig {
    /// Usual delays, a free port, the machine's clock.
    pub fn new(face_keys: Keys, phone_keys: Keys) -> Self {
        Self {
            port: 0,
            face_keys,
            phone_keys,
            delay: Delay::default(),
            redelivery_pause: Duration::from_millis(50),
            behaviours: BTreeMap::new(),
            clock: system_clock(),
            gate: None,
        }
    }
}

/// Starts the providers' server.
pub async fn start(config: ProvidersConfig) -> Result<Handle, StartError> {
    let background = Background::new();
    let courier = Courier::new(Arc::clone(&config.clock), config.redelivery_pause, config.gate.clone())?;
    let port = config.port;
    let providers = Providers { config, courier, background: background.clone(), checks: Mutex::default() };
    let router = Router::new()
        .route("/face/checks", post(face))
        .route("/phone/checks", post(phone))
        .with_state(Arc::new(providers));
    serve(port, router, background).await
}

struct Providers {
    config: ProvidersConfig,
    courier: Courier,
    background: Background,
    checks: Mutex<HashMap<(Kind, String, u32), Check>>,
}

/// A check that was started, and what is said about it.
struct Check {
    person_ref: String,
    callback: Bytes,
}

/// The lender's request. Holds personal data, so it cannot be printed.
#[derive(Deserialize)]
struct CheckRequest {
    check_id: String,
    application_id: String,
    attempt: u32,
    callback_url: String,
    person_ref: String,
    person: PersonToCheck,
}

#[derive(Deserialize)]
struct PersonToCheck {
    resident_id: String,
    phone: String,
}

#[derive(Serialize)]
struct Callback<'a> {
    check_id: &'a str,
    application_id: &'a str,
    attempt: u32,
    person_ref: &'a str,
    answer: Answer,
    checked_at: jiff::Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Match,
    Mismatch,
    Unknown,
}

#[derive(Serialize)]
struct Accepted {
    accepted: bool,
}

type Started = Result<(StatusCode, Json<Accepted>), Refusal>;

async fn face(State(providers): State<Arc<Providers>>, headers: HeaderMap, body: Bytes) -> Started {
    let request = signed(&providers.config.face_keys, &providers.config.clock, &headers, &body)?;
    providers.start_check(Kind::Face, request)
}

async fn phone(State(providers): State<Arc<Providers>>, headers: HeaderMap, body: Bytes) -> Started {
    let request = signed(&providers.config.phone_keys, &providers.config.clock, &headers, &body)?;
    providers.start_check(Kind::Phone, request)
}

impl Providers {
    fn start_check(self: &Arc<Self>, kind: Kind, request: CheckRequest) -> Started {
        if request.attempt == 0
            || !(1..=128).contains(&request.check_id.len())
            || !is_callback_url(&request.callback_url)
        {
            return Err(Refusal(
                StatusCode::UNPROCESSABLE_ENTITY,
                "check_id, attempt or callback_url is not usable",
            ));
        }
        let behaviour = self.behaviour(kind, &request);
        let callback = self.remember(kind, &request, behaviour)?;
        let deliveries = match behaviour {
            Behaviour::SilentOnce if request.attempt == 1 => 0,
            Behaviour::Twice => 2,
            _ => 1,
        };
        let name = format!("{}.{}", request.check_id, request.attempt);
        let providers = Arc::clone(self);
        self.background.spawn(async move {
            pause(providers.config.delay.of(&name)).await;
            let id = callback_id(kind.as_str(), &name);
            for _ in 0..deliveries {
                providers.courier.deliver(providers.keys(kind), &request.callback_url, &id, &callback).await;
            }
        });
        Ok((StatusCode::ACCEPTED, Json(Accepted { accepted: true })))
    }

    fn keys(&self, kind: Kind) -> &Keys {
        match kind {
            Kind::Face => &self.config.face_keys,
            Kind::Phone => &self.config.phone_keys,
        }
    }

    fn behaviour(&self, kind: Kind, request: &CheckRequest) -> Behaviour {
        let phone = &request.person.phone;
        if let Some(behaviour) = self.config.behaviours.get(&(kind, phone.clone())) {
            return *behaviour;
        }
        let digits = phone.len().checked_sub(4).and_then(|start| phone.get(start..)).unwrap_or_default();
        match (kind, digits) {
            (Kind::Face, _) if !is_resident_id(&request.person.resident_id) => Behaviour::Mismatch,
            (Kind::Phone, "0001") => Behaviour::Unknown,
            (Kind::Phone, "0002") => Behaviour::UnknownOnce,
            (Kind::Phone, "0003") | (Kind::Face, "0004") => Behaviour::Mismatch,
            (_, "0005") => Behaviour::Twice,
            (Kind::Phone, "0006") | (Kind::Face, "0007") => Behaviour::SilentOnce,
            _ => Behaviour::Match,
        }
    }

    /// The callback of this check: a new one the first time, the same bytes ever after.
    fn remember(&self, kind: Kind, request: &CheckRequest, behaviour: Behaviour) -> Result<Bytes, Refusal> {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind, request.check_id.clone(), request.attempt);
        if let Some(check) = checks.get(&key) {
            if check.person_ref != request.person_ref {
                return Err(Refusal(StatusCode::CONFLICT, "this check was started for somebody else"));
            }
            return Ok(check.callback.clone());
        }
        if checks.len() >= MOST_CHECKS {
            return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "too many checks"));
        }
        let callback = Callback {
            check_id: &request.check_id,
            application_id: &request.application_id,
            attempt: request.attempt,
            person_ref: &request.person_ref,
            answer: answer(behaviour, request.attempt),
            checked_at: (self.config.clock)(),
        };
        let callback: Bytes = serde_json::to_vec(&callback)
            .map_err(|_| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written"))?
            .into();
        checks.insert(key, Check { person_ref: request.person_ref.clone(), callback: callback.clone() });
        Ok(callback)
    }
}

fn answer(behaviour: Behaviour, attempt: u32) -> Answer {
    match behaviour {
        Behaviour::Mismatch => Answer::Mismatch,
        Behaviour::Unknown => Answer::Unknown,
        Behaviour::UnknownOnce if attempt == 1 => Answer::Unknown,
        Behaviour::Match | Behaviour::UnknownOnce | Behaviour::SilentOnce | Behaviour::Twice => Answer::Match,
    }
}

/// The check character of GB 11643-1999 (ISO 7064, MOD 11-2).
fn is_resident_id(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECKS: &[u8; 11] = b"10X98765432";
    let bytes = text.as_bytes();
    let Some((check, digits)) = bytes.split_last().filter(|(_, digits)| digits.len() == WEIGHTS.len()) else {
        return false;
    };
    let sum: u32 =
        digits.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit.wrapping_sub(b'0')) * weight).sum();
    digits.iter().all(u8::is_ascii_digit) && check.to_ascii_uppercase() == CHECKS[sum as usize % 11]
}

#[cfg(test)]
mod tests;
