//! When a message that was not taken is tried again. Pure.

use jiff::{SignedDuration, Timestamp};

/// Times after the first attempt before which each further one is made, and after which the next: from 5 seconds to
/// 72 hours, in steps of hours at the end. Standard Webhooks asks for several days with growing pauses.
const STEPS_MS: [i64; 16] = [
    seconds(5),
    seconds(35),
    minutes(3),
    minutes(10),
    minutes(30),
    hours(1),
    hours(2),
    hours(4),
    hours(8),
    hours(14),
    hours(22),
    hours(32),
    hours(42),
    hours(52),
    hours(62),
    hours(72),
];

const fn seconds(n: i64) -> i64 {
    n * 1_000
}

const fn minutes(n: i64) -> i64 {
    n * seconds(60)
}

const fn hours(n: i64) -> i64 {
    n * minutes(60)
}

/// The further attempts at one message. Each is made somewhere within its own step, anywhere with equal chance (full
/// jitter), so that what failed together does not come back together. The same seed gives the same times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    seed: u64,
}

impl Schedule {
    /// How long after the first attempt the last one is made at the latest.
    pub const WITHIN: SignedDuration = SignedDuration::from_millis(STEPS_MS[STEPS_MS.len() - 1]);

    /// The schedule of the message with this name.
    pub fn of(name: &str) -> Self {
        // FNV-1a, 64 bits: a seed needs to be spread, not secret.
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { seed }
    }

    /// The first further attempt after `now` at a message that was first tried at `begun`; `None` when there is none
    /// left. Attempts that were missed are passed over, so that a stop of ours does not end in a burst.
    pub fn next(self, begun: Timestamp, now: Timestamp) -> Option<Timestamp> {
        self.attempts(begun).find(|at| *at > now)
    }

    /// All further attempts, earliest first.
    pub fn attempts(self, begun: Timestamp) -> impl Iterator<Item = Timestamp> {
        STEPS_MS.iter().enumerate().map(move |(number, &to)| {
            let from = number.checked_sub(1).map_or(0, |before| STEPS_MS[before]);
            let place = mixed(self.seed.wrapping_add(number as u64)) % (to - from).unsigned_abs();
            let after = from + 1 + i64::try_from(place).unwrap_or(0);
            begun.checked_add(SignedDuration::from_millis(after)).unwrap_or(Timestamp::MAX)
        })
    }
}

/// SplitMix64's output function (Steele, Lea, Flood 2014): neighbouring numbers become unrelated ones.
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Timestamp {
        "2026-11-02T08:00:00Z".parse().unwrap()
    }

    fn waits(name: &str) -> Vec<SignedDuration> {
        Schedule::of(name).attempts(begun()).map(|at| at.duration_since(begun())).collect()
    }

    #[test]
    fn attempts_follow_each_other_and_the_last_is_within_three_days() {
        for n in 0..1_000 {
            let waits = waits(&format!("notice-{n}"));
            assert!(waits.is_sorted_by(|a, b| a < b), "{waits:?}");
            assert!(waits[0] > SignedDuration::ZERO && waits[0] <= SignedDuration::from_secs(5));
            let last = waits[waits.len() - 1];
            assert!(last > SignedDuration::from_hours(62) && last <= Schedule::WITHIN, "{last:?}");
        }
    }

    #[test]
    fn each_attempt_is_spread_over_the_whole_of_its_step() {
        let all: Vec<_> = (0..2_000).map(|n| waits(&format!("notice-{n}"))).collect();
        for (number, &to) in STEPS_MS.iter().enumerate() {
            let from = number.checked_sub(1).map_or(0, |before| STEPS_MS[before]);
            let places = all.iter().map(|waits| waits[number].as_millis() as i64);
            let quarter = (to - from) / 4;
            for part in 0..4 {
                let (low, high) = (from + part * quarter, from + (part + 1) * quarter);
                let share = places.clone().filter(|place| (low..high).contains(place)).count();
                assert!((350..650).contains(&share), "step {number}, part {part}: {share} of 2,000");
            }
        }
    }

    #[test]
    fn the_same_name_has_the_same_times_and_another_name_has_others() {
        assert_eq!(waits("a"), waits("a"));
        assert_ne!(waits("a"), waits("b"));
    }

    #[test]
    fn the_next_attempt_lies_ahead_until_there_is_none() {
        let schedule = Schedule::of("a");
        let mut now = begun();
        let mut made = 0;
        while let Some(next) = schedule.next(begun(), now) {
            assert!(next > now);
            (now, made) = (next, made + 1);
        }
        assert_eq!(made, STEPS_MS.len());
    }

    #[test]
    fn a_stop_of_ours_costs_attempts_and_does_not_end_in_a_burst() {
        let schedule = Schedule::of("a");
        let late = begun() + SignedDuration::from_hours(40);
        let left: Vec<_> = schedule.attempts(begun()).filter(|at| *at > late).collect();
        assert_eq!(schedule.next(begun(), late), left.first().copied());
        assert!((3..=5).contains(&left.len()));
        assert_eq!(schedule.next(begun(), begun() + Schedule::WITHIN), None);
    }
}
