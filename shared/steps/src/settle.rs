//! Bringing a bank's word into the ledger and then into the journal.

use crate::journeys::{AdvanceError, Advanced, Journeys};
use contract::bank::{BankOutcome, BankState};
use domain::{Fen, PayoutId, Reason, journey::Event};
use ports::{
    PortError,
    payouts::{Payout, Payouts, Resolution},
};

/// What a bank says about a payout: in a callback, or when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BankWord {
    Paid { bank_reference: String, amount_fen: Fen },
    NotPaid { reason: Reason },
    /// Received or approved: the final word is still to come.
    Pending,
}

impl BankWord {
    /// A callback's word.
    pub fn from_outcome(outcome: BankOutcome, bank_reference: String, amount_fen: Fen) -> Self {
        match outcome {
            BankOutcome::Paid => BankWord::Paid { bank_reference, amount_fen },
            BankOutcome::Refused => BankWord::NotPaid { reason: Reason::BankRefused },
            BankOutcome::Failed => BankWord::NotPaid { reason: Reason::BankFailed },
        }
    }

    /// An answer's word; `None` when the bank has never seen the payout, or says *paid* without saying what.
    pub fn from_state(
        state: BankState,
        bank_reference: Option<String>,
        amount_fen: Option<Fen>,
    ) -> Option<Self> {
        Some(match state {
            BankState::UnknownToUs => return None,
            BankState::Received | BankState::Approved => BankWord::Pending,
            BankState::Paid => BankWord::Paid { bank_reference: bank_reference?, amount_fen: amount_fen? },
            BankState::Refused => BankWord::NotPaid { reason: Reason::BankRefused },
            BankState::Failed => BankWord::NotPaid { reason: Reason::BankFailed },
        })
    }
}

/// What became of the word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Ledger and journal say what the bank says.
    Settled,
    /// The final word is still to come.
    Pending,
}

/// Why a bank's word was not taken. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    #[error("there is no such payout")]
    Unknown,
    #[error("the payout belongs to another bank")]
    OtherBank,
    #[error("the bank paid another amount than it was instructed to")]
    OtherAmount,
    #[error("the bank's word contradicts the word that the payout was resolved with")]
    Contradicts,
    #[error(transparent)]
    Advance(#[from] AdvanceError),
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Posts or voids the payout on the bank's word, then ends the journey. Repeating it changes nothing.
pub async fn settle(
    payouts: &dyn Payouts,
    journeys: &Journeys,
    bank: &str,
    id: PayoutId,
    word: BankWord,
) -> Result<Settlement, SettleError> {
    let payout = payouts.get(id).await?.ok_or(SettleError::Unknown)?;
    if payout.bank != bank {
        return Err(SettleError::OtherBank);
    }
    let (resolution, event) = match word {
        BankWord::Pending => return Ok(Settlement::Pending),
        BankWord::Paid { amount_fen, .. } if amount_fen != payout.amount_fen => {
            return Err(SettleError::OtherAmount);
        }
        BankWord::Paid { bank_reference, .. } => {
            (payouts.post(id, &bank_reference).await?, Event::PaidOut { bank_reference })
        }
        BankWord::NotPaid { reason } => (payouts.void(id, reason).await?, Event::PayoutFailed { reason }),
    };
    match resolution {
        Resolution::Done => {}
        Resolution::Contradicts(_) => return Err(SettleError::Contradicts),
        Resolution::Unknown => return Err(SettleError::Unknown),
    }
    end_journey(journeys, &payout, &event).await?;
    Ok(Settlement::Settled)
}

async fn end_journey(journeys: &Journeys, payout: &Payout, event: &Event) -> Result<(), AdvanceError> {
    match journeys.advance(payout.id.application_id(), event).await? {
        Advanced::Recorded(_) | Advanced::Repeated(_) => Ok(()),
    }
}
