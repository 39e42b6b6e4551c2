//! What we exchange with the providers of the face check and of the own-number check.

use domain::{
    ApplicationId,
    checks::CheckAnswer,
    person::{BankCard, PersonName, Phone, ResidentId},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST {provider}/face/checks` or `/phone/checks`, signed by us; answered 202.
#[derive(Clone, Debug, Serialize)]
pub struct StartCheck<'a> {
    /// Stable for application, kind and attempt, so that a repeated start is the same check.
    pub check_id: String,
    pub application_id: ApplicationId,
    pub attempt: u8,
    pub callback_url: String,
    /// Names the person to both sides without telling who it is; the callback repeats it.
    pub person_ref: &'a str,
    pub person: PersonToCheck<'a>,
    pub device: &'a str,
}

/// What a check needs to know of a person, and no more. The phone reaches the handset in both checks; the bank card
/// is compared with its holder in the phone check alone.
#[derive(Clone, Debug, Serialize)]
pub struct PersonToCheck<'a> {
    pub name: &'a PersonName,
    pub resident_id: &'a ResidentId,
    pub phone: &'a Phone,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank_card: Option<&'a BankCard>,
}

/// `POST {us}/v1/callbacks/face` or `/phone`, signed by the provider.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckCallback {
    pub check_id: String,
    #[schema(value_type = String, format = "uuid")]
    pub application_id: ApplicationId,
    pub attempt: u8,
    pub person_ref: String,
    /// *Unknown* is neither pass nor fail: the check is tried again.
    #[schema(value_type = String)]
    pub answer: CheckAnswer,
    #[schema(value_type = String, format = DateTime)]
    pub checked_at: Timestamp,
}

/// The id of a check: the same for the same application, kind and attempt.
pub fn check_id(application_id: ApplicationId, kind: &str, attempt: u8) -> String {
    format!("{application_id}.{kind}.{attempt}")
}
