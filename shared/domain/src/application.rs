//! What a borrower asked for, without any personal value: persons, phones, cards and devices are keyed hashes here.

use crate::{
    firm::FirmCode,
    ids::{ApplicationId, Subject},
    money::{BasisPoints, Fen},
    product::Approval,
};
use serde::{Deserialize, Serialize};

/// Where the borrower meets us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    MiniProgram,
    OnlineBank,
    MobileBank,
}

impl Channel {
    pub const ALL: [Channel; 3] = [Channel::MiniProgram, Channel::OnlineBank, Channel::MobileBank];

    /// The channel of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == name)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Channel::MiniProgram => "mini_program",
            Channel::OnlineBank => "online_bank",
            Channel::MobileBank => "mobile_bank",
        }
    }
}

/// What the borrower agreed to. Without the first two nothing can be done; the third may be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consents {
    /// Use of the firm's data.
    pub data: bool,
    /// A query at the credit registry.
    pub credit_query: bool,
    /// Face recognition. Refusing it must not close the door when there is another proof of identity.
    pub face_recognition: bool,
}

/// Keyed hashes of what links one application to another. Equal hashes mean the equal thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traces {
    /// The borrower's account at the channel; `None` in an application of before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    pub device: String,
    pub network: String,
    pub person: String,
    pub phone: String,
    pub card: String,
    /// The firm's registered address, when the archive has one.
    pub address: Option<String>,
}

/// An application as the journal keeps it. The entry that holds it has to stay under 1 KB, one write unit, so nothing
/// is kept twice: when it was received is the time of its entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    pub id: ApplicationId,
    pub subject: Subject,
    pub firm_code: FirmCode,
    pub product: String,
    pub bank: String,
    pub approval: Approval,
    pub amount_fen: Fen,
    pub term_months: u16,
    pub channel: Channel,
    pub consents: Consents,
    pub traces: Traces,
    /// Keyed hash of the coarse place of the sign-in, for example a city: it is only asked whether places differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Whole days since the channel opened the account, if it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_days: Option<u32>,
    /// The sign-in channel is a bank that has identified this very person before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub identified_by_channel: bool,
    /// An offer of the full amount at this all-in annual rate or less is accepted in advance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_up_to_bp: Option<BasisPoints>,
}
