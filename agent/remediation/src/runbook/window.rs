//! Hours of the week at a place: `Mon-Fri 09:00-17:00 Europe/Berlin`.
//!
//! Judged by the clock on the wall there, so that summer time moves the window with the people. An end before its
//! beginning lies on the next day, and belongs to the day on which the window began.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use telemetry::Timestamp;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const HOW: &str = "write it as in `Mon-Fri 09:00-17:00 Europe/Berlin`";
const MINUTES_OF_DAY: u16 = 24 * 60;

/// Hours of the week.
#[derive(Clone, Debug)]
pub struct Window {
    text: String,
    /// From Monday on.
    days: [bool; 7],
    /// Minutes since midnight; the end is not part of it.
    begins: u16,
    ends: u16,
    zone: TimeZone,
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let (Some(days), Some(hours), Some(zone), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(format!("{text:?} is not days, hours and a time zone; {HOW}"));
        };
        let (begins, ends) =
            hours.split_once('-').ok_or_else(|| format!("{hours:?} are not hours; {HOW}"))?;
        let (begins, ends) = (minute(begins)?, minute(ends)?);
        if begins == ends || begins == MINUTES_OF_DAY {
            return Err(format!("{hours:?} is no time at all; the whole day is 00:00-24:00"));
        }
        let zone = match zone {
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name)
                .map_err(|_| format!("{name:?} is no time zone that this host knows; {HOW}, or UTC"))?,
        };
        Ok(Self { text: text.to_owned(), days: read_days(days)?, begins, ends, zone })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Window {
    /// Whether the moment lies in it; None if the moment lies beyond all calendars.
    pub fn has(&self, at: Timestamp) -> Option<bool> {
        let moment = jiff::Timestamp::from_nanosecond(i128::from(at.as_nanos())).ok()?;
        let there = self.zone.to_datetime(moment);
        let minute = there.hour() as u16 * 60 + there.minute() as u16;
        let is_on =
            |day: Weekday| self.days.get(day.to_monday_zero_offset() as usize).copied().unwrap_or(false);
        let today = there.date().weekday();
        Some(if self.begins < self.ends {
            is_on(today) && (self.begins..self.ends).contains(&minute)
        } else {
            is_on(today) && minute >= self.begins || is_on(today.previous()) && minute < self.ends
        })
    }
}

fn minute(text: &str) -> Result<u16, String> {
    let wrong = || format!("{text:?} is no time of day; {HOW}");
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    if hours.len() != 2 || minutes.len() != 2 {
        return Err(wrong());
    }
    let (hours, minutes): (u16, u16) =
        (hours.parse().map_err(|_| wrong())?, minutes.parse().map_err(|_| wrong())?);
    let minute = hours * 60 + minutes;
    if minutes < 60 && minute <= MINUTES_OF_DAY { Ok(minute) } else { Err(wrong()) }
}

/// `Mon-Fri`, `Sat,Sun` or `Fri-Mon,Wed`.
fn read_days(text: &str) -> Result<[bool; 7], String> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let length = (last + DAYS.len() - first) % DAYS.len();
        for (at, on) in days.iter_mut().enumerate() {
            *on |= (at + DAYS.len() - first) % DAYS.len() <= length;
        }
    }
    Ok(days)
}

fn day(text: &str) -> Result<usize, String> {
    let known = DAYS.iter().position(|day| *day == text);
    known.ok_or_else(|| format!("{text:?} is no day; days are {}", DAYS.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of moments around Monday, 2026-03-30; on the Sunday before, summer time began in Berlin.
    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_secs(moment.as_second())
    }

    #[test]
    fn a_window_follows_the_clock_on_the_wall_there() {
        for (window, moment, inside) in [
            ("Mon-Fri 09:00-17:00 UTC", "2026-03-30T09:00:00Z", true),
            ("Mon-Fri 09:00-17:00 UTC", "2026-03-30T08:59:59Z", false),
            ("Mon-Fri 09:00-17:00 UTC", "2026-03-30T17:00:00Z", false),
            ("Mon-Fri 09:00-17:00 UTC", "2026-03-29T12:00:00Z", false),
            ("Mon-Fri 09:00-17:00 Europe/Berlin", "2026-03-30T07:30:00Z", true),
            ("Mon-Fri 09:00-17:00 Europe/Berlin", "2026-03-27T07:30:00Z", false),
            ("Sat 22:00-06:00 UTC", "2026-03-28T23:00:00Z", true),
            ("Sat 22:00-06:00 UTC", "2026-03-29T05:59:00Z", true),
            ("Sat 22:00-06:00 UTC", "2026-03-29T22:30:00Z", false),
            ("Sat 22:00-06:00 UTC", "2026-03-28T05:00:00Z", false),
            ("Fri-Mon,Wed 00:00-24:00 UTC", "2026-03-30T23:59:59Z", true),
            ("Fri-Mon,Wed 00:00-24:00 UTC", "2026-03-31T00:00:00Z", false),
            ("Fri-Mon,Wed 00:00-24:00 UTC", "2026-04-01T12:00:00Z", true),
        ] {
            let read: Window = window.parse().unwrap();
            assert_eq!(read.has(at(moment)), Some(inside), "{window} {moment}");
        }
    }

    #[test]
    fn what_is_no_window_is_refused_with_what_would_be_one() {
        for (text, expected) in [
            ("Mon-Fri", "is not days, hours and a time zone"),
            ("Mon-Fri 09:00-17:00", "is not days, hours and a time zone"),
            ("Mo 09:00-17:00 UTC", "\"Mo\" is no day; days are Mon, Tue"),
            ("Mon 9-17 UTC", "\"9\" is no time of day"),
            ("Mon 09:00-24:01 UTC", "\"24:01\" is no time of day"),
            ("Mon 09:00-09:00 UTC", "is no time at all; the whole day is 00:00-24:00"),
            ("Mon 09:00-17:00 Europe/Nowhere", "is no time zone that this host knows"),
        ] {
            let error = text.parse::<Window>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
