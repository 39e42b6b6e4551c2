//! Probabilities that the tests of this crate need.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// Where 95 % of a normal distribution lie within.
pub(crate) const Z_95: f64 = 1.959_963_984_540_054;

/// Probability that a standard normal variable is at least as far from zero as `z`.
pub(crate) fn normal_two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() * FRAC_1_SQRT_2)
}

/// Probability that a chi-square variable with so many degrees of freedom is at least `x`: the closed forms for whole
/// degrees (Abramowitz and Stegun, *Handbook of Mathematical Functions*, 26.4.4 and 26.4.5). 1 without any.
pub(crate) fn chi_square_at_least(x: f64, degrees: usize) -> f64 {
    if degrees == 0 || x <= 0.0 {
        return 1.0;
    }
    let root = x.sqrt();
    let (mut sum, mut term, first) = match degrees % 2 {
        // 2 Q(√x), and terms √x/1, √x·x/(1·3), … under the normal density.
        1 => (normal_two_sided(root), FRAC_2_PI.sqrt() * (-x / 2.0).exp() * root, 1),
        _ => (0.0, (-x / 2.0).exp(), 0),
    };
    let mut next = first;
    while next < degrees {
        sum += term;
        next += 2;
        term *= x / next as f64;
    }
    sum.min(1.0)
}

/// 95 % interval of a share, after Wilson (*Journal of the American Statistical Association* 22, 1927).
pub(crate) fn share_interval(part: usize, whole: usize) -> [f64; 2] {
    if whole == 0 {
        return [0.0, 1.0];
    }
    let (n, share, z2) = (whole as f64, part as f64 / whole as f64, Z_95 * Z_95);
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let reach = Z_95 / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    // At the ends the interval begins or ends there; rounding alone would miss it.
    let low = if part == 0 { 0.0 } else { middle - reach };
    let high = if part == whole { 1.0 } else { middle + reach };
    [low.max(0.0), high.min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 5e-4
    }

    #[test]
    fn chi_square_gives_the_values_of_the_printed_tables() {
        // Upper 5 % and 0.1 % points.
        for (degrees, five, thousandth) in [
            (1, 3.841, 10.828),
            (2, 5.991, 13.816),
            (3, 7.815, 16.266),
            (4, 9.488, 18.467),
            (9, 16.919, 27.877),
            (10, 18.307, 29.588),
            (63, 82.529, 103.442),
        ] {
            assert!(near(chi_square_at_least(five, degrees), 0.05), "{degrees}");
            assert!((chi_square_at_least(thousandth, degrees) - 0.001).abs() < 1e-6, "{degrees}");
        }
        assert_eq!(chi_square_at_least(0.0, 5), 1.0);
        assert_eq!(chi_square_at_least(3.0, 0), 1.0);
        assert_eq!(chi_square_at_least(1e9, 9), 0.0);
    }

    #[test]
    fn a_normal_variable_is_beyond_1_96_in_five_of_a_hundred() {
        assert!(near(normal_two_sided(Z_95), 0.05) && near(normal_two_sided(-Z_95), 0.05));
        assert_eq!(normal_two_sided(0.0), 1.0);
    }

    #[test]
    fn wilsons_interval_of_one_in_ten() {
        let [low, high] = share_interval(1, 10);
        assert!(near(low, 0.0179) && near(high, 0.4042), "{low} {high}");
        assert_eq!(share_interval(0, 10)[0], 0.0);
        assert_eq!(share_interval(10, 10)[1], 1.0);
        assert_eq!(share_interval(0, 0), [0.0, 1.0]);
    }
}
