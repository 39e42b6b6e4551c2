//! What we exchange with a bank.

use domain::{ApplicationId, BasisPoints, Fen, PayoutId, product::Approval};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST {bank}/payouts`, signed by us; answered 2xx once the bank holds it. Idempotent by `payout_id`.
#[derive(Clone, Debug, Serialize)]
pub struct PayoutInstruction<'a> {
    pub payout_id: PayoutId,
    pub application_id: ApplicationId,
    pub amount_fen: Fen,
    /// All-in annual rate.
    pub annual_rate_bp: BasisPoints,
    pub term_months: u16,
    pub product: &'a str,
    pub payee: Payee<'a>,
    pub approval: Approval,
    pub callback_url: String,
}

/// Who receives the money.
#[derive(Clone, Serialize)]
pub struct Payee<'a> {
    pub name: &'a str,
    pub bank_card: &'a str,
    pub firm_code: &'a str,
}

impl std::fmt::Debug for Payee<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Payee(..)")
    }
}

/// `POST {bank}/payouts/query`, signed by us.
#[derive(Clone, Debug, Serialize)]
pub struct PayoutQuery {
    pub payout_id: PayoutId,
}

/// The bank's answer to a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PayoutState {
    pub payout_id: PayoutId,
    pub state: BankState,
    #[serde(default)]
    pub bank_reference: Option<String>,
    #[serde(default)]
    pub amount_fen: Option<Fen>,
}

/// Where a payout stands at the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BankState {
    /// The bank has never seen this payout.
    UnknownToUs,
    Received,
    Approved,
    Paid,
    Refused,
    Failed,
}

/// `POST {us}/v1/callbacks/banks/{bank}`, signed by the bank.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BankCallback {
    #[schema(value_type = String, format = "uuid")]
    pub payout_id: PayoutId,
    #[schema(value_type = String, format = "uuid")]
    pub application_id: ApplicationId,
    /// The bank's final word.
    #[schema(value_type = String)]
    pub outcome: BankOutcome,
    pub bank_reference: String,
    #[schema(value_type = u64)]
    pub amount_fen: Fen,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// The bank's final word on a payout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BankOutcome {
    Paid,
    Refused,
    Failed,
}

/// What is called back: the outcome of a payout, or a report on the loan that came of it. `outcome` or `report` tells
/// which; both in one body are refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum BankMessage {
    Outcome(BankCallback),
    Repaid(RepaidReport),
    Overdue(OverdueReport),
    Settled(SettledReport),
}

/// Which report it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    Repaid,
    Overdue,
    Settled,
}

/// The borrower has repaid. Principal and interest are told apart and not both zero.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RepaidReport {
    #[schema(value_type = String, format = "uuid")]
    pub payout_id: PayoutId,
    #[schema(value_type = String, format = "uuid")]
    pub application_id: ApplicationId,
    /// Which report it is.
    #[schema(value_type = String)]
    pub report: ReportKind,
    /// Another one for each repayment: the same one again is the same repayment.
    pub bank_reference: String,
    #[schema(value_type = u64)]
    pub principal_fen: Fen,
    #[schema(value_type = u64)]
    pub interest_fen: Fen,
    /// When it was repaid.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Something is due and has not come; zero days and zero fen once nothing is overdue any more.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverdueReport {
    #[schema(value_type = String, format = "uuid")]
    pub payout_id: PayoutId,
    #[schema(value_type = String, format = "uuid")]
    pub application_id: ApplicationId,
    /// Which report it is.
    #[schema(value_type = String)]
    pub report: ReportKind,
    /// Of the longest overdue instalment.
    pub days: u32,
    /// Principal and interest that are overdue.
    #[schema(value_type = u64)]
    pub overdue_fen: Fen,
    /// As of when. The latest report counts, whenever it arrives.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Nothing is owed any more. The principal has been reported as repaid before.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettledReport {
    #[schema(value_type = String, format = "uuid")]
    pub payout_id: PayoutId,
    #[schema(value_type = String, format = "uuid")]
    pub application_id: ApplicationId,
    /// Which report it is.
    #[schema(value_type = String)]
    pub report: ReportKind,
    pub bank_reference: String,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}
