//! The far sides of a run: one bank for every product, the providers of both checks, the channels.
//!
//! They verify our signatures and sign their own words; what they answer and when is the seed's choice. A bank is
//! idempotent by payout id and otherwise as bad as banks get. It pays at most once per payout id, so money that is paid
//! twice has been asked for twice.

use super::{
    faults::{Counts, FaultKind, Weather},
    world::Later,
};
use delivery::{Answer, SignedRequest};
use domain::{ApplicationId, PayoutId};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use signing::{Signer, Verifier, WebhookHeaders};
use std::collections::{BTreeMap, BTreeSet};

/// The answer to a request, or none in time, and what follows from it after a while.
type Said = (Option<Answer>, Vec<(SignedDuration, Later)>);

/// What the bank has done, and will say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    Paid,
    Refused,
    Failed,
}

impl Truth {
    fn word(self) -> &'static str {
        match self {
            Truth::Paid => "paid",
            Truth::Refused => "refused",
            Truth::Failed => "failed",
        }
    }
}

/// One payout in the bank's book.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub application: String,
    pub bank: String,
    pub amount_fen: u64,
    pub reference: String,
    pub truth: Truth,
    /// The bank has finished with it.
    pub done: bool,
    /// Whether the bank ever said the opposite of the truth.
    pub lied: bool,
}

/// Banks, providers and channels.
pub(super) struct Counterparties {
    pub book: BTreeMap<String, Entry>,
    checks: BTreeMap<String, &'static str>,
    /// Payouts that the bank was ever asked to make.
    met: BTreeSet<String>,
    /// The notices that the channels have taken, by name.
    pub told: BTreeMap<String, Value>,
    /// Until then the bank answers 410.
    closed_until: Timestamp,
    signer: Signer,
    verifier: Verifier,
    next_message: u32,
}

/// A call that a counterparty will make to us, and makes again until it is taken.
#[derive(Clone, Debug)]
pub(super) struct Callback {
    pub path: String,
    pub message_id: String,
    pub body: Value,
    pub attempt: u32,
}

impl Counterparties {
    pub(super) fn new(signer: Signer, verifier: Verifier) -> Self {
        Self {
            book: BTreeMap::new(),
            checks: BTreeMap::new(),
            met: BTreeSet::new(),
            told: BTreeMap::new(),
            closed_until: Timestamp::MIN,
            signer,
            verifier,
            next_message: 0,
        }
    }

    /// The headers of a callback, signed as of now.
    pub(super) fn sign(&self, callback: &Callback, body: &[u8], now: Timestamp) -> Vec<(String, String)> {
        let Ok(id) = callback.message_id.parse() else { return Vec::new() };
        let headers = self.signer.sign(&id, now, body);
        headers.pairs().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Answers one request of ours. `None` is no answer in time, though the request did arrive.
    pub(super) fn answer(
        &mut self,
        request: &SignedRequest,
        now: Timestamp,
        weather: Weather,
        rng: &mut Rng,
        counts: &mut Counts,
    ) -> Said {
        let pairs = request.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let headers = WebhookHeaders::from_pairs(pairs);
        let genuine = headers.is_ok_and(|h| self.verifier.verify(&h, &request.body, now).is_ok());
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return (status(400), Vec::new());
        };
        if !genuine {
            return (status(401), Vec::new());
        }
        match request.url.path() {
            "/payouts" => self.instruct(&body, now, weather, rng, counts),
            "/payouts/query" => self.query(&body, now, weather, rng, counts),
            "/notices" => self.listen(request, body, now, weather, rng, counts),
            "/exchange" => (exchange(&body), Vec::new()),
            "/face/checks" => self.check(&body, "face", weather, rng, counts),
            "/phone/checks" => self.check(&body, "phone", weather, rng, counts),
            _ => (status(404), Vec::new()),
        }
    }

    fn instruct(
        &mut self,
        body: &Value,
        now: Timestamp,
        weather: Weather,
        rng: &mut Rng,
        counts: &mut Counts,
    ) -> Said {
        // Where answers are slow, a gateway before the bank often refuses what it sees for the first time.
        let is_new = self.met.insert(text(body, "payout_id"));
        if is_new && rng.u32(0..1000) < weather.gateway {
            counts.add(FaultKind::BankError);
            return (status(422), Vec::new());
        }
        let misbehaves = rng.u32(0..1000) < weather.bank;
        if misbehaves && rng.bool() {
            return self.turn_away(now, rng, counts);
        }
        if now < self.closed_until && weather.bank > 0 {
            return (status(410), Vec::new());
        }
        let payout = text(body, "payout_id");
        let mut later = Vec::new();
        if let Some(known) = self.book.get(&payout) {
            if Some(known.amount_fen) != body["amount_fen"].as_u64() {
                return (status(409), Vec::new());
            }
        } else {
            let truth = match rng.u32(0..20) {
                0 => Truth::Refused,
                1 => Truth::Failed,
                _ => Truth::Paid,
            };
            if truth != Truth::Paid {
                counts.add(FaultKind::BankRefuses);
            }
            let url = text(body, "callback_url");
            let bank = url.rsplit('/').next().unwrap_or_default().to_owned();
            let entry = Entry {
                application: text(body, "application_id"),
                bank,
                amount_fen: body["amount_fen"].as_u64().unwrap_or_default(),
                reference: format!("R{}", self.book.len() + 1),
                truth,
                done: false,
                lied: false,
            };
            self.book.insert(payout.clone(), entry);
            let longest = if weather.late_answer > 0 { 60_000 } else { 15_000 };
            let takes = SignedDuration::from_millis(i64::from(rng.u32(0..longest)));
            later.push((takes, Later::BankFinishes { payout, misbehaves }));
        }
        if !misbehaves {
            return (status(202), later);
        }
        let answer = match rng.u32(0..5) {
            0 => {
                counts.add(FaultKind::BankGarbage);
                Some(Answer { status: 200, retry_after: None, body: b"<html>".to_vec() })
            }
            1 => {
                counts.add(FaultKind::BankError);
                status(500)
            }
            2 => {
                counts.add(FaultKind::BankRedirect);
                status(303)
            }
            3 => {
                counts.add(FaultKind::BankError);
                status(400)
            }
            _ => {
                counts.add(FaultKind::BankSilent);
                None
            }
        };
        (answer, later)
    }

    /// The answers after which the bank knows nothing of the instruction.
    fn turn_away(&mut self, now: Timestamp, rng: &mut Rng, counts: &mut Counts) -> Said {
        let mut later = Vec::new();
        let (kind, answer) = match rng.u32(0..8) {
            0 => (FaultKind::BankError, status(500)),
            1 | 5 => (FaultKind::BankError, status(422)),
            2 => (FaultKind::BankRedirect, status(307)),
            3 => {
                let throttled = Answer { status: 429, retry_after: Some("30".into()), body: Vec::new() };
                (FaultKind::BankThrottle, Some(throttled))
            }
            4 => {
                let closed = SignedDuration::from_secs(i64::from(rng.u32(1..600)));
                self.closed_until = now + closed;
                // An operator hears of it, and looks once more later: the last to be told may be slow to write it down.
                later.push((closed + SignedDuration::from_secs(60), Later::OperatorLooks));
                later.push((closed + SignedDuration::from_hours(1), Later::OperatorLooks));
                (FaultKind::BankGone, status(410))
            }
            _ => (FaultKind::BankSilent, None),
        };
        counts.add(kind);
        (answer, later)
    }

    /// A notice at the channels' back end.
    fn listen(
        &mut self,
        request: &SignedRequest,
        body: Value,
        now: Timestamp,
        weather: Weather,
        rng: &mut Rng,
        counts: &mut Counts,
    ) -> Said {
        if rng.u32(0..1000) < weather.bank / 2 {
            return self.turn_away(now, rng, counts);
        }
        let id = request.headers.iter().find(|(name, _)| *name == "webhook-id");
        if let Some((_, id)) = id {
            self.told.insert(id.clone(), body);
        }
        (status(204), Vec::new())
    }

    fn query(
        &mut self,
        body: &Value,
        now: Timestamp,
        weather: Weather,
        rng: &mut Rng,
        counts: &mut Counts,
    ) -> Said {
        if rng.u32(0..1000) < weather.bank / 2 {
            return match rng.u32(0..4) {
                0 => {
                    counts.add(FaultKind::BankGarbage);
                    let said = br#"{"state":"paid"}"#.to_vec();
                    (Some(Answer { status: 200, retry_after: None, body: said }), Vec::new())
                }
                _ => self.turn_away(now, rng, counts),
            };
        }
        let payout = text(body, "payout_id");
        let said = match self.book.get(&payout) {
            None => json!({ "payout_id": payout, "state": "unknown_to_us" }),
            Some(entry) if !entry.done => json!({ "payout_id": payout, "state": "received" }),
            Some(entry) => json!({
                "payout_id": payout,
                "state": entry.truth.word(),
                "bank_reference": entry.reference,
                "amount_fen": entry.amount_fen,
            }),
        };
        let answer = Answer { status: 200, retry_after: None, body: said.to_string().into_bytes() };
        (Some(answer), Vec::new())
    }

    /// The bank finishes a payout, and plans what it will say of it, and when.
    pub(super) fn finish(
        &mut self,
        payout: &str,
        misbehaves: bool,
        now: Timestamp,
        rng: &mut Rng,
        counts: &mut Counts,
    ) -> Vec<(SignedDuration, Later)> {
        let Some(entry) = self.book.get_mut(payout) else { return Vec::new() };
        entry.done = true;
        let truth = entry.truth;
        let words: Vec<Truth> = match (misbehaves, rng.u32(0..6)) {
            (true, 0 | 1) => {
                counts.add(FaultKind::BankNoCallback);
                Vec::new()
            }
            (true, 2) => {
                counts.add(FaultKind::BankTwice);
                vec![truth, truth]
            }
            (true, 3) if truth == Truth::Paid => {
                counts.add(FaultKind::BankContradicts);
                entry.lied = true;
                vec![Truth::Paid, Truth::Failed, Truth::Paid]
            }
            (true, 4) if truth == Truth::Paid => {
                counts.add(FaultKind::BankContradicts);
                entry.lied = true;
                vec![Truth::Failed, Truth::Paid]
            }
            _ => vec![truth],
        };
        let entry = entry.clone();
        let mut after = 0;
        let said = words.into_iter().map(|word| {
            after += i64::from(rng.u32(0..4_000));
            self.next_message += 1;
            let callback = Callback {
                path: format!("/v1/callbacks/banks/{}", entry.bank),
                message_id: format!("bank-{}", self.next_message),
                body: json!({
                    "payout_id": payout,
                    "application_id": payout,
                    "outcome": word.word(),
                    "bank_reference": entry.reference,
                    "amount_fen": entry.amount_fen,
                    "at": now.to_string(),
                }),
                attempt: 0,
            };
            (SignedDuration::from_millis(after), Later::CallsBack(callback))
        });
        said.collect()
    }

    fn check(
        &mut self,
        body: &Value,
        kind: &str,
        weather: Weather,
        rng: &mut Rng,
        counts: &mut Counts,
    ) -> Said {
        let check_id = text(body, "check_id");
        let answer = *self.checks.entry(check_id.clone()).or_insert_with(|| match rng.u32(0..40) {
            0 => {
                counts.add(FaultKind::CheckMismatch);
                "mismatch"
            }
            1 | 2 => {
                counts.add(FaultKind::CheckUnknown);
                "unknown"
            }
            _ => "match",
        });
        if rng.u32(0..1000) < weather.bank / 8 {
            counts.add(FaultKind::CheckLost);
            return (status(202), Vec::new());
        }
        let after = SignedDuration::from_millis(i64::from(rng.u32(20..8_000)));
        let callback = Callback {
            path: format!("/v1/callbacks/{kind}"),
            message_id: format!("{check_id}.answer"),
            body: json!({
                "check_id": check_id,
                "application_id": body["application_id"],
                "attempt": body["attempt"],
                "person_ref": body["person_ref"],
                "answer": answer,
                "checked_at": "2026-11-23T02:00:00Z",
            }),
            attempt: 0,
        };
        (status(202), vec![(after, Later::CallsBack(callback))])
    }
}

/// Who applies is in the code: `<borrower>.<try>.<device>`.
fn exchange(body: &Value) -> Option<Answer> {
    let code = text(body, "code");
    let mut parts = code.split('.');
    let borrower = parts.next().unwrap_or_default();
    let device = parts.nth(1).unwrap_or_default();
    let said = json!({
        "subject": format!("subject-{borrower}"),
        "device": format!("device-{device}"),
        "network": format!("network-{device}"),
    });
    Some(Answer { status: 200, retry_after: None, body: said.to_string().into_bytes() })
}

#[expect(clippy::unnecessary_wraps, reason = "an answer stands beside the missing one")]
fn status(status: u16) -> Option<Answer> {
    Some(Answer { status, retry_after: None, body: b"{}".to_vec() })
}

fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_default().to_owned()
}

/// The application that a payout id belongs to.
pub(super) fn application_of(payout: &str) -> Option<ApplicationId> {
    payout.parse::<PayoutId>().ok().map(PayoutId::application_id)
}
