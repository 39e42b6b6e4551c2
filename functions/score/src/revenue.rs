//! What a firm's record says about its age and about how much it can carry.

use domain::{FirmRecord, firm::SourceRow};
use jiff::civil::Date;

/// A loan may reach this share of a year's revenue, in percent.
const SHARE_OF_REVENUE_PERCENT: u64 = 30;

/// Days since the firm was established, when the archive tells.
pub fn age_days(firm: &FirmRecord, today: Date) -> Option<i64> {
    let established: Date =
        firm.sources.get("basic_information")?.get("established_on")?.as_str()?.parse().ok()?;
    let age = today.since(established).ok()?;
    Some(i64::from(age.get_days()))
}

/// The largest amount in fen that the firm's yearly revenue supports: a share of declared sales or of the revenue in
/// the statements, whichever is lower where both are known, because a firm that tells the tax office less than the
/// bank is believed where it costs it money. `None` where neither is known.
pub fn supported_amount(firm: &FirmRecord) -> Option<u64> {
    let amount = |source: &str, field: &str| {
        firm.sources
            .get(source)
            .and_then(|row: &SourceRow| row.get(field))
            .and_then(serde_json::Value::as_u64)
    };
    let declared = amount("tax_declared", "sales_12m_fen");
    let stated = amount("financial_statements", "revenue_fen");
    let revenue = match (declared, stated) {
        (Some(declared), Some(stated)) => declared.min(stated),
        (one, other) => one.or(other)?,
    };
    (revenue / 100).checked_mul(SHARE_OF_REVENUE_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn firm(sources: serde_json::Value) -> FirmRecord {
        FirmRecord {
            firm_code: "91350100M000100Y43".parse().unwrap(),
            legal_representative: None,
            sources: serde_json::from_value(sources).unwrap(),
        }
    }

    #[test]
    fn the_lower_of_two_revenues_is_believed() {
        let both = firm(
            json!({"tax_declared": {"sales_12m_fen": 1_000_000}, "financial_statements": {"revenue_fen": 9_000_000}}),
        );
        assert_eq!(supported_amount(&both), Some(300_000));
    }

    #[test]
    fn one_known_revenue_is_enough_and_none_is_unknown_rather_than_zero() {
        let one = firm(json!({"financial_statements": {"revenue_fen": 1_000_000}}));
        assert_eq!(supported_amount(&one), Some(300_000));
        assert_eq!(supported_amount(&firm(json!({}))), None);
    }

    #[test]
    fn age_is_counted_in_days() {
        let young = firm(json!({"basic_information": {"established_on": "2026-10-24"}}));
        assert_eq!(age_days(&young, jiff::civil::date(2026, 11, 23)), Some(30));
        assert_eq!(age_days(&firm(json!({})), jiff::civil::date(2026, 11, 23)), None);
    }
}
