//! The journey of one application, from *received* to *paid out* or to another end.
//!
//! [`transition`] is the whole state machine: the state so far and one event give the next state and the commands
//! to send, or an error that names both sides. It reads no clock and does no I/O. State is never stored: it is
//! always the fold of the journal's events ([`Journey::fold`]), so replaying a decision is the same fold.
//!
//! ```text
//!  received ─▶ checking ──all facts──▶ deciding ─▶ offered ─▶ accepted ─▶ payout requested ─▶ paid out
//!                 │  hard failure          │ ▲        │  ▲ ring found │          └─▶ payout failed
//!                 ▼                        ▼ └────────┴──┴────────────┘
//!              declined                 declined    expired, cancelled (until the payout is requested)
//! ```

mod event;
mod status;

pub use event::{AcceptedBy, Command, Event};
pub use status::Status;

use crate::{
    application::Application,
    checks::{CheckAnswer, ElementsAnswer, GraphFeatures, RingNotice, Score},
    decision::{Decision, Offer},
    money::{Fen, MAX_ANNUAL_RATE},
    reason::Reason,
};
use jiff::{SignedDuration, Timestamp};

/// How often a check that answered *unknown* is asked in all.
pub const CHECK_ATTEMPTS: u8 = 3;
/// How long the checks may take before the application expires.
pub const CHECKS_EXPIRE_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// How long a step of the machine may stay silent before its command is sent again.
pub const STEP_DUE_AFTER: SignedDuration = SignedDuration::from_secs(15);
/// How long a bank may stay silent before it is asked.
pub const BANK_DUE_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// How far a provider's check has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The provider has been, or is being, asked for this attempt.
    Asked {
        attempt: u8,
    },
    Passed,
}

/// The facts on which a decision rests. Equal facts give an equal decision, in whatever order they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub score: Option<Score>,
    pub graph: Option<GraphFeatures>,
    /// The worst that other members' checks reported.
    pub ring: Option<RingNotice>,
}

impl Facts {
    /// The most applications, the most firms and the worst label of any ring that anybody saw around this application.
    pub fn largest_ring(&self) -> RingNotice {
        let own = self.graph.as_ref().map(GraphFeatures::notice);
        [own, self.ring].into_iter().flatten().fold(RingNotice::ALONE, RingNotice::worst)
    }
}

/// The state of a journey: the fold of its events.
#[derive(Clone, Debug, PartialEq)]
pub struct Journey {
    pub application: Application,
    pub status: Status,
    pub elements: Option<ElementsAnswer>,
    pub face: Check,
    pub phone: Check,
    pub facts: Facts,
    /// The graph check waits for this application's own proof.
    pub graph_waits: bool,
    /// Counts the changes of `facts`. A decision names the revision that it saw, and one on older facts is refused.
    pub revision: u32,
    pub offer: Option<Offer>,
    pub strategy: Option<String>,
    pub accepted_by: Option<AcceptedBy>,
    pub reasons: Vec<Reason>,
    pub bank_reference: Option<String>,
    /// How many of the ledger's resolutions of the payout the journey has followed. A bank may correct itself, and the
    /// journey follows the ledger in the ledger's order.
    pub resolutions: u32,
    pub received_at: Timestamp,
    /// When the facts were last complete, or a ring last called for another decision.
    pub deciding_since: Timestamp,
    /// When the last event happened.
    pub updated_at: Timestamp,
}

/// Why an event cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    #[error("a journey that is {status} cannot take the event {event}")]
    Forbidden { status: Status, event: &'static str },
    #[error("a journey that has not begun cannot take the event {event}")]
    NotBegun { event: &'static str },
    #[error("the step {event} of a journey that is {status} is already recorded")]
    Repeated { status: Status, event: &'static str },
    #[error(
        "the decision rests on revision {decided} of the facts, the journey is {status} at revision {current}"
    )]
    Outdated { status: Status, decided: u32, current: u32 },
    #[error("the offer breaks a limit: {0}")]
    OfferOutOfBounds(&'static str),
}

type Transition = Result<(Journey, Vec<Command>), TransitionError>;

/// The state machine. `at` is when the event happened, by the caller's clock.
pub fn transition(state: Option<Journey>, event: &Event, at: Timestamp) -> Transition {
    let Some(mut journey) = state else {
        return match event {
            Event::Received { application } => Ok(begin(application, at)),
            other => Err(TransitionError::NotBegun { event: other.name() }),
        };
    };
    let commands = journey.take(event, at)?;
    journey.updated_at = at;
    Ok((journey, commands))
}

fn begin(application: &Application, at: Timestamp) -> (Journey, Vec<Command>) {
    let asked = Check::Asked { attempt: 1 };
    let consented = application.consents.face_recognition;
    let mut journey = Journey {
        application: application.clone(),
        status: Status::Checking,
        elements: None,
        face: if consented { asked } else { Check::Passed },
        phone: asked,
        facts: Facts::default(),
        graph_waits: false,
        revision: 0,
        offer: None,
        strategy: None,
        accepted_by: None,
        reasons: Vec::new(),
        bank_reference: None,
        resolutions: 0,
        received_at: at,
        deciding_since: at,
        updated_at: at,
    };
    if !consented && !application.identified_by_channel {
        journey.end(Status::Declined, Reason::FaceConsentRefused);
    }
    let commands = journey.outstanding();
    (journey, commands)
}

impl Journey {
    /// The state after a sequence of events with their times; `None` when there are none.
    pub fn fold<'a>(
        events: impl IntoIterator<Item = (&'a Event, Timestamp)>,
    ) -> Result<Option<Journey>, TransitionError> {
        events
            .into_iter()
            .try_fold(None, |state, (event, at)| transition(state, event, at).map(|(next, _)| Some(next)))
    }

    /// Whether registration, face and phone agree with what the application claims.
    pub fn is_proven(&self) -> bool {
        self.elements == Some(ElementsAnswer::Match)
            && self.face == Check::Passed
            && self.phone == Check::Passed
    }

    /// The commands without which the journey cannot go on. Sending one twice does no harm.
    pub fn outstanding(&self) -> Vec<Command> {
        match self.status {
            Status::Checking => {
                let face = match self.face {
                    Check::Asked { attempt } => Some(Command::StartFaceCheck { attempt }),
                    Check::Passed => None,
                };
                let phone = match self.phone {
                    Check::Asked { attempt } => Some(Command::StartPhoneCheck { attempt }),
                    Check::Passed => None,
                };
                let score = self.facts.score.is_none().then_some(Command::Score);
                let graph_waits = self.graph_waits && !self.is_proven();
                let graph = (self.facts.graph.is_none() && !graph_waits).then_some(Command::CheckGraph);
                [face, phone, score, graph].into_iter().flatten().collect()
            }
            Status::Deciding => vec![Command::Decide],
            Status::Accepted | Status::PayoutRequested => vec![Command::PayOut],
            _ => Vec::new(),
        }
    }

    /// What the channel is told when entry `entry` has brought the journey here from `before`. The journey does not wait
    /// for it, so it is no [`Self::outstanding`] command.
    pub fn notice(&self, before: Option<Status>, entry: u32) -> Option<Command> {
        let has_changed = before != Some(self.status);
        (has_changed && self.status.is_told()).then_some(Command::Notify { status: self.status, entry })
    }

    /// What is asked for when a journey that stood at `before` has ended without proving its claims. The journey does not
    /// wait for it either.
    pub fn unlinking(&self, before: Option<Status>) -> Option<Command> {
        let has_ended = self.status.is_end() && before.is_some_and(|before| !before.is_end());
        (has_ended && !self.is_proven()).then_some(Command::UnlinkClaims)
    }

    /// When somebody has to look at this journey again if nothing happens; `None` at an end.
    pub fn due_at(&self) -> Option<Timestamp> {
        let after = |wait: SignedDuration| self.updated_at.checked_add(wait).ok();
        match self.status {
            Status::Checking | Status::Deciding | Status::Accepted => after(STEP_DUE_AFTER),
            Status::Offered => self.offer.as_ref().map(|o| o.expires_at),
            Status::PayoutRequested => after(BANK_DUE_AFTER),
            _ => None,
        }
    }

    /// When the journey runs out of time if it does not move; `None` where it may wait.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let after = |at: Timestamp| at.checked_add(CHECKS_EXPIRE_AFTER).ok();
        match self.status {
            Status::Checking => after(self.received_at),
            Status::Deciding => after(self.deciding_since),
            Status::Offered => self.offer.as_ref().map(|offer| offer.expires_at),
            _ => None,
        }
    }

    /// Whether the journey has run out of time and must be ended with [`Event::Expired`].
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at().is_some_and(|at| now >= at)
    }

    fn take(&mut self, event: &Event, at: Timestamp) -> Result<Vec<Command>, TransitionError> {
        let forbidden = TransitionError::Forbidden { status: self.status, event: event.name() };
        let repeated = TransitionError::Repeated { status: self.status, event: event.name() };
        match event {
            Event::Received { .. } => Err(repeated),
            Event::RingFound { ring, .. } => self.hear_of_ring(*ring, at, forbidden),
            Event::Cancelled => match self.status {
                Status::Checking | Status::Deciding | Status::Offered | Status::Accepted => {
                    self.end(Status::Cancelled, Reason::CancelledByBorrower);
                    Ok(Vec::new())
                }
                Status::Cancelled => Err(repeated),
                _ => Err(forbidden),
            },
            Event::Expired => match self.status {
                // Whoever found the time up may have looked before the journey moved on.
                _ if !self.status.is_end() && !self.has_expired(at) => Err(forbidden),
                Status::Checking | Status::Deciding => {
                    self.end(Status::Expired, Reason::ChecksTimedOut);
                    Ok(Vec::new())
                }
                Status::Offered => {
                    self.end(Status::Expired, Reason::OfferExpired);
                    Ok(Vec::new())
                }
                Status::Expired => Err(repeated),
                _ => Err(forbidden),
            },
            _ => match self.status {
                Status::Checking => self.take_fact(event, at, forbidden, repeated),
                _ if self.knows(event) => Err(repeated),
                Status::Declined | Status::Expired | Status::Cancelled => Err(forbidden),
                _ => self.take_step(event, at, forbidden),
            },
        }
    }

    /// Whether the fact that the event reports is already part of the state.
    fn knows(&self, event: &Event) -> bool {
        let answered = |check: Check, attempt: u8| match check {
            Check::Passed => true,
            Check::Asked { attempt: current } => attempt < current,
        };
        match event {
            Event::ElementsChecked { .. } => self.elements.is_some(),
            Event::FaceChecked { attempt, .. } => answered(self.face, *attempt),
            Event::PhoneChecked { attempt, .. } => answered(self.phone, *attempt),
            Event::Scored { .. } => self.facts.score.is_some(),
            Event::GraphChecked { .. } => self.facts.graph.is_some(),
            Event::GraphWaits => self.graph_waits || self.facts.graph.is_some(),
            Event::Decided { revision, .. } => self.strategy.is_some() && *revision == self.revision,
            Event::Accepted { .. } => matches!(
                self.status,
                Status::Accepted | Status::PayoutRequested | Status::PaidOut | Status::PayoutFailed
            ),
            Event::PayoutRequested { .. } => {
                matches!(self.status, Status::PayoutRequested | Status::PaidOut | Status::PayoutFailed)
            }
            Event::PaidOut { resolution, .. } | Event::PayoutFailed { resolution, .. } => {
                *resolution <= self.resolutions
            }
            _ => false,
        }
    }

    fn take_fact(
        &mut self,
        event: &Event,
        at: Timestamp,
        forbidden: TransitionError,
        repeated: TransitionError,
    ) -> Result<Vec<Command>, TransitionError> {
        if self.knows(event) {
            return Err(repeated);
        }
        match event {
            Event::ElementsChecked { answer } => {
                self.elements = Some(*answer);
                match answer {
                    ElementsAnswer::Match => {}
                    ElementsAnswer::Mismatch => self.end(Status::Declined, Reason::IdentityMismatch),
                    ElementsAnswer::FirmBanned => self.end(Status::Declined, Reason::FirmBanned),
                }
            }
            Event::FaceChecked { attempt, answer, .. } => {
                if self.face != (Check::Asked { attempt: *attempt }) {
                    return Err(forbidden);
                }
                match next_check(*attempt, *answer) {
                    Ok(Check::Passed) => self.face = Check::Passed,
                    Ok(Check::Asked { attempt }) => {
                        self.face = Check::Asked { attempt };
                        return Ok(vec![Command::StartFaceCheck { attempt }]);
                    }
                    Err(CheckAnswer::Mismatch) => self.end(Status::Declined, Reason::FaceMismatch),
                    Err(_) => self.end(Status::Declined, Reason::FaceUnverified),
                }
            }
            Event::PhoneChecked { attempt, answer, .. } => {
                if self.phone != (Check::Asked { attempt: *attempt }) {
                    return Err(forbidden);
                }
                match next_check(*attempt, *answer) {
                    Ok(Check::Passed) => self.phone = Check::Passed,
                    Ok(Check::Asked { attempt }) => {
                        self.phone = Check::Asked { attempt };
                        return Ok(vec![Command::StartPhoneCheck { attempt }]);
                    }
                    Err(CheckAnswer::Mismatch) => self.end(Status::Declined, Reason::PhoneMismatch),
                    Err(_) => self.end(Status::Declined, Reason::PhoneUnverified),
                }
            }
            Event::Scored { score } => {
                self.facts.score = Some(score.clone());
                self.revision += 1;
            }
            Event::GraphChecked { features } => {
                self.facts.graph = Some(features.clone());
                self.revision += 1;
            }
            // There is nothing to wait for any more.
            Event::GraphWaits if self.is_proven() => return Err(forbidden),
            Event::GraphWaits => self.graph_waits = true,
            _ => return Err(forbidden),
        }
        Ok(self.join(at))
    }

    /// Completes the join when the last fact is in.
    fn join(&mut self, at: Timestamp) -> Vec<Command> {
        let complete = self.status == Status::Checking
            && self.is_proven()
            && self.facts.score.is_some()
            && self.facts.graph.is_some();
        if !complete {
            return Vec::new();
        }
        self.status = Status::Deciding;
        self.deciding_since = at;
        vec![Command::Decide]
    }

    fn take_step(
        &mut self,
        event: &Event,
        at: Timestamp,
        forbidden: TransitionError,
    ) -> Result<Vec<Command>, TransitionError> {
        match (self.status, event) {
            (Status::Deciding, Event::Decided { revision, strategy, decision }) => {
                if *revision != self.revision {
                    let (decided, current) = (*revision, self.revision);
                    return Err(TransitionError::Outdated { status: self.status, decided, current });
                }
                self.decide(strategy, decision)?;
                Ok(Vec::new())
            }
            (Status::Offered, Event::Accepted { by, revision })
                if *revision == self.revision && !self.has_expired(at) =>
            {
                self.status = Status::Accepted;
                self.accepted_by = Some(*by);
                Ok(vec![Command::PayOut])
            }
            (Status::Accepted, Event::PayoutRequested { payout_id })
                if *payout_id == self.application.id.payout_id() =>
            {
                self.status = Status::PayoutRequested;
                Ok(Vec::new())
            }
            // Either end may be corrected by a later resolution, and by nothing else.
            (
                Status::PayoutRequested | Status::PaidOut | Status::PayoutFailed,
                Event::PaidOut { bank_reference, resolution },
            ) => {
                if self.status == Status::PayoutFailed {
                    self.reasons.clear();
                }
                self.status = Status::PaidOut;
                self.bank_reference = Some(bank_reference.clone());
                self.resolutions = *resolution;
                Ok(Vec::new())
            }
            (
                Status::PayoutRequested | Status::PaidOut | Status::PayoutFailed,
                Event::PayoutFailed { reason, resolution },
            ) => {
                self.end(Status::PayoutFailed, *reason);
                self.bank_reference = None;
                self.resolutions = *resolution;
                Ok(Vec::new())
            }
            _ => Err(forbidden),
        }
    }

    fn decide(&mut self, strategy: &str, decision: &Decision) -> Result<(), TransitionError> {
        match decision {
            Decision::Approved { offer, reasons } => {
                check_bounds(offer, &self.application)?;
                self.status = Status::Offered;
                self.offer = Some(offer.clone());
                self.reasons = reasons.clone();
            }
            Decision::Declined { reasons } => {
                self.status = Status::Declined;
                self.reasons = reasons.clone();
            }
        }
        self.strategy = Some(strategy.to_owned());
        Ok(())
    }

    /// A ring found by another member's check. Until the bank is instructed it takes the offer back.
    fn hear_of_ring(
        &mut self,
        ring: RingNotice,
        at: Timestamp,
        forbidden: TransitionError,
    ) -> Result<Vec<Command>, TransitionError> {
        if self.status.is_end() || self.status == Status::PayoutRequested {
            return Err(forbidden);
        }
        let known = self.facts.largest_ring();
        if ring.worst(known) == known {
            return Err(TransitionError::Repeated { status: self.status, event: "ring_found" });
        }
        self.facts.ring = Some(ring.worst(known));
        self.revision += 1;
        if self.status == Status::Checking {
            return Ok(Vec::new());
        }
        self.status = Status::Deciding;
        self.deciding_since = at;
        self.offer = None;
        self.accepted_by = None;
        self.strategy = None;
        self.reasons.clear();
        Ok(vec![Command::Decide])
    }

    fn end(&mut self, status: Status, reason: Reason) {
        self.status = status;
        self.reasons = vec![reason];
    }
}

/// Where a check stands after an answer to its attempt; `Err` when it failed for good.
fn next_check(attempt: u8, answer: CheckAnswer) -> Result<Check, CheckAnswer> {
    match answer {
        CheckAnswer::Match => Ok(Check::Passed),
        CheckAnswer::Unknown if attempt < CHECK_ATTEMPTS => Ok(Check::Asked { attempt: attempt + 1 }),
        failed => Err(failed),
    }
}

fn check_bounds(offer: &Offer, application: &Application) -> Result<(), TransitionError> {
    let problem = match offer {
        _ if offer.amount_fen == Fen::ZERO => "the amount is zero",
        _ if offer.amount_fen > application.amount_fen => "the amount is more than was asked for",
        _ if offer.annual_rate_bp > MAX_ANNUAL_RATE => "the all-in rate is above 24 % a year",
        _ if offer.term_months == 0 => "the term is zero",
        _ => return Ok(()),
    };
    Err(TransitionError::OfferOutOfBounds(problem))
}
