//! What we exchange with a channel (mini-program, online bank, mobile bank): to sign a borrower in, and to tell what
//! became of an application.

use domain::{
    ApplicationId, Channel, Label, Subject,
    journey::Status,
    person::{PersonName, ResidentId},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// `POST {channel}/exchange`, signed by us. A code works once.
#[derive(Serialize)]
pub struct ExchangeRequest<'a> {
    pub channel: Channel,
    pub code: &'a str,
}

/// Who signed in, and from where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExchangeAnswer {
    /// The borrower's own account, never a login that a branch or an agency shares: several persons who apply under one
    /// subject are taken for a ring.
    pub subject: Subject,
    pub device: Label,
    pub network: Label,
    /// Coarse, for example a city.
    #[serde(default)]
    pub place: Option<String>,
    /// When the account was opened, if the channel tells: many that are as young as their first application are a sign of
    /// mass sign-ups.
    #[serde(default)]
    pub account_opened_at: Option<Timestamp>,
    /// A bank channel tells whom it has identified.
    #[serde(default)]
    pub verified_person: Option<VerifiedPerson>,
}

/// A person whom a bank has identified.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifiedPerson {
    pub name: PersonName,
    pub resident_id: ResidentId,
}

/// `POST {channel}/notices`, signed by us: an application has an offer, or has come to its end. The message id names the
/// notice, and is the same however often it is delivered. Any 2xx takes it.
///
/// `{"application_id": "…", "subject": "…", "status": "paid_out", "at": "2026-11-02T08:00:03Z"}`
#[derive(Clone, Serialize, Deserialize)]
pub struct Notice {
    pub application_id: ApplicationId,
    /// The borrower's account as the channel itself names it.
    pub subject: Subject,
    pub status: Status,
    /// When the application came to this status.
    pub at: Timestamp,
}
