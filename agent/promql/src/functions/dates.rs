//! Parts of a date in UTC.
//!
//! Howard Hinnant's `civil_from_days`, which is exact for every day that 64 bits can name.

struct Civil {
    year: i64,
    month: i64,
    day: i64,
}

fn civil(seconds: i64) -> Civil {
    let days = seconds.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    Civil { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

pub(super) fn year(seconds: i64) -> f64 {
    civil(seconds).year as f64
}

pub(super) fn month(seconds: i64) -> f64 {
    civil(seconds).month as f64
}

pub(super) fn day_of_month(seconds: i64) -> f64 {
    civil(seconds).day as f64
}

pub(super) fn day_of_week(seconds: i64) -> f64 {
    (seconds.div_euclid(86_400) + 4).rem_euclid(7) as f64
}

pub(super) fn day_of_year(seconds: i64) -> f64 {
    let Civil { year, month, day } = civil(seconds);
    (day + (1..month).map(|month| month_length(year, month)).sum::<i64>()) as f64
}

pub(super) fn days_in_month(seconds: i64) -> f64 {
    let Civil { year, month, .. } = civil(seconds);
    month_length(year, month) as f64
}

pub(super) fn hour(seconds: i64) -> f64 {
    (seconds.rem_euclid(86_400) / 3_600) as f64
}

pub(super) fn minute(seconds: i64) -> f64 {
    (seconds.rem_euclid(3_600) / 60) as f64
}
