//! The rows of the table `payouts`, written and read.

use crate::item::{Item, Reader, Unreadable, number, text};
use domain::{
    BasisPoints, Fen, FirmCode, PayoutId,
    calendar::day_in_china,
    ledger::{Dispute, Outcome, Payout, Resolution},
};
use jiff::{Timestamp, civil::Date};
use ports::{PortError, ledger::ResolvedPayout};

pub(crate) const BALANCES: &str = "balances";
pub(crate) const LOAN: &str = "loan";
const PENDING: &str = "pending";
const RESOLUTION: &str = "resolution#";
pub(crate) const ANNOUNCED: &str = "announced";
const DISPUTE: &str = "dispute#";

pub(crate) fn payout_key(id: PayoutId) -> String {
    format!("payout#{id}")
}

pub(crate) fn loan_key(id: PayoutId) -> String {
    format!("loan#{id}")
}

pub(crate) fn accounts_key(bank: &str, product: &str) -> String {
    format!("accounts#{bank}#{product}")
}

pub(crate) fn firm_key(code: &FirmCode) -> String {
    format!("firm#{code}")
}

/// A partition of the index of what was resolved.
pub(crate) fn bank_day(bank: &str, day: Date) -> String {
    format!("{bank}#{day}")
}

/// The attribute that holds the balance of the account `limit`: zero, or less by what has been drawn.
pub(crate) const LIMIT: &str = "limit_fen";

pub(crate) fn keyed(pk: String, sk: String) -> Item {
    Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

fn put(row: &mut Item, name: &str, value: aws_sdk_dynamodb::types::AttributeValue) {
    row.insert(name.to_owned(), value);
}

pub(crate) fn pending_row(payout: &Payout) -> Item {
    let mut row = keyed(payout_key(payout.id), PENDING.to_owned());
    put(&mut row, "payout_id", text(payout.id.to_string()));
    put(&mut row, "bank", text(&payout.bank));
    put(&mut row, "product", text(&payout.product));
    put(&mut row, "firm_code", text(payout.firm_code.to_string()));
    put(&mut row, "amount_fen", number(payout.amount_fen.0));
    put(&mut row, "annual_rate_bp", number(payout.annual_rate_bp.0));
    put(&mut row, "term_months", number(payout.term_months));
    put(&mut row, "reserved_at", text(payout.reserved_at.to_string()));
    if let Some(reason) = payout.closed {
        put(&mut row, "closed", text(reason.code()));
    }
    row
}

/// The sort key of the resolution with this number, 1 first.
pub(crate) fn resolution_key(number: u32) -> String {
    format!("{RESOLUTION}{number:04}")
}

/// The resolution after those that `payout` has. It carries what the index of a day needs.
pub(crate) fn resolution_row(payout: &Payout, resolution: &Resolution) -> Item {
    let mut row = keyed(payout_key(payout.id), resolution_key(payout.resolved_times() + 1));
    put(&mut row, "payout_id", text(payout.id.to_string()));
    put(&mut row, "product", text(&payout.product));
    put(&mut row, "amount_fen", number(payout.amount_fen.0));
    put(&mut row, "at", text(resolution.at.to_string()));
    put(&mut row, "evidence", text(resolution.evidence.to_string()));
    put(&mut row, "bank_day", text(bank_day(&payout.bank, day_in_china(resolution.at))));
    let outcome = match &resolution.outcome {
        Outcome::Posted { bank_reference } => {
            put(&mut row, "bank_reference", text(bank_reference));
            "posted"
        }
        Outcome::Voided { reason } => {
            put(&mut row, "reason", text(reason.code()));
            "voided"
        }
        Outcome::Expired => "expired",
    };
    put(&mut row, "outcome", text(outcome));
    row
}

pub(crate) fn dispute_row(id: PayoutId, dispute: &Dispute) -> Item {
    let mut row = keyed(payout_key(id), format!("{DISPUTE}{}", dispute.message_id));
    put(&mut row, "message_id", text(&dispute.message_id));
    put(&mut row, "says", text(if dispute.says_paid { "paid" } else { "not_paid" }));
    put(&mut row, "resolution", number(dispute.resolution));
    put(&mut row, "at", text(dispute.at.to_string()));
    row
}

pub(crate) fn announced_row(id: PayoutId, at: Timestamp) -> Item {
    let mut row = keyed(payout_key(id), ANNOUNCED.to_owned());
    put(&mut row, "at", text(at.to_string()));
    row
}

pub(crate) fn claim_row(payout: &Payout) -> Item {
    let mut row = keyed(firm_key(&payout.firm_code), LOAN.to_owned());
    put(&mut row, "payout_id", text(payout.id.to_string()));
    put(&mut row, "at", text(payout.reserved_at.to_string()));
    row
}

/// The payout that these rows of its partition hold.
pub(crate) fn payout(rows: &[Item], attempted: &'static str) -> Result<Payout, PortError> {
    let mut pending = None;
    let mut resolutions = Vec::new();
    let mut disputes = Vec::new();
    for item in rows {
        let reader = Reader { item, attempted };
        match reader.text("sk")? {
            PENDING => pending = Some(reader),
            // It matters to transactions only.
            ANNOUNCED => {}
            sk if sk.starts_with(RESOLUTION) => resolutions.push(resolution(reader)?),
            sk if sk.starts_with(DISPUTE) => disputes.push(Dispute {
                says_paid: reader.text("says")? == "paid",
                message_id: reader.text("message_id")?.to_owned(),
                resolution: reader.integer("resolution")?,
                at: reader.parsed("at")?,
            }),
            _ => return Err(reader.broken(Unreadable::Value("sk"))),
        }
    }
    let Some(reader) = pending else {
        let item = Item::new();
        return Err(Reader { item: &item, attempted }.broken(Unreadable::Attribute(PENDING)));
    };
    let closed = reader.item.contains_key("closed").then(|| reader.parsed("closed")).transpose()?;
    Ok(Payout {
        id: reader.parsed("payout_id")?,
        bank: reader.text("bank")?.to_owned(),
        product: reader.text("product")?.to_owned(),
        firm_code: reader.parsed("firm_code")?,
        amount_fen: Fen(reader.integer("amount_fen")?),
        annual_rate_bp: BasisPoints(reader.integer("annual_rate_bp")?),
        term_months: reader.integer("term_months")?,
        reserved_at: reader.parsed("reserved_at")?,
        closed,
        resolutions,
        disputes,
    })
}

fn resolution(reader: Reader<'_>) -> Result<Resolution, PortError> {
    let outcome = match reader.text("outcome")? {
        "posted" => Outcome::Posted { bank_reference: reader.text("bank_reference")?.to_owned() },
        "voided" => Outcome::Voided { reason: reader.parsed("reason")? },
        "expired" => Outcome::Expired,
        _ => return Err(reader.broken(Unreadable::Value("outcome"))),
    };
    Ok(Resolution { outcome, evidence: reader.parsed("evidence")?, at: reader.parsed("at")? })
}

pub(crate) fn resolved_payout(reader: Reader<'_>) -> Result<ResolvedPayout, PortError> {
    Ok(ResolvedPayout {
        id: reader.parsed("payout_id")?,
        product: reader.text("product")?.to_owned(),
        amount_fen: Fen(reader.integer("amount_fen")?),
        resolution: resolution(reader)?,
    })
}
