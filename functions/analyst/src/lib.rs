//! The risk analyst's API: the rings that the checks have found, each with its history, and a picture.
//!
//! | | |
//! |---|---|
//! | triggered by | HTTP routes of the analyst, see [`contract::openapi`]; API Gateway lets nobody through who has not signed as IAM wants it and may call them |
//! | reads | the book of rings in `relations`, and nothing else of the graph |
//! | writes | nothing |
//! | emits | nothing |
//! | retries | never by itself; every route only reads |

mod body;
mod cursor;
mod picture;
mod told;
mod wire;

pub use picture::svg;
pub use told::{MOST_SIGHTINGS, ToldRing, newest_first, told};
pub use wire::{wire, wire_in};

use async_trait::async_trait;
use contract::{
    analyst::{DEFAULT_RINGS, MOST_RINGS, RingList},
    http::{FieldError, Problem},
};
use cursor::Cursor;
use domain::RingId;
use lambda_kit::{
    Failure, Function, Incoming,
    http::{Request, Response, failed, invalid, problem},
};
use ports::{PortError, rings::RingBook};
use serde_json::Value;
use std::sync::Arc;

/// When a client tries again what we could not serve, in seconds.
const AGAIN_AFTER_S: u32 = 1;

/// A browser opens the picture, and is told that there is nothing in it but what is drawn.
const NOTHING_BUT_A_PICTURE: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

/// The function with everything that it reaches.
pub struct Analyst {
    pub book: Arc<dyn RingBook>,
}

#[async_trait]
impl Function for Analyst {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        let Incoming::Http(request) = Incoming::parse(event)? else {
            return Err(Failure::new("reading an HTTP event", "analyst answers HTTP routes only"));
        };
        let response = self.answer(&request).await.unwrap_or_else(refuse);
        Ok(response.into_event())
    }
}

impl Analyst {
    async fn answer(&self, request: &Request) -> Result<Response, Refusal> {
        match request.route.as_str() {
            "GET /v1/rings" => self.list(request).await,
            "GET /v1/rings/{ring}" => {
                let told = self.told(request).await?;
                Ok(Response::json(200, &body::answer(&told)))
            }
            "GET /v1/rings/{ring}/picture" => {
                let told = self.told(request).await?;
                let picture = Response::text(200, "image/svg+xml", svg(&told));
                Ok(picture.with_header("content-security-policy", NOTHING_BUT_A_PICTURE))
            }
            _ => Err(problem(404, "not-found", "There is nothing here").into()),
        }
    }

    async fn list(&self, request: &Request) -> Result<Response, Refusal> {
        let (limit, after) = page(request)?;
        let rings = newest_first(&*self.book).await?;
        let mut rest = rings.iter().filter(|ring| after.is_none_or(|after| Cursor::from(*ring) < after));
        let shown: Vec<_> = rest.by_ref().take(limit).collect();
        let next = rest.next().and(shown.last()).map(|last| Cursor::from(*last).to_string());
        Ok(Response::json(200, &RingList { rings: shown.into_iter().map(body::ring).collect(), next }))
    }

    /// The ring of the path, by any of its names.
    async fn told(&self, request: &Request) -> Result<ToldRing, Refusal> {
        let name: Option<RingId> = request.path_parameter("ring").and_then(|ring| ring.parse().ok());
        let name = name.ok_or_else(|| field("/ring", "must be the name of a ring: a UUID in lower case"))?;
        let found = told(&*self.book, name).await?;
        found.ok_or_else(|| problem(404, "not-found", "There is no such ring").into())
    }
}

/// How many rings are wanted, and behind which one.
fn page(request: &Request) -> Result<(usize, Option<Cursor>), Problem> {
    let mut errors = Vec::new();
    let mut bad = |pointer: &str, detail: String| {
        errors.push(FieldError { pointer: pointer.to_owned(), detail });
    };
    let limit = match request.query_parameter("limit").map(str::parse::<usize>) {
        None => DEFAULT_RINGS,
        Some(Ok(limit)) if (1..=MOST_RINGS).contains(&limit) => limit,
        Some(_) => {
            bad("/limit", format!("must be 1 to {MOST_RINGS}"));
            0
        }
    };
    let after = request.query_parameter("after").map(str::parse::<Cursor>).transpose();
    let after = after.unwrap_or_else(|_| {
        bad("/after", "must be what `next` of an earlier page said".to_owned());
        None
    });
    if errors.is_empty() { Ok((limit, after)) } else { Err(invalid(errors)) }
}

fn field(pointer: &str, detail: &str) -> Problem {
    invalid(vec![FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() }])
}

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the request was refused")]
    Problem(Box<Problem>),
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Refusal::Problem(Box::new(problem))
    }
}

fn refuse(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Problem(problem) => Response::from(*problem),
        Refusal::Port(error) => failed(&error, error.is_retryable(), AGAIN_AFTER_S),
    }
}
