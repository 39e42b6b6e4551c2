//! Whether those that defaulted had the worse scores.
//!
//! A score here is a chance to default: higher is worse. Ties count one half. Only loans that were granted have an
//! outcome, and the score helped to choose them, so these figures are lower than they would be on all who applied.

use crate::chance::Z_95;
use serde::Serialize;

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// How well scores tell the two outcomes apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Discrimination {
    /// Chance that one that defaulted has the worse score than one that did not. Interval after DeLong, DeLong and
    /// Clarke-Pearson, *Biometrics* 44 (1988); it has no width where the order is perfect.
    pub auc: Interval,
    /// Largest distance between the shares of both outcomes up to a score (Kolmogorov-Smirnov). The interval is made of
    /// both sides' bands after Dvoretzky, Kiefer and Wolfowitz with Massart's constant (*Annals of Probability* 18,
    /// 1990): it holds at the worst, so it is wide.
    pub ks: Interval,
}

/// Two scores of the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairedAuc {
    pub one: Interval,
    pub other: Interval,
    /// `other` less `one`, with its interval for paired rows (DeLong and others, 1988).
    pub difference: Interval,
}

/// For each row that defaulted the share of the others below it, and for each other row the share that defaulted above
/// it; in the order of the rows.
struct Placements {
    of_bad: Vec<f64>,
    of_good: Vec<f64>,
}

/// AUC and KS of rows of score and outcome. `None` with fewer than two of either outcome, which have no variance.
pub fn discrimination(rows: &[(f64, bool)]) -> Option<Discrimination> {
    let placements = placements(rows)?;
    let auc = within(mean(&placements.of_bad), variance(&placements).sqrt() * Z_95, 0.0);
    Some(Discrimination { auc, ks: kolmogorov_smirnov(rows, &placements) })
}

/// AUC of two scores of the same rows, each row with its outcome. `None` with fewer than two of either outcome.
pub fn paired_auc(rows: &[(f64, f64, bool)]) -> Option<PairedAuc> {
    let one: Vec<(f64, bool)> = rows.iter().map(|(one, _, bad)| (*one, *bad)).collect();
    let other: Vec<(f64, bool)> = rows.iter().map(|(_, other, bad)| (*other, *bad)).collect();
    let (one, other) = (placements(&one)?, placements(&other)?);
    let less = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
    let difference =
        Placements { of_bad: less(&other.of_bad, &one.of_bad), of_good: less(&other.of_good, &one.of_good) };
    let interval = |p: &Placements, least| within(mean(&p.of_bad), variance(p).sqrt() * Z_95, least);
    Some(PairedAuc {
        one: interval(&one, 0.0),
        other: interval(&other, 0.0),
        difference: interval(&difference, -1.0),
    })
}

fn placements(rows: &[(f64, bool)]) -> Option<Placements> {
    let sorted = |wanted: bool| {
        let mut scores: Vec<f64> = rows.iter().filter(|row| row.1 == wanted).map(|row| row.0).collect();
        scores.sort_by(f64::total_cmp);
        scores
    };
    let (bad, good) = (sorted(true), sorted(false));
    if bad.len() < 2 || good.len() < 2 {
        return None;
    }
    let share_below = |among: &[f64], score: f64| {
        let below = among.partition_point(|other| *other < score);
        let up_to = among.partition_point(|other| *other <= score);
        (below + up_to) as f64 / (2 * among.len()) as f64
    };
    let of = |wanted: bool| rows.iter().filter(move |row| row.1 == wanted).map(|row| row.0);
    Some(Placements {
        of_bad: of(true).map(|score| share_below(&good, score)).collect(),
        of_good: of(false).map(|score| 1.0 - share_below(&bad, score)).collect(),
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Variance of an AUC, or of a difference of two, from its placements.
fn variance(placements: &Placements) -> f64 {
    let of_mean = |values: &[f64]| {
        let (mean, n) = (mean(values), values.len() as f64);
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0) / n
    };
    of_mean(&placements.of_bad) + of_mean(&placements.of_good)
}

fn within(value: f64, reach: f64, least: f64) -> Interval {
    Interval { value, low: (value - reach).max(least), high: (value + reach).min(1.0) }
}

fn kolmogorov_smirnov(rows: &[(f64, bool)], placements: &Placements) -> Interval {
    let mut rows = rows.to_vec();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (bad, good) = (placements.of_bad.len() as f64, placements.of_good.len() as f64);
    let (mut bad_so_far, mut good_so_far, mut largest) = (0.0, 0.0, 0.0_f64);
    for tie in rows.chunk_by(|a, b| a.0 == b.0) {
        let defaulted = tie.iter().filter(|row| row.1).count();
        bad_so_far += defaulted as f64;
        good_so_far += (tie.len() - defaulted) as f64;
        largest = largest.max((bad_so_far / bad - good_so_far / good).abs());
    }
    // Each side's band holds with 97.5 %, so both do with 95 %.
    let band = |n: f64| ((2.0_f64 / 0.025).ln() / (2.0 * n)).sqrt();
    within(largest, band(bad) + band(good), 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROWS: [(f64, bool); 4] = [(0.8, true), (0.6, false), (0.4, true), (0.2, false)];

    #[test]
    fn auc_and_ks_are_what_they_are_by_hand() {
        let told = discrimination(&ROWS).unwrap();
        // Three of the four pairs are in order. Placements 1, ½ and ½, 1: each variance .125, so .125 / 2 + .125 / 2.
        assert_eq!(told.auc.value, 0.75);
        let reach = Z_95 * 0.125_f64.sqrt();
        assert!((told.auc.low - (0.75 - reach)).abs() < 1e-12, "{told:?}");
        assert_eq!(told.auc.high, 1.0);
        // Up to .2 one half of the good and none of the bad.
        assert_eq!(told.ks.value, 0.5);
        assert_eq!((told.ks.low, told.ks.high), (0.0, 1.0), "four rows say nothing");
    }

    #[test]
    fn ties_count_one_half() {
        let told = discrimination(&[(0.5, true), (0.5, false), (0.5, true), (0.5, false)]).unwrap();
        assert_eq!((told.auc.value, told.ks.value), (0.5, 0.0));
        let told = discrimination(&[(0.5, true), (0.5, false), (0.9, true), (0.1, false)]).unwrap();
        assert_eq!((told.auc.value, told.ks.value), (0.875, 0.5));
    }

    #[test]
    fn one_of_an_outcome_is_not_enough() {
        assert_eq!(discrimination(&[]), None);
        assert_eq!(discrimination(&ROWS[..3]), None);
        assert_eq!(paired_auc(&[(0.1, 0.2, true), (0.2, 0.3, false)]), None);
    }

    #[test]
    fn the_interval_narrows_as_outcomes_arrive() {
        let many: Vec<(f64, bool)> = ROWS.iter().copied().cycle().take(4_000).collect();
        let told = discrimination(&many).unwrap();
        assert_eq!((told.auc.value, told.ks.value), (0.75, 0.5));
        assert!(told.auc.high - told.auc.low < 0.05 && told.ks.high - told.ks.low < 0.4, "{told:?}");
        assert!(told.ks.low > 0.3 && told.ks.high < 0.7, "{told:?}");
    }

    #[test]
    fn two_scores_of_the_same_rows_are_compared_as_a_pair() {
        // The other has the four pairs in order: 1 against .75. Differences of the placements: 0, ½ and ½, 0.
        let rows = [(0.8, 0.9, true), (0.6, 0.2, false), (0.4, 0.8, true), (0.2, 0.1, false)];
        let told = paired_auc(&rows).unwrap();
        assert_eq!((told.one.value, told.other.value, told.difference.value), (0.75, 1.0, 0.25));
        let reach = Z_95 * 0.125_f64.sqrt();
        assert!((told.difference.low - (0.25 - reach)).abs() < 1e-12, "{told:?}");
        let same: Vec<(f64, f64, bool)> = ROWS.iter().map(|(score, bad)| (*score, *score, *bad)).collect();
        let told = paired_auc(&same).unwrap();
        assert_eq!(told.difference, Interval { value: 0.0, low: 0.0, high: 0.0 });
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Both figures rest on the order of the scores alone, and swapping the outcomes mirrors the AUC.
        #[test]
        fn only_the_order_of_the_scores_counts(
            rows in prop::collection::vec((0_u8..30, any::<bool>()), 4..60),
        ) {
            let scored = |f: fn(f64) -> f64| {
                rows.iter().map(|(score, bad)| (f(f64::from(*score)), *bad)).collect::<Vec<_>>()
            };
            let Some(told) = discrimination(&scored(|x| x)) else { return Ok(()) };
            prop_assert_eq!(told, discrimination(&scored(|x| (x / 7.0).exp())).unwrap());
            let mirrored = discrimination(&scored(|x| -x)).unwrap();
            prop_assert!((told.auc.value + mirrored.auc.value - 1.0).abs() < 1e-12);
            prop_assert!((told.ks.value - mirrored.ks.value).abs() < 1e-12);
            prop_assert!(told.ks.value + 1e-12 >= (2.0 * told.auc.value - 1.0).abs() / 2.0);
        }

        /// The AUC is the share of pairs that are in order.
        #[test]
        fn the_auc_is_the_share_of_ordered_pairs(
            bad in prop::collection::vec(0_u8..20, 2..20), good in prop::collection::vec(0_u8..20, 2..20),
        ) {
            let row = |score: &u8, bad| (f64::from(*score), bad);
            let rows: Vec<_> =
                bad.iter().map(|s| row(s, true)).chain(good.iter().map(|s| row(s, false))).collect();
            let pairs = bad.iter().flat_map(|b| good.iter().map(move |g| match b.cmp(g) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            }));
            let share = pairs.sum::<f64>() / (bad.len() * good.len()) as f64;
            prop_assert!((discrimination(&rows).unwrap().auc.value - share).abs() < 1e-12);
        }
    }
}
