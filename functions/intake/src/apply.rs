//! `POST /v1/applications`: check everything, keep the quotas, turn away a firm that has a loan, claim the id, write the first
//! entry.

use crate::{Borrower, Intake, Refusal, terms::Terms};
use contract::http::{ApplicationRequest, FieldError, Problem};
use domain::{
    Application, ApplicationId, FirmCode, FirmRecord, Reason, Subject,
    application::Traces,
    checks::ElementsAnswer,
    journey::{Event, Journey, transition},
};
use jiff::{SignedDuration, Timestamp};
use lambda_kit::{
    Invocation,
    http::{Request, Response, invalid, problem},
    json,
};
use ports::applicants::{Applicant, Claim, Claimed};
use steps::{AdvanceError, Advanced};

/// A first request under a key may still be running for as long as the function may run.
const STILL_RUNNING_FOR: SignedDuration = SignedDuration::from_secs(10);

impl Intake {
    pub(crate) async fn apply(&self, request: &Request, borrower: &Borrower) -> Result<Response, Refusal> {
        let key = idempotency_key(request)?;
        let body: ApplicationRequest = json::parse(&request.body)?;
        let now = self.clock.now();
        let terms = Terms::check(body, &self.products, now)?;
        let Some(firm) = self.firms.get(&terms.firm_code).await? else {
            return Err(unknown_firm().into());
        };
        let sub = &borrower.claims.session.sub;
        let seed = format!("{}\n{sub}\n{key}", borrower.channel.as_str());
        let id = ApplicationId::from_bytes(self.hasher.hash("application", &seed).to_bytes());
        Invocation::is_about(id);
        let applicant = Applicant {
            person: terms.person.clone(),
            claim: Claimed {
                request_digest: self.hasher.hash("request", &terms.digest_text()).to_string(),
                claimed_at: now,
            },
        };
        self.check_quotas(id, &applicant.claim.request_digest, &terms, borrower).await?;
        let elements = self.elements(&terms, &firm);
        if elements == ElementsAnswer::Match {
            self.check_outstanding(id, &terms.firm_code).await?;
        }
        let claim = self.applicants.claim(id, &applicant).await?;
        if let Claim::Taken(first) = &claim {
            self.check_repetition(id, first, &applicant.claim).await?;
        }
        let application = self.application(id, &terms, &firm, borrower, now)?;
        let events = first_events(application, elements, now)?;
        let first = match self.journeys.begin(id, &events).await? {
            Advanced::Recorded(journey) => *journey,
            // A repetition gets the very answer that the first request got: the journey as its first entry left it.
            Advanced::Repeated(journey) => {
                if claim == Claim::New && journey.status.is_end() {
                    // The claim of an application that ended long ago was forgotten. It needs no person again.
                    self.applicants.erase(id, now).await?;
                }
                self.journeys.load_first(id).await?.ok_or(AdvanceError::NotFound)?
            }
        };
        Ok(Response::json(202, &self.summary(&first, Some(&firm))))
    }

    /// Turns away an application of a firm that has another loan, before anything is started for it. Only who names the
    /// registered representative is told, within the quotas: whether a firm has a loan is nobody else's business. The read
    /// may lag, so that one gets through here and is stopped by the ledger. A request that was taken before it is a
    /// repetition, whatever loan the firm has got since.
    async fn check_outstanding(&self, id: ApplicationId, firm: &FirmCode) -> Result<(), Refusal> {
        let outstanding = self.loans.outstanding(firm).await?;
        let is_other = outstanding.is_some_and(|payout| payout.application_id() != id);
        if !is_other || self.journeys.load(id).await?.is_some() {
            return Ok(());
        }
        let refused = problem(409, "loan-outstanding", Reason::LoanOutstanding.en());
        let advice = "Apply again once it is settled. 结清后可再次申请。";
        let detail = format!("{}。{advice}", Reason::LoanOutstanding.zh());
        Err(Problem { detail: Some(detail), ..refused }.into())
    }

    /// Lets a repetition of the first request pass; refuses another request under its key, and one that comes while
    /// the first is still running.
    async fn check_repetition(
        &self,
        id: ApplicationId,
        first: &Claimed,
        now: &Claimed,
    ) -> Result<(), Refusal> {
        if first.request_digest != now.request_digest {
            let title = "This Idempotency-Key was used for another request";
            return Err(problem(422, "idempotency-key-reused", title).into());
        }
        let young = now.claimed_at.duration_since(first.claimed_at) < STILL_RUNNING_FOR;
        if young && self.journeys.load(id).await?.is_none() {
            let title = "The first request with this Idempotency-Key is still running";
            return Err(problem(409, "still-running", title).into());
        }
        Ok(())
    }

    fn application(
        &self,
        id: ApplicationId,
        terms: &Terms,
        firm: &FirmRecord,
        borrower: &Borrower,
        now: Timestamp,
    ) -> Result<Application, Refusal> {
        let session = &borrower.claims.session;
        let subject = Subject::try_from(session.sub.clone())
            .map_err(|_| problem(401, "no-session", "A valid session token is needed"))?;
        let identity = self.hasher.identity(&terms.person.name, &terms.person.resident_id);
        Ok(Application {
            id,
            subject,
            firm_code: terms.firm_code.clone(),
            product: terms.product.id.clone(),
            bank: terms.product.bank.clone(),
            approval: terms.product.approval,
            amount_fen: terms.amount_fen,
            term_months: terms.term_months,
            channel: borrower.channel,
            consents: terms.consents,
            traces: Traces {
                account: Some(self.account_hash(borrower.channel, &session.sub)),
                device: session.device.to_string(),
                network: session.network.to_string(),
                person: self.hasher.person(&terms.person.resident_id).to_string(),
                phone: self.hasher.phone(&terms.person.phone).to_string(),
                card: self.hasher.bank_card(&terms.person.bank_card).to_string(),
                address: firm.address().map(|address| self.hasher.address(address).to_string()),
            },
            place: session.place.as_ref().map(|place| self.hasher.place(place).to_string()),
            account_days: session.account_opened_at.map(|opened| days_since(opened, now)),
            identified_by_channel: session.verified_person.as_ref() == Some(&identity),
            accept_up_to_bp: terms.accept_up_to_bp,
        })
    }

    /// Whether the person is the firm's legal representative by the registration. A registration that does not tell
    /// proves nothing, so it counts as a mismatch.
    fn elements(&self, terms: &Terms, firm: &FirmRecord) -> ElementsAnswer {
        let identity = self.hasher.identity(&terms.person.name, &terms.person.resident_id);
        match &firm.legal_representative {
            _ if firm.is_banned() => ElementsAnswer::FirmBanned,
            Some(registered) if registered == identity.as_str() => ElementsAnswer::Match,
            _ => ElementsAnswer::Mismatch,
        }
    }
}

/// *Received*, and with it the elements check, unless the first ends the journey by itself.
fn first_events(
    application: Application,
    elements: ElementsAnswer,
    at: Timestamp,
) -> Result<Vec<Event>, AdvanceError> {
    let received = Event::Received { application: Box::new(application) };
    let (journey, _): (Journey, _) = transition(None, &received, at)?;
    let mut events = vec![received];
    if !journey.status.is_end() {
        events.push(Event::ElementsChecked { answer: elements });
    }
    Ok(events)
}

/// Whole days since a second of the channel's clock, which may be ahead of ours.
fn days_since(opened: i64, now: Timestamp) -> u32 {
    const DAY: i64 = 86_400;
    u32::try_from(now.as_second().saturating_sub(opened).max(0) / DAY).unwrap_or(u32::MAX)
}

pub(crate) fn unknown_firm() -> Problem {
    let detail = "the firm archive does not know this firm".to_owned();
    invalid(vec![FieldError { pointer: "/firm_code".to_owned(), detail }])
}

/// The key under which the request is done at most once: 1 to 128 printable ASCII characters.
fn idempotency_key(request: &Request) -> Result<&str, Refusal> {
    let key = request.header("idempotency-key").unwrap_or_default();
    if (1..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(key);
    }
    let title = "The header Idempotency-Key is needed: 1 to 128 printable ASCII characters";
    Err(problem(400, "idempotency-key-missing", title).into())
}
