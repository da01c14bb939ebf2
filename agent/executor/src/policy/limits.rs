//! Within which bounds limits may be set.

use documents::{Review, Spanned};
use serde::Deserialize;

use crate::{ByteCount, Limits};

/// From the least to the most that may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range<T> {
    /// Not less than this.
    pub at_least: T,
    /// Not more than this.
    pub at_most: T,
}

/// Between which values each limit may be set; what is None may not be set at all. `u64::MAX` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitBounds {
    /// See [`Limits::memory_high`].
    pub memory_high: Option<Range<u64>>,
    /// See [`Limits::memory_max`].
    pub memory_max: Option<Range<u64>>,
    /// See [`Limits::cpu_percent`].
    pub cpu_percent: Option<Range<u64>>,
    /// See [`Limits::tasks_max`].
    pub tasks_max: Option<Range<u64>>,
    /// See [`Limits::open_files`].
    pub open_files: Option<Range<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsEntry {
    memory_high: Option<RangeEntry>,
    memory_max: Option<RangeEntry>,
    cpu_percent: Option<RangeEntry>,
    tasks_max: Option<RangeEntry>,
    pub(super) open_files: Option<RangeEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RangeEntry {
    pub(super) at_least: Spanned<String>,
    at_most: Spanned<String>,
}

impl LimitsEntry {
    pub(super) fn read(&self, review: &mut Review) -> LimitBounds {
        LimitBounds {
            memory_high: self.memory_high.as_ref().and_then(|entry| entry.read(bytes, review)),
            memory_max: self.memory_max.as_ref().and_then(|entry| entry.read(bytes, review)),
            cpu_percent: self.cpu_percent.as_ref().and_then(|entry| entry.read(count, review)),
            tasks_max: self.tasks_max.as_ref().and_then(|entry| entry.read(count, review)),
            open_files: self.open_files.as_ref().and_then(|entry| entry.read(count, review)),
        }
    }
}

impl RangeEntry {
    pub(super) fn read<T, E>(
        &self,
        parse: impl Fn(&str) -> Result<T, E>,
        review: &mut Review,
    ) -> Option<Range<T>>
    where
        T: PartialOrd,
        E: std::fmt::Display,
    {
        let at_least = review.read(&self.at_least, &parse);
        let at_most = review.read(&self.at_most, &parse);
        let range = Range { at_least: at_least?, at_most: at_most? };
        if range.at_least > range.at_most {
            review.error(&self.at_most, "it is less than `at_least`, so nothing lies between them");
        }
        Some(range)
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    limit(text, |text| text.parse::<ByteCount>().map(|bytes| bytes.0).map_err(|error| error.to_string()))
}

fn count(text: &str) -> Result<u64, String> {
    limit(text, |text| text.parse().map_err(|_| format!("{text:?} is not a number or `infinity`")))
}

/// Zero would leave nothing: no memory, no processor, no process.
fn limit(text: &str, parse: impl Fn(&str) -> Result<u64, String>) -> Result<u64, String> {
    if text == "infinity" {
        return Ok(u64::MAX);
    }
    match parse(text)? {
        0 => Err("a limit of 0 would leave nothing; write 1 or more".to_owned()),
        limit => Ok(limit),
    }
}

impl LimitBounds {
    /// Why these limits may not be set, if so: the first that lies outside its bounds, or has none.
    pub(crate) fn refuse(&self, limits: Limits) -> Option<String> {
        let bytes =
            |value: u64| if value == u64::MAX { "infinity".to_owned() } else { ByteCount(value).to_string() };
        let plain = |value: u64| if value == u64::MAX { "infinity".to_owned() } else { value.to_string() };
        let print = |value, is_bytes| if is_bytes { bytes(value) } else { plain(value) };
        [
            ("memory_high", limits.memory_high, self.memory_high, true),
            ("memory_max", limits.memory_max, self.memory_max, true),
            ("cpu_percent", limits.cpu_percent, self.cpu_percent, false),
            ("tasks_max", limits.tasks_max, self.tasks_max, false),
            ("open_files", limits.open_files, self.open_files, false),
        ]
        .into_iter()
        .find_map(|(name, asked, range, is_bytes)| {
            let asked = asked?;
            let Some(Range { at_least, at_most }) = range else {
                return Some(format!("its `limits` do not name {name}"));
            };
            (!(at_least..=at_most).contains(&asked)).then(|| {
                let [asked, at_least, at_most] =
                    [asked, at_least, at_most].map(|value| print(value, is_bytes));
                format!("{name} must lie between {at_least} and {at_most}; {asked} was asked for")
            })
        })
    }
}
