//! Whether as many default as was predicted.

use crate::chance::{normal_two_sided, share_interval};
use serde::Serialize;

/// Loans with their outcome, by what was predicted of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Calibration {
    pub loans: usize,
    pub defaulted: usize,
    /// Defaults that the predictions add up to.
    pub predicted: f64,
    /// Spiegelhalter's statistic: about standard normal when the predictions are right, above zero when more default
    /// than predicted among loans whose predicted chance is under one half (Spiegelhalter, *Statistics in Medicine* 5,
    /// 1986). `None` when every prediction is 0, ½ or 1.
    pub z: Option<f64>,
    /// Probability of predictions as far off by chance.
    pub by_chance: Option<f64>,
}

/// A band of points and its loans.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BandOutcome {
    /// The lowest points that belong to it; `None` for the lowest band.
    pub from: Option<i32>,
    pub loans: usize,
    pub defaulted: usize,
    /// Share that defaulted, with its 95 % interval; `None` without loans.
    pub observed: Option<f64>,
    pub interval: [f64; 2],
    /// Mean of the predicted chances; `None` without loans.
    pub predicted: Option<f64>,
}

/// Calibration of rows of predicted chance and outcome.
pub fn calibration(rows: impl Iterator<Item = (f64, bool)>) -> Calibration {
    let (mut loans, mut defaulted, mut predicted, mut over, mut variance) = (0, 0, 0.0, 0.0, 0.0);
    for (chance, bad) in rows {
        loans += 1;
        defaulted += usize::from(bad);
        predicted += chance;
        let weight = 1.0 - 2.0 * chance;
        over += (f64::from(u8::from(bad)) - chance) * weight;
        variance += weight * weight * chance * (1.0 - chance);
    }
    let z = (variance > 0.0).then(|| over / variance.sqrt());
    Calibration { loans, defaulted, predicted, z, by_chance: z.map(normal_two_sided) }
}

/// The band of points that `points` belong to, among bands that begin at each of `edges` (ascending).
pub(crate) fn band(edges: &[i32], points: i32) -> usize {
    edges.partition_point(|edge| *edge <= points)
}

/// The first points of each band.
pub(crate) fn beginnings(edges: &[i32]) -> impl Iterator<Item = Option<i32>> {
    [None].into_iter().chain(edges.iter().copied().map(Some))
}

/// Rows of points, predicted chance and outcome by band, lowest band first.
pub(crate) fn by_band(edges: &[i32], rows: &[(i32, f64, bool)]) -> Vec<BandOutcome> {
    let of_band = |(place, from): (usize, Option<i32>)| {
        let inside: Vec<_> = rows.iter().filter(|row| band(edges, row.0) == place).collect();
        let (loans, defaulted) = (inside.len(), inside.iter().filter(|row| row.2).count());
        let share = |sum: f64| (loans > 0).then(|| sum / loans as f64);
        BandOutcome {
            from,
            loans,
            defaulted,
            observed: share(defaulted as f64),
            interval: share_interval(defaulted, loans),
            predicted: share(inside.iter().map(|row| row.1).sum()),
        }
    };
    beginnings(edges).enumerate().map(of_band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spiegelhalters_statistic_is_what_it_is_by_hand() {
        // (0-.25)(.5) + (1-.75)(-.5) = -.25; variance 2 · .25 · .1875 = .09375
        let told = calibration([(0.25, false), (0.75, true)].into_iter());
        assert_eq!((told.loans, told.defaulted, told.predicted), (2, 1, 1.0));
        assert!((told.z.unwrap() + 0.25 / 0.09375_f64.sqrt()).abs() < 1e-12);
        assert!((told.by_chance.unwrap() - 0.4142).abs() < 1e-4, "{told:?}");
    }

    /// A thousand loans of a predicted chance of 4 %, of which so many default.
    fn thousand(defaulted: usize) -> Calibration {
        calibration((0..1_000).map(|loan| (0.04, loan < defaulted)))
    }

    #[test]
    fn right_predictions_are_told_from_wrong_ones() {
        assert!(thousand(40).by_chance.unwrap() > 0.999);
        // One prediction for all: the statistic is that of a share, 40 / √(1000 · .04 · .96).
        let twice = thousand(80);
        assert!((twice.z.unwrap() - 40.0 / 38.4_f64.sqrt()).abs() < 1e-9, "{twice:?}");
        assert!(twice.by_chance.unwrap() < 1e-9);
        assert!(thousand(0).z.unwrap() < -6.0, "too few defaults are as wrong as too many");
    }

    #[test]
    fn predictions_that_cannot_be_wrong_by_chance_have_no_statistic() {
        assert_eq!(calibration([(0.5, true), (0.0, false)].into_iter()).z, None);
        assert_eq!(calibration(std::iter::empty()).by_chance, None);
    }

    #[test]
    fn a_band_begins_at_its_edge() {
        let edges = [590, 600];
        assert_eq!([300, 589, 590, 599, 600, 900].map(|points| band(&edges, points)), [0, 0, 1, 1, 2, 2]);
        let rows = [(580, 0.08, true), (589, 0.04, false), (600, 0.02, false)];
        let bands = by_band(&edges, &rows);
        assert_eq!(bands.iter().map(|band| band.from).collect::<Vec<_>>(), [None, Some(590), Some(600)]);
        assert_eq!((bands[0].loans, bands[0].defaulted, bands[0].observed), (2, 1, Some(0.5)));
        assert_eq!(bands[0].predicted, Some(0.06));
        assert_eq!((bands[1].loans, bands[1].observed, bands[1].interval), (0, None, [0.0, 1.0]));
    }
}
