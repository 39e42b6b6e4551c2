//! A borrower at the HTTP API: what a mini-program would do, for the demo, the bench and the tests.

use jiff::Timestamp;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// Where everybody signs in: a place that no address of the made-up city names, so that it can be looked for.
pub const PLACE: &str = "云海市北湾";

/// Who applies, with what.
#[derive(Clone)]
pub struct Applicant {
    pub subject: String,
    pub device: String,
    pub network: String,
    /// When the channel opened the account, where it tells.
    pub account_opened_at: Option<Timestamp>,
    pub channel: &'static str,
    /// The bank channel has identified the person before.
    pub identified: bool,
    pub firm_code: String,
    pub name: String,
    pub resident_id: String,
    pub phone: String,
    pub bank_card: String,
}

impl Applicant {
    /// The body of an application.
    pub fn application(&self, wish: &Wish) -> Value {
        json!({
            "firm_code": self.firm_code,
            "legal_representative": {
                "name": self.name,
                "resident_id": self.resident_id,
                "phone": self.phone,
                "bank_card": self.bank_card,
            },
            "product": wish.product,
            "amount_fen": wish.amount_fen,
            "term_months": wish.term_months,
            "consents": { "data": true, "credit_query": true, "face_recognition": wish.face_recognition },
            "accept_up_to_bp": wish.accept_up_to_bp,
        })
    }
}

/// What is applied for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub product: &'static str,
    pub amount_fen: u64,
    pub term_months: u16,
    pub face_recognition: bool,
    pub accept_up_to_bp: Option<u32>,
}

/// How borrowers come and wait: how often the app looks, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two that come; zero when all come at once.
    pub come_every: Duration,
    pub look_every: Duration,
    pub patience: Duration,
}

impl Default for Pace {
    /// As fits a product in the same process.
    fn default() -> Self {
        Self {
            come_every: Duration::ZERO,
            look_every: Duration::from_millis(20),
            patience: Duration::from_secs(60),
        }
    }
}

/// A signed-in borrower.
#[derive(Clone)]
pub struct Borrower {
    client: Client,
    url: String,
    token: String,
    applicant: Applicant,
    look_every: Duration,
}

/// A step at the API did not go as it should. Carries the status and the problem's title, no personal data.
#[derive(Debug, thiserror::Error)]
pub enum BorrowerError {
    #[error("{attempted} was answered {status}: {title}")]
    Refused { attempted: &'static str, status: StatusCode, title: String },
    #[error("the application did not come to rest within {0:?}")]
    TooLong(Duration),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

impl Borrower {
    /// Gets a code from the (simulated) channel and signs in with it.
    pub async fn sign_in(
        client: &Client,
        url: &str,
        channel_url: &str,
        applicant: Applicant,
    ) -> Result<Self, BorrowerError> {
        let person = json!({ "name": applicant.name, "resident_id": applicant.resident_id });
        let code = json!({
            "channel": applicant.channel,
            "subject": applicant.subject,
            "device": applicant.device,
            "network": applicant.network,
            "place": PLACE,
            "account_opened_at": applicant.account_opened_at,
            "verified_person": if applicant.identified { person } else { Value::Null },
        });
        let issued = client.post(format!("{channel_url}/codes")).json(&code).send().await?;
        let issued = expect("asking the channel for a code", issued).await?;
        let body = json!({ "channel": applicant.channel, "code": issued["code"] });
        let session = client.post(format!("{url}/v1/sessions")).json(&body).send().await?;
        let session = expect("signing in", session).await?;
        let token = session["token"].as_str().unwrap_or_default().to_owned();
        let look_every = Pace::default().look_every;
        Ok(Self { client: client.clone(), url: url.to_owned(), token, applicant, look_every })
    }

    /// Looks at another pace from now on.
    #[must_use]
    pub fn looking_every(self, look_every: Duration) -> Self {
        Self { look_every, ..self }
    }

    /// The session token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Applies; the answer is the application's id.
    pub async fn apply(&self, wish: &Wish, idempotency_key: &str) -> Result<String, BorrowerError> {
        let request = self
            .client
            .post(format!("{}/v1/applications", self.url))
            .bearer_auth(&self.token)
            .header("idempotency-key", idempotency_key)
            .json(&self.body(wish));
        let answer = expect("applying", request.send().await?).await?;
        Ok(answer["application_id"].as_str().unwrap_or_default().to_owned())
    }

    /// The body of an application.
    pub fn body(&self, wish: &Wish) -> Value {
        self.applicant.application(wish)
    }

    pub async fn read(&self, id: &str) -> Result<Value, BorrowerError> {
        self.get(&format!("/v1/applications/{id}"), "reading an application").await
    }

    pub async fn explain(&self, id: &str) -> Result<Value, BorrowerError> {
        self.get(&format!("/v1/applications/{id}/explanation"), "asking for the explanation").await
    }

    /// Accepts the offer in an answer of [`Borrower::read`].
    pub async fn accept(&self, id: &str, seen: &Value) -> Result<Value, BorrowerError> {
        let offer = &seen["offer"];
        let body = json!({
            "amount_fen": offer["amount_fen"],
            "annual_rate_bp": offer["annual_rate_bp"],
            "term_months": offer["term_months"],
        });
        let path = format!("{}/v1/applications/{id}/accept", self.url);
        let request = self.client.post(path).bearer_auth(&self.token).json(&body);
        expect("accepting", request.send().await?).await
    }

    pub async fn cancel(&self, id: &str) -> Result<Value, BorrowerError> {
        let path = format!("{}/v1/applications/{id}/cancel", self.url);
        expect("cancelling", self.client.post(path).bearer_auth(&self.token).send().await?).await
    }

    /// Withdraws consent: ends the application if it runs, and erases the person.
    pub async fn erase(&self, id: &str) -> Result<Value, BorrowerError> {
        let path = format!("{}/v1/applications/{id}/personal-data", self.url);
        expect("erasing", self.client.delete(path).bearer_auth(&self.token).send().await?).await
    }

    /// Reads until the status is one of those, as an app on a phone would.
    pub async fn wait_for(
        &self,
        id: &str,
        statuses: &[&str],
        within: Duration,
    ) -> Result<Value, BorrowerError> {
        let reading = async {
            loop {
                let answer = self.read(id).await?;
                if statuses.contains(&answer["status"].as_str().unwrap_or_default()) {
                    return Ok(answer);
                }
                tokio::time::sleep(self.look_every).await;
            }
        };
        tokio::time::timeout(within, reading).await.unwrap_or(Err(BorrowerError::TooLong(within)))
    }

    async fn get(&self, path: &str, attempted: &'static str) -> Result<Value, BorrowerError> {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        expect(attempted, request.send().await?).await
    }
}

/// The statuses in which nothing more happens.
pub const ENDS: [&str; 5] = ["paid_out", "declined", "expired", "cancelled", "payout_failed"];

async fn expect(attempted: &'static str, answer: reqwest::Response) -> Result<Value, BorrowerError> {
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(body);
    }
    let title = body["title"].as_str().unwrap_or("no problem document").to_owned();
    let detail = body["errors"].as_array().map(|e| format!(" {e:?}")).unwrap_or_default();
    Err(BorrowerError::Refused { attempted, status, title: format!("{title}{detail}") })
}
