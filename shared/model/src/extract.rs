//! From the firm archive to the model's input. Mirrors `models/training/features.py`; the parity test holds both to it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::manifest::{Extract, Manifest, Part, SEPARATOR};

/// The archive's rows about one firm: source → field → value. A source that never delivered is absent.
pub type Sources = BTreeMap<String, Map<String, Value>>;

/// The features in the manifest's order, NaN for missing. Worked out in f64 and rounded once.
///
/// A cell that is absent, null, empty or of the wrong kind is missing; so is a ratio with nothing to divide by.
/// `as_of` is the day of scoring; a date after it gives a negative age.
pub fn extract(manifest: &Manifest, sources: &Sources, as_of: Date) -> Vec<f32> {
    // A number beyond float32 is no figure of a firm.
    let rounded = |v: f64| Some(v as f32).filter(|v| v.is_finite());
    let feature = |extract: &Extract| value(extract, sources, as_of).and_then(rounded).unwrap_or(f32::NAN);
    manifest.features.iter().map(|f| feature(&f.extract)).collect()
}

fn value(extract: &Extract, sources: &Sources, as_of: Date) -> Option<f64> {
    let cell = |source: &str, field: &str| sources.get(source)?.get(field);
    match extract {
        Extract::Value { source, field } => number(cell(source, field)?),
        Extract::Ratio { numerator, denominator } => {
            let over = number(cell(&numerator.source, &numerator.field)?)?;
            let under = number(cell(&denominator.source, &denominator.field)?)?;
            (under != 0.0).then(|| over / under)
        }
        Extract::AgeDays { source, field } => {
            let date: Date = cell(source, field)?.as_str()?.trim().parse().ok()?;
            Some(as_of.duration_since(date).as_hours() as f64 / 24.0)
        }
        Extract::Category { source, field, codes } => {
            codes.get(cell(source, field)?.as_str()?.trim()).copied()
        }
        Extract::Joint { of, codes } => {
            let (mut joined, mut longest) = (String::new(), None);
            for (at, part) in of.iter().enumerate() {
                let Some(text) = text(part, sources, as_of) else { break };
                if at > 0 {
                    joined.push(SEPARATOR);
                }
                joined.push_str(&text);
                longest = codes.get(&joined).copied().or(longest);
            }
            longest
        }
    }
}

/// What a part says; `None` ends the joint text before it.
fn text(part: &Part, sources: &Sources, as_of: Date) -> Option<String> {
    match part {
        Part::Text(place) => {
            let text = sources.get(&place.source)?.get(&place.field)?.as_str()?.trim();
            (!text.is_empty() && !text.contains(SEPARATOR)).then(|| text.to_owned())
        }
        Part::Band { number, edges } => {
            let number = value(number, sources, as_of)?;
            Some(edges.partition_point(|edge| *edge <= number).to_string())
        }
    }
}

/// A number, or a text that is one. `"inf"` and `"nan"` are texts that are none.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|n: &f64| n.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use serde_json::json;

    fn one(extract: Value, source: Value) -> Option<f64> {
        let sources = Sources::from([("s".to_owned(), source.as_object().unwrap().clone())]);
        value(&serde_json::from_value(extract).unwrap(), &sources, date(2026, 10, 31))
    }

    fn number_of(cell: Value) -> Option<f64> {
        one(json!({ "kind": "value", "source": "s", "field": "f" }), json!({ "f": cell }))
    }

    #[test]
    fn a_number_may_be_written_as_text() {
        assert_eq!(number_of(json!(12)), Some(12.0));
        assert_eq!(number_of(json!(" 12.5 ")), Some(12.5));
    }

    #[test]
    fn what_is_not_a_number_is_missing_and_not_zero() {
        let cells =
            [json!(null), json!(""), json!("NaN"), json!("inf"), json!("1e999"), json!("n/a"), json!([1])];
        for cell in cells {
            assert_eq!(number_of(cell.clone()), None, "{cell}");
        }
        assert_eq!(one(json!({ "kind": "value", "source": "s", "field": "g" }), json!({ "f": 1 })), None);
        assert_eq!(one(json!({ "kind": "value", "source": "t", "field": "f" }), json!({ "f": 1 })), None);
    }

    #[test]
    fn a_ratio_without_a_denominator_is_missing() {
        let ratio = json!({ "kind": "ratio", "numerator": { "source": "s", "field": "a" },
                            "denominator": { "source": "s", "field": "b" } });
        assert_eq!(one(ratio.clone(), json!({ "a": 1, "b": 4 })), Some(0.25));
        assert_eq!(one(ratio.clone(), json!({ "a": 1, "b": 0 })), None);
        assert_eq!(one(ratio.clone(), json!({ "a": 1 })), None);
        assert_eq!(one(ratio, json!({ "b": 1 })), None);
    }

    #[test]
    fn age_counts_whole_days() {
        let age = json!({ "kind": "age_days", "source": "s", "field": "d" });
        assert_eq!(one(age.clone(), json!({ "d": "2026-10-30" })), Some(1.0));
        assert_eq!(one(age.clone(), json!({ "d": "2024-10-31" })), Some(730.0));
        assert_eq!(one(age.clone(), json!({ "d": "2026-11-01" })), Some(-1.0));
        assert_eq!(one(age.clone(), json!({ "d": "31.10.2026" })), None);
        assert_eq!(one(age, json!({ "d": 20261031 })), None);
    }

    #[test]
    fn an_unknown_category_is_missing() {
        let grade = json!({ "kind": "category", "source": "s", "field": "g", "codes": { "A": 0, "B": 1 } });
        assert_eq!(one(grade.clone(), json!({ "g": "B" })), Some(1.0));
        assert_eq!(one(grade.clone(), json!({ "g": "Ａ" })), None);
        assert_eq!(one(grade, json!({ "g": 1 })), None);
    }

    fn joint() -> Value {
        let amount = json!({ "kind": "value", "source": "s", "field": "amount" });
        json!({ "kind": "joint", "of": [{ "source": "s", "field": "lender" }, { "number": amount, "edges": [10, 20] }],
                "codes": { "A": 0.5, "A|0": 0.1, "A|2": 0.3, "B|1": 0.7 } })
    }

    #[test]
    fn a_joint_text_has_the_number_of_its_longest_listed_beginning() {
        assert_eq!(one(joint(), json!({ "lender": "A", "amount": 9 })), Some(0.1));
        assert_eq!(one(joint(), json!({ "lender": " A ", "amount": "20" })), Some(0.3));
        assert_eq!(one(joint(), json!({ "lender": "A", "amount": 10 })), Some(0.5));
        assert_eq!(one(joint(), json!({ "lender": "A", "amount": "n/a" })), Some(0.5));
        assert_eq!(one(joint(), json!({ "lender": "A" })), Some(0.5));
        assert_eq!(one(joint(), json!({ "lender": "B", "amount": 15 })), Some(0.7));
    }

    #[test]
    fn a_joint_text_without_a_listed_beginning_is_missing() {
        assert_eq!(one(joint(), json!({ "lender": "B", "amount": 9 })), None);
        assert_eq!(one(joint(), json!({ "lender": "C", "amount": 9 })), None);
        assert_eq!(one(joint(), json!({ "lender": "", "amount": 9 })), None);
        assert_eq!(one(joint(), json!({ "amount": 9 })), None);
        assert_eq!(one(joint(), json!({ "lender": "A|0", "amount": 9 })), None);
    }
}
