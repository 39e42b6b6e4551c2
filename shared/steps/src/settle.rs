//! Bringing a bank's word into the ledger and then into the journal.
//!
//! The ledger decides: whoever resolves a payout first has resolved it, and the journal follows. A callback and an answer
//! that meet say the same thing twice; when the journal could not be written after the ledger, the next word, or the next
//! look at the ledger ([`follow_ledger`]), writes it.
//!
//! A word that contradicts the ledger moves nothing. It is put on record, and the bank is asked: what it answers then is
//! its last word ([`domain::ledger::Payout::next`]), but for one: once a bank has reported on the loan, its payout cannot
//! be reversed. Such an answer is an error that somebody has to look at.

use crate::journeys::{AdvanceError, Journeys};
use contract::bank::{BankOutcome, BankState, PayoutState as BankPayout};
use domain::{
    Fen, Label, PayoutId, Reason,
    journey::{Command, Event},
    ledger::{Dispute, Evidence, Next, Outcome, Payout, Resolution},
};
use ports::{
    PortError,
    journal::CommandQueue,
    ledger::{Ledger, Resolved},
};

/// How often a word is taken again because somebody else resolved the payout in the meantime.
const TRIES: u32 = 8;

/// What a bank says about a payout: in a callback, or when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BankWord {
    Paid {
        bank_reference: String,
        amount_fen: Fen,
    },
    /// The amount is `None` where the bank did not name it.
    NotPaid {
        reason: Reason,
        amount_fen: Option<Fen>,
    },
    /// Received or approved: the final word is still to come.
    Pending,
}

/// What a bank answers when it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BankAnswer {
    /// The bank has never seen the payout.
    NeverSeen,
    Word(BankWord),
}

/// A reference of a bank must be 1 to 128 printable ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bank's reference must be 1 to 128 printable ASCII characters")]
pub struct BadReference;

impl BankWord {
    /// A callback's word.
    pub fn from_outcome(
        outcome: BankOutcome,
        bank_reference: String,
        amount_fen: Fen,
    ) -> Result<Self, BadReference> {
        Ok(match outcome {
            BankOutcome::Paid => BankWord::paid(bank_reference, amount_fen)?,
            BankOutcome::Refused => BankWord::not_paid(Reason::BankRefused, Some(amount_fen)),
            BankOutcome::Failed => BankWord::not_paid(Reason::BankFailed, Some(amount_fen)),
        })
    }

    fn paid(bank_reference: String, amount_fen: Fen) -> Result<Self, BadReference> {
        let bank_reference = String::from(Label::try_from(bank_reference).map_err(|_| BadReference)?);
        Ok(BankWord::Paid { bank_reference, amount_fen })
    }

    fn not_paid(reason: Reason, amount_fen: Option<Fen>) -> Self {
        BankWord::NotPaid { reason, amount_fen }
    }

    fn amount_fen(&self) -> Option<Fen> {
        match self {
            BankWord::Paid { amount_fen, .. } => Some(*amount_fen),
            BankWord::NotPaid { amount_fen, .. } => *amount_fen,
            BankWord::Pending => None,
        }
    }
}

impl BankAnswer {
    /// What a bank's answer says; `None` when it says *paid* without saying what, which says nothing: it must never be
    /// taken for *never seen*.
    pub fn from_state(answer: BankPayout) -> Option<Self> {
        let amount_fen = answer.amount_fen;
        let word = match answer.state {
            BankState::UnknownToUs => return Some(BankAnswer::NeverSeen),
            BankState::Received | BankState::Approved => BankWord::Pending,
            BankState::Paid => BankWord::paid(answer.bank_reference?, amount_fen?).ok()?,
            BankState::Refused => BankWord::not_paid(Reason::BankRefused, amount_fen),
            BankState::Failed => BankWord::not_paid(Reason::BankFailed, amount_fen),
        };
        Some(BankAnswer::Word(word))
    }
}

/// What became of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Ledger and journal say the same, for ever.
    Settled,
    /// The final word is still to come.
    Pending,
}

/// Why a bank's word was not taken. The ledger has not changed.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    #[error("there is no such payout")]
    Unknown,
    #[error("the payout belongs to another bank")]
    OtherBank,
    #[error("the bank speaks of another amount than it was instructed to pay")]
    OtherAmount,
    #[error("the bank's word contradicts the word that the payout was resolved with")]
    Contradicts,
    #[error("the bank has reported on the loan, so it cannot say that it was never paid")]
    LoanReported,
    #[error("the payout was resolved {TRIES} times while one word was being taken")]
    Contended,
    #[error(transparent)]
    Advance(#[from] AdvanceError),
    #[error(transparent)]
    Port(#[from] PortError),
}

impl SettleError {
    /// Whether the same word may be taken later.
    pub fn is_retryable(&self) -> bool {
        match self {
            SettleError::Advance(error) => error.is_retryable(),
            SettleError::Port(error) => error.is_retryable(),
            SettleError::Contended => true,
            SettleError::Unknown
            | SettleError::OtherBank
            | SettleError::OtherAmount
            | SettleError::Contradicts
            | SettleError::LoanReported => false,
        }
    }
}

/// Resolves the payout on the bank's word, then moves the journey. Repeating it changes nothing.
///
/// A word that is *pending* leaves a reserved payout as it is, and is no reason to doubt one that is resolved. One that
/// contradicts the ledger is put on record, and a command is sent by which the bank will be asked.
pub async fn settle(
    ledger: &dyn Ledger,
    journeys: &Journeys,
    bank: &str,
    id: PayoutId,
    word: BankWord,
    evidence: Evidence,
) -> Result<Settlement, SettleError> {
    let outcome = outcome_of(&word);
    let check = |payout: &Payout| {
        if payout.bank != bank {
            return Err(SettleError::OtherBank);
        }
        // A closed payout was never instructed, so no amount of it can be right or wrong.
        let other = word.amount_fen().is_some_and(|amount| amount != payout.amount_fen);
        if payout.closed.is_none() && other { Err(SettleError::OtherAmount) } else { Ok(()) }
    };
    resolve(ledger, journeys, id, outcome.as_ref(), &evidence, check).await
}

/// Gives up a payout that the bank has turned away, or has not seen for too long. The bank's word comes before ours: a
/// payout that it has resolved stays as it is.
pub async fn give_up(
    ledger: &dyn Ledger,
    journeys: &Journeys,
    id: PayoutId,
    outcome: &Outcome,
) -> Result<Settlement, SettleError> {
    resolve(ledger, journeys, id, Some(outcome), &Evidence::Lender, |_| Ok(())).await
}

async fn resolve(
    ledger: &dyn Ledger,
    journeys: &Journeys,
    id: PayoutId,
    outcome: Option<&Outcome>,
    evidence: &Evidence,
    check: impl Fn(&Payout) -> Result<(), SettleError>,
) -> Result<Settlement, SettleError> {
    for _ in 0..TRIES {
        let mut payout = ledger.get(id).await?.ok_or(SettleError::Unknown)?;
        check(&payout)?;
        let Some(outcome) = outcome else { return Ok(follow_ledger(journeys, &payout).await?) };
        match payout.next(outcome, evidence) {
            Next::Contradicts if *evidence != Evidence::Lender => {
                dispute(ledger, journeys, &payout, outcome, evidence).await?;
                return Err(SettleError::Contradicts);
            }
            Next::Agrees | Next::Contradicts => return Ok(follow_ledger(journeys, &payout).await?),
            Next::Move(movement) => {
                let at = journeys.clock.now();
                let resolution = Resolution { outcome: outcome.clone(), evidence: evidence.clone(), at };
                match ledger.resolve(&payout, &resolution, movement).await? {
                    Resolved::Done => {
                        payout.resolutions.push(resolution);
                        return Ok(follow_ledger(journeys, &payout).await?);
                    }
                    Resolved::Taken => {}
                    Resolved::LoanReported => return Err(SettleError::LoanReported),
                    // Another worker took over; what the bank says to that one counts.
                    Resolved::Announced => return Ok(Settlement::Pending),
                }
            }
        }
    }
    Err(SettleError::Contended)
}

/// Makes the journal say what the ledger says.
pub async fn follow_ledger(journeys: &Journeys, payout: &Payout) -> Result<Settlement, AdvanceError> {
    let resolution = payout.resolved_times();
    let event = match (payout.closed, payout.outcome()) {
        (Some(reason), _) => Event::PayoutFailed { reason, resolution: 1 },
        (None, None) => return Ok(Settlement::Pending),
        (None, Some(Outcome::Posted { bank_reference })) => {
            Event::PaidOut { bank_reference: bank_reference.clone(), resolution }
        }
        (None, Some(outcome)) => {
            Event::PayoutFailed { reason: outcome.reason().unwrap_or(Reason::BankFailed), resolution }
        }
    };
    journeys.advance(payout.id.application_id(), &event).await?;
    Ok(Settlement::Settled)
}

/// The outcome that a word stands for; `None` when the final word is still to come.
fn outcome_of(word: &BankWord) -> Option<Outcome> {
    match word {
        BankWord::Paid { bank_reference, .. } => {
            Some(Outcome::Posted { bank_reference: bank_reference.clone() })
        }
        BankWord::NotPaid { reason, .. } => Some(Outcome::Voided { reason: *reason }),
        BankWord::Pending => None,
    }
}

/// Contests a payout on a contradicting callback. An answer that contradicts the ledger after all its corrections is left
/// to the reconciliation.
async fn dispute(
    ledger: &dyn Ledger,
    journeys: &Journeys,
    payout: &Payout,
    outcome: &Outcome,
    evidence: &Evidence,
) -> Result<(), SettleError> {
    let Evidence::Callback(message_id) = evidence else { return Ok(()) };
    let at = journeys.clock.now();
    let (says_paid, message_id) = (outcome.is_paid(), message_id.clone());
    let dispute = Dispute { says_paid, message_id, resolution: payout.resolved_times(), at };
    contest(ledger, &*journeys.commands, payout, &dispute).await?;
    Ok(())
}

/// Puts a word of the bank that contradicts the ledger on record, then sends the command by which the bank will be asked.
pub async fn contest(
    ledger: &dyn Ledger,
    commands: &dyn CommandQueue,
    payout: &Payout,
    dispute: &Dispute,
) -> Result<(), PortError> {
    ledger.dispute(payout.id, dispute).await?;
    commands.send(payout.id.application_id(), &payout.bank, &[Command::PayOut]).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ApplicationId;

    fn said(state: BankState, bank_reference: Option<&str>, amount_fen: Option<Fen>) -> Option<BankAnswer> {
        let payout_id = ApplicationId::from_bytes([7; 16]).payout_id();
        let bank_reference = bank_reference.map(str::to_owned);
        BankAnswer::from_state(BankPayout { payout_id, state, bank_reference, amount_fen })
    }

    #[test]
    fn paid_without_saying_what_is_no_answer_and_never_counts_as_never_seen() {
        for (reference, amount) in
            [(None, Some(Fen(5))), (Some("R1"), None), (Some(""), Some(Fen(5))), (Some("R\n1"), Some(Fen(5)))]
        {
            assert_eq!(said(BankState::Paid, reference, amount), None);
        }
        assert_eq!(
            said(BankState::Paid, Some("R1"), Some(Fen(5))),
            Some(BankAnswer::Word(BankWord::Paid { bank_reference: "R1".into(), amount_fen: Fen(5) }))
        );
        assert_eq!(said(BankState::UnknownToUs, None, None), Some(BankAnswer::NeverSeen));
    }

    #[test]
    fn a_refusal_keeps_the_amount_that_it_speaks_of() {
        let word = BankWord::from_outcome(BankOutcome::Refused, String::new(), Fen(5)).unwrap();
        assert_eq!(word, BankWord::NotPaid { reason: Reason::BankRefused, amount_fen: Some(Fen(5)) });
        assert_eq!(
            said(BankState::Failed, None, None),
            Some(BankAnswer::Word(BankWord::NotPaid { reason: Reason::BankFailed, amount_fen: None }))
        );
    }
}
