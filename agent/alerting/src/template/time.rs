//! Times and durations as Go prints them.

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const NANOS: i64 = 1_000_000_000;

/// A time in UTC, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: usize,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) nanosecond: i64,
    /// From 0, a Sunday.
    pub(super) weekday: usize,
    /// From 1.
    pub(super) year_day: i64,
}

/// The parts of a time in nanoseconds since 1970.
pub(super) fn parts(nanos: i64) -> Parts {
    let seconds = nanos.div_euclid(NANOS);
    let days = seconds.div_euclid(86_400);
    let of_day = seconds.rem_euclid(86_400);
    let (year, month, day) = civil(days);
    let first = days_before(year);
    Parts {
        year,
        month,
        day,
        hour: of_day / 3600,
        minute: of_day / 60 % 60,
        second: of_day % 60,
        nanosecond: nanos.rem_euclid(NANOS),
        weekday: (days + 4).rem_euclid(7) as usize,
        year_day: days - first + 1,
    }
}

/// Days from 1970 to the first of January.
fn days_before(year: i64) -> i64 {
    let before = year - 1;
    365 * (year - 1970) + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 477
}

/// The date of a day since 1970: Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as usize, of_year - (153 * shifted + 2) / 5 + 1)
}

/// As Go prints a time.
pub(super) fn shown(nanos: i64) -> String {
    format(nanos, "2006-01-02 15:04:05.999999999 -0700 MST")
}

/// The pieces of a layout, longest first where one begins another, and what each prints.
type Piece = (&'static str, fn(&Parts) -> String);

const PIECES: [Piece; 30] = [
    ("January", |p| month(p).to_owned()),
    ("Jan", |p| abbreviated(month(p))),
    ("Monday", |p| weekday(p).to_owned()),
    ("Mon", |p| abbreviated(weekday(p))),
    ("MST", |_| "UTC".to_owned()),
    ("2006", |p| format!("{:04}", p.year)),
    ("-07:00:00", |_| "+00:00:00".to_owned()),
    ("-070000", |_| "+000000".to_owned()),
    ("-07:00", |_| "+00:00".to_owned()),
    ("-0700", |_| "+0000".to_owned()),
    ("-07", |_| "+00".to_owned()),
    ("Z07:00:00", |_| "Z".to_owned()),
    ("Z070000", |_| "Z".to_owned()),
    ("Z07:00", |_| "Z".to_owned()),
    ("Z0700", |_| "Z".to_owned()),
    ("Z07", |_| "Z".to_owned()),
    ("002", |p| format!("{:03}", p.year_day)),
    ("01", |p| format!("{:02}", p.month)),
    ("02", |p| format!("{:02}", p.day)),
    ("03", |p| format!("{:02}", twelve(p))),
    ("04", |p| format!("{:02}", p.minute)),
    ("05", |p| format!("{:02}", p.second)),
    ("06", |p| format!("{:02}", p.year.rem_euclid(100))),
    ("15", |p| format!("{:02}", p.hour)),
    ("PM", |p| if p.hour < 12 { "AM" } else { "PM" }.to_owned()),
    ("pm", |p| if p.hour < 12 { "am" } else { "pm" }.to_owned()),
    ("__2", |p| format!("{:3}", p.year_day)),
    ("_2006", |p| format!("_{:04}", p.year)),
    ("_2", |p| format!("{:2}", p.day)),
    ("1", |p| p.month.to_string()),
];

const SINGLE: [Piece; 4] = [
    ("2", |p| p.day.to_string()),
    ("3", |p| twelve(p).to_string()),
    ("4", |p| p.minute.to_string()),
    ("5", |p| p.second.to_string()),
];

fn month(parts: &Parts) -> &'static str {
    MONTHS.get(parts.month - 1).copied().unwrap_or("")
}

fn weekday(parts: &Parts) -> &'static str {
    DAYS.get(parts.weekday).copied().unwrap_or("")
}

fn abbreviated(name: &str) -> String {
    name.chars().take(3).collect()
}

fn twelve(parts: &Parts) -> i64 {
    (parts.hour + 11) % 12 + 1
}

/// Go's `Time.Format`: the layout is how the second of January 2006, 15:04:05, would be written.
pub(super) fn format(nanos: i64, layout: &str) -> String {
    let parts = parts(nanos);
    let mut text = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        if let Some((fraction, length)) = fraction(rest, &parts) {
            text.push_str(&fraction);
            rest = rest.get(length..).unwrap_or("");
            continue;
        }
        let piece = PIECES.iter().chain(&SINGLE).find(|(piece, _)| begins(rest, piece));
        let length = piece.map_or(first.len_utf8(), |(piece, _)| piece.len());
        match piece {
            Some((_, print)) => text.push_str(&print(&parts)),
            None => text.push(first),
        }
        rest = rest.get(length..).unwrap_or("");
    }
    text
}

/// `Jan` in `January` and `Mon` in `Monday` are not followed by a small letter.
fn begins(layout: &str, piece: &str) -> bool {
    layout.strip_prefix(piece).is_some_and(|after| {
        !matches!(piece, "Jan" | "Mon") || !after.starts_with(|c: char| c.is_ascii_lowercase())
    })
}

/// `.000` and `.999`, which leaves zeros at the end out; not followed by another digit.
fn fraction(layout: &str, parts: &Parts) -> Option<(String, usize)> {
    let point = layout.chars().next().filter(|c| matches!(c, '.' | ','))?;
    let kind = layout.chars().nth(1).filter(|c| matches!(c, '0' | '9'))?;
    let digits = layout.get(1..)?;
    let count = digits.find(|c| c != kind).unwrap_or(digits.len());
    if digits.get(count..)?.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let all = format!("{:09}", parts.nanosecond);
    let shown = all.get(..count.min(9))?;
    let shown = if kind == '9' { shown.trim_end_matches('0') } else { shown };
    let padding = if kind == '0' { "0".repeat(count.saturating_sub(9)) } else { String::new() };
    let text = if shown.is_empty() { String::new() } else { format!("{point}{shown}{padding}") };
    Some((text, count + 1))
}

/// As Go prints a duration: `1h2m0.5s`, `1.5ms`, `0s`.
pub(super) fn duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let decimal = |unit: u64| {
        let fraction = format!("{:0width$}", size % unit, width = unit.ilog10() as usize);
        format!("{}.{fraction}", size / unit).trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{size}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(1_000_000)),
        _ => {
            let minutes = size / (60 * NANOS as u64);
            let rest = size % (60 * NANOS as u64);
            let fraction = format!("{}.{:09}", rest / NANOS as u64, rest % NANOS as u64);
            let seconds = fraction.trim_end_matches('0').trim_end_matches('.');
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}
