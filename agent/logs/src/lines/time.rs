//! Times as log lines have them.
//!
//! Usual forms are read by hand; what the configuration spells is read by jiff. A time without a zone is of the configured
//! zone. Where clocks go forward, a time that did not exist is read as if they had not; where they go back, a time that
//! was twice is the later one, unless that has not come yet. A time without a year is the last one that is not more than
//! a day ahead; one without a date, too.

use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use telemetry::Timestamp;

use super::options::{RecordOptionsError, RecordSettings};

mod usual;

pub(super) use usual::{Civil, access, civil, ctime, syslog};

/// How far ahead of the host's clock a time without a date or year may be, in seconds. One that would be further ahead
/// is one of the past.
const AHEAD_SECS: i64 = 86_400;

/// A number that would be an earlier moment is no time where nobody said that it is one, but a duration perhaps: 2000.
const PLAUSIBLE: Timestamp = Timestamp::from_secs(946_684_800);

/// How times are written.
#[derive(Clone, Debug, Default)]
enum Form {
    /// In a form that shows itself.
    #[default]
    Usual,
    /// A number of units since 1970, so many of which are a second.
    Unix(u32),
    /// As for `strftime`.
    Spelled(Arc<str>),
}

/// How the times of one source are read.
#[derive(Clone, Debug, Default)]
pub(super) struct TimeRule {
    form: Form,
    /// UTC if none.
    zone: Option<TimeZone>,
}

impl TimeRule {
    pub(super) fn new(settings: &RecordSettings) -> Result<Self, RecordOptionsError> {
        let zone = match settings.zone.as_deref() {
            None => settings.host_zone.clone().filter(|zone| *zone != TimeZone::UTC),
            Some("UTC") => None,
            Some(name) => {
                Some(TimeZone::get(name).map_err(|_| RecordOptionsError::Zone { name: name.to_owned() })?)
            }
        };
        let form = match settings.time_format.as_deref() {
            None => Form::Usual,
            Some("unix") => Form::Unix(1),
            Some("unix_ms") => Form::Unix(1_000),
            Some("unix_us") => Form::Unix(1_000_000),
            Some("unix_ns") => Form::Unix(1_000_000_000),
            Some(format) => {
                check(format)?;
                Form::Spelled(format.into())
            }
        };
        Ok(Self { form, zone })
    }

    /// The moment that a text or a number says, if it can be read.
    pub(super) fn read(&self, text: &[u8], now: Timestamp) -> Option<Timestamp> {
        match &self.form {
            Form::Usual => self.usual(text, now),
            Form::Unix(per_second) => usual::unix(text, Some(*per_second)),
            Form::Spelled(format) => self.spelled(format, text, now),
        }
    }

    fn usual(&self, text: &[u8], now: Timestamp) -> Option<Timestamp> {
        if let Some((civil, [])) = civil(text) {
            return self.moment(civil, now);
        }
        if !text.first()?.is_ascii_alphabetic()
            && let Some(moment) = usual::unix(text, None).filter(|moment| *moment >= PLAUSIBLE)
        {
            return Some(moment);
        }
        let (civil, rest) = access(text).or_else(|| ctime(text)).or_else(|| syslog(text))?;
        if rest.is_empty() { self.moment(civil, now) } else { None }
    }

    fn spelled(&self, format: &str, text: &[u8], now: Timestamp) -> Option<Timestamp> {
        let mut time = BrokenDownTime::parse(format, text).ok()?;
        if let Some(moment) = time.timestamp() {
            return i64::try_from(moment.as_nanosecond()).ok().map(Timestamp::from_nanos);
        }
        let dated = time.month().is_some() || time.day_of_year().is_some() || time.iso_week().is_some();
        let yearless = dated && time.year().is_none() && time.iso_week_year().is_none();
        if !dated {
            let today = self.local(now);
            time.hour()?;
            time.set_year(Some(today.year())).ok()?;
            time.set_month(Some(today.month())).ok()?;
            time.set_day(Some(today.day())).ok()?;
        } else if yearless {
            // A leap year takes every date.
            time.set_year(Some(2000)).ok()?;
        }
        let at = time.to_datetime().ok()?;
        let offset = time.offset().map(Offset::seconds);
        let seconds = Offset::UTC.to_timestamp(at).ok()?.as_second();
        let mut civil = Civil { seconds, nanos: at.subsec_nanosecond() as u32, offset, yearless };
        if !dated
            && self.moment(civil, now)? > now.plus(std::time::Duration::from_secs(AHEAD_SECS as u64 / 2))
        {
            civil.seconds -= AHEAD_SECS;
        }
        self.moment(civil, now)
    }

    fn local(&self, now: Timestamp) -> DateTime {
        let now = jiff::Timestamp::from_nanosecond(i128::from(now.as_nanos())).unwrap_or_default();
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        zone.to_datetime(now)
    }

    /// The moment at which clocks show `civil`; `None` where it cannot be told in nanoseconds since 1970.
    pub(super) fn moment(&self, civil: Civil, now: Timestamp) -> Option<Timestamp> {
        if civil.yearless {
            return self.last(civil, now);
        }
        let offset = match (civil.offset, &self.zone) {
            (Some(offset), _) => i64::from(offset),
            (None, None) => 0,
            (None, Some(zone)) => offset_in(zone, civil.seconds, now)?,
        };
        let seconds = civil.seconds.checked_sub(offset)?;
        Some(Timestamp::from_nanos(seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(civil.nanos))?))
    }

    /// The last moment of this date that is not too far ahead.
    fn last(&self, civil: Civil, now: Timestamp) -> Option<Timestamp> {
        let date = Offset::UTC.to_datetime(jiff::Timestamp::from_second(civil.seconds).ok()?);
        let limit = now.plus(std::time::Duration::from_secs(AHEAD_SECS as u64));
        let this_year = self.local(now).year();
        // 29 February may be eight years ago.
        (this_year.saturating_sub(8)..=this_year.saturating_add(1)).rev().find_map(|year| {
            let date = DateTime::new(year, date.month(), date.day(), 0, 0, 0, 0).ok()?;
            let midnight = Offset::UTC.to_timestamp(date).ok()?.as_second();
            let seconds = midnight + civil.seconds.rem_euclid(86_400);
            self.moment(Civil { seconds, yearless: false, ..civil }, now).filter(|moment| *moment <= limit)
        })
    }
}

/// How far a zone is ahead of UTC when its clocks show so many seconds since 1970, in seconds.
fn offset_in(zone: &TimeZone, seconds: i64, now: Timestamp) -> Option<i64> {
    let shown = Offset::UTC.to_datetime(jiff::Timestamp::from_second(seconds).ok()?);
    let offset = match zone.to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Gap { before, .. } => before,
        AmbiguousOffset::Fold { before, after } => {
            let later = seconds - i64::from(after.seconds());
            if later > now.as_nanos() / 1_000_000_000 + 60 { before } else { after }
        }
    };
    Some(i64::from(offset.seconds()))
}

/// Says whether a time that is written by `format` can be read by it.
fn check(format: &str) -> Result<(), RecordOptionsError> {
    let wrong = |reason: String| RecordOptionsError::TimeFormat { format: format.to_owned(), reason };
    let example = jiff::Timestamp::from_second(1_795_334_400).unwrap_or_default().to_zoned(TimeZone::UTC);
    let text = jiff::fmt::strtime::format(format, &example).map_err(|error| wrong(error.to_string()))?;
    let rule = TimeRule { form: Form::Spelled(format.into()), zone: None };
    let now = Timestamp::from_secs(1_795_334_400);
    BrokenDownTime::parse(format, &text).map_err(|error| wrong(error.to_string()))?;
    match rule.read(text.as_bytes(), now) {
        Some(_) => Ok(()),
        None => Err(wrong("it has neither a date nor a time of day, or not the whole of one".to_owned())),
    }
}

#[cfg(test)]
mod tests;
