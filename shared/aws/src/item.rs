//! Reading and writing attributes. What cannot be read is *broken* and names the attribute, never its value.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use ports::PortError;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::HashMap, str::FromStr};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Why an item is not what the adapter wrote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("attribute {0} is missing or has another type")]
    Attribute(&'static str),
    #[error("attribute {0} does not parse")]
    Value(&'static str),
    /// Only the place is kept of a JSON error: its text may quote the value.
    #[error("attribute {attribute} is not the JSON it should be, at column {column}")]
    Json { attribute: &'static str, column: usize },
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn bytes(value: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

/// The value as JSON text. JSON keeps every float bit for bit, which DynamoDB's decimal numbers do not promise.
pub(crate) fn json(attempted: &'static str, value: &impl Serialize) -> Result<AttributeValue, PortError> {
    serde_json::to_string(value).map(AttributeValue::S).map_err(|error| PortError::broken(attempted, error))
}

/// Reads the attributes of one item on behalf of one attempt.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub item: &'a Item,
    pub attempted: &'static str,
}

impl<'a> Reader<'a> {
    pub fn broken(&self, why: Unreadable) -> PortError {
        PortError::broken(self.attempted, why)
    }

    pub fn text(&self, name: &'static str) -> Result<&'a str, PortError> {
        let value = self.item.get(name).and_then(|value| value.as_s().ok());
        value.map(String::as_str).ok_or_else(|| self.broken(Unreadable::Attribute(name)))
    }

    pub fn bytes(&self, name: &'static str) -> Result<&'a [u8], PortError> {
        let value = self.item.get(name).and_then(|value| value.as_b().ok());
        value.map(AsRef::as_ref).ok_or_else(|| self.broken(Unreadable::Attribute(name)))
    }

    /// A text attribute in the form that its type prints.
    pub fn parsed<T: FromStr>(&self, name: &'static str) -> Result<T, PortError> {
        self.text(name)?.parse().map_err(|_| self.broken(Unreadable::Value(name)))
    }

    /// An integer attribute; out of range is an error, never a wrapped number.
    pub fn integer<T: FromStr>(&self, name: &'static str) -> Result<T, PortError> {
        let value = self.item.get(name).and_then(|value| value.as_n().ok());
        let digits = value.ok_or_else(|| self.broken(Unreadable::Attribute(name)))?;
        digits.parse().map_err(|_| self.broken(Unreadable::Value(name)))
    }

    /// JSON that may be packed.
    pub fn packed_json<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, PortError> {
        let text = self.item.get(name).and_then(crate::packed::text);
        let text = text.ok_or_else(|| self.broken(Unreadable::Attribute(name)))?;
        let text = text.map_err(|_| self.broken(Unreadable::Value(name)))?;
        serde_json::from_str(&text)
            .map_err(|error| self.broken(Unreadable::Json { attribute: name, column: error.column() }))
    }

    pub fn json<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, PortError> {
        serde_json::from_str(self.text(name)?)
            .map_err(|error| self.broken(Unreadable::Json { attribute: name, column: error.column() }))
    }
}
