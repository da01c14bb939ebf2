//! Reads the arguments of one call, as they came from the sandbox: nothing in them is to be believed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use executor::{ByteCount, ProcessId, Signal, UnitName, is_plain_path};
use serde_json::Value;
use telemetry::parse_duration;

use super::HostFunction;
use super::shape::Kind;

/// The arguments, and the row that they are read for.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    pub(crate) function: &'a HostFunction,
    pub(crate) values: &'a [Value],
}

impl Arguments<'_> {
    fn get(&self, at: usize) -> Result<&Value, String> {
        self.values.get(at).ok_or_else(|| format!("`{}` lacks an argument", self.function.path()))
    }

    /// Whether an argument that may be left out was given.
    pub(super) fn has(&self, at: usize) -> bool {
        self.values.get(at).is_some_and(|value| !value.is_null())
    }

    fn wrong(&self, at: usize, wanted: &str) -> String {
        let given = self.values.get(at).map_or("nothing", kind_of);
        format!("argument {} of `{}` must be {wanted}, not {given}", at + 1, self.function.path())
    }

    pub(super) fn text(&self, at: usize) -> Result<String, String> {
        self.get(at)?.as_str().map(str::to_owned).ok_or_else(|| self.wrong(at, "a string"))
    }

    pub(super) fn texts(&self, at: usize) -> Result<Vec<String>, String> {
        let wrong = || self.wrong(at, "an array of strings");
        let values = self.get(at)?.as_array().ok_or_else(wrong)?;
        values.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }

    pub(super) fn int(&self, at: usize) -> Result<i64, String> {
        self.get(at)?.as_i64().ok_or_else(|| self.wrong(at, "a whole number"))
    }

    /// A whole number from 1 to `most`.
    pub(super) fn count(&self, at: usize, most: usize) -> Result<usize, String> {
        let count = usize::try_from(self.int(at)?).ok().filter(|count| (1..=most).contains(count));
        count.ok_or_else(|| self.wrong(at, &format!("a whole number from 1 to {most}")))
    }

    pub(super) fn duration(&self, at: usize) -> Result<Duration, String> {
        let text = self.get(at)?.as_str().ok_or_else(|| self.wrong(at, "a duration, as in \"5s\""))?;
        parse_duration(text).map_err(|error| error.to_string())
    }

    pub(super) fn duration_or(&self, at: usize, fallback: Duration) -> Result<Duration, String> {
        if self.has(at) { self.duration(at) } else { Ok(fallback) }
    }

    pub(super) fn bytes(&self, at: usize) -> Result<ByteCount, String> {
        read_bytes(self.get(at)?, || self.wrong(at, "bytes, as in 65536 or \"64KiB\""))
    }

    pub(super) fn unit(&self, at: usize) -> Result<UnitName, String> {
        self.text(at)?.parse().map_err(|error: executor::UnitNameError| error.to_string())
    }

    pub(super) fn path(&self, at: usize) -> Result<PathBuf, String> {
        plain_path(self.text(at)?)
    }

    pub(super) fn signal(&self, at: usize) -> Result<Signal, String> {
        self.text(at)?.parse().map_err(|error: executor::UnknownSignal| error.to_string())
    }

    pub(super) fn process(&self, at: usize) -> Result<ProcessId, String> {
        let process = self.get(at)?;
        let read = || {
            Some(ProcessId {
                pid: process.get("pid")?.as_u64()?.try_into().ok()?,
                start_ticks: process.get("start_ticks")?.as_u64()?,
            })
        };
        read().ok_or_else(|| self.wrong(at, "a process that proc::find has returned"))
    }

    /// The word at this place, as one variant of a type whose variants serialize to words.
    pub(super) fn word<T: serde::de::DeserializeOwned>(&self, at: usize) -> Result<T, String> {
        let wanted = match self.function.parameters.get(at).map(|parameter| parameter.kind) {
            Some(Kind::OneOf(words)) => format!("one of {}", words.join(", ")),
            _ => "a word".to_owned(),
        };
        serde_json::from_value(self.get(at)?.clone()).map_err(|_| self.wrong(at, &wanted))
    }

    /// The map at this place, of which the row names every possible entry; empty if it was left out.
    pub(super) fn options(&self, at: usize) -> Result<Options<'_>, String> {
        let known = match self.function.parameters.get(at).map(|parameter| parameter.kind) {
            Some(Kind::Options(known)) => known,
            _ => &[],
        };
        if !self.has(at) {
            return Ok(Options { path: self.function.path(), entries: None });
        }
        let entries = self.get(at)?.as_object().ok_or_else(|| self.wrong(at, "a map"))?;
        let names = || known.iter().map(|option| option.name);
        if let Some(unknown) = entries.keys().find(|name| !names().any(|known| known == name.as_str())) {
            let names: Vec<&str> = names().collect();
            let path = self.function.path();
            return Err(format!("`{path}` knows no option `{unknown}`; known are {}", names.join(", ")));
        }
        Ok(Options { path: self.function.path(), entries: Some(entries) })
    }
}

/// Options of a call, each of which may be missing.
pub(super) struct Options<'a> {
    path: String,
    entries: Option<&'a serde_json::Map<String, Value>>,
}

impl Options<'_> {
    fn get<T>(
        &self,
        name: &str,
        wanted: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.entries.and_then(|entries| entries.get(name)).filter(|value| !value.is_null())
        else {
            return Ok(None);
        };
        let wrong = || format!("option `{name}` of `{}` must be {wanted}, not {}", self.path, kind_of(value));
        read(value).map(Some).ok_or_else(wrong)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, String> {
        self.get(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, String> {
        self.get(name, "a whole number above 0", |value| value.as_u64().filter(|number| *number > 0))
    }

    pub(super) fn duration(&self, name: &str) -> Result<Option<Duration>, String> {
        self.get(name, "a duration, as in \"5s\"", |value| parse_duration(value.as_str()?).ok())
    }

    /// A limit: a number, an amount of bytes, or `"infinity"`.
    pub(super) fn limit(&self, name: &str) -> Result<Option<u64>, String> {
        self.get(name, "a number, an amount of bytes or \"infinity\"", |value| match value.as_str() {
            Some("infinity") => Some(u64::MAX),
            _ => read_bytes(value, String::new).ok().map(|bytes| bytes.0),
        })
    }

    pub(super) fn word<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, String> {
        self.get(name, "one of the words that the function knows", |value| {
            serde_json::from_value(value.clone()).ok()
        })
    }
}

fn read_bytes(value: &Value, wrong: impl FnOnce() -> String) -> Result<ByteCount, String> {
    match value {
        Value::String(text) => text.parse().map_err(|error| format!("{error}")),
        value => value.as_u64().map(ByteCount).ok_or_else(wrong),
    }
}

fn plain_path(text: String) -> Result<PathBuf, String> {
    if is_plain_path(Path::new(&text)) {
        return Ok(text.into());
    }
    Err(format!("{text:?} is not an absolute path without `.`, `..` and control characters"))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "()",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "a map",
    }
}
