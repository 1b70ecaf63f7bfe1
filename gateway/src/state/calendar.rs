//! Days and months of UTC's calendar.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::Period;

const DAY: u64 = 86_400;

/// Returns the number of the period that holds `now`, and how long it still lasts.
pub(super) fn period(per: Period, now: SystemTime) -> (u64, Duration) {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let day = seconds / DAY;
    match per {
        Period::Day => (day, Duration::from_secs((day + 1) * DAY - seconds)),
        Period::Month => {
            let (year, month) = civil(day);
            // No month has more than 31 days, so the next one begins within 32.
            let next = (day + 1..=day + 32).find(|next| civil(*next) != (year, month)).unwrap_or(day + 31);
            (year * 12 + month, Duration::from_secs(next * DAY - seconds))
        }
    }
}

/// Returns the numbers of the day and the month that hold `now`.
pub(super) fn current(now: SystemTime) -> [u64; 2] {
    Period::ALL.map(|per| period(per, now).0)
}

/// Returns year and month of a day since 1970 (Howard Hinnant's `civil_from_days`, for days after the epoch).
fn civil(day: u64) -> (u64, u64) {
    let shifted = day + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month)
}

#[cfg(test)]
mod tests {
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
        assert_eq!((november, rest.as_secs()), (2026 * 12 + 11, 8 * DAY));
    }

    #[test]
    fn days_end_at_midnight() {
        assert_eq!(period(Period::Day, at(DAY + 1)), (1, Duration::from_secs(DAY - 1)));
    }
}
