//! How the training rows were distributed, as the manifest carries it: what drift is measured against.

use serde::Deserialize;

/// Most bins of one column, missing not counted.
pub const MAX_BINS: usize = 64;
/// How far from 1 the shares may add up; each is rounded to six decimals.
const ROUNDING: f64 = 1e-4;

/// A column of training in bins. Bin 0 holds `x <= edges[0]`, bin *i* `edges[i - 1] < x <= edges[i]`, the last one
/// `x > edges[last]`; a missing value is in no bin.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Ascending, in the column's own unit.
    pub edges: Vec<f64>,
    /// Of all training rows, those in each bin; one more than there are edges.
    pub shares: Vec<f64>,
    /// Of all training rows, those without a value.
    pub missing: f64,
}

impl Distribution {
    /// Whether edges ascend, and shares are shares that add up to 1.
    pub(crate) fn is_sound(&self) -> bool {
        let is_share = |share: &f64| (0.0..=1.0).contains(share);
        let sum = self.shares.iter().sum::<f64>() + self.missing;
        self.shares.len() == self.edges.len() + 1
            && self.shares.len() <= MAX_BINS
            && self.edges.iter().all(|edge| edge.is_finite())
            && self.edges.is_sorted_by(|a, b| a < b)
            && self.shares.iter().chain([&self.missing]).all(is_share)
            && (sum - 1.0).abs() <= ROUNDING
    }

    /// The bin of a value; `None` for NaN, which is missing.
    pub fn bin(&self, value: f64) -> Option<usize> {
        (!value.is_nan()).then(|| self.edges.partition_point(|edge| *edge < value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(edges: &[f64], shares: &[f64], missing: f64) -> Distribution {
        Distribution { edges: edges.to_vec(), shares: shares.to_vec(), missing }
    }

    #[test]
    fn a_value_on_an_edge_belongs_to_the_bin_that_ends_there() {
        let column = of(&[1.0, 2.5], &[0.5, 0.25, 0.25], 0.0);
        let bins = [-9.0, 1.0, 1.0001, 2.5, 2.6, f64::INFINITY].map(|x| column.bin(x));
        assert_eq!(bins, [0, 0, 1, 1, 2, 2].map(Some));
        assert_eq!(column.bin(f64::NAN), None);
        assert_eq!(of(&[], &[1.0], 0.0).bin(7.0), Some(0));
    }

    #[test]
    fn what_is_no_distribution_is_told_from_what_is_one() {
        assert!(of(&[1.0, 2.0], &[0.3, 0.3, 0.3], 0.1).is_sound());
        assert!(of(&[], &[0.0], 1.0).is_sound(), "never seen in training");
        for unsound in [
            of(&[1.0], &[0.5, 0.25, 0.25], 0.0),
            of(&[1.0, 1.0], &[0.5, 0.25, 0.25], 0.0),
            of(&[2.0, 1.0], &[0.5, 0.25, 0.25], 0.0),
            of(&[f64::NAN], &[0.5, 0.5], 0.0),
            of(&[1.0], &[0.5, 0.4], 0.0),
            of(&[1.0], &[1.5, -0.5], 0.0),
            of(&[1.0], &[0.5, f64::NAN], 0.0),
            of(&[], &[], 1.0),
        ] {
            assert!(!unsound.is_sound(), "{unsound:?}");
        }
        let long: Vec<f64> = (0..MAX_BINS).map(|edge| edge as f64).collect();
        assert!(!of(&long, &[1.0 / 65.0; MAX_BINS + 1], 0.0).is_sound());
    }
}
