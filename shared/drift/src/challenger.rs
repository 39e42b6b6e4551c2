//! A model that scores in shadow beside the one that decides, on the applications that both scored.

use crate::{
    calibration::band,
    discrimination::{PairedAuc, paired_auc},
    stability::{Shift, between, count},
};
use model::Distribution;
use serde::Serialize;

/// Rows by bin are tenths of the deciding model's points, where its training distribution is not known.
const TENTHS: usize = 10;

/// What two models say of one application, and what became of it where that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    pub points: i32,
    pub default_probability: f64,
    pub challenger_points: i32,
    pub challenger_probability: f64,
    pub defaulted: Option<bool>,
}

/// How the two compare. Of the challenger less the deciding model where a difference is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChallengerReport {
    /// Version of the model that scores in shadow.
    pub model: String,
    /// Applications of the window that both scored.
    pub applications: usize,
    /// Of the challenger's points against those of the deciding model, in the latter's bins.
    pub shift: Option<Shift>,
    /// Of the points, and of the predicted chances to default.
    pub mean_difference_points: Option<f64>,
    pub mean_difference_probability: Option<f64>,
    /// Spearman's, of the predicted chances; ties have their mean rank. `None` when either has one value only.
    pub rank_correlation: Option<f64>,
    /// By edge of a decision band, ascending.
    pub crossings: Vec<Crossing>,
    /// Loans with an outcome that both scored.
    pub loans: usize,
    pub defaulted: usize,
    /// AUC of both, the deciding model first; `None` when there are not enough of both outcomes.
    pub auc: Option<PairedAuc>,
}

/// Applications that the challenger would put on the other side of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Crossing {
    /// The lowest points of the upper side.
    pub edge: i32,
    /// Shares of the applications.
    pub up: f64,
    pub down: f64,
}

/// Compares. `window` are applications of the window, `outcomes` those whose loan has an outcome; the deciding model's
/// training distribution gives the bins of the points where it is known.
pub fn compare(
    model: &str,
    window: &[Pair],
    outcomes: &[Pair],
    points: Option<&Distribution>,
    edges: &[i32],
    least_of_each: usize,
) -> ChallengerReport {
    let mean = |difference: fn(&Pair) -> f64| {
        (!window.is_empty()).then(|| window.iter().map(difference).sum::<f64>() / window.len() as f64)
    };
    let known: Vec<(f64, f64, bool)> = outcomes
        .iter()
        .filter_map(|pair| Some((pair.default_probability, pair.challenger_probability, pair.defaulted?)))
        .collect();
    let defaulted = known.iter().filter(|row| row.2).count();
    let enough = defaulted.min(known.len() - defaulted) >= least_of_each;
    ChallengerReport {
        model: model.to_owned(),
        applications: window.len(),
        shift: shift(window, points),
        mean_difference_points: mean(|pair| f64::from(pair.challenger_points - pair.points)),
        mean_difference_probability: mean(|pair| pair.challenger_probability - pair.default_probability),
        rank_correlation: rank_correlation(window),
        crossings: edges.iter().map(|edge| crossing(window, *edge)).collect(),
        loans: known.len(),
        defaulted,
        auc: if enough { paired_auc(&known) } else { None },
    }
}

fn crossing(window: &[Pair], edge: i32) -> Crossing {
    let share = |from: usize, to: usize| {
        let crosses =
            |pair: &&Pair| band(&[edge], pair.points) == from && band(&[edge], pair.challenger_points) == to;
        window.iter().filter(crosses).count() as f64 / window.len().max(1) as f64
    };
    Crossing { edge, up: share(0, 1), down: share(1, 0) }
}

fn shift(window: &[Pair], points: Option<&Distribution>) -> Option<Shift> {
    let tenths = tenths(window);
    let bins = points.or(tenths.as_ref())?;
    let of = |points: fn(&Pair) -> i32| count(bins, window.iter().map(|pair| f64::from(points(pair))));
    let (ours, theirs) = (of(|pair| pair.points), of(|pair| pair.challenger_points));
    let expected = ours.bins.iter().map(|count| *count as f64 / window.len() as f64);
    between(expected.zip(theirs.bins.iter().copied()))
}

/// Bins that hold about a tenth of the deciding model's points each; the shares are not used.
fn tenths(window: &[Pair]) -> Option<Distribution> {
    let mut points: Vec<i32> = window.iter().map(|pair| pair.points).collect();
    points.sort_unstable();
    let highest = *points.last()?;
    let mut edges: Vec<f64> = (1..TENTHS)
        .filter_map(|tenth| points.get((points.len() * tenth / TENTHS).saturating_sub(1)))
        .filter(|edge| **edge < highest)
        .map(|edge| f64::from(*edge))
        .collect();
    edges.dedup();
    Some(Distribution { shares: vec![0.0; edges.len() + 1], edges, missing: 0.0 })
}

fn rank_correlation(window: &[Pair]) -> Option<f64> {
    let ranks = |chance: fn(&Pair) -> f64| {
        let mut sorted: Vec<f64> = window.iter().map(chance).collect();
        sorted.sort_by(f64::total_cmp);
        let rank = move |pair: &Pair| {
            let below = sorted.partition_point(|other| *other < chance(pair));
            let up_to = sorted.partition_point(|other| *other <= chance(pair));
            // Twice the mean rank, less what all ranks share: whole numbers, so nothing is rounded.
            (below + up_to) as f64
        };
        window.iter().map(rank).collect::<Vec<f64>>()
    };
    let (ours, theirs) = (ranks(|pair| pair.default_probability), ranks(|pair| pair.challenger_probability));
    let middle = window.len() as f64;
    let product =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    let spread = product(&ours, &ours) * product(&theirs, &theirs);
    (spread > 0.0).then(|| product(&ours, &theirs) / spread.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(points: i32, challenger: i32, defaulted: Option<bool>) -> Pair {
        let chance = |points: i32| 1.0 / (1.0 + 30.0 * 2_f64.powf(f64::from(points - 600) / 20.0));
        Pair {
            points,
            default_probability: chance(points),
            challenger_points: challenger,
            challenger_probability: chance(challenger),
            defaulted,
        }
    }

    #[test]
    fn two_models_that_say_the_same_differ_in_nothing() {
        let pairs: Vec<Pair> = (0..100).map(|n| pair(550 + n, 550 + n, Some(n < 30))).collect();
        let told = compare("2", &pairs, &pairs, None, &[600], 20);
        assert_eq!(told.shift.unwrap().psi, 0.0);
        assert_eq!((told.mean_difference_points, told.rank_correlation), (Some(0.0), Some(1.0)));
        assert_eq!(told.crossings, [Crossing { edge: 600, up: 0.0, down: 0.0 }]);
        let auc = told.auc.unwrap();
        assert_eq!((auc.one.value, auc.other.value, auc.difference.value), (1.0, 1.0, 0.0));
    }

    #[test]
    fn differences_are_what_they_are_by_hand() {
        let pairs = [pair(580, 600, None), pair(600, 590, None), pair(610, 620, None), pair(640, 630, None)];
        let told = compare("2", &pairs, &[], None, &[600, 620], 2);
        assert_eq!(told.mean_difference_points, Some(2.5));
        // Ranks 1 2 3 4 against 2 1 3 4: 1 - 6 · 2 / (4 · 15).
        assert!((told.rank_correlation.unwrap() - 0.8).abs() < 1e-12);
        let quarter = |edge, up, down| Crossing { edge, up, down };
        assert_eq!(told.crossings, [quarter(600, 0.25, 0.25), quarter(620, 0.25, 0.0)]);
        assert_eq!((told.loans, told.auc), (0, None));
    }

    #[test]
    fn the_shift_is_told_in_the_deciding_models_bins() {
        let bins = Distribution { edges: vec![600.0], shares: vec![0.5, 0.5], missing: 0.0 };
        let pairs: Vec<Pair> = (0..10)
            .map(|n| pair(if n < 5 { 590 } else { 610 }, if n < 8 { 590 } else { 610 }, None))
            .collect();
        let told = compare("2", &pairs, &[], Some(&bins), &[], 2);
        let by_hand = 0.3 * (0.8_f64 / 0.5).ln() - 0.3 * (0.2_f64 / 0.5).ln();
        assert!((told.shift.unwrap().psi - by_hand).abs() < 1e-12);
    }

    #[test]
    fn tied_ranks_share_their_mean_and_a_constant_has_no_correlation() {
        let pairs = [pair(600, 600, None), pair(600, 610, None), pair(620, 620, None)];
        // Ranks 1½ 1½ 3 against 1 2 3: Pearson's of these is √3 / 2.
        let told = compare("2", &pairs, &[], None, &[], 2);
        assert!((told.rank_correlation.unwrap() - 0.75_f64.sqrt()).abs() < 1e-12, "{told:?}");
        let constant = [pair(600, 600, None), pair(600, 610, None)];
        assert_eq!(compare("2", &constant, &[], None, &[], 2).rank_correlation, None);
    }

    #[test]
    fn with_too_few_of_an_outcome_no_auc_is_told_and_without_applications_nothing_is() {
        let outcomes: Vec<Pair> = (0..100).map(|n| pair(550 + n, 560 + n, Some(n < 19))).collect();
        let told = compare("2", &[], &outcomes, None, &[600], 20);
        assert_eq!((told.loans, told.defaulted, told.auc), (100, 19, None));
        assert_eq!((told.shift, told.mean_difference_points, told.rank_correlation), (None, None, None));
        assert_eq!(told.crossings[0].up, 0.0);
    }
}
