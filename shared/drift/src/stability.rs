//! How far a column has moved from its distribution in training.

use crate::chance::chi_square_at_least;
use model::Distribution;
use serde::Serialize;

/// What a bin's share counts as at least, so that an empty bin gives a finite index. The same as in training's
/// `distribution.py`, so that both give one number. An empty bin of a tenth then adds 0.69.
const LEAST_SHARE: f64 = 1e-4;

/// How far, and whether that may be chance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shift {
    /// Population stability index: over all bins, missing included, the sum of `(now - then) · ln(now / then)`
    /// (Lewis, *An Introduction to Credit Scoring*, 1994). It is the symmetric Kullback-Leibler divergence.
    pub psi: f64,
    /// Probability of as large a shift when nothing has moved: the likelihood-ratio test of goodness of fit, whose
    /// statistic `2 n Σ now · ln(now / then)` is about chi-square with a degree less than there are bins (Wilks, 1938).
    /// Of a small sample the index is large by chance alone: about (bins - 1) / n when nothing has moved (Yurdakul and
    /// Naranjo, 2020). Training has many more rows than a window, so its shares are taken as exact.
    pub by_chance: f64,
}

/// Rows by bin of a distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub bins: Vec<usize>,
    pub missing: usize,
}

/// Counts a column into the bins of its distribution in training.
pub(crate) fn count(then: &Distribution, column: impl Iterator<Item = f64>) -> Counts {
    let mut counts = Counts { bins: vec![0; then.shares.len()], missing: 0 };
    for value in column {
        match then.bin(value).and_then(|bin| counts.bins.get_mut(bin)) {
            Some(bin) => *bin += 1,
            None => counts.missing += 1,
        }
    }
    counts
}

/// The shift of a column; `None` without rows.
pub fn shift(then: &Distribution, column: impl Iterator<Item = f64>) -> Option<Shift> {
    shift_of(then, &count(then, column))
}

pub(crate) fn shift_of(then: &Distribution, now: &Counts) -> Option<Shift> {
    let counts = now.bins.iter().chain([&now.missing]).copied();
    let expected = then.shares.iter().chain([&then.missing]).copied();
    between(expected.zip(counts))
}

/// The shift of counts from expected shares; `None` without rows.
pub(crate) fn between(bins: impl Iterator<Item = (f64, usize)>) -> Option<Shift> {
    // A bin that is empty on both sides says nothing and is no degree of freedom.
    let bins: Vec<(f64, usize)> = bins.filter(|(then, now)| *then > 0.0 || *now > 0).collect();
    let rows: usize = bins.iter().map(|(_, now)| now).sum();
    if rows == 0 {
        return None;
    }
    let (mut psi, mut divergence) = (0.0, 0.0);
    for (then, now) in &bins {
        let (then, share) = (then.max(LEAST_SHARE), *now as f64 / rows as f64);
        let now = share.max(LEAST_SHARE);
        psi += (now - then) * (now / then).ln();
        if share > 0.0 {
            divergence += share * (share / then).ln();
        }
    }
    let by_chance = chi_square_at_least(2.0 * rows as f64 * divergence, bins.len() - 1);
    Some(Shift { psi, by_chance })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn then() -> Distribution {
        Distribution { edges: vec![1.0, 2.0], shares: vec![0.5, 0.25, 0.15], missing: 0.1 }
    }

    /// So many rows in each bin, and so many without a value.
    fn rows(counts: [usize; 4]) -> impl Iterator<Item = f64> {
        let values = [0.5, 1.5, 2.5, f64::NAN];
        values.into_iter().zip(counts).flat_map(|(value, count)| std::iter::repeat_n(value, count))
    }

    #[test]
    fn what_is_distributed_as_in_training_has_not_moved() {
        let same = shift(&then(), rows([50, 25, 15, 10])).unwrap();
        assert!(same.psi.abs() < 1e-12, "{same:?}");
        assert_eq!(same.by_chance, 1.0);
        assert_eq!(shift(&then(), rows([0, 0, 0, 0])), None);
    }

    #[test]
    fn the_index_is_what_it_is_by_hand() {
        // (.4-.5)ln(.4/.5) + (.25-.25)·0 + (.15-.15)·0 + (.2-.1)ln(.2/.1) = .1·(.22314+.69315)
        let moved = shift(&then(), rows([40, 25, 15, 20])).unwrap();
        assert!((moved.psi - 0.091_629_07).abs() < 1e-8, "{moved:?}");
        // G = 200·(.4·ln(.8) + .2·ln(2)) = 9.8744, three degrees: 0.0197
        assert!((moved.by_chance - 0.019_67).abs() < 5e-5, "{moved:?}");
    }

    #[test]
    fn an_empty_bin_counts_as_one_in_ten_thousand() {
        // (.6-.5)ln(1.2) + 0 + (.0001-.15)ln(.0001/.15) + (.15-.1)ln(1.5)
        let moved = shift(&then(), rows([60, 25, 0, 15])).unwrap();
        let by_hand = 0.1 * 1.2_f64.ln() + 0.1499 * 1_500_f64.ln() + 0.05 * 1.5_f64.ln();
        assert!((moved.psi - by_hand).abs() < 1e-12, "{moved:?}");
    }

    #[test]
    fn a_value_that_training_never_saw_missing_is_told_when_it_is_missing() {
        let always = Distribution { edges: vec![0.0], shares: vec![0.5, 0.5], missing: 0.0 };
        let column = |missing: usize| {
            [-1.0, 1.0, f64::NAN].into_iter().zip([(100 - missing) / 2, (100 - missing) / 2, missing])
        };
        let rows = |missing| column(missing).flat_map(|(value, n)| std::iter::repeat_n(value, n));
        assert!(shift(&always, rows(0)).unwrap().psi < 1e-12);
        assert!(shift(&always, rows(20)).unwrap().psi > 0.25);
    }

    #[test]
    fn a_handful_of_rows_is_far_off_by_chance() {
        // Three rows in the largest bin: the index is huge, and yet one sample in eight looks like that.
        let few = shift(&then(), rows([3, 0, 0, 0])).unwrap();
        assert!(few.psi > 0.25 && few.by_chance > 0.1, "{few:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The index is never below zero, and no smaller where rows leave a bin that has too few for one that has too many.
        #[test]
        fn the_index_is_never_negative_and_grows_with_the_distance(
            counts in prop::array::uniform4(0_usize..500), more in 1_usize..500,
        ) {
            prop_assume!(counts.iter().sum::<usize>() > 0);
            let moved = shift(&then(), rows(counts)).unwrap();
            prop_assert!(moved.psi >= 0.0 && (0.0..=1.0).contains(&moved.by_chance));
            let steps = [more, 2 * more].map(|n| shift(&then(), rows([5_000 + n, 2_500 - n, 1_500, 1_000])).unwrap());
            prop_assert!(steps[0].psi < steps[1].psi && steps[0].by_chance >= steps[1].by_chance);
        }
    }
}
