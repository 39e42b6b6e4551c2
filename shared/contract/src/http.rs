//! The bodies of the borrower's API. The OpenAPI document is made from these types.

use domain::{BasisPoints, Consents, Fen, journey::Status};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/sessions`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// Through which channel the borrower comes.
    #[schema(example = "mini_program")]
    pub channel: String,
    /// The one-time code that the channel gave to its user.
    #[schema(min_length = 1, max_length = 256, pattern = "^[!-~]*$")]
    pub code: String,
}

/// A session of 15 minutes.
#[derive(Serialize, ToSchema)]
pub struct SessionAnswer {
    /// Send it as `Authorization: Bearer …`.
    pub token: String,
    pub expires_in_seconds: u32,
}

/// `POST /v1/applications`. The borrower types at most eight of these fields; the rest are ticks or come from
/// the app. What else a lender wants to know about the firm comes from the firm archive.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationRequest {
    /// Unified social credit code (GB 32100-2015).
    #[schema(example = "91350100M000100Y43", pattern = "^[0-9A-HJ-NPQRTUWXY]{18}$")]
    pub firm_code: String,
    pub legal_representative: LegalRepresentative,
    /// Id of a product, see `GET /v1/products`.
    pub product: String,
    /// Amount in fen.
    #[schema(example = 20000000)]
    pub amount_fen: u64,
    /// Term in months; one that the product offers.
    pub term_months: u16,
    pub consents: ConsentsBody,
    /// Accept in advance an offer of the full amount whose all-in annual rate is at most this, in basis points.
    #[serde(default)]
    pub accept_up_to_bp: Option<u32>,
}

/// The firm's legal representative, who applies.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegalRepresentative {
    /// As on the resident identity card: letters, with `·` or spaces between parts.
    #[schema(min_length = 2, max_length = 50)]
    pub name: String,
    /// Resident identity number (GB 11643-1999).
    #[schema(pattern = "^[0-9]{17}[0-9Xx]$")]
    pub resident_id: String,
    /// Mainland mobile number.
    #[schema(pattern = "^1[3-9][0-9]{9}$")]
    pub phone: String,
    /// The card that the loan is paid to, with its check digit.
    #[schema(pattern = "^[0-9]{16,19}$")]
    pub bank_card: String,
}

impl std::fmt::Debug for LegalRepresentative {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LegalRepresentative(..)")
    }
}

/// What the borrower agrees to.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentsBody {
    /// Use of the firm's data; needed.
    pub data: bool,
    /// Query at the credit registry; needed.
    pub credit_query: bool,
    /// Face recognition; may be refused where the channel has identified the person itself.
    pub face_recognition: bool,
}

impl From<ConsentsBody> for Consents {
    fn from(body: ConsentsBody) -> Consents {
        Consents { data: body.data, credit_query: body.credit_query, face_recognition: body.face_recognition }
    }
}

/// `202` to an application, and `200` to a read of its status.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApplicationAnswer {
    #[schema(format = "uuid")]
    pub application_id: String,
    /// `checking`: the checks are running. `deciding`: they are done. `offered`: the offer waits for the borrower.
    /// `accepted`, `payout_requested`: the bank is being instructed. The other five are ends: `paid_out`, `declined`,
    /// `expired` (a check or the borrower took too long), `cancelled` by the borrower, `payout_failed` at the bank.
    #[schema(value_type = String, example = "checking")]
    pub status: Status,
    /// What the archive filled in, so that the borrower can see it.
    pub firm: FirmSummary,
    pub product: String,
    pub amount_fen: u64,
    pub term_months: u16,
    /// The offer, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<OfferBody>,
    /// Why the journey ended as it did, or why the offer differs from the request.
    pub reasons: Vec<ReasonBody>,
    /// Why the score was not higher, where it was too low; what costs most comes first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub score_reasons: Vec<ScoreReasonBody>,
    /// The bank's own reference, once the loan is paid out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank_reference: Option<String>,
    /// How the loan does, when the application is read and the loan is paid out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loan: Option<LoanBody>,
    /// Of the last change.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// A loan, as its bank has reported it.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoanBody {
    #[schema(value_type = u64)]
    pub outstanding_principal_fen: Fen,
    /// 0 when nothing is overdue.
    pub overdue_days: u32,
    /// Nothing is owed any more; the firm may apply again.
    pub settled: bool,
}

/// What we know about the firm without having asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct FirmSummary {
    pub firm_code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub industry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Terms that may be accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferBody {
    #[schema(value_type = u64)]
    pub amount_fen: Fen,
    /// All-in annual rate in basis points.
    #[schema(value_type = u32)]
    pub annual_rate_bp: BasisPoints,
    pub term_months: u16,
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// A reason in both languages.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReasonBody {
    #[schema(example = "SCORE_LOW")]
    pub code: &'static str,
    pub zh: &'static str,
    pub en: &'static str,
}

/// A reason why a score is not higher, in the words of the model that scored.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScoreReasonBody {
    #[schema(example = "TAX_UNPAID")]
    pub code: String,
    pub zh: String,
    pub en: String,
    /// Score points that it costs.
    pub points: i32,
}

/// `POST /v1/applications/{id}/accept`: the terms that the borrower saw and accepts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptRequest {
    pub amount_fen: u64,
    /// All-in annual rate in basis points.
    pub annual_rate_bp: u32,
    pub term_months: u16,
}

/// `GET /v1/applications/{id}/explanation`: what was decided, by what, and on which facts.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    #[schema(format = "uuid")]
    pub application_id: String,
    #[schema(value_type = String)]
    pub status: Status,
    pub reasons: Vec<ReasonBody>,
    /// Version of the strategy that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Version of the model that scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_points: Option<i32>,
    /// Why the score is not higher; what costs most comes first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub score_reasons: Vec<ScoreReasonBody>,
    /// Each dimension of the score.
    pub dimensions: Vec<DimensionBody>,
    /// The journey step by step.
    pub timeline: Vec<TimelineStep>,
}

/// `DELETE /v1/applications/{id}/personal-data`: what is gone, and what is not.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErasureAnswer {
    #[schema(format = "uuid")]
    pub application_id: String,
    #[schema(value_type = String, example = "cancelled")]
    pub status: Status,
    /// Of the first time.
    #[schema(format = DateTime)]
    pub erased_at: String,
    pub erased: Vec<DataBody>,
    /// What stays, each with what it holds.
    pub kept: Vec<DataBody>,
}

/// Some data, in both languages.
#[derive(Debug, Serialize, ToSchema)]
pub struct DataBody {
    #[schema(example = "PERSON")]
    pub code: &'static str,
    pub zh: &'static str,
    pub en: &'static str,
}

/// One dimension of the score.
#[derive(Debug, Serialize, ToSchema)]
pub struct DimensionBody {
    pub dimension: String,
    /// What it adds to the log odds of default; absent where data was missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Points that it adds beside what is expected of a firm; below zero they cost.
    pub points: i32,
}

/// One step of the journey.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineStep {
    #[schema(format = DateTime)]
    pub at: String,
    /// What happened, as the journal names it.
    pub event: &'static str,
    /// The function that recorded it, its version and its release.
    pub by: String,
}

/// `GET /v1/products`
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductBody {
    pub id: String,
    pub name_zh: String,
    pub name_en: String,
    pub bank: String,
    pub min_amount_fen: u64,
    pub max_amount_fen: u64,
    pub terms_months: Vec<u16>,
    pub min_rate_bp: u32,
    pub max_rate_bp: u32,
}

/// `200` to a callback.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallbackAnswer {
    /// Recorded, now or before. False where the journey has ended, so that it changes nothing and need not come again.
    pub recorded: bool,
}

/// RFC 9457 problem document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// URI reference that names the kind of problem.
    #[schema(format = "uri-reference", example = "/problems/invalid-request")]
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Every bad field, as a JSON pointer with what is wrong about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One bad field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer, for example `/legal_representative/phone`.
    pub pointer: String,
    pub detail: String,
}
