//! The day on which something happens.

use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::offset,
};

/// The date in China, which has one time zone and no daylight saving.
pub fn day_in_china(at: Timestamp) -> Date {
    offset(8).to_datetime(at).date()
}

/// The moment at which a day in China is over and the next one begins.
pub fn end_of_day_in_china(day: Date) -> Timestamp {
    let next = day.tomorrow().map(|next| next.to_datetime(Time::midnight()));
    next.and_then(|next| offset(8).to_timestamp(next)).unwrap_or(Timestamp::MAX)
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

    #[test]
    fn a_day_ends_where_the_next_one_begins() {
        let end = end_of_day_in_china(jiff::civil::date(2026, 11, 22));
        assert_eq!(end, "2026-11-22T16:00:00Z".parse().unwrap());
        assert_eq!(day_in_china(end), jiff::civil::date(2026, 11, 23));
        assert_eq!(end_of_day_in_china(Date::MAX), Timestamp::MAX);
    }
}
