//! What we exchange with a channel (mini-program, online bank, mobile bank) to sign a borrower in.

use domain::{
    Channel, Label, Subject,
    person::{PersonName, ResidentId},
};
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
    pub subject: Subject,
    pub device: Label,
    pub network: Label,
    /// Coarse, for example a city.
    #[serde(default)]
    pub place: Option<String>,
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
