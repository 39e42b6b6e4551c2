//! Banks: the payout instruction and the question where it stands.

use crate::{fresh_message_id, json, message_id, target};
use async_trait::async_trait;
use contract::bank::{PayoutInstruction, PayoutQuery, PayoutState};
use delivery::{BadTarget, Delivery, Sender, Target};
use domain::PayoutId;
use ports::{
    Clock, PortError,
    counterparty::{Bank, Instructed},
};
use serde::Serialize;
use signing::{MessageId, SealError, Sealer, Signer, sealing};
use std::{collections::HashMap, sync::Arc};

const INSTRUCTING: &str = "instructing a bank";
const ASKING: &str = "asking a bank";

/// `POST {bank}/payouts` and `POST {bank}/payouts/query`, each bank with its own URL and keys.
///
/// Bodies are JSON. To a bank that asks for sealed bodies they go as a JWE ([`signing::sealing`]) of type
/// [`sealing::CONTENT_TYPE`]; its answers, which name no person and no account, come as JSON all the same.
#[derive(Clone)]
pub struct HttpBanks {
    sender: Sender,
    banks: HashMap<String, Endpoints>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
struct Endpoints {
    payouts: Target,
    query: Target,
    /// Set for a bank that asks for sealed bodies.
    sealer: Option<Sealer>,
}

/// The bank is not in the settings.
#[derive(Debug, thiserror::Error)]
#[error("no address is set for the bank {0}")]
struct UnknownBank(String);

impl HttpBanks {
    /// No bank yet; [`Self::with`] adds them.
    pub fn new(sender: Sender, clock: Arc<dyn Clock>) -> Self {
        Self { sender, banks: HashMap::new(), clock }
    }

    /// `url` is the bank's base URL.
    pub fn with(mut self, bank: &str, url: &str, signer: &Signer) -> Result<Self, BadTarget> {
        let payouts = target(url, "/payouts", signer)?;
        let query = target(url, "/payouts/query", signer)?;
        self.banks.insert(bank.to_owned(), Endpoints { payouts, query, sealer: None });
        Ok(self)
    }

    /// Seals what is sent to `bank` from here on. Nothing happens for a bank without an address, or without a sealer.
    #[must_use]
    pub fn sealing(mut self, bank: &str, sealer: Option<Sealer>) -> Self {
        if let (Some(endpoints), Some(sealer)) = (self.banks.get_mut(bank), sealer) {
            for target in [&mut endpoints.payouts, &mut endpoints.query] {
                *target = target.clone().with_content_type(sealing::CONTENT_TYPE);
            }
            endpoints.sealer = Some(sealer);
        }
        self
    }

    fn endpoints(&self, attempted: &'static str, bank: &str) -> Result<&Endpoints, PortError> {
        self.banks.get(bank).ok_or_else(|| PortError::broken(attempted, UnknownBank(bank.to_owned())))
    }
}

impl Endpoints {
    /// The body of message `id` as this bank takes it. Without the sealer's help nothing is sent, rather than in clear.
    fn body(
        &self,
        attempted: &'static str,
        id: &MessageId,
        body: &impl Serialize,
    ) -> Result<Vec<u8>, PortError> {
        let body = json(attempted, body)?;
        let Some(sealer) = &self.sealer else { return Ok(body) };
        match sealer.seal(id, &body) {
            Ok(sealed) => Ok(sealed.into_bytes()),
            Err(error @ SealError::Unsealed) => Err(PortError::unavailable(attempted, error)),
            Err(error) => Err(PortError::broken(attempted, error)),
        }
    }
}

impl HttpBanks {
    /// Posts an instruction once. The payout id is the message id: to the bank, an instruction that is sent again is the
    /// same message.
    pub(crate) async fn post_instruction(
        &self,
        bank: &str,
        instruction: &PayoutInstruction<'_>,
    ) -> Result<Delivery, PortError> {
        let endpoints = self.endpoints(INSTRUCTING, bank)?;
        let id = message_id(INSTRUCTING, instruction.payout_id.to_string())?;
        let body = endpoints.body(INSTRUCTING, &id, instruction)?;
        let delivery = self.sender.send(&endpoints.payouts, &id, body, self.clock.now()).await;
        let instructed = instructed(&delivery);
        tracing::info!(
            payout_id = %instruction.payout_id,
            bank,
            delivery = delivery.name(),
            status = delivery.status(),
            "a bank was instructed: {instructed:?}"
        );
        Ok(delivery)
    }

    /// Posts a question once.
    pub(crate) async fn post_question(&self, bank: &str, payout: PayoutId) -> Result<Delivery, PortError> {
        let endpoints = self.endpoints(ASKING, bank)?;
        let id = fresh_message_id(ASKING, &format!("{payout}.query"))?;
        let body = endpoints.body(ASKING, &id, &PayoutQuery { payout_id: payout })?;
        let delivery = self.sender.send(&endpoints.query, &id, body, self.clock.now()).await;
        let (name, status) = (delivery.name(), delivery.status());
        let said = usable(delivery.clone(), payout).map(|state| state.state);
        tracing::info!(payout_id = %payout, bank, delivery = name, status, "a bank was asked: {said:?}");
        Ok(delivery)
    }
}

#[async_trait]
impl Bank for HttpBanks {
    async fn instruct(
        &self,
        bank: &str,
        instruction: &PayoutInstruction<'_>,
    ) -> Result<Instructed, PortError> {
        Ok(instructed(&self.post_instruction(bank, instruction).await?))
    }

    async fn ask(&self, bank: &str, payout: PayoutId) -> Result<Option<PayoutState>, PortError> {
        Ok(usable(self.post_question(bank, payout).await?, payout))
    }
}

/// What a delivery of an instruction means. Only an answer that the bank itself gave, and that cannot come from a step
/// before or after it, says that the bank has not acted.
pub(crate) fn instructed(delivery: &Delivery) -> Instructed {
    match delivery {
        Delivery::Accepted { .. } => Instructed::Taken,
        // Conflict and too-early are what an idempotent receiver says of a message that it is working on.
        Delivery::Refused { status: 409 | 425, .. } => Instructed::Unknown,
        Delivery::Refused { .. } => Instructed::Refused,
        Delivery::Gone => Instructed::Closed,
        Delivery::Unreachable | Delivery::AddressRefused => Instructed::NotSent,
        Delivery::Redirected { .. }
        | Delivery::Throttled { .. }
        | Delivery::ServerError { .. }
        | Delivery::TimedOut
        | Delivery::Broken
        | Delivery::Oversized { .. } => Instructed::Unknown,
    }
}

/// The answer, when it is in the agreed form and speaks of the payout that was asked for.
pub(crate) fn usable(delivery: Delivery, payout: PayoutId) -> Option<PayoutState> {
    delivery.parse::<PayoutState>().ok().filter(|state| state.payout_id == payout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        Router,
        body::Bytes,
        http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
        routing::{MethodRouter, post},
    };
    use contract::bank::{BankState, Payee};
    use delivery::SenderConfig;
    use domain::{ApplicationId, BasisPoints, Fen, product::Approval};
    use ports::FixedClock;
    use signing::{Verifier, WebhookHeaders};

    fn refused(status: u16) -> Delivery {
        Delivery::Refused { status, body: delivery::ResponseBody::default() }
    }

    #[test]
    fn only_a_definite_refusal_counts_as_not_acted_on() {
        use Instructed::{Closed, NotSent, Refused, Taken, Unknown};
        let body = delivery::ResponseBody::default;
        let table = [
            (Delivery::Accepted { status: 200, body: body() }, Taken),
            (Delivery::Accepted { status: 202, body: body() }, Taken),
            (refused(400), Refused),
            (refused(401), Refused),
            (refused(403), Refused),
            (refused(404), Refused),
            (refused(422), Refused),
            (refused(409), Unknown),
            (refused(425), Unknown),
            (Delivery::Gone, Closed),
            (Delivery::Redirected { status: 303 }, Unknown),
            (Delivery::Redirected { status: 307 }, Unknown),
            (Delivery::Throttled { retry_after: None }, Unknown),
            (Delivery::ServerError { status: 500, retry_after: None }, Unknown),
            (Delivery::ServerError { status: 504, retry_after: None }, Unknown),
            (Delivery::TimedOut, Unknown),
            (Delivery::Broken, Unknown),
            (Delivery::Oversized { status: 200 }, Unknown),
            (Delivery::Unreachable, NotSent),
            (Delivery::AddressRefused, NotSent),
        ];
        for (delivery, expected) in table {
            assert_eq!(instructed(&delivery), expected, "{delivery:?}");
        }
    }

    const NOW: &str = "2026-11-02T08:00:00Z";
    const PAYOUT: &str = "07070707-0707-8707-8707-070707070707";

    fn payout() -> PayoutId {
        PAYOUT.parse().unwrap()
    }

    /// A bank on this machine that answers every instruction and question in one way.
    async fn bank(status: StatusCode, answer: &'static str) -> HttpBanks {
        let secret = signing::keys::webhook_secret().unwrap();
        bank_at(post(move || async move { (status, answer) }), &secret).await
    }

    /// A bank on this machine that answers as `route` does, to what is signed with `secret`.
    async fn bank_at(route: MethodRouter, secret: &str) -> HttpBanks {
        let app = Router::new().route("/payouts", route.clone()).route("/payouts/query", route);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let signer = Signer::parse([secret]).unwrap();
        let sender =
            Sender::new(SenderConfig { allow_private_addresses: true, ..SenderConfig::default() }).unwrap();
        let clock = FixedClock::at(NOW.parse().unwrap());
        HttpBanks::new(sender, Arc::new(clock)).with("river-bank", &url, &signer).unwrap()
    }

    fn instruction() -> PayoutInstruction<'static> {
        PayoutInstruction {
            payout_id: payout(),
            application_id: ApplicationId::from_bytes([7; 16]),
            amount_fen: Fen::yuan(100_000),
            annual_rate_bp: BasisPoints(600),
            term_months: 12,
            product: "river-quick",
            payee: Payee { name: "张伟", bank_card: "4111111111111111", firm_code: "91350100M000100Y43" },
            approval: Approval::Delegated,
            callback_url: "http://127.0.0.1/v1/callbacks/banks/river-bank".to_owned(),
        }
    }

    #[tokio::test]
    async fn an_answer_about_the_payout_that_was_asked_for_counts() {
        const ANSWER: &str = r#"{"payout_id":"07070707-0707-8707-8707-070707070707","state":"received"}"#;
        let bank = bank(StatusCode::OK, ANSWER).await;
        assert_eq!(bank.instruct("river-bank", &instruction()).await.unwrap(), Instructed::Taken);
        let state = bank.ask("river-bank", payout()).await.unwrap().unwrap();
        assert_eq!(state.state, BankState::Received);
    }

    #[tokio::test]
    async fn an_answer_about_another_payout_garbage_or_an_error_counts_as_silence() {
        const OTHER: &str = r#"{"payout_id":"08080808-0808-8808-8808-080808080808","state":"unknown_to_us"}"#;
        const OURS: &str = r#"{"payout_id":"07070707-0707-8707-8707-070707070707","state":"unknown_to_us"}"#;
        let cases = [(StatusCode::OK, OTHER), (StatusCode::OK, "<html>"), (StatusCode::NOT_FOUND, OURS)];
        for (status, answer) in cases {
            let asked = bank(status, answer).await.ask("river-bank", payout()).await.unwrap();
            assert_eq!(asked, None, "{status} {answer}");
        }
    }

    /// The answer of a bank that checks the signature first and opens the body then.
    fn sealed_answer(
        secret: &str,
        body_key: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> (StatusCode, String) {
        let refused = |why: &str| (StatusCode::BAD_REQUEST, why.to_owned());
        if headers.get(CONTENT_TYPE).unwrap() != sealing::CONTENT_TYPE {
            return refused("not sealed");
        }
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let headers = WebhookHeaders::from_pairs(pairs).unwrap();
        let verifier = Verifier::parse([secret]).unwrap();
        let Ok(id) = verifier.verify(&headers, body, NOW.parse().unwrap()) else {
            return refused("unsigned");
        };
        let opened = Sealer::parse([body_key]).unwrap().open(&id, body);
        let Ok(opened) = opened else { return refused("not for us") };
        let opened: serde_json::Value = serde_json::from_slice(&opened).unwrap();
        let instructed =
            opened["payee"]["name"] == "张伟" && opened["payee"]["bank_card"] == "4111111111111111";
        let state = if instructed || opened.as_object().unwrap().len() == 1 { "received" } else { "failed" };
        (StatusCode::OK, serde_json::json!({"payout_id": opened["payout_id"], "state": state}).to_string())
    }

    #[tokio::test]
    async fn a_bank_that_asks_for_sealed_bodies_gets_no_other_and_opens_them() {
        let secret = signing::keys::webhook_secret().unwrap();
        for body_key in [signing::keys::a256gcm_key().unwrap(), signing::keys::sm4gcm_key().unwrap()] {
            let (theirs, held) = (secret.clone(), body_key.clone());
            let route = post(move |headers: HeaderMap, body: Bytes| async move {
                sealed_answer(&theirs, &held, &headers, &body)
            });
            let plain = bank_at(route, &secret).await;
            assert_eq!(plain.instruct("river-bank", &instruction()).await.unwrap(), Instructed::Refused);
            let sealer = Sealer::parse([body_key.as_str()]).unwrap();
            let sealed = plain.sealing("river-bank", Some(sealer));
            assert_eq!(sealed.instruct("river-bank", &instruction()).await.unwrap(), Instructed::Taken);
            let state = sealed.ask("river-bank", payout()).await.unwrap().unwrap();
            assert_eq!(state.state, BankState::Received);
            let other = Sealer::parse([signing::keys::a256gcm_key().unwrap().as_str()]).unwrap();
            let unreadable = sealed.sealing("river-bank", Some(other));
            assert_eq!(unreadable.instruct("river-bank", &instruction()).await.unwrap(), Instructed::Refused);
        }
    }

    #[tokio::test]
    async fn a_bank_without_an_address_is_an_error_and_not_a_guess() {
        let bank = bank(StatusCode::OK, "{}").await;
        let error = bank.instruct("lake-bank", &instruction()).await.unwrap_err();
        assert!(!error.is_retryable());
    }
}
