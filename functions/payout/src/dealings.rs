//! What to do next about a payout, given what this invocation knows of the bank's side. Pure.
//!
//! | the bank | what follows |
//! |---|---|
//! | took it | wait for the callback |
//! | said its word when asked | settle |
//! | was not reached | nothing was sent: the record comes again |
//! | is left alone for now | nothing was sent: the sweeper sends the command again |
//! | may have acted (time-out, 5xx, redirect, 429) | ask at once; if it has never seen the payout, send once more under the same key |
//! | refused, or has closed its endpoint | ask; only if it has never seen the payout is it void |
//! | has closed its endpoint and says nothing when asked | void if nobody else can have sent before; else wait |
//! | is silent | wait: the sweeper asks again |
//!
//! A payout that was requested longer than [`INSTRUCT_FOR`] ago is never sent again: a bank may have forgotten the key by
//! then, and would pay twice. If the bank has still never seen it at [`GIVE_UP_AFTER`], it is void.

use domain::{Reason, ledger::Outcome};
use jiff::SignedDuration;
use ports::counterparty::Instructed;
use steps::BankWord;

/// How long after the request a bank is instructed at all. Idempotency keys are commonly kept for 24 hours.
pub const INSTRUCT_FOR: SignedDuration = SignedDuration::from_hours(24);
/// When a payout that the bank has never seen is given up. The hour since [`INSTRUCT_FOR`] is longer than anything that
/// was sent can be on its way.
pub const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(25);

/// What was heard when the bank was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// No usable answer.
    Silence,
    /// The bank has never seen the payout.
    NeverSeen,
    Word(BankWord),
}

/// What this invocation knows of the bank's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dealings {
    /// This invocation recorded the request and wrote the ledger's row, so nobody has instructed before it; and whoever
    /// does so at the same time has announced it, which the ledger checks when the payout is given up.
    pub alone: bool,
    /// Since the payout was requested.
    pub age: SignedDuration,
    /// What came of the last instruction.
    pub instructed: Option<Instructed>,
    /// What the bank said after that.
    pub heard: Option<Heard>,
    /// The instruction before the last may still be on its way.
    pub sent_before: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Instruct,
    Ask,
    /// Bring the word into ledger and journal.
    Settle(BankWord),
    /// Nothing is paid, by our own rule and not by the bank's word.
    GiveUp(Outcome),
    /// Nothing more now: a callback comes, or the sweeper's next look.
    Wait,
    /// Nothing has been sent: let the record come again.
    TryAgain,
}

impl Dealings {
    pub fn begin(alone: bool) -> Self {
        let age = SignedDuration::ZERO;
        Self { alone, age, instructed: None, heard: None, sent_before: false }
    }

    pub fn instructed(&mut self, outcome: Instructed) {
        self.sent_before |= self.instructed.is_some();
        self.instructed = Some(outcome);
        self.heard = None;
    }

    pub fn heard(&mut self, heard: Heard) {
        self.heard = Some(heard);
    }

    /// Whether this invocation has just learnt that the bank holds what it was sent. The next step is the last one then.
    pub fn is_taken(&self) -> bool {
        let answered_when_asked = matches!(self.heard, Some(Heard::Word(_)));
        match self.instructed {
            Some(Instructed::Taken) => self.heard.is_none(),
            Some(Instructed::Unknown) => answered_when_asked,
            _ => false,
        }
    }

    /// Exactly one instruction has left for the bank, unless another one was announced.
    fn sent_once(&self) -> bool {
        self.alone && !self.sent_before
    }
}

/// The whole rule.
pub fn next_step(d: &Dealings) -> Step {
    let Some(instructed) = d.instructed else { return before_instructing(d) };
    match (instructed, &d.heard) {
        (_, Some(Heard::Word(word))) => take(word),
        (Instructed::Taken | Instructed::HeldBack, _) => Step::Wait,
        (Instructed::NotSent, _) => Step::TryAgain,
        (_, None) => Step::Ask,
        (Instructed::Unknown, Some(Heard::NeverSeen)) if !d.sent_before => Step::Instruct,
        // A refusal is the end only where nothing else can still be on its way to the bank, of this or an earlier worker.
        (Instructed::Refused, Some(Heard::NeverSeen)) if d.sent_once() => void(Reason::BankRefused),
        (Instructed::Closed, Some(Heard::NeverSeen | Heard::Silence)) if d.sent_once() => {
            void(Reason::BankUnavailable)
        }
        _ => Step::Wait,
    }
}

fn before_instructing(d: &Dealings) -> Step {
    match &d.heard {
        None if d.alone => Step::Instruct,
        None => Step::Ask,
        Some(Heard::Word(word)) => take(word),
        Some(Heard::NeverSeen) if d.age < INSTRUCT_FOR => Step::Instruct,
        Some(Heard::NeverSeen) if d.age >= GIVE_UP_AFTER => Step::GiveUp(Outcome::Expired),
        Some(Heard::NeverSeen | Heard::Silence) => Step::Wait,
    }
}

fn take(word: &BankWord) -> Step {
    match word {
        BankWord::Pending => Step::Wait,
        word => Step::Settle(word.clone()),
    }
}

fn void(reason: Reason) -> Step {
    Step::GiveUp(Outcome::Voided { reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Fen;

    fn paid() -> BankWord {
        BankWord::Paid { bank_reference: "R1".into(), amount_fen: Fen::yuan(100_000) }
    }

    fn refused() -> BankWord {
        BankWord::NotPaid { reason: Reason::BankRefused, amount_fen: Some(Fen::yuan(100_000)) }
    }

    /// What a bank does: how it takes each instruction in turn, and what it says each time it is asked.
    fn run(alone: bool, age: SignedDuration, takes: &[Instructed], says: &[Heard]) -> Vec<Step> {
        let (mut takes, mut says) = (takes.iter(), says.iter());
        let mut dealings = Dealings { age, ..Dealings::begin(alone) };
        let mut steps = Vec::new();
        for _ in 0..6 {
            let step = next_step(&dealings);
            steps.push(step.clone());
            match step {
                Step::Instruct => dealings.instructed(*takes.next().expect("one instruction too many")),
                Step::Ask => dealings.heard(says.next().expect("one question too many").clone()),
                Step::Settle(_) | Step::GiveUp(_) | Step::Wait | Step::TryAgain => return steps,
            }
        }
        panic!("the dealings do not end: {steps:?}");
    }

    const NOW: SignedDuration = SignedDuration::ZERO;
    const LATER: SignedDuration = SignedDuration::from_mins(1);

    use Heard::{NeverSeen, Silence, Word};
    use Instructed::{Closed, HeldBack, NotSent, Refused, Taken, Unknown};
    use Step::{Ask, GiveUp, Instruct, Settle, TryAgain, Wait};

    #[test]
    fn the_bank_holds_what_it_took_and_what_it_knows_of_after_its_answer_was_lost() {
        let known = |instructed, heard| Dealings { instructed, heard, ..Dealings::begin(true) }.is_taken();
        assert!(known(Some(Taken), None));
        assert!(known(Some(Unknown), Some(Word(BankWord::Pending))));
        for (instructed, heard) in [
            (None, Some(Word(paid()))),
            (Some(Unknown), None),
            (Some(Unknown), Some(NeverSeen)),
            (Some(NotSent), None),
            (Some(Refused), None),
        ] {
            assert!(!known(instructed, heard.clone()), "{instructed:?} {heard:?}");
        }
    }

    #[test]
    fn a_first_instruction_goes_out_at_once_and_its_callback_is_awaited() {
        assert_eq!(run(true, NOW, &[Taken], &[]), [Instruct, Wait]);
    }

    #[test]
    fn a_bank_that_times_out_after_paying_is_asked_and_not_paid_again() {
        assert_eq!(run(true, NOW, &[Unknown], &[Word(paid())]), [Instruct, Ask, Settle(paid())]);
        assert_eq!(run(true, NOW, &[Unknown], &[Word(BankWord::Pending)]), [Instruct, Ask, Wait]);
        assert_eq!(run(true, NOW, &[Unknown], &[Silence]), [Instruct, Ask, Wait]);
    }

    #[test]
    fn an_instruction_that_the_bank_never_saw_is_sent_once_more_and_no_more() {
        assert_eq!(run(true, NOW, &[Unknown, Taken], &[NeverSeen]), [Instruct, Ask, Instruct, Wait]);
        assert_eq!(
            run(true, NOW, &[Unknown, Unknown], &[NeverSeen, NeverSeen]),
            [Instruct, Ask, Instruct, Ask, Wait]
        );
    }

    #[test]
    fn a_refusal_is_void_only_when_the_bank_confirms_that_it_holds_nothing() {
        let void = |reason| GiveUp(Outcome::Voided { reason });
        assert_eq!(run(true, NOW, &[Refused], &[NeverSeen]), [Instruct, Ask, void(Reason::BankRefused)]);
        assert_eq!(run(true, NOW, &[Refused], &[Word(refused())]), [Instruct, Ask, Settle(refused())]);
        assert_eq!(run(true, NOW, &[Refused], &[Word(paid())]), [Instruct, Ask, Settle(paid())]);
        assert_eq!(run(true, NOW, &[Refused], &[Word(BankWord::Pending)]), [Instruct, Ask, Wait]);
        assert_eq!(run(true, NOW, &[Refused], &[Silence]), [Instruct, Ask, Wait]);
    }

    #[test]
    fn a_closed_endpoint_is_void_without_a_word_only_for_whoever_sent_first() {
        let void = GiveUp(Outcome::Voided { reason: Reason::BankUnavailable });
        assert_eq!(run(true, NOW, &[Closed], &[Silence]), [Instruct, Ask, void.clone()]);
        assert_eq!(run(true, NOW, &[Closed], &[NeverSeen]), [Instruct, Ask, void.clone()]);
        assert_eq!(run(false, LATER, &[Closed], &[NeverSeen, Silence]), [Ask, Instruct, Ask, Wait]);
        assert_eq!(run(false, LATER, &[Closed], &[NeverSeen, NeverSeen]), [Ask, Instruct, Ask, Wait]);
    }

    #[test]
    fn what_may_still_be_on_its_way_keeps_a_later_refusal_from_being_the_end() {
        for second in [Refused, Closed] {
            assert_eq!(
                run(true, NOW, &[Unknown, second], &[NeverSeen, NeverSeen]),
                [Instruct, Ask, Instruct, Ask, Wait],
                "{second:?}"
            );
        }
    }

    #[test]
    fn a_refusal_of_a_later_worker_waits_because_an_earlier_instruction_may_still_arrive() {
        for instructed in [Refused, Closed] {
            let steps = run(false, LATER, &[instructed], &[NeverSeen, NeverSeen]);
            assert_eq!(steps, [Ask, Instruct, Ask, Wait], "{instructed:?}");
        }
    }

    #[test]
    fn whoever_comes_later_asks_before_it_sends() {
        assert_eq!(run(false, NOW, &[], &[Word(paid())]), [Ask, Settle(paid())]);
        assert_eq!(run(false, NOW, &[], &[Silence]), [Ask, Wait]);
        assert_eq!(run(false, NOW, &[Taken], &[NeverSeen]), [Ask, Instruct, Wait]);
    }

    #[test]
    fn a_bank_that_was_not_reached_is_tried_again_by_the_queue() {
        assert_eq!(run(true, NOW, &[NotSent], &[]), [Instruct, TryAgain]);
        assert_eq!(run(false, LATER, &[NotSent], &[NeverSeen]), [Ask, Instruct, TryAgain]);
        assert_eq!(run(true, NOW, &[Unknown, NotSent], &[NeverSeen]), [Instruct, Ask, Instruct, TryAgain]);
    }

    #[test]
    fn a_bank_that_is_left_alone_is_tried_again_when_the_sweeper_looks() {
        assert_eq!(run(true, NOW, &[HeldBack], &[]), [Instruct, Wait]);
        assert_eq!(run(false, LATER, &[HeldBack], &[NeverSeen]), [Ask, Instruct, Wait]);
        assert_eq!(run(true, NOW, &[Unknown, HeldBack], &[NeverSeen]), [Instruct, Ask, Instruct, Wait]);
    }

    #[test]
    fn fault_13_after_a_day_nothing_is_sent_and_what_the_bank_never_saw_is_given_up() {
        let expire = GiveUp(Outcome::Expired);
        let after = SignedDuration::from_hours;
        assert_eq!(run(false, after(24), &[], &[NeverSeen]), [Ask, Wait]);
        assert_eq!(run(false, after(25), &[], &[NeverSeen]), [Ask, expire.clone()]);
        assert_eq!(run(false, after(76), &[], &[NeverSeen]), [Ask, expire]);
        assert_eq!(run(false, after(76), &[], &[Word(paid())]), [Ask, Settle(paid())]);
        assert_eq!(run(false, after(76), &[], &[Silence]), [Ask, Wait]);
    }
}
