//! Banks that are left alone when they ask for it.

use crate::{
    bank::{HttpBanks, instructed, usable},
    guard::{Guard, Passage},
};
use async_trait::async_trait;
use contract::bank::{PayoutInstruction, PayoutState};
use domain::PayoutId;
use ports::{
    PortError,
    counterparty::{Bank, Instructed},
    endpoints::EndpointId,
};

/// [`HttpBanks`] behind a [`Guard`].
///
/// | the bank | instructing it says | asking it says |
/// |---|---|---|
/// | asked for time (`Retry-After` with 429 or 503), or hangs | *held back* | nothing |
/// | closed its endpoint (410), and nobody has enabled it since | *closed* | nothing |
///
/// In both nothing is sent. What the guard cannot read is not sent to either: the error is the caller's.
pub struct GuardedBanks {
    banks: HttpBanks,
    guard: Guard,
}

impl GuardedBanks {
    pub fn new(banks: HttpBanks, guard: Guard) -> Self {
        Self { banks, guard }
    }
}

#[async_trait]
impl Bank for GuardedBanks {
    async fn instruct(
        &self,
        bank: &str,
        instruction: &PayoutInstruction<'_>,
    ) -> Result<Instructed, PortError> {
        let endpoint = EndpointId::bank(bank);
        let instead = match self.guard.passage(&endpoint).await? {
            Passage::Open => {
                let delivery = self.banks.post_instruction(bank, instruction).await?;
                self.guard.note(&endpoint, &delivery).await;
                return Ok(instructed(&delivery));
            }
            Passage::HeldBack { .. } => Instructed::HeldBack,
            Passage::Disabled => Instructed::Closed,
        };
        tracing::info!(payout_id = %instruction.payout_id, %endpoint, "the bank was not instructed: {instead:?}");
        Ok(instead)
    }

    async fn ask(&self, bank: &str, payout: PayoutId) -> Result<Option<PayoutState>, PortError> {
        let endpoint = EndpointId::bank(bank);
        let passage = self.guard.passage(&endpoint).await?;
        if passage != Passage::Open {
            tracing::info!(payout_id = %payout, %endpoint, "the bank was not asked: {passage:?}");
            return Ok(None);
        }
        let delivery = self.banks.post_question(bank, payout).await?;
        self.guard.note(&endpoint, &delivery).await;
        Ok(usable(delivery, payout))
    }
}
