//! Remembers how far each source has been read.
//!
//! A file to which a line is appended for each change, `CRC32C SPACE KEY TAB VALUE`, with the checksum in eight hexadecimal
//! digits over what follows the space. The last line of a key counts; an empty value forgets it. A torn or damaged line is
//! passed over: its key keeps the place before, so lines are read twice, never skipped. Once most lines are out of date
//! the file is written anew beside itself and renamed. Written after each batch, which a crash of the agent does not lose;
//! [`Positions::sync`] is for a crash of the machine.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

mod gone;

/// The file is written anew when it is this large and four times as large as what counts in it.
const REWRITE_AT: u64 = 1 << 20;

/// Why places cannot be remembered.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}", path.display())]
pub struct PositionsError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The places of all sources.
#[derive(Debug)]
pub struct Positions {
    path: PathBuf,
    values: BTreeMap<String, String>,
    /// Lines that are not in the file yet.
    unsaved: Vec<u8>,
    file: Option<File>,
    /// How large the file is, and how much of it counts.
    size: u64,
    counts: u64,
    unsynced: bool,
    damaged: u64,
}

impl Positions {
    /// Reads what was remembered in `path`; nothing where there is no such file.
    ///
    /// # Errors
    ///
    /// There is one that cannot be read.
    pub fn open(path: &Path) -> Result<Self, PositionsError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(failed("reading", path)(source)),
        };
        let mut positions = Self {
            path: path.to_owned(),
            values: BTreeMap::new(),
            unsaved: Vec::new(),
            file: None,
            size: text.len() as u64,
            counts: 0,
            unsynced: false,
            damaged: 0,
        };
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match parse(line) {
                Some((key, "")) => drop(positions.values.remove(key)),
                Some((key, value)) => drop(positions.values.insert(key.to_owned(), value.to_owned())),
                None => positions.damaged += 1,
            }
        }
        positions.counts = positions.values.iter().map(size_of_line).sum();
        // A torn last line must not swallow the next one.
        if text.last().is_some_and(|byte| *byte != b'\n') {
            positions.unsaved.push(b'\n');
        }
        Ok(positions)
    }

    /// How many lines could not be read when it was opened.
    pub const fn damaged(&self) -> u64 {
        self.damaged
    }

    /// What is remembered under `key`; nothing where it is of another shape.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.values.get(key).and_then(|value| serde_json::from_str(value).ok())
    }

    /// The keys that begin with `prefix`.
    pub fn keys<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from =
            self.values.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.map(|(key, _)| key.as_str()).take_while(move |key| key.starts_with(prefix))
    }

    /// Remembers `value` under `key`, which has no control characters, with the next [`Positions::save`].
    ///
    /// # Panics
    ///
    /// The value cannot be written as JSON.
    pub fn set(&mut self, key: &str, value: &impl Serialize) {
        let value = serde_json::to_string(value).expect("places are plain values");
        if self.values.get(key) != Some(&value) {
            self.append(key, &value);
            if let Some(before) = self.values.insert(key.to_owned(), value) {
                self.counts = self.counts.saturating_sub((key.len() + before.len()) as u64 + OVERHEAD);
            }
        }
    }

    /// Forgets `key` with the next [`Positions::save`].
    pub fn remove(&mut self, key: &str) {
        if let Some(before) = self.values.remove(key) {
            self.append(key, "");
            self.counts = self.counts.saturating_sub((2 * key.len() + before.len()) as u64 + 2 * OVERHEAD);
        }
    }

    fn append(&mut self, key: &str, value: &str) {
        let line = format!("{key}\t{value}");
        let _ = writeln!(self.unsaved, "{:08x} {line}", crc32c::crc32c(line.as_bytes()));
        self.counts += line.len() as u64 + OVERHEAD - 1;
    }

    /// Whether nothing has changed since the last [`Positions::save`].
    pub const fn is_saved(&self) -> bool {
        self.unsaved.is_empty()
    }

    /// Writes what has changed, so that a crash of the agent does not lose it.
    ///
    /// # Errors
    ///
    /// It could not be written; it is tried again with the next call.
    pub fn save(&mut self) -> Result<(), PositionsError> {
        if self.unsaved.is_empty() {
            return Ok(());
        }
        self.unsynced = true;
        if self.size + self.unsaved.len() as u64 > REWRITE_AT.max(4 * self.counts) {
            return self.rewrite();
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut options = OpenOptions::new();
                let opened = options.create(true).append(true).mode(0o600).open(&self.path);
                none.insert(opened.map_err(failed("opening", &self.path))?)
            }
        };
        if let Err(error) = file.write_all(&self.unsaved) {
            // Part of it may be there: the next attempt must not go on in the middle of that line.
            if self.unsaved.first() != Some(&b'\n') {
                self.unsaved.insert(0, b'\n');
            }
            return Err(failed("writing", &self.path)(error));
        }
        self.size += self.unsaved.len() as u64;
        self.unsaved.clear();
        Ok(())
    }

    fn rewrite(&mut self) -> Result<(), PositionsError> {
        let beside = self.path.with_extension("new");
        let mut text = Vec::new();
        for (key, value) in &self.values {
            let line = format!("{key}\t{value}");
            let _ = writeln!(text, "{:08x} {line}", crc32c::crc32c(line.as_bytes()));
        }
        let mut options = OpenOptions::new();
        let opened = options.create(true).write(true).truncate(true).mode(0o600).open(&beside);
        let mut file = opened.map_err(failed("opening", &beside))?;
        file.write_all(&text).and_then(|()| file.sync_data()).map_err(failed("writing", &beside))?;
        std::fs::rename(&beside, &self.path).map_err(failed("replacing", &self.path))?;
        (self.file, self.size, self.counts) = (None, text.len() as u64, text.len() as u64);
        self.unsaved.clear();
        Ok(())
    }

    /// Makes what was saved outlast a crash of the machine.
    ///
    /// # Errors
    ///
    /// The disk does not take it.
    pub fn sync(&mut self) -> Result<(), PositionsError> {
        if let Some(file) = self.file.as_ref().filter(|_| self.unsynced) {
            file.sync_data().map_err(failed("syncing", &self.path))?;
        }
        self.unsynced = false;
        Ok(())
    }
}

/// The checksum, the space, the tab and the end of the line.
const OVERHEAD: u64 = 11;

fn size_of_line((key, value): (&String, &String)) -> u64 {
    (key.len() + value.len()) as u64 + OVERHEAD
}

fn parse(line: &[u8]) -> Option<(&str, &str)> {
    let (sum, rest) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    (crc32c::crc32c(rest.as_bytes()) == sum).then(|| rest.split_once('\t'))?
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PositionsError {
    let path = path.to_owned();
    move |source| PositionsError { operation, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> (tempfile::TempDir, Positions) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("positions");
        std::fs::write(&path, text).unwrap();
        let positions = Positions::open(&path).unwrap();
        (directory, positions)
    }

    #[test]
    fn what_was_saved_is_there_after_a_restart() {
        let (directory, mut positions) = with("");
        positions.set("file/a", &7_u64);
        positions.set("file/b", &8_u64);
        positions.set("file/a", &9_u64);
        positions.remove("file/b");
        positions.set("journal", &"cursor");
        positions.save().unwrap();
        positions.sync().unwrap();
        let again = Positions::open(&directory.path().join("positions")).unwrap();
        assert_eq!((again.get("file/a"), again.get::<u64>("file/b")), (Some(9_u64), None));
        assert_eq!(again.get("journal"), Some("cursor".to_owned()));
        assert_eq!(again.keys("file/").collect::<Vec<_>>(), ["file/a"]);
        assert_eq!(again.damaged(), 0);
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_saved_once_there_is_room() {
        let (directory, mut positions) = with("");
        let path = directory.path().join("positions");
        positions.set("a", &1);
        positions.save().unwrap();
        positions.file = Some(File::open(&path).unwrap());
        positions.set("a", &2);
        assert!(positions.save().is_err() && positions.save().is_err() && !positions.is_saved());
        // Half of the line came through.
        let torn = [std::fs::read(&path).unwrap(), b"0123abcd a\t".to_vec()].concat();
        std::fs::write(&path, torn).unwrap();
        positions.file = None;
        positions.save().unwrap();
        assert!(positions.is_saved());
        assert_eq!(Positions::open(&path).unwrap().get("a"), Some(2));
    }

    #[test]
    fn a_torn_line_costs_only_itself() {
        let (directory, mut positions) = with("");
        positions.set("a", &1);
        positions.set("b", &2);
        positions.save().unwrap();
        let path = directory.path().join("positions");
        let text = std::fs::read(&path).unwrap();
        for torn in text.len() / 2 + 1..text.len() {
            std::fs::write(&path, &text[..torn]).unwrap();
            let mut positions = Positions::open(&path).unwrap();
            assert_eq!(positions.get("a"), Some(1));
            positions.set("c", &3);
            positions.save().unwrap();
            assert_eq!(Positions::open(&path).unwrap().get("c"), Some(3), "torn at {torn}");
        }
    }

    #[test]
    fn a_damaged_line_is_passed_over() {
        let (directory, mut positions) = with("");
        positions.set("a", &1);
        positions.save().unwrap();
        positions.set("a", &2);
        positions.save().unwrap();
        let path = directory.path().join("positions");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\t2", "\t3")).unwrap();
        let positions = Positions::open(&path).unwrap();
        assert_eq!((positions.get("a"), positions.damaged()), (Some(1), 1));
    }

    #[test]
    fn the_file_does_not_grow_without_end() {
        let (directory, mut positions) = with("");
        let path = directory.path().join("positions");
        for at in 0..60_000_u64 {
            positions.set("a long name of some file that is followed", &at);
            positions.save().unwrap();
        }
        assert!(std::fs::metadata(&path).unwrap().len() <= REWRITE_AT);
        let again = Positions::open(&path).unwrap();
        assert_eq!(again.get("a long name of some file that is followed"), Some(59_999_u64));
    }
}
