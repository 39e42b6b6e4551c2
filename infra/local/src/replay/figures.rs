//! What a score is worth, from scores and outcomes alone: pure, and the same numbers for the same rows.

use fastrand::Rng;

/// 97.5th percentile of the normal distribution.
const Z: f64 = 1.959_964;
/// How many times the rows are drawn anew for an interval.
const DRAWS: usize = 1_000;
const SEED: u64 = 20_261_126;

/// One application that was scored: its chance to default as the model told it, and whether it did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    pub chance: f64,
    pub defaulted: bool,
}

/// A figure with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// Area under the ROC curve: the chance that one that defaulted has the higher score; ties count one half. The interval is
/// that of DeLong, DeLong and Clarke-Pearson (1988). `None` without rows of both outcomes.
pub fn auc(rows: &[Scored]) -> Option<Figure> {
    let (bad, good) = by_outcome(rows);
    let of_bad: Vec<f64> = bad.iter().map(|chance| share_below(&good, *chance)).collect();
    let of_good: Vec<f64> = good.iter().map(|chance| 1.0 - share_below(&bad, *chance)).collect();
    let value = mean(&of_bad)?;
    let reach = Z * (variance_of_mean(&of_bad) + variance_of_mean(&of_good)).sqrt();
    Some(Figure { value, low: (value - reach).max(0.0), high: (value + reach).min(1.0) })
}

/// Kolmogorov-Smirnov: the largest distance between the cumulative shares of those that defaulted and of those that did
/// not. The interval is that of 1,000 draws of as many rows of either outcome, with replacement. `None` without both.
pub fn ks(rows: &[Scored]) -> Option<Figure> {
    let (bad, good) = by_outcome(rows);
    if bad.is_empty() || good.is_empty() {
        return None;
    }
    let value = distance(&bad, &good);
    let mut random = Rng::with_seed(SEED);
    let mut drawn: Vec<f64> =
        (0..DRAWS).map(|_| distance(&draw(&bad, &mut random), &draw(&good, &mut random))).collect();
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| drawn[(share * DRAWS as f64) as usize];
    Some(Figure { value, low: at(0.025), high: at(0.975) })
}

/// Rows that count together, and how they stand against all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Group {
    pub rows: usize,
    pub defaulted: usize,
    /// Sum of the chances.
    pub expected: f64,
}

impl Group {
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Scored>) -> Self {
        rows.into_iter().fold(Self::default(), |group, row| Self {
            rows: group.rows + 1,
            defaulted: group.defaulted + usize::from(row.defaulted),
            expected: group.expected + row.chance,
        })
    }

    /// Share that defaulted; `None` of no rows.
    pub fn default_rate(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.defaulted as f64 / self.rows as f64)
    }

    /// Mean chance to default; `None` of no rows.
    pub fn expected_rate(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.expected / self.rows as f64)
    }

    /// Default rate of this group by that of all: below 1 it is better than lending blindly.
    pub fn lift(&self, all: &Group) -> Option<f64> {
        Some(self.default_rate()? / all.default_rate().filter(|rate| *rate > 0.0)?)
    }
}

/// Chances of those that defaulted and of those that did not, in order.
fn by_outcome(rows: &[Scored]) -> (Vec<f64>, Vec<f64>) {
    let sorted = |defaulted| {
        let of = rows.iter().filter(|row| row.defaulted == defaulted && row.chance.is_finite());
        let mut chances: Vec<f64> = of.map(|row| row.chance).collect();
        chances.sort_by(f64::total_cmp);
        chances
    };
    (sorted(true), sorted(false))
}

/// Share of an ordered list that is below a value; what equals it counts half.
fn share_below(ordered: &[f64], value: f64) -> f64 {
    let below = ordered.partition_point(|x| *x < value);
    let up_to = ordered.partition_point(|x| *x <= value);
    (below + up_to) as f64 / (2 * ordered.len()) as f64
}

fn mean(values: &[f64]) -> Option<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    mean.is_finite().then_some(mean)
}

/// Sample variance by the number of values; 0 for a single one.
fn variance_of_mean(values: &[f64]) -> f64 {
    let Some(mean) = mean(values).filter(|_| values.len() > 1) else { return 0.0 };
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    squares / (values.len() - 1) as f64 / values.len() as f64
}

/// Largest distance between the cumulative shares of two ordered lists, neither of them empty.
fn distance(one: &[f64], other: &[f64]) -> f64 {
    let (mut i, mut j, mut largest) = (0, 0, 0.0_f64);
    while let (Some(a), Some(b)) = (one.get(i), other.get(j)) {
        // Both lists are passed by a tie before they are compared.
        let value = a.min(*b);
        i += one[i..].iter().take_while(|x| **x <= value).count();
        j += other[j..].iter().take_while(|x| **x <= value).count();
        let gap = i as f64 / one.len() as f64 - j as f64 / other.len() as f64;
        largest = largest.max(gap.abs());
    }
    largest
}

/// As many values of an ordered list, drawn with replacement, in order.
fn draw(ordered: &[f64], random: &mut Rng) -> Vec<f64> {
    let mut times = vec![0_u32; ordered.len()];
    for _ in 0..ordered.len() {
        times[random.usize(..ordered.len())] += 1;
    }
    let repeated = ordered.iter().zip(times);
    repeated.flat_map(|(value, times)| std::iter::repeat_n(*value, times as usize)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bad: &[f64], good: &[f64]) -> Vec<Scored> {
        let of = |chances: &[f64], defaulted| {
            chances.iter().map(|chance| Scored { chance: *chance, defaulted }).collect::<Vec<_>>()
        };
        [of(bad, true), of(good, false)].concat()
    }

    #[test]
    fn auc_counts_the_pairs_in_the_right_order_and_ties_half() {
        // Of six pairs 0.8 wins three; 0.4 wins one, ties one and loses one.
        let found = auc(&rows(&[0.8, 0.4], &[0.1, 0.4, 0.6])).unwrap();
        assert!((found.value - 4.5 / 6.0).abs() < 1e-12, "{found:?}");
        assert_eq!(auc(&rows(&[0.8, 0.9], &[0.1, 0.2])).unwrap(), Figure { value: 1.0, low: 1.0, high: 1.0 });
        assert_eq!(auc(&rows(&[0.1], &[0.9])).unwrap().value, 0.0);
    }

    #[test]
    fn the_interval_of_auc_is_that_of_delong_worked_out_by_hand() {
        // Placements of the bad 1, 0.5; of the good 1, 0.75, 0.5: variances 0.125 and 0.0625, by 2 and by 3 rows.
        let found = auc(&rows(&[0.8, 0.4], &[0.1, 0.4, 0.6])).unwrap();
        let reach = Z * (0.125_f64 / 2.0 + 0.0625 / 3.0).sqrt();
        assert!((found.low - (0.75 - reach)).abs() < 1e-12, "{found:?}");
        assert_eq!(found.high, 1.0, "no more than certain");
    }

    #[test]
    fn ks_is_the_widest_gap_and_a_tie_is_passed_by_both_sides_at_once() {
        // Up to 0.4: half of the bad, two thirds of the good; up to 0.6: half and all.
        let found = ks(&rows(&[0.8, 0.4], &[0.1, 0.4, 0.6])).unwrap();
        assert!((found.value - 0.5).abs() < 1e-12, "{found:?}");
        assert_eq!(ks(&rows(&[0.5, 0.5], &[0.5])).unwrap(), Figure { value: 0.0, low: 0.0, high: 0.0 });
        assert_eq!(ks(&rows(&[0.9], &[0.1])).unwrap().value, 1.0);
    }

    #[test]
    fn the_interval_of_ks_holds_it_and_narrows_with_more_rows() {
        let width = |each: u32| {
            let chance = |n: u32, shift: f64| f64::from(n % 97) / 97.0 + shift;
            let bad: Vec<f64> = (0..each).map(|n| chance(n * 31, 0.2)).collect();
            let good: Vec<f64> = (0..each).map(|n| chance(n * 17, 0.0)).collect();
            let found = ks(&rows(&bad, &good)).unwrap();
            assert!(found.low <= found.value && found.value <= found.high, "{found:?}");
            found.high - found.low
        };
        assert!(width(400) < width(100) * 0.7);
    }

    #[test]
    fn one_outcome_alone_has_no_auc_and_no_ks() {
        for alone in [rows(&[0.2, 0.3], &[]), rows(&[], &[0.2]), Vec::new()] {
            assert_eq!((auc(&alone), ks(&alone)), (None, None));
        }
    }

    #[test]
    fn lift_is_a_groups_default_rate_by_that_of_all() {
        let all = rows(&[0.9, 0.8], &[0.1, 0.2, 0.7]);
        let whole = Group::of(&all);
        let worst = Group::of(all.iter().filter(|row| row.chance > 0.5));
        assert_eq!((whole.rows, whole.defaulted, worst.rows, worst.defaulted), (5, 2, 3, 2));
        assert!((worst.lift(&whole).unwrap() - (2.0 / 3.0) / 0.4).abs() < 1e-12);
        assert!((whole.expected_rate().unwrap() - 0.54).abs() < 1e-12);
        assert_eq!(Group::default().default_rate(), None);
        assert_eq!(Group::default().lift(&whole), None);
        assert_eq!(whole.lift(&Group { rows: 3, ..Group::default() }), None, "nobody defaulted");
    }
}
