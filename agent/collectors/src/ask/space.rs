//! How full the file system is that a path lies on.
//!
//! Asked for by the path itself, so that links on the way lead where they lead; but through those who may be left waiting
//! for an answer (see `ask_mount`), so that a dead server costs a second and not the run.

use std::path::Path;

use crate::ask_mount::{Answer, Question};
use crate::error::{CollectError, Found};
use crate::filesystem::{Mount, parse_all};
use crate::host::{HostRoot, display};

/// Space and inodes of a file system.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    /// Where it is mounted.
    pub mount: String,
    /// Its size.
    pub size_bytes: u64,
    /// What everybody may still take of it.
    pub available_bytes: u64,
    /// Of what everybody may take, how much is taken: as `df` says it, without rounding.
    pub used_percent: f64,
    /// Inodes that are taken; 0 where they are made as they are needed.
    pub inodes_used_percent: f64,
    /// Whether nothing can be written.
    pub read_only: bool,
}

/// Asks about the file system of an absolute path.
///
/// # Errors
///
/// The path is not there or hidden from this user, or nobody answers for the file system.
pub fn space(host: &HostRoot, path: &Path) -> Result<Space, CollectError> {
    let (file, view) = host.read_of_init("mountinfo")?;
    let mounts = parse_all(&file, view)?;
    let written = mount_of(&mounts, path).ok_or_else(|| file.malformed("a mount at /", ""))?;
    let text = path.to_string_lossy();
    let question = Question { point: &text, ..written.question() };
    let answer = host.spaces(&[question])?.into_iter().next();
    let space = match answer {
        Some(Answer::Space(space)) => space,
        Some(Answer::Refused(source)) => {
            return Err(CollectError::Read { path: display(&host.path(path)), source });
        }
        Some(Answer::Stuck | Answer::NotAsked) | None => {
            let why = format!("{} does not answer", written.point());
            return Err(CollectError::Unanswered {
                by: "a file system how full it is",
                why: Found::new(&why),
            });
        }
    };
    // It has just answered, so looking at where links lead does not hang.
    let real = std::fs::canonicalize(host.path(path)).unwrap_or_else(|_| path.to_owned());
    let mount = mount_of(&mounts, &real).unwrap_or(written);
    let used = space.blocks.saturating_sub(space.free);
    Ok(Space {
        mount: mount.point().to_owned(),
        size_bytes: space.blocks.saturating_mul(space.block_bytes),
        available_bytes: space.available.saturating_mul(space.block_bytes),
        used_percent: percent(used, used.saturating_add(space.available)),
        inodes_used_percent: percent(space.files.saturating_sub(space.free_files), space.files),
        read_only: mount.is_read_only(),
    })
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

/// The mount that a path lies on as it is written: the one with the longest mount point above it.
fn mount_of<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let above = mounts.iter().filter(|mount| path.starts_with(mount.point()));
    above.max_by_key(|mount| mount.point().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_of_a_path_is_that_of_its_file_system_as_df_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/proc", &link).unwrap();
        let host = HostRoot::at("/");
        let found = space(&host, directory.path()).unwrap();
        assert!(found.size_bytes > 0 && directory.path().starts_with(&found.mount), "{found:?}");
        assert!((0.0..=100.0).contains(&found.used_percent) && !found.read_only, "{found:?}");
        assert_eq!(space(&host, &link).unwrap().mount, "/proc");
        let missing = space(&host, Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(missing.to_string(), "reading /nowhere/at/all");
    }

    #[test]
    fn nothing_of_nothing_is_used() {
        assert_eq!((percent(0, 0), percent(1, 4)), (0.0, 25.0));
    }
}
