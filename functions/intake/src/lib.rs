//! The borrower's API.
//!
//! | | |
//! |---|---|
//! | triggered by | HTTP routes of the borrower, see [`contract::openapi`] |
//! | reads | `firms`, `journeys`, `sign-ins`; `payouts`: whether the firm has a loan, and how a loan does |
//! | writes | `journeys`; `quotas`; `relations`: the sign-in under its device; `applicants` and `sign-ins`. Erases the last three when the borrower asks for it |
//! | emits | the four checks when an application is received, the payout when an offer is accepted; when an application ends here, its notice, and `unlink_claims` where its claims are unproven |
//! | retries | never by itself; every route may be called again with the same effect |

mod apply;
mod erase;
pub mod quotas;
mod read;
mod session;
mod terms;
mod wire;

pub use terms::Terms;
pub use wire::{wire, wire_in};

use async_trait::async_trait;
use contract::http::Problem;
use domain::{ApplicationId, Channel, journey::TransitionError, product::Catalogue};
use jiff::SignedDuration;
use lambda_kit::{
    Failure, Function, Incoming, Invocation,
    http::{Request, Response, failed, problem},
};
use ports::{
    Clock, PortError, applicants::ApplicantRecords, counterparty::ChannelExchange, firms::FirmArchive,
    loans::Loans, quotas::Quotas, relation::ActRecorder, sign_ins::SignIns,
};
use serde_json::Value;
use signing::{Claims, KeyedHasher, TokenIssuer, TokenVerifier};
use std::sync::Arc;
use steps::{AdvanceError, Journeys, Loaded};

/// When a borrower's client tries again what we could not serve, in seconds.
const AGAIN_AFTER_S: u32 = 1;

/// The function with everything that it reaches.
pub struct Intake {
    journeys: Journeys,
    applicants: Arc<dyn ApplicantRecords>,
    firms: Arc<dyn FirmArchive>,
    loans: Arc<dyn Loans>,
    sign_ins: Arc<dyn SignIns>,
    acts: Arc<dyn ActRecorder>,
    quotas: Arc<dyn Quotas>,
    channels: Arc<dyn ChannelExchange>,
    clock: Arc<dyn Clock>,
    products: Catalogue,
    hasher: KeyedHasher,
    issuer: TokenIssuer,
    verifier: TokenVerifier,
}

#[async_trait]
impl Function for Intake {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        let Incoming::Http(request) = Incoming::parse(event)? else {
            return Err(Failure::new("reading an HTTP event", "intake answers HTTP routes only"));
        };
        let response = self.answer(&request).await.unwrap_or_else(refuse);
        Ok(response.into_event())
    }
}

impl Intake {
    async fn answer(&self, request: &Request) -> Result<Response, Refusal> {
        match request.route.as_str() {
            "GET /openapi.json" => {
                return Ok(Response::raw_json(200, contract::openapi::COMMITTED.to_owned()));
            }
            "POST /v1/sessions" => return self.open_session(request).await,
            _ => {}
        }
        let borrower = self.borrower(request)?;
        match request.route.as_str() {
            "GET /v1/products" => Ok(self.products()),
            "GET /v1/firms/{code}" => self.firm(request).await,
            "POST /v1/applications" => self.apply(request, &borrower).await,
            "GET /v1/applications/{id}" => self.read(request, &borrower).await,
            "GET /v1/applications/{id}/explanation" => self.explain(request, &borrower).await,
            "POST /v1/applications/{id}/accept" => self.accept(request, &borrower).await,
            "POST /v1/applications/{id}/cancel" => self.cancel(request, &borrower).await,
            "DELETE /v1/applications/{id}/personal-data" => self.erase(request, &borrower).await,
            _ => Err(problem(404, "not-found", "There is nothing here").into()),
        }
    }

    /// Who is asking, by the session token.
    fn borrower(&self, request: &Request) -> Result<Borrower, Refusal> {
        let unauthorised = || problem(401, "no-session", "A valid session token is needed");
        let token = request.header("authorization").and_then(bearer).ok_or_else(unauthorised)?;
        let claims = self.verifier.verify(token, self.clock.now()).map_err(|_| unauthorised())?;
        let channel = Channel::named(&claims.session.channel).ok_or_else(unauthorised)?;
        Ok(Borrower { claims, channel })
    }

    /// The borrower's own application. Somebody else's does not exist for them.
    async fn own(&self, request: &Request, borrower: &Borrower) -> Result<Loaded, Refusal> {
        let id: Option<ApplicationId> = request.path_parameter("id").and_then(|id| id.parse().ok());
        let loaded = match id {
            Some(id) => {
                Invocation::is_about(id);
                self.journeys.load(id).await?
            }
            None => None,
        };
        loaded.filter(|l| borrower.owns(l)).ok_or(Refusal::Advance(AdvanceError::NotFound))
    }
}

/// The borrower behind a request.
struct Borrower {
    claims: Claims,
    channel: Channel,
}

impl Borrower {
    fn owns(&self, loaded: &Loaded) -> bool {
        let application = &loaded.journey.application;
        application.subject.as_str() == self.claims.session.sub && application.channel == self.channel
    }
}

/// The token of a bearer header; the scheme's name is read without regard to case (RFC 9110).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the request was refused")]
    Problem(Box<Problem>),
    /// It may be served after a while.
    #[error("the request was refused for now")]
    Later { problem: Box<Problem>, wait: SignedDuration },
    #[error(transparent)]
    Advance(#[from] AdvanceError),
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
        Refusal::Later { problem, wait } => {
            let seconds = wait.as_secs().max(1);
            Response::from(*problem).with_header("retry-after", seconds.to_string())
        }
        Refusal::Advance(AdvanceError::NotFound) => {
            problem(404, "not-found", "There is no such application").into()
        }
        Refusal::Advance(AdvanceError::Transition(error)) => {
            let conflict = problem(409, "not-possible-now", "The application does not allow this now");
            Problem { detail: Some(told(&error)), ..conflict }.into()
        }
        Refusal::Advance(error) => failed(&error, error.is_retryable(), AGAIN_AFTER_S),
        Refusal::Port(error) => failed(&error, error.is_retryable(), AGAIN_AFTER_S),
    }
}

/// Why a journey does not take a step, in a borrower's words.
fn told(error: &TransitionError) -> String {
    match error {
        TransitionError::Forbidden { status, .. } | TransitionError::Repeated { status, .. } => {
            format!("The application is {status}")
        }
        TransitionError::Outdated { .. } => "The offer is another one by now: look at it again".to_owned(),
        TransitionError::NotBegun { .. } | TransitionError::OfferOutOfBounds(_) => error.to_string(),
    }
}
