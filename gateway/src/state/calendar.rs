//! Days and months of the UTC calendar.

use std::time::{Duration, SystemTime};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::config::Period;

const DAY: i64 = 86_400;

/// Returns the number of the day or month that contains `now`, and the time until it ends.
pub(super) fn period(per: Period, now: SystemTime) -> (u64, Duration) {
    let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH).max(Timestamp::UNIX_EPOCH);
    let date = TimeZone::UTC.to_datetime(now).date();
    let (number, last) = match per {
        Period::Day => (now.as_second() / DAY, date),
        Period::Month => (i64::from(date.year()) * 12 + i64::from(date.month()), date.last_of_month()),
    };
    (number.unsigned_abs(), now.duration_until(end_of(last).unwrap_or(now)).unsigned_abs())
}

/// Returns the numbers of the day and the month that contain `now`.
pub(super) fn current(now: SystemTime) -> [u64; 2] {
    Period::ALL.map(|per| period(per, now).0)
}

/// Returns when `date` ends; none beyond the year 9999.
fn end_of(date: Date) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(date.tomorrow().ok()?.to_datetime(jiff::civil::Time::midnight())).ok()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn months_end_where_the_calendar_says() {
        // 2024-02-29T12:00:00Z and 2026-11-23T00:00:00Z.
        let (leap, rest) = period(Period::Month, at(1_709_208_000));
        assert_eq!((leap, rest.as_secs()), (2024 * 12 + 2, 43_200));
        let (november, rest) = period(Period::Month, at(1_795_392_000));
        assert_eq!((november, rest.as_secs()), (2026 * 12 + 11, 8 * DAY.unsigned_abs()));
    }

    #[test]
    fn days_end_at_midnight() {
        assert_eq!(period(Period::Day, at(DAY.unsigned_abs() + 1)), (1, Duration::from_secs(DAY.unsigned_abs() - 1)));
    }
}
