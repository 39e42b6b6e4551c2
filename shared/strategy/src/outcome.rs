//! What a strategy answers, read strictly.

use crate::facts::Input;
use domain::{
    BasisPoints, Fen, Reason,
    decision::{Decision, Offer},
    money::MAX_ANNUAL_RATE,
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

/// How long an offer stands.
pub const OFFER_EXPIRES_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// What is wrong with an outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutcomeError {
    /// No row or no branch applied, a field is missing or one too many, or a number is not whole.
    #[error("it is not an outcome: {0}")]
    Shape(String),
    #[error("{0:?} is not a reason code")]
    UnknownReason(String),
    #[error("it declines without a reason")]
    NoReason,
    #[error("it approves and gives the reason {}", .0.code())]
    ReasonAgainst(Reason),
    #[error("it approves less than was asked for and does not say why")]
    LoweredInSilence,
    #[error("it approves a firm of which nothing is known")]
    NothingKnown,
    #[error("the amount is more than was asked for")]
    AmountAboveRequest,
    #[error("the amount is not one that the product allows")]
    AmountOutsideProduct,
    #[error("the all-in rate is above 24 % a year")]
    RateAboveCeiling,
    #[error("the rate is not one that the product allows")]
    RateOutsideProduct,
    #[error("the term is not one that the product allows")]
    TermOutsideProduct,
    #[error("the offer would expire after the end of time")]
    Expiry,
}

/// The output of a document. Every field is required, also when it declines.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    approve: bool,
    amount_fen: u64,
    annual_rate_bp: u32,
    term_months: u16,
    reasons: Vec<String>,
}

/// The decision that an outcome stands for, once it has been held against the law, the product and the request.
pub(crate) fn read(outcome: Value, input: &Input, now: Timestamp) -> Result<Decision, OutcomeError> {
    let outcome: Outcome = serde_json::from_value(outcome).map_err(|e| OutcomeError::Shape(e.to_string()))?;
    let mut reasons: Vec<Reason> = Vec::new();
    for code in &outcome.reasons {
        let reason = code.parse().map_err(|_| OutcomeError::UnknownReason(code.clone()))?;
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    if !outcome.approve {
        return if reasons.is_empty() {
            Err(OutcomeError::NoReason)
        } else {
            Ok(Decision::Declined { reasons })
        };
    }
    check_approval(&outcome, &reasons, input)?;
    let offer = Offer {
        amount_fen: Fen(outcome.amount_fen),
        annual_rate_bp: BasisPoints(outcome.annual_rate_bp),
        term_months: outcome.term_months,
        expires_at: now.checked_add(OFFER_EXPIRES_AFTER).map_err(|_| OutcomeError::Expiry)?,
    };
    Ok(Decision::Approved { offer, reasons })
}

fn check_approval(outcome: &Outcome, reasons: &[Reason], input: &Input) -> Result<(), OutcomeError> {
    let product = &input.product;
    let lowered = outcome.amount_fen < input.requested.amount_fen;
    if let Some(against) = reasons.iter().find(|reason| **reason != Reason::AmountTooHigh) {
        return Err(OutcomeError::ReasonAgainst(*against));
    }
    let problem = match outcome {
        _ if input.score.dimensions_present.is_empty() => OutcomeError::NothingKnown,
        _ if lowered && reasons.is_empty() => OutcomeError::LoweredInSilence,
        o if o.amount_fen > input.requested.amount_fen => OutcomeError::AmountAboveRequest,
        // The smallest loan of a product is more than nothing, so this also refuses an approval of zero.
        o if o.amount_fen == 0 || o.amount_fen < product.min_amount_fen => OutcomeError::AmountOutsideProduct,
        o if o.amount_fen > product.max_amount_fen => OutcomeError::AmountOutsideProduct,
        o if o.annual_rate_bp > MAX_ANNUAL_RATE.0 => OutcomeError::RateAboveCeiling,
        o if o.annual_rate_bp < product.min_rate_bp => OutcomeError::RateOutsideProduct,
        o if o.annual_rate_bp > product.max_rate_bp => OutcomeError::RateOutsideProduct,
        o if !product.terms_months.contains(&o.term_months) => OutcomeError::TermOutsideProduct,
        _ => return Ok(()),
    };
    Err(problem)
}
