//! The payout: reserve, instruct the bank, and find out what became of it. Never twice.
//!
//! | | |
//! |---|---|
//! | triggered by | queue `<bank>-payouts`, one for each bank |
//! | reads | `journeys`; `payouts`; `endpoints`: what is held against the bank |
//! | writes | `journeys`: *payout requested*, and the end where the bank's word is known here; `payouts`: reserve, close, resolve; `applicants`: that the payee is kept from then on, which also gives who that is; `endpoints`: what the bank asks for |
//! | emits | signed instructions and questions to banks; the notice of an end |
//! | retries | the record fails, and comes again, when a store or the bank was not reached; whatever is unclear after that is left to the sweeper, which sends the command again when it is due |
//!
//! The order is the safety: the journal first (the point of no return for cancelling), then the ledger's row, then the
//! bank. What may have been sent is asked about before it is sent again, always under the same key
//! ([`dealings::next_step`] is the whole rule). A second worker announces its instruction in the ledger, and from then on
//! no worker can hold the payout for void on its own word, however long it was held up. A payout that is resolved and
//! that the bank has contradicted since is asked about once more, and the ledger follows the answer.

pub mod dealings;
mod wire;

pub use wire::{wire, wire_in};

use async_trait::async_trait;
use contract::{
    bank::{Payee, PayoutInstruction},
    names::BANK_CALLBACK_PATH,
    queue::CommandMessage,
};
use dealings::{Dealings, Heard, Step, next_step};
use domain::{
    ApplicationId, Fen, Reason,
    journey::{Command, Event, Journey, Status, TransitionError},
    ledger::{Evidence, Outcome, Payout, PayoutStatus},
    product::Catalogue,
};
use jiff::Timestamp;
use lambda_kit::{Failure, Function, Incoming, RecordError, batch};
use ports::{
    applicants::Payees,
    counterparty::{Bank, Instructed},
    journal::Entry,
    ledger::{Announced, Ledger, Reservation},
    observer::{Stage, StageTime},
};
use serde_json::Value;
use std::sync::Arc;
use steps::{
    AdvanceError, Advanced, BankAnswer, BankWord, Journeys, SettleError, follow_ledger, give_up, settle,
};

/// The function with everything that it reaches.
#[derive(Clone)]
pub struct PayOut {
    pub journeys: Journeys,
    pub payees: Arc<dyn Payees>,
    pub ledger: Arc<dyn Ledger>,
    pub bank: Arc<dyn Bank>,
    pub products: Arc<Catalogue>,
    /// Where our callbacks are reached, without a trailing slash.
    pub public_url: Arc<str>,
}

/// A journey whose payout has been requested.
struct Requested {
    journey: Box<Journey>,
    /// With this entry, at this time, the offer was accepted.
    accepted: Option<(u32, Timestamp)>,
    /// By this very invocation.
    just_now: bool,
}

/// What the ledger holds for the payout.
enum Row {
    Reserved { just_now: bool },
    Resolved(Box<Payout>),
}

#[async_trait]
impl Function for PayOut {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        let Incoming::Batch(records) = Incoming::parse(event)? else {
            return Err(Failure::new("reading an SQS event", "payout reads its queue only"));
        };
        let function = self.clone();
        let handle = move |message| {
            let function = function.clone();
            async move { function.pay_out(message).await }
        };
        Ok(batch::run(records, handle).await)
    }
}

impl PayOut {
    /// Brings one payout as far as it can be brought now.
    async fn pay_out(&self, message: CommandMessage) -> Result<(), RecordError> {
        if message.command != Command::PayOut {
            return Err(RecordError::Handler("the command belongs to another queue"));
        }
        let Some(requested) = self.request(message.application_id).await? else { return Ok(()) };
        let payout = self.payout(&requested.journey)?;
        match self.reserve(&payout, &requested.journey).await? {
            Row::Resolved(row) => self.conclude(&row).await,
            Row::Reserved { just_now } => {
                self.deal(&requested, &payout, requested.just_now && just_now).await
            }
        }
    }

    /// Records that the payout is requested. From here on nobody can cancel it. `None` when there is nothing to pay: the
    /// journey has ended, or a ring has taken the offer back.
    async fn request(&self, id: ApplicationId) -> Result<Option<Requested>, RecordError> {
        let loaded = self.journeys.load(id).await?.ok_or(AdvanceError::NotFound)?;
        let accepted = accepted(&loaded.entries);
        match loaded.journey.status {
            Status::PayoutRequested => {
                let journey = Box::new(loaded.journey);
                return Ok(Some(Requested { journey, accepted, just_now: false }));
            }
            Status::Accepted => {}
            Status::PaidOut | Status::PayoutFailed => {
                if let Some(row) = self.ledger.get(id.payout_id()).await? {
                    self.conclude(&row).await?;
                }
                return Ok(None);
            }
            status => {
                tracing::info!(%status, "nothing is to be paid out");
                return Ok(None);
            }
        }
        let event = Event::PayoutRequested { payout_id: id.payout_id() };
        match self.journeys.advance_from(loaded, &[event]).await {
            Ok(Advanced::Recorded(journey)) => Ok(Some(Requested { journey, accepted, just_now: true })),
            Ok(Advanced::Repeated(journey)) if journey.status == Status::PayoutRequested => {
                Ok(Some(Requested { journey, accepted, just_now: false }))
            }
            Ok(Advanced::Repeated(_)) => Ok(None),
            Err(AdvanceError::Transition(TransitionError::Forbidden { status, .. })) => {
                tracing::info!(%status, "the acceptance was overtaken; nothing is to be paid out");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn payout(&self, journey: &Journey) -> Result<Payout, RecordError> {
        let application = &journey.application;
        let offer = journey.offer.as_ref().ok_or(RecordError::Handler("a payout without an offer"))?;
        Ok(Payout {
            id: application.id.payout_id(),
            bank: application.bank.clone(),
            product: application.product.clone(),
            firm_code: application.firm_code.clone(),
            amount_fen: offer.amount_fen,
            annual_rate_bp: offer.annual_rate_bp,
            term_months: offer.term_months,
            reserved_at: self.journeys.clock.now(),
            closed: None,
            resolutions: Vec::new(),
            disputes: Vec::new(),
        })
    }

    async fn reserve(&self, payout: &Payout, journey: &Journey) -> Result<Row, RecordError> {
        // A product that has left the catalogue lends nothing more; what is under way with its bank goes on.
        let product = self.products.get(&journey.application.product);
        let limit = product.map_or(Fen::ZERO, |product| product.limit_fen);
        match self.ledger.reserve(payout, limit).await? {
            Reservation::New => Ok(Row::Reserved { just_now: true }),
            Reservation::Exists(row) if row.status() == PayoutStatus::Reserved => {
                Ok(Row::Reserved { just_now: false })
            }
            Reservation::Exists(row) => Ok(Row::Resolved(row)),
            Reservation::Different(_) => {
                Err(RecordError::Handler("the ledger holds this payout with other terms"))
            }
            Reservation::LimitReached => self.close(payout, Reason::BankLimitReached).await,
            Reservation::LoanOutstanding => self.close(payout, Reason::LoanOutstanding).await,
        }
    }

    /// Closes a payout that cannot be reserved, in the ledger and before the journal. Without that another delivery of
    /// the same command could find room in the limit a moment later, and pay a journey that has just been ended.
    async fn close(&self, payout: &Payout, reason: Reason) -> Result<Row, RecordError> {
        match self.ledger.close(payout, reason).await? {
            Reservation::New => {
                Ok(Row::Resolved(Box::new(Payout { closed: Some(reason), ..payout.clone() })))
            }
            Reservation::Exists(row) if row.status() == PayoutStatus::Reserved => {
                Err(RecordError::Handler("another delivery reserved the payout in the meantime"))
            }
            Reservation::Exists(row) => Ok(Row::Resolved(row)),
            Reservation::Different(_) | Reservation::LimitReached | Reservation::LoanOutstanding => {
                Err(RecordError::Handler("the ledger holds this payout with other terms"))
            }
        }
    }

    /// Makes the journal say what the ledger says of a resolved payout; whoever resolved it may have died before. One
    /// that the bank has contradicted since is asked about first. Silence fails the record, so that it is asked again.
    async fn conclude(&self, payout: &Payout) -> Result<(), RecordError> {
        if !payout.is_disputed() {
            follow_ledger(&self.journeys, payout).await?;
            return Ok(());
        }
        match self.ask(payout).await? {
            Heard::Word(word @ (BankWord::Paid { .. } | BankWord::NotPaid { .. })) => {
                self.settle(payout, word).await
            }
            Heard::Word(BankWord::Pending) | Heard::NeverSeen | Heard::Silence => {
                Err(RecordError::Handler("the bank contradicts itself and does not say which word counts"))
            }
        }
    }

    /// Takes the steps that [`next_step`] names. It instructs at most twice and asks at most once before and once after
    /// each, so this ends.
    async fn deal(
        &self,
        Requested { journey, accepted, .. }: &Requested,
        payout: &Payout,
        alone: bool,
    ) -> Result<(), RecordError> {
        let mut dealings = Dealings::begin(alone);
        loop {
            dealings.age = self.journeys.clock.now().duration_since(journey.updated_at);
            match next_step(&dealings) {
                Step::Instruct if !alone && self.announce(payout).await? == Announced::Resolved => {
                    return Err(RecordError::Handler("the payout was resolved in the meantime"));
                }
                Step::Instruct => dealings.instructed(self.instruct(journey, payout).await?),
                Step::Ask => dealings.heard(self.ask(payout).await?),
                Step::Settle(word) => return self.settle(payout, word).await,
                Step::GiveUp(outcome) => return self.give_up(payout, &outcome).await,
                Step::Wait => return Ok(()),
                Step::TryAgain => return Err(RecordError::Handler("the bank was not reached")),
            }
            if let (true, Some((cause, from))) = (dealings.is_taken(), *accepted) {
                // However late that is, and whichever delivery of the command it was.
                let time = StageTime { stage: Stage::Instruct, cause, from, to: self.journeys.clock.now() };
                self.journeys.observer.instructed(journey.application.id, time);
            }
        }
    }

    /// Whoever did not reserve the payout says that it will instruct before it does, so that whoever did cannot hold the
    /// payout for void meanwhile.
    async fn announce(&self, payout: &Payout) -> Result<Announced, RecordError> {
        Ok(self.ledger.announce(payout.id, self.journeys.clock.now()).await?)
    }

    async fn instruct(&self, journey: &Journey, payout: &Payout) -> Result<Instructed, RecordError> {
        let application = &journey.application;
        let payee = self
            .payees
            .keep(application.id)
            .await?
            .ok_or(RecordError::Handler("the payee's data is gone, the bank cannot be instructed"))?;
        let instruction = PayoutInstruction {
            payout_id: payout.id,
            application_id: application.id,
            amount_fen: payout.amount_fen,
            annual_rate_bp: payout.annual_rate_bp,
            term_months: payout.term_months,
            product: &payout.product,
            payee: Payee {
                name: payee.name.expose(),
                bank_card: payee.bank_card.expose(),
                firm_code: application.firm_code.as_str(),
            },
            approval: application.approval,
            callback_url: format!("{}{BANK_CALLBACK_PATH}/{}", self.public_url, payout.bank),
        };
        Ok(self.bank.instruct(&payout.bank, &instruction).await?)
    }

    async fn ask(&self, payout: &Payout) -> Result<Heard, RecordError> {
        let answer = self.bank.ask(&payout.bank, payout.id).await?;
        Ok(match answer.and_then(BankAnswer::from_state) {
            None => Heard::Silence,
            Some(BankAnswer::NeverSeen) => Heard::NeverSeen,
            Some(BankAnswer::Word(word)) => Heard::Word(word),
        })
    }

    async fn settle(&self, payout: &Payout, word: BankWord) -> Result<(), RecordError> {
        let settled =
            settle(&*self.ledger, &self.journeys, &payout.bank, payout.id, word, Evidence::Answer).await;
        taken(settled.map(|_| ()))
    }

    async fn give_up(&self, payout: &Payout, outcome: &Outcome) -> Result<(), RecordError> {
        taken(give_up(&*self.ledger, &self.journeys, payout.id, outcome).await.map(|_| ()))
    }
}

/// Number and time of the entry with which the offer was accepted.
fn accepted(entries: &[Entry]) -> Option<(u32, Timestamp)> {
    let is_accepted =
        |entry: &&Entry| entry.events.iter().any(|event| matches!(event, Event::Accepted { .. }));
    entries.iter().rev().find(is_accepted).map(|entry| (entry.number, entry.at))
}

fn taken(settled: Result<(), SettleError>) -> Result<(), RecordError> {
    settled.map_err(|error| RecordError::other("settling a payout on what the bank says", error))
}
