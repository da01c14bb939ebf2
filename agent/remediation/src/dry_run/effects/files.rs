//! Files that would be gone, and the room that they would leave.

use std::path::{Path, PathBuf};
use std::time::Duration;

use executor::{ActionError, ByteCount, ChangeId, Outcome, Selection};
use serde_json::{Value, json};

use super::change::Change;
use super::{Effects, failed};
use crate::fact::{Fact, FileOrder};
use crate::world::World;

/// Files that are looked at of one directory; one with more is emptied on paper in several turns.
const MAX_FILES: usize = 10_000;

/// Where the journal keeps its files.
const JOURNAL: &str = "/var/log/journal";

struct Listed {
    path: PathBuf,
    bytes: u64,
}

impl Effects {
    /// The oldest first, as far as the limits go.
    pub(super) fn remove(&mut self, host: &dyn World, selection: &Selection) -> Result<Outcome, ActionError> {
        let listed = self.list(host, &selection.under, selection.matching.clone(), selection.older_than)?;
        let (mut paths, mut bytes, mut too_large) = (Vec::new(), 0, 0);
        for file in listed {
            let enough = selection.at_most_files.is_some_and(|most| paths.len() as u64 >= most)
                || self.is_empty_enough(host, &selection.under, selection.until_used_percent)?;
            if enough {
                break;
            }
            if bytes + file.bytes > selection.at_most.0 {
                too_large += 1;
                continue;
            }
            bytes += file.bytes;
            self.free(file.path.clone(), file.bytes);
            paths.push(file.path);
        }
        let files = paths.len() as u64;
        let change = self.remember(Change::Removed(paths));
        Ok(Outcome::Removed {
            quarantined: true,
            change: Some(change),
            files,
            bytes: ByteCount(bytes),
            too_large,
            failed: 0,
            first_failure: None,
            incomplete: false,
        })
    }

    pub(super) fn truncate(
        &mut self,
        host: &dyn World,
        path: &Path,
        keep: ByteCount,
    ) -> Result<Outcome, ActionError> {
        let directory = path.parent().unwrap_or(path);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let listed = self.list(host, directory, name, Duration::ZERO)?;
        let size = listed.iter().find(|file| file.path == path).map_or(0, |file| file.bytes);
        let bytes = size.saturating_sub(keep.0);
        self.freed.push((path.to_owned(), bytes));
        Ok(Outcome::Truncated { bytes: ByteCount(bytes) })
    }

    pub(super) fn vacuum(&mut self, host: &dyn World, keep: ByteCount) -> Result<Outcome, ActionError> {
        let archived = Some("*@*.journal".to_owned());
        let listed = self.list(host, Path::new(JOURNAL), archived, Duration::ZERO)?;
        let mut left: u64 = listed.iter().map(|file| file.bytes).sum();
        let (mut files, mut bytes) = (0, 0);
        for file in listed {
            if left <= keep.0 {
                break;
            }
            left -= file.bytes;
            bytes += file.bytes;
            files += 1;
            self.free(file.path, file.bytes);
        }
        Ok(Outcome::JournalVacuumed { files, bytes: ByteCount(bytes) })
    }

    fn list(
        &self,
        host: &dyn World,
        under: &Path,
        matching: Option<String>,
        older_than: Duration,
    ) -> Result<Vec<Listed>, ActionError> {
        let fact = Fact::Files {
            under: under.to_owned(),
            matching,
            older_than,
            order: FileOrder::Oldest,
            at_most: MAX_FILES,
        };
        let files =
            host.fact(&fact).map_err(|error| failed(format!("listing {}", under.display()), error))?;
        let Value::Array(files) = self.files(files) else { return Ok(Vec::new()) };
        let listed = files.iter().filter_map(|file| {
            let bytes = file.get("bytes")?.as_u64()?;
            Some(Listed { path: file.get("path")?.as_str()?.into(), bytes })
        });
        Ok(listed.collect())
    }

    fn is_empty_enough(
        &self,
        host: &dyn World,
        directory: &Path,
        percent: Option<u8>,
    ) -> Result<bool, ActionError> {
        let Some(percent) = percent else { return Ok(false) };
        let doing = || format!("asking how full {} is", directory.display());
        let fact = Fact::DiskUsage { path: directory.to_owned() };
        let usage = host.fact(&fact).and_then(|usage| self.disk(host, usage));
        let usage = usage.map_err(|error| failed(doing(), error))?;
        Ok(usage.get("used_percent").and_then(Value::as_f64).is_some_and(|used| used <= f64::from(percent)))
    }

    fn free(&mut self, path: PathBuf, bytes: u64) {
        self.removed.insert(path.clone());
        self.freed.push((path, bytes));
    }

    /// The files are back.
    pub(super) fn bring_back(&mut self, paths: &[PathBuf]) {
        self.removed.retain(|path| !paths.contains(path));
        self.freed.retain(|(path, _)| !paths.contains(path));
    }

    pub(super) fn files(&self, files: Value) -> Value {
        let Value::Array(mut files) = files else { return files };
        files.retain(|file| {
            let path = file.get("path").and_then(Value::as_str).unwrap_or_default();
            !self.removed.contains(Path::new(path))
        });
        Value::Array(files)
    }

    /// A directory without what is freed below it.
    pub(super) fn directory(&self, usage: &Value, directory: &Path) -> Value {
        let below = self.freed.iter().filter(|(path, _)| path.starts_with(directory));
        let freed: u64 = below.map(|(_, bytes)| bytes).sum();
        json!(usage.as_u64().unwrap_or_default().saturating_sub(freed))
    }

    /// A file system with what is freed on it.
    pub(super) fn disk(&self, host: &dyn World, mut usage: Value) -> Result<Value, String> {
        let mount = usage.get("mount").cloned().unwrap_or(Value::Null);
        let mut freed = 0;
        for directory in self.freed_directories() {
            let there = host.fact(&Fact::DiskUsage { path: directory.clone() })?;
            if there.get("mount") == Some(&mount) {
                let within = self.freed.iter().filter(|(path, _)| path.parent() == Some(&directory));
                freed += within.map(|(_, bytes)| bytes).sum::<u64>();
            }
        }
        let number = |name: &str| usage.get(name).and_then(Value::as_f64).unwrap_or_default();
        let (size, available, percent) =
            (number("size_bytes"), number("available_bytes"), number("used_percent"));
        if freed == 0 || size <= 0.0 {
            return Ok(usage);
        }
        // What only root may use counts neither as used nor as available.
        let used = if percent < 100.0 { available * percent / (100.0 - percent) } else { size };
        let left = (used - freed as f64).max(0.0);
        let available = available + freed as f64;
        if let Some(fields) = usage.as_object_mut() {
            fields.insert("available_bytes".to_owned(), json!(available as u64));
            fields.insert("used_percent".to_owned(), json!(100.0 * left / (left + available)));
        }
        Ok(usage)
    }

    fn freed_directories(&self) -> Vec<PathBuf> {
        let parents = self.freed.iter().filter_map(|(path, _)| path.parent().map(Path::to_owned));
        let mut parents: Vec<PathBuf> = parents.collect();
        parents.sort();
        parents.dedup();
        parents
    }

    pub(super) fn switch(
        &mut self,
        host: &dyn World,
        link: &Path,
        to: &Path,
    ) -> Result<Outcome, ActionError> {
        let releases = host.fact(&Fact::Releases { link: link.to_owned() });
        let releases = releases.map_err(|error| failed(format!("reading {}", link.display()), error))?;
        let releases = self.releases(releases, link);
        let is_current = |release: &&Value| release.get("current") == Some(&json!(true));
        let before = releases.as_array().into_iter().flatten().find(is_current);
        let before = before.and_then(|release| release.get("path").cloned()).unwrap_or(Value::Null);
        Ok(self.set(link_key(link), &before, &json!(to)))
    }

    pub(super) fn releases(&self, releases: Value, link: &Path) -> Value {
        let Some(to) = self.values.get(&link_key(link)) else { return releases };
        let Value::Array(mut releases) = releases else { return releases };
        for release in &mut releases {
            let current = release.get("path") == Some(to);
            if let Some(fields) = release.as_object_mut() {
                fields.insert("current".to_owned(), json!(current));
            }
        }
        Value::Array(releases)
    }

    pub(super) fn remember(&mut self, change: Change) -> ChangeId {
        self.changed += 1;
        let id = ChangeId(format!("paper-{}", self.changed));
        self.changes.insert(id.clone(), change);
        id
    }
}

fn link_key(link: &Path) -> String {
    format!("link {}", link.display())
}
