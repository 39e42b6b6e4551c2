//! Money in integer fen and rates in integer basis points. There is no floating point near money.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount in fen (1/100 yuan), never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fen(pub u64);

impl Fen {
    pub const ZERO: Fen = Fen(0);

    /// Whole yuan as fen.
    pub const fn yuan(yuan: u64) -> Fen {
        Fen(yuan * 100)
    }

    /// `None` on overflow; money never wraps and never saturates.
    pub fn checked_add(self, other: Fen) -> Option<Fen> {
        self.0.checked_add(other.0).map(Fen)
    }

    /// `None` when `other` is larger.
    pub fn checked_sub(self, other: Fen) -> Option<Fen> {
        self.0.checked_sub(other.0).map(Fen)
    }
}

impl fmt::Debug for Fen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Fen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CNY {}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// A rate in basis points: 1 is 0.01 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BasisPoints(pub u32);

/// The highest all-in annual rate that any offer may carry: 24 %.
pub const MAX_ANNUAL_RATE: BasisPoints = BasisPoints(2_400);

impl fmt::Display for BasisPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} %", self.0 / 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_18_money_never_wraps() {
        assert_eq!(Fen(u64::MAX).checked_add(Fen(1)), None);
        assert_eq!(Fen(1).checked_sub(Fen(2)), None);
        assert_eq!(Fen::yuan(2).checked_sub(Fen(1)), Some(Fen(199)));
    }

    #[test]
    fn money_prints_as_yuan_and_fen() {
        assert_eq!(Fen(123_405).to_string(), "CNY 1234.05");
        assert_eq!(BasisPoints(1_460).to_string(), "14.60 %");
    }
}
