//! The ledger of payouts, pure: double entry, after TigerBeetle's model of two-phase transfers.
//!
//! Each product of each bank has three accounts. Money moves from one of them to another and never anywhere else, so
//! the three always add up to zero:
//!
//! | account | balance | meaning |
//! |---|---|---|
//! | `limit` | zero or below | what has been drawn on the bank's limit for the product |
//! | `reserved` | zero or above | set aside; the bank's word is awaited |
//! | `paid` | zero or above | paid out by the bank and not yet repaid |
//!
//! Reservations are held against the first, so its balance is kept as a figure. The other two are what the payouts add up
//! to. To post is to move money between these, so it is one write that meets no other one.
//!
//! ```text
//!              reserve              post
//!   limit ───────────────▶ reserved ─────▶ paid
//!     ▲ ◀── void, expire ──────┘            │
//!     └──────────── repay, reverse ─────────┘      post_late: limit ─▶ paid
//! ```
//!
//! A payout is one pending transfer (its reservation) and the resolutions that follow it. Nothing that is written is
//! ever changed. The first resolution decides; only the bank's own answer to a question may correct it, and the
//! correction is a transfer of its own ([`Payout::next`]).

use crate::{
    firm::FirmCode,
    ids::PayoutId,
    money::{BasisPoints, Fen},
    reason::Reason,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Most resolutions of one payout: the first and its corrections. A bank that has changed its mind more often than that
/// is left to the reconciliation with its statement.
pub const MAX_RESOLUTIONS: usize = 9;
/// Most contradicting words that are kept of one payout.
pub const MAX_DISPUTES: usize = 20;

/// An account of one product at one bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    Limit,
    Reserved,
    Paid,
}

impl Account {
    pub const ALL: [Account; 3] = [Account::Limit, Account::Reserved, Account::Paid];
}

/// A kind of transfer. It names the account that pays and the account that receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Movement {
    /// Sets money aside: the pending transfer.
    Reserve,
    /// The bank has paid.
    Post,
    /// The bank has not paid and will not.
    Void,
    /// The time of the pending transfer is over and the bank has never seen it.
    Expire,
    /// The bank has paid after all, although the payout had been voided or had expired.
    PostLate,
    /// The money came back to the bank although the payout had been posted.
    Reverse,
    /// The borrower has repaid principal.
    Repay,
}

impl Movement {
    /// The account that the money leaves and the one that it enters.
    pub const fn accounts(self) -> (Account, Account) {
        use Account::{Limit, Paid, Reserved};
        match self {
            Movement::Reserve => (Limit, Reserved),
            Movement::Post => (Reserved, Paid),
            Movement::Void | Movement::Expire => (Reserved, Limit),
            Movement::PostLate => (Limit, Paid),
            Movement::Reverse | Movement::Repay => (Paid, Limit),
        }
    }
}

/// The balances of one product's accounts, in fen, as its payouts add up to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    pub limit: i128,
    pub reserved: i128,
    pub paid: i128,
}

/// A movement that the accounts do not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overdrawn {
    #[error("the bank's limit for the product does not allow it")]
    Limit,
    #[error("there is less than that in the account")]
    Account,
}

impl Balances {
    /// The balances after a movement. `ceiling` is the bank's limit for the product; only a reservation has to respect
    /// it, because what has been paid late has been paid.
    pub fn after(mut self, movement: Movement, amount: Fen, ceiling: Fen) -> Result<Self, Overdrawn> {
        let (from, to) = movement.accounts();
        let amount = i128::from(amount.0);
        *self.of(from) -= amount;
        *self.of(to) += amount;
        if movement == Movement::Reserve && self.limit < -i128::from(ceiling.0) {
            return Err(Overdrawn::Limit);
        }
        if self.reserved < 0 || self.paid < 0 {
            return Err(Overdrawn::Account);
        }
        Ok(self)
    }

    /// What has been drawn on the limit: reserved, or paid and not yet repaid. Never above the limit by a reservation.
    pub fn drawn(&self) -> i128 {
        -self.limit
    }

    /// Double entry: whatever left one account has entered another.
    pub fn sum(&self) -> i128 {
        self.limit + self.reserved + self.paid
    }

    fn of(&mut self, account: Account) -> &mut i128 {
        match account {
            Account::Limit => &mut self.limit,
            Account::Reserved => &mut self.reserved,
            Account::Paid => &mut self.paid,
        }
    }
}

/// How a payout was resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The bank has paid, under this reference.
    Posted { bank_reference: String },
    /// The bank has not paid and will not.
    Voided { reason: Reason },
    /// The bank has never seen it, and it is too late to instruct it.
    Expired,
}

impl Outcome {
    /// Whether the borrower has the money.
    pub fn is_paid(&self) -> bool {
        matches!(self, Outcome::Posted { .. })
    }

    /// Why nothing was paid.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Outcome::Posted { .. } => None,
            Outcome::Voided { reason } => Some(*reason),
            Outcome::Expired => Some(Reason::BankUnavailable),
        }
    }
}

/// What a resolution rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The bank's signed callback with this message id.
    Callback(String),
    /// The bank's answer when it was asked.
    Answer,
    /// Our own rule: the bank turned the instruction away, or it never arrived.
    Lender,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Callback(message_id) => write!(f, "callback:{message_id}"),
            Evidence::Answer => f.write_str("answer"),
            Evidence::Lender => f.write_str("lender"),
        }
    }
}

/// The text is not how a piece of evidence is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a piece of evidence")]
pub struct NotEvidence;

impl FromStr for Evidence {
    type Err = NotEvidence;
    fn from_str(text: &str) -> Result<Self, NotEvidence> {
        match text {
            "answer" => Ok(Evidence::Answer),
            "lender" => Ok(Evidence::Lender),
            _ => {
                text.strip_prefix("callback:").map(|id| Evidence::Callback(id.to_owned())).ok_or(NotEvidence)
            }
        }
    }
}

/// One resolution of a payout. Written once and never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    pub outcome: Outcome,
    pub evidence: Evidence,
    pub at: Timestamp,
}

impl Resolution {
    /// Whether it rests on there having been one instruction only, and on what came of that one.
    pub fn needs_sole_instruction(&self) -> bool {
        self.evidence == Evidence::Lender && matches!(self.outcome, Outcome::Voided { .. })
    }
}

/// A word of the bank that contradicts the ledger. It moves nothing; it makes us ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// Whether the bank says that it has paid.
    pub says_paid: bool,
    pub message_id: String,
    /// The resolution that it contradicts: how many there were. Clocks of two instances need not agree, this does.
    pub resolution: u32,
    pub at: Timestamp,
}

/// A payout as the ledger holds it. Kept for ever: it is what makes a second payout impossible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payout {
    pub id: PayoutId,
    pub bank: String,
    pub product: String,
    pub firm_code: FirmCode,
    pub amount_fen: Fen,
    pub annual_rate_bp: BasisPoints,
    pub term_months: u16,
    pub reserved_at: Timestamp,
    /// Nothing was reserved and nothing ever will be.
    pub closed: Option<Reason>,
    /// The first decided; each further one is a correction by the bank.
    pub resolutions: Vec<Resolution>,
    pub disputes: Vec<Dispute>,
}

/// Where a payout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutStatus {
    /// The money is set aside and the bank's word is awaited.
    Reserved,
    Posted,
    Voided,
    Expired,
    /// Never reserved.
    Closed,
}

impl PayoutStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            PayoutStatus::Reserved => "reserved",
            PayoutStatus::Posted => "posted",
            PayoutStatus::Voided => "voided",
            PayoutStatus::Expired => "expired",
            PayoutStatus::Closed => "closed",
        }
    }
}

/// What an outcome asks of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The ledger says so already.
    Agrees,
    /// This transfer has to be written.
    Move(Movement),
    /// The ledger says the opposite, on the bank's own word. It is recorded, and the bank is asked.
    Contradicts,
}

impl Payout {
    pub fn status(&self) -> PayoutStatus {
        match (&self.closed, self.outcome()) {
            (Some(_), _) => PayoutStatus::Closed,
            (None, None) => PayoutStatus::Reserved,
            (None, Some(Outcome::Posted { .. })) => PayoutStatus::Posted,
            (None, Some(Outcome::Voided { .. })) => PayoutStatus::Voided,
            (None, Some(Outcome::Expired)) => PayoutStatus::Expired,
        }
    }

    /// How the payout stands resolved; `None` while the bank's word is awaited.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.resolutions.last().map(|resolution| &resolution.outcome)
    }

    /// What an outcome asks of the ledger: the whole rule of what may follow what.
    ///
    /// A first word decides. After that the opposite word alone moves nothing, whoever signed it: callbacks cross on
    /// the way, and a bank's systems disagree. What the bank answers when it is asked does move the money.
    pub fn next(&self, outcome: &Outcome, evidence: &Evidence) -> Next {
        let Some(known) = self.outcome() else {
            let movement = match outcome {
                Outcome::Posted { .. } => Movement::Post,
                Outcome::Voided { .. } => Movement::Void,
                Outcome::Expired => Movement::Expire,
            };
            return if self.closed.is_some() { next_when_closed(outcome) } else { Next::Move(movement) };
        };
        match (known.is_paid(), outcome.is_paid()) {
            (true, true) | (false, false) => Next::Agrees,
            _ if *evidence != Evidence::Answer || self.resolutions.len() >= MAX_RESOLUTIONS => {
                Next::Contradicts
            }
            (false, true) => Next::Move(Movement::PostLate),
            (true, false) => Next::Move(Movement::Reverse),
        }
    }

    /// Whether the bank has contradicted the ledger since it was last resolved.
    pub fn is_disputed(&self) -> bool {
        let resolved = self.resolved_times();
        resolved > 0 && self.disputes.iter().any(|dispute| dispute.resolution >= resolved)
    }

    /// How often it has been resolved: the number of its last resolution.
    pub fn resolved_times(&self) -> u32 {
        u32::try_from(self.resolutions.len()).unwrap_or(u32::MAX)
    }

    /// The movements that this payout has made, in order. Adding them up gives the accounts.
    pub fn movements(&self) -> Vec<Movement> {
        if self.closed.is_some() {
            return Vec::new();
        }
        let mut so_far = Payout { resolutions: Vec::new(), ..self.clone() };
        let mut movements = vec![Movement::Reserve];
        for resolution in &self.resolutions {
            if let Next::Move(movement) = so_far.next(&resolution.outcome, &resolution.evidence) {
                movements.push(movement);
            }
            so_far.resolutions.push(resolution.clone());
        }
        movements
    }
}

/// A closed payout was never instructed, so no bank can have paid it.
fn next_when_closed(outcome: &Outcome) -> Next {
    if outcome.is_paid() { Next::Contradicts } else { Next::Agrees }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ApplicationId;

    fn resolution(outcome: Outcome, evidence: Evidence) -> Resolution {
        Resolution { outcome, evidence, at: Timestamp::UNIX_EPOCH }
    }

    fn payout(resolutions: Vec<Resolution>) -> Payout {
        Payout {
            id: ApplicationId::from_bytes([7; 16]).payout_id(),
            bank: "river-bank".into(),
            product: "river-quick".into(),
            firm_code: "91350100M000100Y43".parse().unwrap(),
            amount_fen: Fen(500),
            annual_rate_bp: BasisPoints(600),
            term_months: 12,
            reserved_at: Timestamp::UNIX_EPOCH,
            closed: None,
            resolutions,
            disputes: Vec::new(),
        }
    }

    fn posted() -> Outcome {
        Outcome::Posted { bank_reference: "R1".into() }
    }

    fn voided() -> Outcome {
        Outcome::Voided { reason: Reason::BankFailed }
    }

    #[test]
    fn every_movement_leaves_the_sum_of_the_accounts_at_zero() {
        let all = [
            Movement::Reserve,
            Movement::Post,
            Movement::Void,
            Movement::Expire,
            Movement::PostLate,
            Movement::Reverse,
            Movement::Repay,
        ];
        let before = Balances { limit: -900, reserved: 400, paid: 500 };
        for movement in all {
            let after = before.after(movement, Fen(300), Fen(10_000)).unwrap();
            assert_eq!(after.sum(), 0, "{movement:?}");
            assert_ne!(after, before, "{movement:?}");
        }
    }

    #[test]
    fn fault_18_reserved_and_paid_never_pass_the_limit_to_the_fen() {
        let before = Balances { limit: -700, reserved: 300, paid: 400 };
        assert!(before.after(Movement::Reserve, Fen(300), Fen(1_000)).is_ok());
        assert_eq!(before.after(Movement::Reserve, Fen(301), Fen(1_000)), Err(Overdrawn::Limit));
        assert_eq!(
            Balances::default().after(Movement::Reserve, Fen(u64::MAX), Fen(u64::MAX - 1)),
            Err(Overdrawn::Limit)
        );
    }

    #[test]
    fn no_account_gives_more_than_it_holds() {
        let before = Balances { limit: -700, reserved: 300, paid: 400 };
        for movement in [Movement::Post, Movement::Void, Movement::Expire] {
            assert_eq!(before.after(movement, Fen(301), Fen(1_000)), Err(Overdrawn::Account), "{movement:?}");
        }
        assert_eq!(before.after(Movement::Reverse, Fen(401), Fen(1_000)), Err(Overdrawn::Account));
        assert_eq!(before.after(Movement::Repay, Fen(401), Fen(1_000)), Err(Overdrawn::Account));
    }

    #[test]
    fn the_first_word_decides_and_the_opposite_word_moves_nothing() {
        let callback = Evidence::Callback("m1".into());
        assert_eq!(payout(vec![]).next(&posted(), &callback), Next::Move(Movement::Post));
        assert_eq!(payout(vec![]).next(&voided(), &callback), Next::Move(Movement::Void));
        assert_eq!(payout(vec![]).next(&Outcome::Expired, &Evidence::Lender), Next::Move(Movement::Expire));
        let paid = payout(vec![resolution(posted(), callback.clone())]);
        let unpaid = payout(vec![resolution(voided(), callback.clone())]);
        assert_eq!(paid.next(&voided(), &callback), Next::Contradicts);
        assert_eq!(paid.next(&Outcome::Expired, &Evidence::Lender), Next::Contradicts);
        assert_eq!(unpaid.next(&posted(), &callback), Next::Contradicts);
        assert_eq!(paid.next(&posted(), &callback), Next::Agrees);
        assert_eq!(unpaid.next(&voided(), &callback), Next::Agrees);
    }

    #[test]
    fn what_the_bank_answers_when_it_is_asked_corrects_the_ledger_and_stays_on_record() {
        let callback = Evidence::Callback("m1".into());
        let unpaid = resolution(voided(), callback.clone());
        let late = resolution(posted(), Evidence::Answer);
        assert_eq!(
            payout(vec![unpaid.clone()]).next(&posted(), &Evidence::Answer),
            Next::Move(Movement::PostLate)
        );
        let corrected = payout(vec![unpaid, late]);
        assert_eq!(corrected.status(), PayoutStatus::Posted);
        assert_eq!(corrected.movements(), [Movement::Reserve, Movement::Void, Movement::PostLate]);
        assert_eq!(corrected.next(&voided(), &Evidence::Answer), Next::Move(Movement::Reverse));
    }

    #[test]
    fn corrections_come_to_an_end() {
        let pair = [resolution(posted(), Evidence::Answer), resolution(voided(), Evidence::Answer)];
        let often: Vec<Resolution> = pair.iter().cycle().take(MAX_RESOLUTIONS).cloned().collect();
        assert_eq!(payout(often).next(&voided(), &Evidence::Answer), Next::Contradicts);
    }

    #[test]
    fn a_closed_payout_moves_nothing_whatever_is_said_of_it() {
        let closed = Payout { closed: Some(Reason::BankLimitReached), ..payout(vec![]) };
        assert_eq!(closed.status(), PayoutStatus::Closed);
        assert_eq!(closed.next(&voided(), &Evidence::Answer), Next::Agrees);
        assert_eq!(closed.next(&posted(), &Evidence::Answer), Next::Contradicts);
        assert_eq!(closed.movements(), []);
    }

    #[test]
    fn evidence_reads_back_as_it_was_written() {
        for evidence in [Evidence::Callback("msg:1".into()), Evidence::Answer, Evidence::Lender] {
            assert_eq!(evidence.to_string().parse(), Ok(evidence));
        }
        assert_eq!("hearsay".parse::<Evidence>(), Err(NotEvidence));
    }
}
