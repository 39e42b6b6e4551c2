//! What can go wrong, how often, and what is turned off to prove that the simulation would notice.

use std::fmt;

/// A safeguard of the product, which a run can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Safeguard {
    /// The condition on the journal's put: an entry is written under a free number.
    JournalCondition,
    /// One key per payout, for ever: without it every instruction has a key of its own.
    PayoutKey,
    /// The words of the bank that were taken are known, and each is written once: without it a callback that is replayed
    /// moves the money again.
    ReplayStore,
    /// The sweeper, which sends what a dead invocation committed and did not send.
    OutboxResend,
    /// A worker that was held up cannot hold a payout for void which another one has taken over since.
    Fencing,
}

impl Safeguard {
    pub const ALL: [Safeguard; 5] = [
        Safeguard::JournalCondition,
        Safeguard::PayoutKey,
        Safeguard::ReplayStore,
        Safeguard::OutboxResend,
        Safeguard::Fencing,
    ];

    /// The name under which `simulate --without` knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Safeguard::JournalCondition => "journal-condition",
            Safeguard::PayoutKey => "payout-key",
            Safeguard::ReplayStore => "replay-store",
            Safeguard::OutboxResend => "outbox-resend",
            Safeguard::Fencing => "fencing",
        }
    }
}

macro_rules! faults {
    ($($variant:ident $name:literal)*) => {
        /// A kind of fault that a run injects.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FaultKind { $($variant),* }

        impl FaultKind {
            pub const ALL: &[FaultKind] = &[$(FaultKind::$variant),*];

            pub const fn name(self) -> &'static str {
                match self { $(FaultKind::$variant => $name),* }
            }
        }
    };
}

faults! {
    CrashBefore "crash before an effect"
    CrashAfter "crash after an effect"
    Stall "worker held up"
    LateAnswer "answer very late"
    TimedOut "function ended at its time-out"
    LostRequest "request lost"
    LostAnswer "answer lost after success"
    Throttled "call throttled"
    Cancelled "transaction cancelled"
    ConditionFailed "conditional check lost"
    Duplicate "message delivered twice"
    Delay "message delayed, up to 14 days"
    Redrive "dead letter sent again"
    ClockOff "clock of an invocation off"
    NewerVersion "written by a newer version"
    BankError "bank answers 4xx or 5xx"
    BankGarbage "bank answers garbage"
    BankRedirect "bank redirects"
    BankGone "bank answers 410"
    BankThrottle "bank answers 429"
    BankSilent "bank times out"
    BankNoCallback "bank never calls back"
    BankTwice "bank calls back twice"
    BankContradicts "bank contradicts itself"
    BankRefuses "bank refuses or fails to pay"
    CheckUnknown "check without an answer"
    CheckMismatch "check fails"
    CheckLost "check's callback never sent"
    CallbackReplayed "callback replayed"
    BorrowerCancels "borrower cancels"
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often each kind of fault was injected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(std::collections::BTreeMap<FaultKind, u64>);

impl Counts {
    pub(super) fn add(&mut self, kind: FaultKind) {
        *self.0.entry(kind).or_default() += 1;
    }

    pub fn of(&self, kind: FaultKind) -> u64 {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    pub fn merge(&mut self, other: &Counts) {
        for (kind, count) in &other.0 {
            *self.0.entry(*kind).or_default() += count;
        }
    }
}

/// How rough the weather of a run is: chances in a thousand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// Per SDK call or request of ours.
    pub effect: u32,
    /// Per answer of a counterparty: it comes very late.
    pub late_answer: u32,
    /// Per payout: a gateway before the bank refuses its first instruction.
    pub gateway: u32,
    /// Per message sent.
    pub message: u32,
    /// Per request at the bank.
    pub bank: u32,
    /// Per invocation.
    pub invocation: u32,
}

impl Weather {
    pub(super) const CALM: Weather =
        Weather { effect: 0, late_answer: 0, gateway: 0, message: 0, bank: 0, invocation: 0 };

    pub(super) fn of(rng: &mut fastrand::Rng) -> Weather {
        match rng.u32(0..10) {
            0..2 => Weather { effect: 0, late_answer: 0, gateway: 0, message: 20, bank: 400, invocation: 20 },
            2..4 => {
                Weather { effect: 25, late_answer: 0, gateway: 0, message: 40, bank: 250, invocation: 50 }
            }
            4..8 => {
                Weather { effect: 2, late_answer: 400, gateway: 600, message: 900, bank: 200, invocation: 20 }
            }
            _ => Weather { effect: 80, late_answer: 0, gateway: 0, message: 120, bank: 500, invocation: 150 },
        }
    }
}
