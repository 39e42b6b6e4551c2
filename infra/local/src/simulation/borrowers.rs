//! The borrowers of a run: they sign in, apply, look, accept or cancel, and try again when nothing comes back.

use super::Machine;
use crate::{borrower::Wish, people::Owner};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// How often a borrower tries one step before giving up.
const MOST_TRIES: u32 = 40;

/// What a borrower does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    SignIn,
    Apply,
    Look,
    Accept,
    Cancel,
}

/// One borrower with one application.
pub(super) struct Borrower {
    number: usize,
    owner: Owner,
    wish: Wish,
    device: usize,
    cancels: bool,
    step: Option<Step>,
    tries: u32,
    token: String,
    offer: Value,
    /// Known once the application was taken.
    pub application: Option<String>,
}

impl Borrower {
    /// The borrowers of a run: mostly one; sometimes two applications for one firm at once, sometimes a ring.
    pub(super) fn cast(machine: &Machine, rng: &mut Rng) -> Vec<Borrower> {
        let kind = rng.u32(0..10);
        let count = match kind {
            0..5 => 1,
            5..9 => 2,
            _ => 3,
        };
        let first = rng.usize(0..machine.owners.len());
        (0..count)
            .map(|number| {
                let one_firm = (5..7).contains(&kind);
                let owner = if one_firm { first } else { (first + number) % machine.owners.len() };
                let device = if kind == 9 { 0 } else { number };
                Borrower::new(number, machine.owners[owner].clone(), device, rng)
            })
            .collect()
    }

    fn new(number: usize, owner: Owner, device: usize, rng: &mut Rng) -> Self {
        let steady = rng.u32(0..5) == 0;
        let wish = Wish {
            product: if steady { "lake-steady" } else { "river-quick" },
            amount_fen: 10_000_000,
            term_months: 12,
            face_recognition: true,
            accept_up_to_bp: rng.u32(0..4).gt(&0).then_some(1_500),
        };
        Self {
            number,
            owner,
            wish,
            device,
            cancels: rng.u32(0..12) == 0,
            step: Some(Step::SignIn),
            tries: 0,
            token: String::new(),
            offer: Value::Null,
            application: None,
        }
    }

    pub(super) fn firm_code(&self) -> String {
        self.owner.firm.firm_code.to_string()
    }

    /// The request of the next step; `None` when the borrower is done.
    pub(super) fn act(&mut self, _now: Timestamp) -> Option<(Step, &'static str, Value)> {
        let step = self.step?;
        self.tries += 1;
        let id = self.application.clone().unwrap_or_default();
        let serial = self.number as u32 + 1;
        let (method, path, body) = match step {
            Step::SignIn => {
                let code = format!("{}.{}.{}", self.number, self.tries, self.device);
                let body = json!({ "channel": "mini_program", "code": code });
                ("POST", "/v1/sessions", body)
            }
            Step::Apply => {
                let body = self.owner.applicant(serial, 1000).application(&self.wish);
                ("POST", "/v1/applications", body)
            }
            Step::Look => ("GET", "/v1/applications/{id}", Value::Null),
            Step::Accept => ("POST", "/v1/applications/{id}/accept", self.offer.clone()),
            Step::Cancel => ("POST", "/v1/applications/{id}/cancel", Value::Null),
        };
        let headers = json!({
            "content-type": "application/json",
            "authorization": format!("Bearer {}", self.token),
            "idempotency-key": format!("key-{}", self.number),
        });
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Some((step, "intake", event(method, path, &json!({ "id": id }), &headers, &body)))
    }

    /// Takes the answer, if one came, and says after how long the next step follows.
    pub(super) fn heard(
        &mut self,
        step: Step,
        answer: Option<&Value>,
        rng: &mut Rng,
    ) -> Option<SignedDuration> {
        let status = answer.and_then(|a| a["statusCode"].as_u64()).unwrap_or(0);
        let body: Value = answer
            .and_then(|a| a["body"].as_str())
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let soon = SignedDuration::from_millis(rng.i64(200..12_000));
        if !(200..300).contains(&status) {
            return self.tries_again(step, status, soon);
        }
        self.tries = 0;
        match step {
            Step::SignIn => {
                self.token = body["token"].as_str().unwrap_or_default().to_owned();
                self.step = Some(Step::Apply);
            }
            Step::Apply => {
                self.application = body["application_id"].as_str().map(str::to_owned);
                self.step = match (self.cancels, self.wish.accept_up_to_bp) {
                    (true, _) => Some(Step::Cancel),
                    (false, None) => Some(Step::Look),
                    (false, Some(_)) => None,
                };
            }
            Step::Look => {
                let offer = &body["offer"];
                match body["status"].as_str().unwrap_or_default() {
                    "offered" => {
                        self.offer = json!({
                            "amount_fen": offer["amount_fen"],
                            "annual_rate_bp": offer["annual_rate_bp"],
                            "term_months": offer["term_months"],
                        });
                        self.step = Some(Step::Accept);
                    }
                    "checking" | "deciding" => {}
                    _ => self.step = None,
                }
            }
            Step::Accept | Step::Cancel => self.step = None,
        }
        self.step.map(|_| soon)
    }

    fn tries_again(&mut self, step: Step, status: u64, soon: SignedDuration) -> Option<SignedDuration> {
        let hopeless = (400..500).contains(&status) && !matches!(status, 401 | 409 | 429);
        let over = self.tries >= MOST_TRIES || (step == Step::Accept && status == 409);
        if hopeless || over || (step == Step::Cancel && status == 409) {
            self.step = None;
            return None;
        }
        // A session that has run out, or a code that was used up by an answer that was lost: begin again.
        if status == 401 {
            self.step = Some(Step::SignIn);
        }
        Some(soon)
    }
}

/// A callback as API Gateway hands it on.
pub(super) fn callback_event(path: &str, headers: &[(String, String)], body: &str) -> (&'static str, Value) {
    let headers: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let headers = Value::Object(headers);
    match path.strip_prefix("/v1/callbacks/banks/") {
        Some(bank) => {
            let route = "/v1/callbacks/banks/{bank}";
            ("bank-callback", event("POST", route, &json!({ "bank": bank }), &headers, body))
        }
        None if path.ends_with("face") => ("verify-face", event("POST", path, &json!({}), &headers, body)),
        None => ("verify-phone", event("POST", path, &json!({}), &headers, body)),
    }
}

fn event(method: &str, route: &str, parameters: &Value, headers: &Value, body: &str) -> Value {
    let mut path = route.to_owned();
    for (name, value) in parameters.as_object().into_iter().flatten() {
        path = path.replace(&format!("{{{name}}}"), value.as_str().unwrap_or_default());
    }
    json!({
        "version": "2.0",
        "routeKey": format!("{method} {route}"),
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "pathParameters": parameters,
        "body": body,
        "isBase64Encoded": false,
        "requestContext": { "http": { "method": method, "path": path, "sourceIp": "192.0.2.1" } },
    })
}
