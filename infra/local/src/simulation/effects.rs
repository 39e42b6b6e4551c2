//! What becomes of an effect: it happens, or something goes wrong before it, after it, or instead of it.

use super::{
    faults::{FaultKind, Safeguard},
    gate::{Answered, Effect, Reply, Waiting},
    tables::entry_text,
    world::{Later, Message, World},
};
use crate::roles::{self, Asked};
use delivery::{Delivery, SignedRequest};
use jiff::SignedDuration;
use serde_json::{Value, json};

impl World<'_> {
    /// Lets one effect happen, or not, and the invocation go on, or not.
    pub(super) fn happen(&mut self, number: u64) {
        let Some(waiting) = self.machine.gate.take(number) else { return };
        let invocation = waiting.invocation;
        if matches!(waiting.effect, Effect::Post { .. }) && self.chance(self.weather.late_answer) {
            return self.answer_late(waiting);
        }
        if !self.chance(self.weather.effect) {
            self.effect(waiting).arrive();
            return self.poll(invocation);
        }
        match self.rng.u32(0..9) {
            0 => {
                self.fault(FaultKind::CrashBefore, invocation);
                self.ended(invocation, None);
            }
            1 => {
                self.fault(FaultKind::CrashAfter, invocation);
                self.effect(waiting);
                self.ended(invocation, None);
            }
            2 | 3 => self.stall(waiting),
            4 => {
                self.fault(FaultKind::LostRequest, invocation);
                nothing_happens(waiting, None);
                self.poll(invocation);
            }
            5 | 6 => {
                self.fault(FaultKind::LostAnswer, invocation);
                self.effect(waiting).lose();
                self.poll(invocation);
            }
            7 => {
                self.fault(FaultKind::Throttled, invocation);
                nothing_happens(waiting, Some(refusal("ThrottlingException", &Value::Null)));
                self.poll(invocation);
            }
            _ => {
                self.fault(FaultKind::Cancelled, invocation);
                nothing_happens(waiting, Some(cancelled()));
                self.poll(invocation);
            }
        }
    }

    /// The worker is held up: before the effect, or after it and before it hears the answer.
    fn stall(&mut self, waiting: Waiting) {
        self.fault(FaultKind::Stall, waiting.invocation);
        let waiting = if self.rng.bool() { self.done(waiting) } else { waiting };
        let until = self.now + SignedDuration::from_millis(self.rng.i64(100..40_000));
        self.machine.gate.hold(waiting, until);
    }

    /// The effect happens, and its answer comes when another worker may long have begun.
    fn answer_late(&mut self, waiting: Waiting) {
        self.fault(FaultKind::LateAnswer, waiting.invocation);
        let waiting = self.done(waiting);
        let until = self.now + SignedDuration::from_millis(self.rng.i64(10_000..40_000));
        self.machine.gate.hold(waiting, until);
    }

    fn done(&mut self, waiting: Waiting) -> Waiting {
        let (number, invocation, not_before) = (waiting.number, waiting.invocation, waiting.not_before);
        Waiting { number, invocation, effect: Effect::Done(self.effect(waiting)), not_before }
    }

    fn fault(&mut self, kind: FaultKind, invocation: u64) {
        self.counts.add(kind);
        self.tell(format_args!("{invocation} {kind}"));
    }

    /// The effect happens.
    fn effect(&mut self, waiting: Waiting) -> Reply {
        let invocation = waiting.invocation;
        let (newer, _) = self.traits_of(invocation);
        match waiting.effect {
            Effect::DynamoDb { operation, body, answer } => {
                let asked = roles::asked(self.machine.roles.names(), "dynamodb", &operation, &body);
                let answered = match self.denied(invocation, &asked) {
                    Some(refused) => refused,
                    None => self.dynamodb(invocation, &operation, body, newer),
                };
                Reply::Sdk(answer, answered)
            }
            Effect::Sqs { operation, body, answer } => {
                let asked = roles::asked(self.machine.roles.names(), "sqs", &operation, &body);
                let answered = match self.denied(invocation, &asked) {
                    Some(refused) => refused,
                    None => self.send(invocation, &operation, &body, newer),
                };
                Reply::Sdk(answer, answered)
            }
            Effect::Post { request, answer } => Reply::Post(answer, self.post(invocation, request)),
            Effect::Done(reply) => reply,
        }
    }

    /// What a function hears whose role does not allow a call. That must never be.
    fn denied(&mut self, invocation: u64, asked: &[Asked]) -> Option<Answered> {
        let function = self.function_of(invocation).unwrap_or_default().to_owned();
        let denied = self.machine.roles.check(&function, asked).err()?;
        self.violations.push(denied.to_string());
        Some(Some(refusal("AccessDeniedException", &Value::Null)))
    }

    fn dynamodb(&mut self, invocation: u64, operation: &str, body: Vec<u8>, newer: bool) -> Answered {
        let body = self.without_safeguard(operation, body);
        let body = if newer { written_by_a_newer_version(operation, body) } else { body };
        if matches!(operation, "PutItem" | "UpdateItem") && contains(&body, b"due_at") {
            self.due_has_changed = true;
        }
        let said = self.tables.call(operation, &body);
        if said.status == 200 && operation == "PutItem" {
            self.remember_entry(&body);
        }
        if said.status == 200 && operation == "TransactWriteItems" {
            self.remember_late_payment(&body);
        }
        if said.status == 400 && said.body.contains("ConditionalCheckFailed") {
            self.counts.add(FaultKind::ConditionFailed);
        }
        let table = table(&body);
        self.tell(format_args!("{invocation} {operation} {table} {}", said.status));
        let forgets = self.plan.without == Some(Safeguard::ReplayStore)
            && (operation, table) == ("Query", "payouts")
            && self.is_of(invocation, "bank-callback");
        let said =
            if forgets { (said.status, without_resolutions(&said.body)) } else { (said.status, said.body) };
        Some(said)
    }

    /// Keeps what was first written under each number of a journal, which must never change.
    fn remember_entry(&mut self, body: &[u8]) {
        let Ok(put) = serde_json::from_slice::<Value>(body) else { return };
        let item = &put["Item"];
        if let Some(entry) = entry_text(item) {
            let key = (item["pk"]["S"].to_string(), item["sk"]["S"].to_string());
            self.entries.entry(key).or_insert(entry);
        }
    }

    /// Keeps which payouts were posted while another loan had their firm. Only a late payment can be.
    fn remember_late_payment(&mut self, body: &[u8]) {
        if !contains(body, b"resolution#") {
            return;
        }
        let Ok(transaction) = serde_json::from_slice::<Value>(body) else { return };
        for item in transaction["TransactItems"].as_array().into_iter().flatten() {
            let row = &item["Put"]["Item"];
            let (Some(id), Some("posted")) = (row["payout_id"]["S"].as_str(), row["outcome"]["S"].as_str())
            else {
                continue;
            };
            let rows = self.tables.items("payouts");
            let of_firm = rows.iter().find_map(|row| {
                (row["pk"]["S"] == format!("payout#{id}")).then(|| row["firm_code"]["S"].as_str())?
            });
            let claim = of_firm.map(|firm| format!("firm#{firm}"));
            let holder = rows.iter().find(|row| row["pk"]["S"].as_str() == claim.as_deref());
            if holder.is_some_and(|row| row["payout_id"]["S"] != id) {
                self.met_another_loan.insert(id.to_owned());
            }
        }
    }

    /// The same call with the condition taken out that this run does without.
    fn without_safeguard(&self, operation: &str, body: Vec<u8>) -> Vec<u8> {
        let condition = "ConditionExpression";
        match (self.plan.without, operation) {
            (Some(Safeguard::JournalCondition), "PutItem") if contains(&body, b"\"journeys\"") => {
                let Ok(mut put) = serde_json::from_slice::<Value>(&body) else { return body };
                if put["Item"]["entry"].is_object() {
                    put.as_object_mut().map(|put| put.remove(condition));
                }
                put.to_string().into_bytes()
            }
            (Some(Safeguard::ReplayStore), "TransactWriteItems") if contains(&body, b"resolution#") => {
                let Ok(mut transaction) = serde_json::from_slice::<Value>(&body) else { return body };
                for item in transaction["TransactItems"].as_array_mut().into_iter().flatten() {
                    item["Put"].as_object_mut().map(|put| put.remove(condition));
                }
                transaction.to_string().into_bytes()
            }
            (Some(Safeguard::Fencing), "TransactWriteItems") if contains(&body, b"ConditionCheck") => {
                let Ok(mut transaction) = serde_json::from_slice::<Value>(&body) else { return body };
                if let Some(items) = transaction["TransactItems"].as_array_mut() {
                    items.retain(|item| item["ConditionCheck"]["Key"]["sk"]["S"] != "announced");
                }
                transaction.to_string().into_bytes()
            }
            _ => body,
        }
    }

    fn send(&mut self, invocation: u64, operation: &str, body: &[u8], newer: bool) -> Answered {
        let Ok(asked) = serde_json::from_slice::<Value>(body) else { return Some((400, "{}".to_owned())) };
        if operation != "SendMessage" {
            return Some((400, r#"{"__type":"InvalidAction"}"#.to_owned()));
        }
        let queue = asked["QueueUrl"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let mut text = asked["MessageBody"].as_str().unwrap_or_default().to_owned();
        if newer && let Ok(Value::Object(mut message)) = serde_json::from_str::<Value>(&text) {
            message.insert("added_later".to_owned(), json!(1));
            text = Value::Object(message).to_string();
        }
        self.tell(format_args!("{invocation} sends to {queue}"));
        let message = Message { queue: queue.to_owned(), body: text, receives: 0 };
        self.sent.push(message.clone());
        let mut after = SignedDuration::from_millis(self.rng.i64(5..60));
        if self.chance(self.weather.message) {
            self.counts.add(FaultKind::Duplicate);
            let latest = if self.rng.bool() { 15_000 } else { 60_000 };
            let again = SignedDuration::from_millis(self.rng.i64(5..latest));
            self.plan_later(again, Later::Deliver(message.clone()));
        }
        if self.chance(self.weather.message) {
            self.counts.add(FaultKind::Delay);
            let longest: i64 = if self.rng.u32(0..8) == 0 { 14 * 86_400 } else { 120 };
            after = SignedDuration::from_secs(self.rng.i64(1..longest));
        }
        self.plan_later(after, Later::Deliver(message));
        Some((200, json!({ "MessageId": "m", "MD5OfMessageBody": "" }).to_string()))
    }

    fn post(&mut self, invocation: u64, request: SignedRequest) -> Delivery {
        let request = self.with_a_fresh_key(request);
        let (answer, later) =
            self.far.answer(&request, self.now, self.weather, &mut self.rng, &mut self.counts);
        for (after, what) in later {
            self.plan_later(after, what);
        }
        let delivery = answer.map_or(Delivery::TimedOut, |answer| answer.delivery(self.now));
        self.tell(format_args!("{invocation} posts {} {}", request.url.path(), delivery.name()));
        delivery
    }

    /// The same instruction under a key that was never used, when this run does without the payout's key.
    fn with_a_fresh_key(&mut self, mut request: SignedRequest) -> SignedRequest {
        if self.plan.without != Some(Safeguard::PayoutKey) || request.url.path() != "/payouts" {
            return request;
        }
        let Ok(mut body) = serde_json::from_slice::<Value>(&request.body) else { return request };
        self.fresh_keys += 1;
        body["payout_id"] = format!("00000000-0000-8000-8000-{:012}", self.fresh_keys).into();
        request.body = body.to_string().into_bytes();
        if let Ok(id) = "fresh".parse() {
            let signed = self.machine.signer.sign(&id, self.now, &request.body);
            request.headers = signed.pairs().map(|(name, value)| (name, value.to_owned()));
        }
        request
    }
}

/// The effect does not happen, and the caller hears of an error or of nothing.
fn nothing_happens(waiting: Waiting, said: Answered) {
    match waiting.effect {
        Effect::DynamoDb { operation, answer, .. } => {
            // Only a transaction can be cancelled.
            let is_cancelled = said.as_ref().is_some_and(|(_, body)| body.contains("TransactionCanceled"));
            let said = if is_cancelled && operation != "TransactWriteItems" { None } else { said };
            let _ = answer.send(said);
        }
        Effect::Sqs { answer, .. } => {
            let _ = answer.send(None);
        }
        Effect::Done(reply) => reply.lose(),
        Effect::Post { answer, .. } => {
            let _ = answer.send(if said.is_none() { Delivery::Unreachable } else { Delivery::TimedOut });
        }
    }
}

fn refusal(code: &str, more: &Value) -> (u16, String) {
    let mut body = json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": code });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    (400, body.to_string())
}

fn cancelled() -> (u16, String) {
    let reasons = json!({ "CancellationReasons": [{ "Code": "None" }, { "Code": "TransactionConflict" }, { "Code": "None" }] });
    refusal("TransactionCanceledException", &reasons)
}

/// A later version writes attributes that this one has never heard of.
fn written_by_a_newer_version(operation: &str, body: Vec<u8>) -> Vec<u8> {
    if operation != "PutItem" {
        return body;
    }
    let Ok(mut put) = serde_json::from_slice::<Value>(&body) else { return body };
    put["Item"]["added_later"] = json!({ "S": "by a newer version" });
    put.to_string().into_bytes()
}

/// The rows of a payout as if no word of the bank had ever been taken.
fn without_resolutions(body: &str) -> String {
    let mut answer: Value = serde_json::from_str(body).unwrap_or_default();
    if let Some(items) = answer["Items"].as_array_mut() {
        items.retain(|item| !item["sk"]["S"].as_str().unwrap_or_default().starts_with("resolution#"));
    }
    answer.to_string()
}

/// The first table that a call names.
fn table(body: &[u8]) -> &str {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let named = text.split_once(r#""TableName":""#).and_then(|(_, rest)| rest.split_once('"'));
    named.map_or("", |(table, _)| table)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
