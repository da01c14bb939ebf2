//! Feature flags in a file in flagd's format: `https://flagd.dev/schema/v0/flags.json`, as JSON.
//!
//! The file is its owner's: only the values that have to change are replaced in its text, the rest stays byte for byte.
//! `targeting` would override the variant that everybody is to get; it is moved aside into the flag's metadata, where the
//! format allows texts but no objects. A flag says itself that it may be set: `hostmend.remediable: true`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, fchmod, fchown, openat, renameat, unlinkat};
use rustix::io::Errno;
use serde_json::Value;

use crate::ActionError;
use crate::beneath::{not_opened, open_directory, open_file, synced};

/// The largest file that is read; ten thousand flags take about this much.
const MAX_FILE_BYTES: u64 = 2 << 20;

const REMEDIABLE: &str = "hostmend.remediable";
const SAVED_TARGETING: &str = "hostmend.saved_targeting";

/// A flag that cannot be read or set.
#[derive(Debug, thiserror::Error)]
pub enum FlagError {
    /// The text is not in the format.
    #[error("it does not hold flags as flagd reads them, in JSON")]
    NotFlags(#[source] Option<serde_json::Error>),
    /// There is no such flag.
    #[error("it holds no flag {flag:?}; there are {}", known.join(", "))]
    Unknown {
        /// The one that was asked for.
        flag: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The flag has no such variant.
    #[error("flag {flag:?} has no variant {variant:?}; there are {}", known.join(", "))]
    NoVariant {
        /// The flag.
        flag: String,
        /// The variant that was asked for.
        variant: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The flag does not say that it may be set.
    #[error(
        "flag {flag:?} is not to be set by hostmend; \"{REMEDIABLE}\": true in its metadata would allow it"
    )]
    NotRemediable {
        /// The flag.
        flag: String,
    },
    /// The flag is switched off, so that the program's own default holds whatever it says.
    #[error("flag {flag:?} is DISABLED, so the program decides; its state must be ENABLED")]
    Disabled {
        /// The flag.
        flag: String,
    },
    /// Somebody has chosen otherwise since.
    #[error("flag {flag:?} is no longer {after:?}, so it is left as it is")]
    Changed {
        /// The flag.
        flag: String,
        /// What it was set to.
        after: String,
    },
}

/// What a flag gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagState {
    /// The variant that everybody gets, but for those whom `targeting` gives another; None leaves it to the program.
    pub variant: Option<String>,
    /// All that there are.
    pub variants: Vec<String>,
    /// Whether some get another variant.
    pub targeted: bool,
}

impl FlagState {
    /// Reads a flag in the text of a file.
    ///
    /// # Errors
    ///
    /// The text is not in the format, or holds no such flag.
    pub fn read(text: &str, flag: &str) -> Result<Self, FlagError> {
        Ok(Place::find(text, flag)?.state)
    }
}

/// How a flag was before it was set, in JSON; what was not there is None.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct FlagBefore {
    variant: Option<String>,
    /// Only if it was moved aside.
    targeting: Option<String>,
}

/// A flag that was set: the text of the whole file, and how the flag was.
#[derive(Debug)]
pub(crate) struct FlagSet {
    pub(crate) text: String,
    pub(crate) before: FlagBefore,
    pub(crate) state_before: FlagState,
}

/// Sets the variant that everybody gets; None if that is so already.
pub(crate) fn set(text: &str, flag: &str, variant: &str) -> Result<Option<FlagSet>, FlagError> {
    let place = Place::find(text, flag)?;
    let flag = || flag.to_owned();
    if !place.is_remediable {
        return Err(FlagError::NotRemediable { flag: flag() });
    }
    if !place.is_enabled {
        return Err(FlagError::Disabled { flag: flag() });
    }
    let FlagState { variant: now, variants, targeted } = &place.state;
    if !variants.iter().any(|known| known == variant) {
        let (variant, known) = (variant.to_owned(), variants.clone());
        return Err(FlagError::NoVariant { flag: flag(), variant, known });
    }
    if now.as_deref() == Some(variant) && !targeted {
        return Ok(None);
    }
    let mut edits = vec![put(&place.members, place.object.start, "defaultVariant", &quoted(variant))];
    let targeting = place.members.value(text, "targeting").filter(|_| *targeted);
    if let Some(targeting) = targeting {
        edits.push(put(&place.members, place.object.start, "targeting", "{}"));
        edits.push(put(&place.metadata.1, place.metadata.0, SAVED_TARGETING, &quoted(targeting)));
    }
    let before = FlagBefore {
        variant: place.members.value(text, "defaultVariant").map(str::to_owned),
        targeting: targeting.map(str::to_owned),
    };
    Ok(Some(FlagSet { text: edited(text, edits), before, state_before: place.state }))
}

/// Gives a flag that was set to `after` the variant and the targeting that it had before.
pub(crate) fn put_back(
    text: &str,
    flag: &str,
    before: &FlagBefore,
    after: &str,
) -> Result<String, FlagError> {
    let place = Place::find(text, flag)?;
    if place.state.variant.as_deref() != Some(after) || (before.targeting.is_some() && place.state.targeted) {
        return Err(FlagError::Changed { flag: flag.to_owned(), after: after.to_owned() });
    }
    let mut edits = Vec::new();
    match &before.variant {
        Some(variant) => edits.push(put(&place.members, place.object.start, "defaultVariant", variant)),
        None => edits.extend(place.members.removal(text, "defaultVariant", place.object.start)),
    }
    if let Some(targeting) = &before.targeting {
        edits.push(put(&place.members, place.object.start, "targeting", targeting));
        let (start, metadata) = &place.metadata;
        edits.extend(metadata.removal(text, SAVED_TARGETING, *start));
    }
    Ok(edited(text, edits))
}

/// Where a flag stands in the text, and what it says.
struct Place {
    /// Its object, braces included.
    object: Range<usize>,
    members: Members,
    /// Where its metadata begin, and what they hold.
    metadata: (usize, Members),
    state: FlagState,
    is_remediable: bool,
    is_enabled: bool,
}

impl Place {
    fn find(text: &str, flag: &str) -> Result<Self, FlagError> {
        let whole: Value = serde_json::from_str(text).map_err(|error| FlagError::NotFlags(Some(error)))?;
        let flags = whole.get("flags").and_then(Value::as_object).ok_or(FlagError::NotFlags(None))?;
        let said = flags.get(flag).ok_or_else(|| FlagError::Unknown {
            flag: flag.to_owned(),
            known: flags.keys().cloned().collect(),
        })?;
        let text_of = |key: &str| said.get(key).and_then(Value::as_str);
        let variants = said.get("variants").and_then(Value::as_object).ok_or(FlagError::NotFlags(None))?;
        let state = FlagState {
            variant: text_of("defaultVariant").map(str::to_owned),
            variants: variants.keys().cloned().collect(),
            targeted: said.get("targeting").is_some_and(|targeting| !is_empty(targeting)),
        };
        let remediable = said.get("metadata").and_then(|metadata| metadata.get(REMEDIABLE));
        let (is_remediable, is_enabled) =
            (remediable == Some(&Value::Bool(true)), text_of("state") == Some("ENABLED"));
        let locate = || -> Option<Self> {
            let at = blank(text, 0);
            let flags = Members::of(text, at)?.range("flags")?;
            let object = Members::of(text, flags.start)?.range(flag)?;
            let members = Members::of(text, object.start)?;
            let metadata = members.range("metadata").filter(|_| is_remediable);
            let metadata = match metadata {
                Some(range) => (range.start, Members::of(text, range.start)?),
                None => (object.start, Members(Vec::new())),
            };
            Some(Self { object, members, metadata, state, is_remediable, is_enabled })
        };
        locate().ok_or(FlagError::NotFlags(None))
    }
}

/// Whether `targeting` says nothing, as flagd sees it.
fn is_empty(targeting: &Value) -> bool {
    targeting.is_null() || targeting.as_object().is_some_and(serde_json::Map::is_empty)
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The members of an object in a text that is known to be JSON: the key, where the member begins, and its value.
struct Members(Vec<(String, usize, Range<usize>)>);

impl Members {
    /// Those of the object that begins at `start`.
    fn of(text: &str, start: usize) -> Option<Self> {
        let mut members = Vec::new();
        let mut at = blank(text, start.checked_add(1)?);
        while byte(text, at) == Some(b'"') {
            let key_end = value_end(text, at)?;
            let key: String = serde_json::from_str(text.get(at..key_end)?).ok()?;
            // Behind the colon.
            let value = blank(text, blank(text, key_end) + 1);
            let end = value_end(text, value)?;
            members.push((key, at, value..end));
            let comma = blank(text, end);
            if byte(text, comma) != Some(b',') {
                break;
            }
            at = blank(text, comma + 1);
        }
        Some(Self(members))
    }

    /// Where the value of a key stands. Of two with one key the last counts, as for flagd.
    fn range(&self, key: &str) -> Option<Range<usize>> {
        self.0.iter().rfind(|(known, ..)| known == key).map(|(_, _, value)| value.clone())
    }

    fn value<'a>(&self, text: &'a str, key: &str) -> Option<&'a str> {
        text.get(self.range(key)?)
    }

    /// What takes a member out of the object that begins at `object`, with the comma beside it.
    fn removal(&self, text: &str, key: &str, object: usize) -> Option<(Range<usize>, String)> {
        let at = self.0.iter().rposition(|(known, ..)| known == key)?;
        let (_, start, value) = self.0.get(at)?;
        let before = at.checked_sub(1).and_then(|before| self.0.get(before));
        let range = match (before, self.0.get(at + 1)) {
            (Some((_, _, before)), _) => before.end..value.end,
            (None, Some(_)) => object + 1..blank(text, value.end) + 1,
            (None, None) => *start..value.end,
        };
        Some((range, String::new()))
    }
}

/// What gives a key of the object that begins at `start` a value.
fn put(members: &Members, start: usize, key: &str, value: &str) -> (Range<usize>, String) {
    if let Some(range) = members.range(key) {
        return (range, value.to_owned());
    }
    let comma = if members.0.is_empty() { "" } else { "," };
    (start + 1..start + 1, format!("{}: {value}{comma}", quoted(key)))
}

fn edited(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut text = text.to_owned();
    for (range, fresh) in edits.into_iter().rev() {
        text.replace_range(range, &fresh);
    }
    text
}

fn byte(text: &str, at: usize) -> Option<u8> {
    text.as_bytes().get(at).copied()
}

/// The next place that is no white space.
fn blank(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| b" \t\r\n".contains(byte)).count()
}

/// Where the value ends that begins at `start`.
fn value_end(text: &str, start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0_usize);
    loop {
        match byte(text, at)? {
            b'"' => at = string_end(text, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            _ if depth > 0 => at += 1,
            _ => {
                // A number, or a word.
                let rest = text.get(at..)?;
                return Some(at + rest.find([',', '}', ']', ' ', '\t', '\r', '\n']).unwrap_or(rest.len()));
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

fn string_end(text: &str, start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match byte(text, at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// A file of flags that is held by the directory it lies in.
#[derive(Debug)]
pub(crate) struct FlagFile<'a> {
    path: &'a Path,
    name: &'a OsStr,
    directory: OwnedFd,
    metadata: std::fs::Metadata,
    text: String,
}

impl<'a> FlagFile<'a> {
    /// Reads it, without following links.
    pub(crate) fn open(path: &'a Path) -> Result<Self, ActionError> {
        let refused = |why: &str| ActionError::refused(format!("{} {why}", path.display()));
        let (parent, name) = path.parent().zip(path.file_name()).ok_or_else(|| refused("names no file"))?;
        let directory = open_directory(parent)?;
        let file = match open_file(&directory, name, OFlags::RDONLY) {
            Err(Errno::LOOP) => return Err(refused("is a symbolic link; name the file it leads to")),
            other => File::from(other.map_err(|error| not_opened(path, error))?),
        };
        let failed = |error| ActionError::failed(format!("reading {}", path.display()), error);
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
            return Err(refused(&format!("is no regular file of at most {MAX_FILE_BYTES} bytes")));
        }
        let mut text = String::new();
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
        Ok(Self { path, name, directory, metadata, text })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Puts a file with this text in its place, with the same owner and mode.
    pub(crate) fn replace(&self, text: &str) -> Result<(), ActionError> {
        let mut fresh = OsStr::new(".").to_owned();
        fresh.push(self.name);
        fresh.push(".hostmend-new");
        self.put(&fresh, text).map_err(|error| {
            let _ = unlinkat(&self.directory, &fresh, AtFlags::empty());
            ActionError::failed(format!("replacing {}", self.path.display()), error)
        })
    }

    fn put(&self, fresh: &OsStr, text: &str) -> std::io::Result<()> {
        match unlinkat(&self.directory, fresh, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.directory, fresh, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(text.as_bytes())?;
        fchmod(&file, Mode::from_raw_mode(self.metadata.mode() & 0o777))?;
        let made = file.metadata()?;
        let (user, group) = (self.metadata.uid(), self.metadata.gid());
        if (made.uid(), made.gid()) != (user, group) {
            fchown(&file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
        }
        file.sync_all()?;
        renameat(&self.directory, fresh, &self.directory, self.name)?;
        synced(&self.directory, self.path);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
