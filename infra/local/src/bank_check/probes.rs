//! The probes, in the order in which a bank's log will show them.

use super::{
    Check, CheckError, Rule, TestPayout,
    client::{Answer, LARGEST_ANSWER, Seal, Told},
    receiver::{Received, Way},
};
use axum::http::StatusCode;
use contract::bank::{BankCallback, BankOutcome};
use domain::{Fen, Label};
use signing::MessageId;
use std::time::Duration;
use tokio::time::Instant;

/// How many duplicates are sent at once.
const AT_ONCE: usize = 10;

/// How long after the last byte of the instruction we hang up.
const HANG_UP_AFTER: [Duration; 3] = [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(250)];

/// Spoiled instructions: the rule, how they are spoiled, and how the report calls that.
const SPOILED: [(Rule, &[(Seal, &str)]); 6] = [
    (
        Rule::S1,
        &[
            (Seal::WithoutSignature, "without a signature"),
            (Seal::WithoutId, "without an id"),
            (Seal::WithoutTime, "without a time"),
        ],
    ),
    (Rule::S2, &[(Seal::Stranger, "signed by a stranger")]),
    (Rule::S3, &[(Seal::Doubled, "with a doubled signature header")]),
    (Rule::S4, &[(Seal::OtherAmount, "one fen more than was signed"), (Seal::AddedSpace, "one space added")]),
    (Rule::S5, &[(Seal::TooOld, "signed 301 s ago")]),
    (Rule::S6, &[(Seal::TooNew, "signed 330 s ahead")]),
];

/// What the last look judges.
#[derive(Default)]
pub(super) struct Open {
    /// Instructed once and called back: must not be called back again.
    pub(super) first: Option<TestPayout>,
    /// Must have left no payout.
    pub(super) spoiled: Vec<(Rule, TestPayout)>,
    /// Instructed several times: must be paid once.
    pub(super) repeated: Vec<(Rule, TestPayout)>,
    /// Instructed again with another amount.
    pub(super) changed: Option<TestPayout>,
    /// The callback's address redirected.
    pub(super) moved: Option<TestPayout>,
}

impl Check {
    /// A5. Nothing is sent where the product would not send.
    pub(super) async fn transport(&mut self) -> bool {
        let addresses = self.client.addresses().await;
        let is_https = self.options.url.scheme() == "https";
        let is_public = !addresses.is_empty() && addresses.iter().all(|at| delivery::is_public(at.ip()));
        let seen = match (is_https, addresses.is_empty(), is_public) {
            (true, false, true) => "https, public address",
            (false, ..) => "http",
            (_, true, _) => "the name leads to no address",
            (_, _, false) => "an address that is not public",
        };
        let is_met = is_https && is_public;
        if is_met || !self.options.allow_local {
            self.judge(Rule::A5, is_met, seen);
        } else {
            self.not_tested(Rule::A5, format!("{seen}, allowed by --allow-local"));
        }
        is_met || (self.options.allow_local && !addresses.is_empty())
    }

    /// P1, Q2, Q4, C1 to C3: one payout as it should go. `false` when the bank takes none at all.
    pub(super) async fn first_payout(&mut self) -> Result<bool, CheckError> {
        let payout = self.payout(Way::Straight)?;
        let begun = Instant::now();
        let answer = self.client.instruct(&self.receiver, &payout).await?;
        self.judge(Rule::P1, answer.is_success(), format!("{} in {}", answer.shown(), ms(begun.elapsed())));
        if !answer.is_success() {
            return Ok(false);
        }
        let told = self.ask(&payout).await?;
        self.judge(
            Rule::Q2,
            told.is_known(),
            format!("{} when asked after {}", told.shown(), answer.shown()),
        );
        let came = self.receiver.wait_for(payout.id, 1, self.options.patience).await;
        let told = self.until_finished(&payout).await?;
        self.judge_paid(&payout, &told);
        match self.receiver.received(payout.id).first().filter(|_| came) {
            Some(received) => self.judge_callback(&payout, &told, received, begun),
            None => {
                let patience = self.options.patience.as_secs();
                let url = self.receiver.url(Way::Straight);
                self.judge(Rule::C1, false, format!("none came to {url} within {patience} s"));
                for rule in [Rule::C2, Rule::C3, Rule::C5] {
                    self.not_tested(rule, "no callback came");
                }
            }
        }
        self.open.first = Some(payout);
        Ok(true)
    }

    fn judge_paid(&mut self, payout: &TestPayout, told: &Told) {
        if told.is_known() && !told.is_paid() {
            let seen = format!("the test payout is {}, and the check needs one that is paid", told.shown());
            return self.judge(Rule::Q4, false, seen);
        }
        if !told.is_paid() {
            return self.not_tested(Rule::Q4, told.shown());
        }
        let reference = told.bank_reference.as_deref().map(is_reference);
        let is_right = told.amount_fen == Some(payout.amount_fen) && reference == Some(true);
        let amount = match told.amount_fen {
            None => "no amount".to_owned(),
            Some(fen) => format!("{fen} fen of {}", payout.amount_fen),
        };
        let reference = match reference {
            None => "no reference",
            Some(false) => "a reference that cannot be kept",
            Some(true) => "a reference",
        };
        self.judge(Rule::Q4, is_right, format!("paid, {amount}, {reference}"));
    }

    fn judge_callback(&mut self, payout: &TestPayout, told: &Told, received: &Received, begun: Instant) {
        let after = received.at.saturating_duration_since(begun);
        self.judge(Rule::C1, true, format!("after {}", ms(after)));
        let wrong = match &received.form {
            Ok(callback) => wrong_in(callback, payout, told),
            Err(wrong) => Some(format!("not in the agreed form: {wrong}")),
        };
        let seen =
            wrong.clone().unwrap_or_else(|| "paid, amount and reference as instructed and told".to_owned());
        self.judge(Rule::C3, wrong.is_none(), seen);
    }

    /// Q1: a payout that was never sent.
    pub(super) async fn questions(&mut self) -> Result<(), CheckError> {
        let never_sent = self.payout(Way::Straight)?;
        let told = self.ask(&never_sent).await?;
        let is_met = told.status == Some(200) && told.state == Some(contract::bank::BankState::UnknownToUs);
        self.judge(Rule::Q1, is_met, told.shown());
        Ok(())
    }

    /// S1 to S8.
    pub(super) async fn signatures(&mut self) -> Result<(), CheckError> {
        for (rule, ways) in SPOILED {
            for (seal, name) in ways {
                self.spoiled(rule, *seal, name).await?;
            }
        }
        for seal in [Seal::StrangerThenOurs, Seal::OursThenStranger] {
            let payout = self.payout(Way::Straight)?;
            let answer =
                self.client.instruct_as(&self.receiver, &payout, seal, &message_id(&payout)?).await?;
            let order = if seal == Seal::OursThenStranger { "first" } else { "second" };
            let seen = if answer.is_success() {
                format!("{} whichever of two fits", answer.shown())
            } else {
                format!("{} when the {order} of two fits", answer.shown())
            };
            self.judge(Rule::S7, answer.is_success(), seen);
        }
        let Some(known) = self.open.first.clone() else { return Ok(()) };
        for (seal, name) in
            [(Seal::WithoutSignature, "without a signature"), (Seal::Stranger, "signed by a stranger")]
        {
            let answer = self.client.ask_as(known.id, seal).await?;
            let is_met = answer.status == Some(401);
            self.judge(Rule::S8, is_met, refusal_seen(&answer, name));
        }
        Ok(())
    }

    async fn spoiled(&mut self, rule: Rule, seal: Seal, name: &str) -> Result<(), CheckError> {
        let payout = self.payout(Way::Straight)?;
        let id = message_id(&payout)?;
        let answer = self.client.instruct_as(&self.receiver, &payout, seal, &id).await?;
        let told = self.ask(&payout).await?;
        let mut seen = refusal_seen(&answer, name);
        if told.is_known() {
            seen = format!("{seen}, and the payout is {}", told.shown());
        }
        self.judge(rule, answer.status == Some(401) && !told.is_known(), seen);
        self.open.spoiled.push((rule, payout));
        Ok(())
    }

    /// I1 to I4. Whether a repeated instruction paid twice is seen in the last look.
    pub(super) async fn idempotency(&mut self) -> Result<(), CheckError> {
        for rule in [Rule::I1, Rule::I2] {
            let payout = self.payout(Way::Straight)?;
            for place in 0..3 {
                // The third comes when the payout is finished: a bank must not forget it then.
                if place == 2 {
                    self.until_finished(&payout).await?;
                }
                let id = if rule == Rule::I1 { message_id(&payout)? } else { fresh_id(&payout)? };
                self.client.instruct_as(&self.receiver, &payout, Seal::Ours, &id).await?;
            }
            self.open.repeated.push((rule, payout));
        }
        self.other_amount().await?;
        let payout = self.payout(Way::Straight)?;
        let sends = (0..AT_ONCE).map(|_| self.client.instruct(&self.receiver, &payout));
        futures::future::try_join_all(sends).await?;
        self.until_finished(&payout).await?;
        self.open.repeated.push((Rule::I4, payout));
        Ok(())
    }

    async fn other_amount(&mut self) -> Result<(), CheckError> {
        let payout = self.payout(Way::Straight)?;
        self.client.instruct(&self.receiver, &payout).await?;
        self.until_finished(&payout).await?;
        let other = TestPayout { amount_fen: payout.amount_fen + 1, ..payout.clone() };
        let id = fresh_id(&payout)?;
        let answer = self.client.instruct_as(&self.receiver, &other, Seal::Ours, &id).await?;
        self.judge(Rule::I3, answer.status == Some(409), format!("{} to one fen more", answer.shown()));
        self.open.changed = Some(payout);
        Ok(())
    }

    /// T1 and T2: hanging up at once may cut the bank off at its work; later, it may have answered and nobody heard.
    pub(super) async fn time_out(&mut self) -> Result<(), CheckError> {
        for hold in HANG_UP_AFTER {
            let payout = self.payout(Way::Straight)?;
            if !self.client.hang_up(&self.receiver, &payout, hold).await? {
                self.not_tested(Rule::T1, "no connection could be made");
                self.not_tested(Rule::T2, "no connection could be made");
                return Ok(());
            }
            // At once, as the product asks, and again when whatever the bank was doing is over.
            for pause in [Duration::ZERO, self.options.quiet] {
                tokio::time::sleep(pause).await;
                let told = self.ask(&payout).await?;
                // The bank means unknown_to_us, and says it in the way that Q1 complains of.
                if told.status == Some(404) {
                    continue;
                }
                let is_definite = told.status == Some(200) && told.state.is_some();
                self.judge(Rule::T1, is_definite, format!("{} after we hung up", told.shown()));
            }
            self.client.instruct(&self.receiver, &payout).await?;
            self.until_finished(&payout).await?;
            self.open.repeated.push((Rule::T2, payout));
        }
        self.not_tested(Rule::T1, "404 each time");
        Ok(())
    }

    /// C4, and the callback for C6.
    pub(super) async fn callbacks(&mut self) -> Result<(), CheckError> {
        let patience = self.options.patience;
        let payout = self.payout(Way::Straight)?;
        self.receiver.answer_next(payout.id, [StatusCode::SERVICE_UNAVAILABLE]);
        self.client.instruct(&self.receiver, &payout).await?;
        if self.receiver.wait_for(payout.id, 1, patience).await {
            self.receiver.wait_for(payout.id, 2, patience).await;
            match &*self.receiver.received(payout.id) {
                [first, second, ..] => {
                    let is_same = first.message_id.is_some() && first.message_id == second.message_id;
                    let after = ms(second.at.saturating_duration_since(first.at));
                    let under =
                        if is_same { "under the same webhook-id" } else { "not under the same webhook-id" };
                    self.judge(Rule::C4, is_same, format!("again after {after}, {under}"));
                }
                _ => {
                    let seen = format!("not again within {} s", patience.as_secs());
                    self.judge(Rule::C4, false, seen);
                }
            }
        } else {
            self.not_tested(Rule::C4, "no callback came");
        }
        let moved = self.payout(Way::Moved)?;
        self.client.instruct(&self.receiver, &moved).await?;
        if self.receiver.wait_for(moved.id, 1, patience).await {
            self.open.moved = Some(moved);
        } else {
            self.not_tested(Rule::C6, "no callback came");
        }
        Ok(())
    }

    /// Q3 and A1 to A6, over every answer of the check.
    pub(super) fn answers(&mut self) {
        let tally = self.client.tally();
        if tally.questions > 0 {
            let seen = format!("{} of {} answers", tally.questions - tally.about_another, tally.questions);
            self.judge(Rule::Q3, tally.about_another == 0, seen);
        }
        if tally.answers + tally.unanswered == 0 {
            return;
        }
        let answers = tally.answers;
        if answers == 0 {
            for rule in [Rule::A1, Rule::A2, Rule::A4, Rule::A6] {
                self.not_tested(rule, "no answer came");
            }
            let seen = format!("{} requests had no answer", tally.unanswered);
            self.judge(Rule::A3, false, seen);
            return;
        }
        match tally.not_json {
            Some(path) => self.judge(Rule::A1, false, format!("something else from {path}")),
            None => self.judge(Rule::A1, true, format!("all of {answers} answers")),
        }
        self.judge(Rule::A2, tally.largest <= LARGEST_ANSWER, format!("at most {} bytes", tally.largest));
        let in_time = tally.slowest <= self.options.answer_within;
        let seen = match tally.unanswered {
            0 => format!("at most {}", ms(tally.slowest)),
            lost => format!("{lost} requests had no answer; at most {}", ms(tally.slowest)),
        };
        self.judge(Rule::A3, in_time && tally.unanswered == 0, seen);
        match tally.redirect {
            Some(status) => self.judge(Rule::A4, false, format!("status {status}")),
            None => self.judge(Rule::A4, true, format!("none in {answers} answers")),
        }
        match tally.throttled {
            0 => self.not_tested(Rule::A6, "the bank never answered 429"),
            times => {
                let seen = format!("{} of {times} answers 429", times - tally.without_retry_after);
                self.judge(Rule::A6, tally.without_retry_after == 0, seen);
            }
        }
    }
}

/// What a callback says that is not so.
fn wrong_in(callback: &BankCallback, payout: &TestPayout, told: &Told) -> Option<String> {
    if callback.application_id != payout.application {
        return Some("another application_id".to_owned());
    }
    if callback.outcome != BankOutcome::Paid {
        return Some("an outcome other than paid".to_owned());
    }
    if callback.amount_fen != Fen(payout.amount_fen) {
        return Some(format!("{} fen, instructed were {}", callback.amount_fen.0, payout.amount_fen));
    }
    if !is_reference(&callback.bank_reference) {
        return Some("a bank_reference that cannot be kept".to_owned());
    }
    let other = told.bank_reference.as_ref().is_some_and(|told| *told != callback.bank_reference);
    other.then(|| "another bank_reference than the answer to the question".to_owned())
}

/// 1 to 128 printable ASCII characters without spaces, as the ledger keeps them.
fn is_reference(text: &str) -> bool {
    Label::try_from(text.to_owned()).is_ok()
}

fn refusal_seen(answer: &Answer, name: &str) -> String {
    format!("{} {name}", answer.shown())
}

fn message_id(payout: &TestPayout) -> Result<MessageId, CheckError> {
    payout.id.to_string().parse().map_err(CheckError::from)
}

fn fresh_id(payout: &TestPayout) -> Result<MessageId, CheckError> {
    format!("{}.{}", payout.id, signing::keys::random_id()?).parse().map_err(CheckError::from)
}

pub(super) fn ms(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
