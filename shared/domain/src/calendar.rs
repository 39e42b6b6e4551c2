//! The day on which something happens.

use jiff::{Timestamp, civil::Date, tz::offset};

/// The date in China, which has one time zone and no daylight saving.
pub fn day_in_china(at: Timestamp) -> Date {
    offset(8).to_datetime(at).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_begins_in_china_eight_hours_before_it_does_in_greenwich() {
        let at = |text: &str| day_in_china(text.parse().unwrap());
        assert_eq!(at("2026-11-22T16:00:00Z"), jiff::civil::date(2026, 11, 23));
        assert_eq!(at("2026-11-22T15:59:59Z"), jiff::civil::date(2026, 11, 22));
    }
}
