//! The input of a model, kept with its score so that the score can be worked out again years later.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most features of a row; the limit of a model's manifest.
const MOST: usize = 4095;

/// A model's input in the order of its manifest, bit for bit; NaN is missing.
///
/// In text: base64 of the little-endian float32. Forty-four features take 236 characters, and nothing is rounded.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FeatureRow(Vec<f32>);

/// Why a text is not a row of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be base64 of at most {MOST} little-endian float32")]
pub struct NotAFeatureRow;

impl FeatureRow {
    pub fn new(features: Vec<f32>) -> Self {
        Self(features)
    }

    /// Empty where a score was recorded without its input.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }
}

/// Bit by bit: a missing value is the same as a missing value.
impl PartialEq for FeatureRow {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|x| x.to_bits()).eq(other.0.iter().map(|x| x.to_bits()))
    }
}

impl Eq for FeatureRow {}

impl fmt::Debug for FeatureRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeatureRow({} features)", self.0.len())
    }
}

impl TryFrom<String> for FeatureRow {
    type Error = NotAFeatureRow;

    fn try_from(text: String) -> Result<Self, NotAFeatureRow> {
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| NotAFeatureRow)?;
        let (row, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() || row.len() > MOST {
            return Err(NotAFeatureRow);
        }
        Ok(Self(row.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
    }
}

impl From<FeatureRow> for String {
    fn from(row: FeatureRow) -> String {
        let bytes: Vec<u8> = row.0.iter().flat_map(|x| x.to_le_bytes()).collect();
        BASE64_STANDARD.encode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back_bit_for_bit() {
        let quiet = f32::from_bits(0x7fc0_0001);
        let row = FeatureRow::new(vec![0.1, -0.0, quiet, f32::MIN_POSITIVE, 1e30]);
        let text = serde_json::to_string(&row).unwrap();
        assert_eq!(serde_json::from_str::<FeatureRow>(&text).unwrap(), row);
        assert_ne!(row, FeatureRow::new(vec![0.1, 0.0, quiet, f32::MIN_POSITIVE, 1e30]));
    }

    #[test]
    fn what_is_not_whole_numbers_of_float32_is_refused() {
        for text in ["AAA", "AAAA", "?", &BASE64_STANDARD.encode(vec![0; 4 * (MOST + 1)])] {
            assert_eq!(FeatureRow::try_from(text.to_owned()), Err(NotAFeatureRow));
        }
        assert!(FeatureRow::try_from(String::new()).unwrap().is_empty());
    }
}
