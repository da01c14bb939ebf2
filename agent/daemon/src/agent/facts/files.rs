//! Files, releases and how full file systems are.

use std::path::Path;
use std::time::Duration;

use collectors::{HostRoot, ListedFile};
use executor::name_matches;
use remediation::FileOrder;
use serde_json::{Value, json};

use super::{Sources, told};

/// Which files are listed.
pub(super) struct Wanted<'a> {
    /// Only those whose names match.
    pub(super) matching: Option<&'a str>,
    /// Only those last written longer ago.
    pub(super) older_than: Duration,
}

impl Sources<'_> {
    pub(super) fn files(
        &self,
        under: &Path,
        wanted: &Wanted<'_>,
        order: FileOrder,
        at_most: usize,
    ) -> Result<Value, String> {
        let keep = |file: &ListedFile| {
            self.now.since(file.written) >= wanted.older_than
                && wanted.matching.is_none_or(|pattern| name_matches(pattern, &file.name()))
        };
        let written = |file: &ListedFile| file.written.as_nanos();
        let key = |file: &ListedFile| match order {
            FileOrder::Oldest => (written(file), file.path.clone()),
            FileOrder::Newest => (-written(file), file.path.clone()),
            FileOrder::Largest => (-i64::try_from(file.bytes).unwrap_or(i64::MAX), file.path.clone()),
        };
        let files = told(collectors::files(self.host, under, keep, key, at_most))?;
        let shown = |file: ListedFile| {
            json!({
                "path": file.path.to_string_lossy(),
                "name": file.name(),
                "bytes": file.bytes,
                "age_seconds": self.now.since(file.written).as_secs(),
            })
        };
        Ok(files.into_iter().map(shown).collect())
    }

    pub(super) fn releases(&self, link: &Path) -> Result<Value, String> {
        let releases = told(collectors::releases(self.host, link))?;
        let shown = |release: collectors::Release| {
            json!({
                "path": release.path.to_string_lossy(),
                "age_seconds": self.now.since(release.written).as_secs(),
                "current": release.current,
            })
        };
        Ok(releases.into_iter().map(shown).collect())
    }
}

pub(super) fn disk_usage(host: &HostRoot, path: &Path) -> Result<Value, String> {
    let space = told(collectors::space(host, path))?;
    Ok(json!({
        "mount": space.mount,
        "size_bytes": space.size_bytes,
        "available_bytes": space.available_bytes,
        "used_percent": space.used_percent,
        "inodes_used_percent": space.inodes_used_percent,
        "read_only": space.read_only,
    }))
}
