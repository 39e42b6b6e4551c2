//! What groups of applications came to, from scores and outcomes alone.

/// One application that was scored: its chance to default as the model told it, and whether it did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    pub chance: f64,
    pub defaulted: bool,
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
