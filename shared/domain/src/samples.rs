//! What tests of any crate begin with and change what they are about.

use crate::{
    Application, ApplicationId, Channel, Consents, Fen, Subject, application::Traces, checks::GraphFeatures,
    product::Approval,
};

/// An application for CNY 200,000 over twelve months, by a borrower who shares nothing with anybody.
///
/// # Panics
/// Never: what it is made of is valid.
#[expect(clippy::unwrap_used, reason = "what it is made of is valid")]
pub fn application() -> Application {
    Application {
        id: ApplicationId::from_bytes([1; 16]),
        subject: Subject::try_from("borrower-1".to_owned()).unwrap(),
        firm_code: "91350100M000100Y43".parse().unwrap(),
        product: "river-quick".into(),
        bank: "river-bank".into(),
        approval: Approval::Delegated,
        amount_fen: Fen::yuan(200_000),
        term_months: 12,
        channel: Channel::MiniProgram,
        consents: Consents { data: true, credit_query: true, face_recognition: true },
        traces: Traces {
            account: None,
            device: "d".into(),
            network: "n".into(),
            person: "p".into(),
            phone: "t".into(),
            card: "c".into(),
            address: None,
        },
        place: None,
        account_days: None,
        identified_by_channel: false,
        accept_up_to_bp: None,
    }
}

/// What the relation check tells of an application in a ring of so many firms, and of nothing else.
pub fn graph_features(ring_size: u32) -> GraphFeatures {
    GraphFeatures {
        ring_size,
        ring_firms: ring_size,
        device_applications: 1,
        card_applications: 1,
        phone_applications: 1,
        network_applications: 1,
        overdue_neighbours: 0,
        longest_overdue_days: 0,
        cut_off: false,
        unproven_claims: 0,
        device_accounts: 1,
        device_sign_ups: 0,
        device_mismatches: 0,
        verdict: None,
        evidence: vec![],
    }
}
