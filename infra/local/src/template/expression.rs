//! Text in the template that is known only once the resources exist: `!Ref`, `!GetAtt` and `!Sub`, all in the form of
//! the last: `${Journeys.Arn}/index/due`.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;
use std::fmt;

/// Text with names in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A parameter, a resource (`Journeys`) or an attribute of one (`Journeys.Arn`).
    Name(String),
}

/// Something has no local value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no value")]
pub struct NoSuchName(pub String);

impl Expression {
    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The resource, when this is exactly one attribute of one resource.
    pub fn attribute(&self, attribute: &str) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Name(name)] => name.strip_suffix(attribute)?.strip_suffix('.'),
            _ => None,
        }
    }

    /// The name, when this is exactly one.
    pub fn reference(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Name(name)] => Some(name),
            _ => None,
        }
    }

    /// The text, with a value for every name.
    pub fn resolve<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Result<String, NoSuchName> {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => Ok(text.as_str()),
            Part::Name(name) => value(name).ok_or_else(|| NoSuchName(name.clone())),
        });
        parts.collect()
    }

    /// `${Name}` is a name, `${!Text}` the text `${Text}`.
    fn substituted(text: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or("a ${ that is not closed")?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match name.strip_prefix('!') {
                Some(literal) => Part::Text(format!("${{{literal}}}")),
                None => Part::Name(name.trim().to_owned()),
            });
            rest = after;
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    fn from_value(value: &Value) -> Result<Self, &'static str> {
        const UNKNOWN: &str = "neither text nor Ref, Fn::GetAtt or Fn::Sub of text";
        let name = |name: String| Ok(Self(vec![Part::Name(name)]));
        match value {
            Value::String(text) => Ok(Self(vec![Part::Text(text.clone())])),
            Value::Number(number) => Ok(Self(vec![Part::Text(number.to_string())])),
            Value::Bool(flag) => Ok(Self(vec![Part::Text(flag.to_string())])),
            Value::Object(function) if function.len() == 1 => match function.iter().next() {
                Some((key, Value::String(id))) if key == "Ref" => name(id.clone()),
                Some((key, Value::String(path))) if key == "Fn::GetAtt" => name(path.clone()),
                Some((key, Value::Array(path))) if key == "Fn::GetAtt" => {
                    let path: Option<Vec<&str>> = path.iter().map(Value::as_str).collect();
                    name(path.ok_or(UNKNOWN)?.join("."))
                }
                Some((key, Value::String(text))) if key == "Fn::Sub" => Self::substituted(text),
                _ => Err(UNKNOWN),
            },
            _ => Err(UNKNOWN),
        }
    }
}

/// In the form of `Fn::Sub`.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Name(name) => write!(f, "${{{name}}}"),
        })
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(from)?).map_err(D::Error::custom)
    }
}
