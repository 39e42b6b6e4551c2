//! A firm: its unified social credit code (GB 32100-2015) and what the archive knows about it.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// A unified social credit code: 18 characters of the 31-character alphabet, the last one a check character
/// (GB 32100-2015, ISO 7064 style MOD 31). Public data, so it may be printed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FirmCode(String);

/// Why a text is not a firm code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FirmCodeError {
    #[error("must be 18 characters of 0-9 and A-Z without I, O, S, V, Z (GB 32100-2015)")]
    Shape,
    #[error("has a wrong check character (GB 32100-2015)")]
    Checksum,
}

const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

impl FirmCode {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FirmCode {
    type Err = FirmCodeError;

    fn from_str(text: &str) -> Result<Self, FirmCodeError> {
        let place = |b: u8| ALPHABET.iter().position(|a| *a == b);
        let values: Option<Vec<usize>> = text.bytes().map(place).collect();
        let values = values.filter(|v| v.len() == 18).ok_or(FirmCodeError::Shape)?;
        // The weight of place i is 3^i mod 31.
        let weights = std::iter::successors(Some(1usize), |w| Some(w * 3 % 31));
        let sum: usize = values.iter().take(17).zip(weights).map(|(v, w)| v * w).sum();
        if values[17] == (31 - sum % 31) % 31 {
            Ok(Self(text.to_owned()))
        } else {
            Err(FirmCodeError::Checksum)
        }
    }
}

impl TryFrom<String> for FirmCode {
    type Error = FirmCodeError;
    fn try_from(text: String) -> Result<Self, FirmCodeError> {
        text.parse()
    }
}

impl From<FirmCode> for String {
    fn from(code: FirmCode) -> String {
        code.0
    }
}

impl fmt::Display for FirmCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FirmCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The eight sources of the firm archive, by the name of their file without its ending.
pub const SOURCES: [&str; 8] = [
    "basic_information",
    "business_registration",
    "development_and_reform",
    "tax_declared",
    "tax_paid",
    "financial_statements",
    "social_insurance",
    "housing_fund",
];

/// Whether the archive may have a source of this name: 1 to 40 of a-z, 0-9 and `_`, a letter first. The eight are what the
/// city delivers; a model may be trained on others, and its manifest names them.
pub fn is_source_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// One source's row about one firm: field name → number, text or nothing.
pub type SourceRow = serde_json::Map<String, serde_json::Value>;

/// What the archive knows about a firm. A source that never delivered is absent, which is not the same as zero.
///
/// The legal representative's name and resident id are not here: `legal_representative` is the keyed hash of both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FirmRecord {
    pub firm_code: FirmCode,
    /// Keyed hash over name and resident id; `None` when the registration does not tell.
    pub legal_representative: Option<String>,
    pub sources: BTreeMap<String, SourceRow>,
}

impl FirmRecord {
    fn basic(&self, field: &str) -> Option<&serde_json::Value> {
        self.sources.get("basic_information")?.get(field)
    }

    /// The registered name, when known.
    pub fn name(&self) -> Option<&str> {
        self.basic("name")?.as_str()
    }

    /// The registered address, when known.
    pub fn address(&self) -> Option<&str> {
        self.basic("address")?.as_str()
    }

    /// Industry section, when known.
    pub fn industry(&self) -> Option<&str> {
        self.basic("industry")?.as_str()
    }

    /// Whether the firm may not borrow at all: on the list of dishonest judgement debtors, or its licence is revoked.
    pub fn is_banned(&self) -> bool {
        let listed = self.basic("banned").and_then(serde_json::Value::as_f64).is_some_and(|b| b != 0.0);
        let revoked = self.basic("status").and_then(serde_json::Value::as_str).is_some_and(|s| s != "active");
        listed || revoked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_code_is_accepted() {
        // Codes that firms publish on their own pages.
        for code in ["91350100M000100Y43", "91110000802100433B", "914403001922038216"] {
            assert!(code.parse::<FirmCode>().is_ok(), "{code}");
        }
    }

    #[test]
    fn a_source_is_named_in_plain_lower_case() {
        assert!(SOURCES.iter().copied().chain(["lender", "q4_2026"]).all(is_source_name));
        assert!(
            ["", "Tax", "4q", "tax paid", "税", &"a".repeat(41)].iter().all(|name| !is_source_name(name))
        );
    }

    #[test]
    fn every_single_character_error_is_caught() {
        let good = "91350100M000100Y43";
        for place in 0..18 {
            for other in ALPHABET {
                let mut bytes = good.as_bytes().to_vec();
                if bytes[place] != *other {
                    bytes[place] = *other;
                    let text = String::from_utf8(bytes).unwrap();
                    assert_eq!(text.parse::<FirmCode>(), Err(FirmCodeError::Checksum), "{text}");
                }
            }
        }
    }

    #[test]
    fn letters_outside_the_alphabet_are_refused() {
        assert_eq!("91350100I000100Y43".parse::<FirmCode>(), Err(FirmCodeError::Shape));
        assert_eq!("91350100m000100y43".parse::<FirmCode>(), Err(FirmCodeError::Shape));
        assert_eq!("".parse::<FirmCode>(), Err(FirmCodeError::Shape));
    }
}
