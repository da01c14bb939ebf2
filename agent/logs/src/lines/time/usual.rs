//! Forms of time that show themselves, read by hand.

use telemetry::Timestamp;

/// What clocks show, where it is not said of which zone, or year, it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lines) struct Civil {
    /// Since 1970, as if in UTC.
    pub(in crate::lines) seconds: i64,
    /// Of the second.
    pub(in crate::lines) nanos: u32,
    /// How far its zone is ahead of UTC, in seconds, if it says so.
    pub(in crate::lines) offset: Option<i32>,
    /// It has no year; its seconds are those of 2000.
    pub(in crate::lines) yearless: bool,
}

/// A part of a text that has been read up to here.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    /// A number of exactly so many digits.
    fn digits<const N: usize>(&mut self) -> Option<u32> {
        let (digits, rest) = self.0.split_first_chunk::<N>()?;
        let mut number = 0;
        for digit in digits {
            let digit = digit.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number = number * 10 + u32::from(digit);
        }
        self.0 = rest;
        Some(number)
    }

    /// The next byte, if it is one of these.
    fn one_of(&mut self, wanted: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        wanted.contains(first).then(|| self.0 = rest)?;
        Some(*first)
    }

    /// `.123` or `,123`: nanoseconds; zero where there is no fraction. Digits beyond the ninth are passed over.
    fn fraction(&mut self) -> u32 {
        let Some((b'.' | b',', after)) = self.0.split_first() else { return 0 };
        let count = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return 0;
        }
        let (digits, rest) = after.split_at(count);
        self.0 = rest;
        let mut nanos = 0;
        for place in 0..9 {
            nanos = nanos * 10 + digits.get(place).map_or(0, |digit| u32::from(digit - b'0'));
        }
        nanos
    }

    /// `08:00:00` with a fraction: seconds and nanoseconds of the day. A leap second is the next one.
    fn time_of_day(&mut self) -> Option<(i64, u32)> {
        let hour = self.digits::<2>()?;
        self.one_of(b":")?;
        let minute = self.digits::<2>()?;
        self.one_of(b":")?;
        let second = self.digits::<2>()?;
        (hour < 24 && minute < 60 && second <= 60).then_some(())?;
        Some((i64::from(hour * 3600 + minute * 60 + second), self.fraction()))
    }

    /// `Z`, ` UTC`, `+01:00`, `+0100`, ` +0100`, `+01`; nothing is taken where there is none of these.
    fn offset(&mut self) -> Option<i32> {
        let spaced = self.0.strip_prefix(b" ").unwrap_or(self.0);
        for name in [&b"Z"[..], b"z", b"UTC", b"GMT"] {
            if let Some(rest) = spaced.strip_prefix(name)
                && !rest.first().is_some_and(u8::is_ascii_alphanumeric)
            {
                self.0 = rest;
                return Some(0);
            }
        }
        let mut cursor = Cursor(spaced);
        let sign = if cursor.one_of(b"+-")? == b'-' { -1 } else { 1 };
        let hours = cursor.digits::<2>()?;
        let colon = cursor.one_of(b":").is_some();
        let minutes = match cursor.digits::<2>() {
            Some(minutes) => minutes,
            None if colon => return None,
            None => 0,
        };
        (hours < 24 && minutes < 60).then_some(())?;
        self.0 = cursor.0;
        Some(sign * (hours * 3600 + minutes * 60) as i32)
    }

    /// `Nov`.
    fn month(&mut self) -> Option<u32> {
        let (name, rest) = self.0.split_first_chunk::<3>()?;
        let month = match name {
            b"Jan" => 1,
            b"Feb" => 2,
            b"Mar" => 3,
            b"Apr" => 4,
            b"May" => 5,
            b"Jun" => 6,
            b"Jul" => 7,
            b"Aug" => 8,
            b"Sep" => 9,
            b"Oct" => 10,
            b"Nov" => 11,
            b"Dec" => 12,
            _ => return None,
        };
        self.0 = rest;
        Some(month)
    }

    /// ` 2` or `22` or `2`.
    fn day(&mut self) -> Option<u32> {
        if let Some(rest) = self.0.strip_prefix(b" ") {
            self.0 = rest;
            return self.digits::<1>();
        }
        self.digits::<2>().or_else(|| self.digits::<1>())
    }
}

/// Days since 1970 of a date of the Gregorian calendar that exists.
const fn days(year: i64, month: u32, day: u32) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if day == 0 || day > length {
        return None;
    }
    // Years that begin in March, so that the day that comes and goes is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month as i64 + 9) % 12) + 2) / 5 + day as i64 - 1;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// `2026-11-22T08:00:00.1Z`, also with a space for the `T`, slashes for the dashes, a comma for the point, and without
/// zone; with what follows it.
pub(in crate::lines) fn civil(text: &[u8]) -> Option<(Civil, &[u8])> {
    let mut cursor = Cursor(text);
    let year = cursor.digits::<4>()?;
    let dash = cursor.one_of(b"-/")?;
    let month = cursor.digits::<2>()?;
    cursor.one_of(&[dash])?;
    let day = cursor.digits::<2>()?;
    cursor.one_of(b"Tt ")?;
    let (seconds, nanos) = cursor.time_of_day()?;
    let offset = cursor.offset();
    let seconds = days(i64::from(year), month, day)? * 86_400 + seconds;
    Some((Civil { seconds, nanos, offset, yearless: false }, cursor.0))
}

/// `22/Nov/2026:08:00:00 +0000` with what follows it.
pub(in crate::lines) fn access(text: &[u8]) -> Option<(Civil, &[u8])> {
    let mut cursor = Cursor(text);
    let day = cursor.digits::<2>()?;
    cursor.one_of(b"/")?;
    let month = cursor.month()?;
    cursor.one_of(b"/")?;
    let year = cursor.digits::<4>()?;
    cursor.one_of(b":")?;
    let (seconds, nanos) = cursor.time_of_day()?;
    let offset = cursor.offset();
    let seconds = days(i64::from(year), month, day)? * 86_400 + seconds;
    Some((Civil { seconds, nanos, offset, yearless: false }, cursor.0))
}

/// `Nov 22 08:00:00`, also with a fraction, or a year before the time; with what follows it.
pub(in crate::lines) fn syslog(text: &[u8]) -> Option<(Civil, &[u8])> {
    let mut cursor = Cursor(text);
    let month = cursor.month()?;
    cursor.one_of(b" ")?;
    let day = cursor.day()?;
    cursor.one_of(b" ")?;
    let mut with_year = Cursor(cursor.0);
    let year = with_year.digits::<4>().filter(|_| with_year.one_of(b" ").is_some());
    if year.is_some() {
        cursor = with_year;
    }
    let (seconds, nanos) = cursor.time_of_day()?;
    let seconds = days(i64::from(year.unwrap_or(2000)), month, day)? * 86_400 + seconds;
    Some((Civil { seconds, nanos, offset: None, yearless: year.is_none() }, cursor.0))
}

/// `Sun Nov 22 08:00:00.123456 2026`, as Apache's error log has it, with what follows it.
pub(in crate::lines) fn ctime(text: &[u8]) -> Option<(Civil, &[u8])> {
    let (weekday, rest) = text.split_first_chunk::<3>()?;
    weekday.iter().all(u8::is_ascii_alphabetic).then_some(())?;
    let mut cursor = Cursor(rest);
    cursor.one_of(b" ")?;
    let month = cursor.month()?;
    cursor.one_of(b" ")?;
    let day = cursor.day()?;
    cursor.one_of(b" ")?;
    let (seconds, nanos) = cursor.time_of_day()?;
    cursor.one_of(b" ")?;
    let year = cursor.digits::<4>()?;
    let seconds = days(i64::from(year), month, day)? * 86_400 + seconds;
    Some((Civil { seconds, nanos, offset: None, yearless: false }, cursor.0))
}

/// A decimal number of units since 1970, `per_second` of them in a second; where that is not given, the size of the
/// number says whether it is seconds, milli-, micro- or nanoseconds.
pub(in crate::lines) fn unix(text: &[u8], per_second: Option<u32>) -> Option<Timestamp> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let mut number: i64 = 0;
    let mut rest = digits;
    while let Some((digit @ b'0'..=b'9', after)) = rest.split_first() {
        number = number.checked_mul(10)?.checked_add(i64::from(digit - b'0'))?;
        rest = after;
    }
    if rest.len() == digits.len() {
        return None;
    }
    let mut cursor = Cursor(rest);
    let fraction = i64::from(cursor.fraction());
    if !cursor.0.is_empty() {
        return exponent(text, per_second);
    }
    let per_second = i64::from(per_second.unwrap_or_else(|| scale(number)));
    let nanos = number.checked_mul(1_000_000_000 / per_second)?.checked_add(fraction / per_second)?;
    Some(Timestamp::from_nanos(if negative { -nanos } else { nanos }))
}

/// `1.7e9`.
fn exponent(text: &[u8], per_second: Option<u32>) -> Option<Timestamp> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let per_second = per_second.unwrap_or_else(|| scale(number.abs() as i64));
    let nanos = number / f64::from(per_second) * 1e9;
    (nanos.abs() < i64::MAX as f64).then(|| Timestamp::from_nanos(nanos as i64))
}

/// Seconds reach the year 5138 before they look like milliseconds, and so on.
const fn scale(number: i64) -> u32 {
    if number < 100_000_000_000 {
        1
    } else if number < 100_000_000_000_000 {
        1_000
    } else if number < 100_000_000_000_000_000 {
        1_000_000
    } else {
        1_000_000_000
    }
}
