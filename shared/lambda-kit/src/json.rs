//! Reading a JSON body that a stranger sent.
//!
//! `serde_json` takes the last of two equal keys and reads nesting up to 128; a signed or idempotent request must mean
//! one thing only, so [`parse`] refuses both, with the place named.

use contract::http::{FieldError, Problem};
use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::{cell::RefCell, collections::HashSet, fmt};

use crate::http::{MAX_BODY_BYTES, invalid, problem};

/// How deep arrays and objects may nest.
pub const MAX_NESTING: usize = 16;

/// Reads a body into a type: at most 64 KiB, UTF-8 JSON, nesting of at most 16, no key twice, no unknown field.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if body.len() > MAX_BODY_BYTES {
        return Err(problem(413, "body-too-large", "The body is larger than 64 KiB"));
    }
    let value = strict(body)?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let pointer = pointer(error.path());
        invalid(vec![FieldError { pointer, detail: harmless(&error.into_inner().to_string()) }])
    })
}

/// The JSON value, with duplicate keys and deep nesting refused.
fn strict(body: &[u8]) -> Result<Value, Problem> {
    let place = RefCell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = Strict { depth: 0, fault: &place }.deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| match place.take() {
        Some(fault) => invalid(vec![fault]),
        None => Problem {
            detail: Some(format!("line {}, column {}", error.line(), error.column())),
            ..problem(400, "not-json", "The body is not JSON")
        },
    })
}

/// serde's messages quote values of the wrong type; what a field holds may be personal, so only the part that tells
/// what was expected is passed on.
fn harmless(message: &str) -> String {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let expected = rest.split_once("`, ").map_or("", |(_, expected)| expected);
        return format!("is not a field of this request; {expected}");
    }
    if let Some(rest) = message.strip_prefix("missing field `") {
        return format!("the field {} is missing", rest.trim_end_matches('`'));
    }
    match message.rsplit_once("expected ") {
        Some((_, "u8")) => whole_number(u8::MAX),
        Some((_, "u16")) => whole_number(u16::MAX),
        Some((_, "u32")) => whole_number(u32::MAX),
        Some((_, "u64")) => whole_number(u64::MAX),
        Some((_, expected)) if expected.starts_with("struct ") => "expected an object".to_owned(),
        // How serde spells an enum.
        Some((_, "string or map")) => "expected a text".to_owned(),
        Some((_, expected)) => format!("expected {expected}"),
        None => "is not of the right form".to_owned(),
    }
}

fn whole_number(most: impl Into<u64>) -> String {
    format!("expected a whole number from 0 to {}", most.into())
}

/// The longest name of a field that is sent back.
const LONGEST_NAME: usize = 40;

/// A key as part of a pointer, where it could be the name of a field. Others are left out, so that the pointer names what
/// they stand in: whoever mixes up names and values may have put a personal value there.
fn key_in_pointer(key: &str) -> String {
    let is_name = key.len() <= LONGEST_NAME
        && key.starts_with(|first: char| first.is_ascii_lowercase())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_name { format!("/{key}") } else { String::new() }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => key_in_pointer(key),
            Segment::Enum { variant } => key_in_pointer(variant),
            Segment::Unknown => String::new(),
        })
        .collect()
}

struct Strict<'a> {
    depth: usize,
    fault: &'a RefCell<Option<FieldError>>,
}

impl Strict<'_> {
    fn refuse<E: de::Error>(&self, pointer: String, detail: &str) -> E {
        *self.fault.borrow_mut() = Some(FieldError { pointer, detail: detail.to_owned() });
        E::custom("refused")
    }

    fn deeper<E: de::Error>(&self) -> Result<Strict<'_>, E> {
        if self.depth == MAX_NESTING {
            return Err(self.refuse(String::new(), "the body nests deeper than 16"));
        }
        Ok(Strict { depth: self.depth + 1, fault: self.fault })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.deeper()?)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut seen = HashSet::new();
        let mut object = serde_json::Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(self.refuse(key_in_pointer(&key), "the key stands twice"));
            }
            let value = map.next_value_seed(self.deeper()?)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only read by serde")]
        amount_fen: u64,
        #[serde(default)]
        #[expect(dead_code, reason = "only read by serde")]
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only read by serde")]
        phone: String,
    }

    fn refused(body: &str) -> Problem {
        parse::<Body>(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_key_that_stands_twice_is_named() {
        let problem = refused(r#"{"amount_fen": 1, "amount_fen": 2}"#);
        assert_eq!(problem.errors[0].pointer, "/amount_fen");
        assert_eq!(problem.status, 422);
    }

    #[test]
    fn nesting_of_seventeen_is_refused_and_sixteen_is_not_too_deep() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(strict(nested(16).as_bytes()).is_ok());
        assert_eq!(strict(nested(17).as_bytes()).unwrap_err().status, 422);
        assert!(strict(nested(10_000).as_bytes()).is_err());
    }

    #[test]
    fn nan_and_infinity_are_not_json() {
        assert_eq!(refused(r#"{"amount_fen": NaN}"#).status, 400);
        assert_eq!(refused(r#"{"amount_fen": 1e999}"#).status, 400);
    }

    #[test]
    fn an_unknown_field_is_refused_and_named() {
        let problem = refused(r#"{"amount_fen": 1, "score": 800}"#);
        assert_eq!(problem.errors[0].pointer, "/score");
        assert!(problem.errors[0].detail.contains("not a field"), "{:?}", problem.errors);
    }

    #[test]
    fn fault_31_what_cannot_be_the_name_of_a_field_is_not_repeated() {
        for key in ["13800138000", "冯思", "11010519491231002X", "a/b", &"a".repeat(41)] {
            let unknown = refused(&format!(r#"{{"amount_fen": 1, "inner": {{"phone": "1", "{key}": 2}}}}"#));
            let twice = refused(&format!(r#"{{"{key}": 1, "{key}": 2}}"#));
            assert_eq!((unknown.status, unknown.errors[0].pointer.as_str()), (422, "/inner"));
            assert_eq!((twice.status, twice.errors[0].pointer.as_str()), (422, ""));
            assert!(!format!("{unknown:?}{twice:?}").contains(key), "{key}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_and_not_repeated() {
        let problem = refused(r#"{"amount_fen": 1, "inner": {"phone": 13800138000}}"#);
        assert_eq!(problem.errors[0].pointer, "/inner/phone");
        assert!(!format!("{problem:?}").contains("13800138000"));
    }

    #[test]
    fn a_number_that_does_not_fit_is_told_what_would() {
        for number in ["-1", "1.5", "18446744073709551616", "\"1\""] {
            let problem = refused(&format!(r#"{{"amount_fen":{number}}}"#));
            let expected = "expected a whole number from 0 to 18446744073709551615";
            assert_eq!(problem.errors[0].detail, expected, "{number}");
        }
    }

    #[test]
    fn what_should_be_an_object_is_told_so_in_words_of_json() {
        for body in ["null", "[]", "7", r#"{"amount_fen": 1, "inner": 3}"#] {
            assert_eq!(refused(body).errors[0].detail, "expected an object", "{body}");
        }
    }

    #[test]
    fn a_body_over_64_kib_is_refused_before_it_is_read() {
        let body = format!(r#"{{"amount_fen": 1{}}}"#, " ".repeat(MAX_BODY_BYTES));
        assert_eq!(refused(&body).status, 413);
    }

    #[test]
    fn a_long_key_is_not_sent_back_whole() {
        let key = "k".repeat(30_000);
        for body in [format!(r#"{{"{key}": 1}}"#), format!(r#"{{"{key}": 1, "{key}": 2}}"#)] {
            assert!(refused(&body).errors[0].pointer.len() < 100);
        }
    }

    #[test]
    fn something_after_the_body_is_refused() {
        assert_eq!(refused(r#"{"amount_fen": 1} {"amount_fen": 2}"#).status, 400);
    }
}
