//! Lets a symbolic link point elsewhere, in one step.
//!
//! A new link is made under a name of its own and takes the old one's place, so that nobody finds none. Only a link is
//! ever replaced.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, readlinkat, renameat, symlinkat, unlinkat};
use rustix::io::Errno;

use crate::ActionError;
use crate::beneath::{is_directory, look, open_directory, synced};

/// A link, by the directory that it lies in.
#[derive(Debug)]
pub(crate) struct Link<'a> {
    path: &'a Path,
    name: &'a OsStr,
    directory: OwnedFd,
}

impl<'a> Link<'a> {
    /// Opens the directory that a link lies in, without following other links.
    pub(crate) fn open(path: &'a Path) -> Result<Self, ActionError> {
        let refused = || ActionError::refused(format!("{} names no link", path.display()));
        let (parent, name) = path.parent().zip(path.file_name()).ok_or_else(refused)?;
        Ok(Self { path, name, directory: open_directory(parent)? })
    }

    /// Where it points to, as it is written in it.
    ///
    /// # Errors
    ///
    /// It is no link.
    pub(crate) fn text(&self) -> Result<PathBuf, ActionError> {
        match readlinkat(&self.directory, self.name, Vec::new()) {
            Ok(text) => Ok(std::ffi::OsString::from_vec(text.into_bytes()).into()),
            Err(Errno::INVAL) => {
                let why = "is not a symbolic link, and nothing else is replaced";
                Err(ActionError::refused(format!("{} {why}", self.path.display())))
            }
            Err(error) => {
                Err(ActionError::failed(format!("reading the link {}", self.path.display()), error))
            }
        }
    }

    /// Lets it point to `text`.
    pub(crate) fn point_to(&self, text: &Path) -> Result<(), ActionError> {
        let mut fresh = OsStr::new(".").to_owned();
        fresh.push(self.name);
        fresh.push(".hostmend-new");
        let replace = || -> Result<(), Errno> {
            match unlinkat(&self.directory, &fresh, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
            symlinkat(text, &self.directory, &fresh)?;
            renameat(&self.directory, &fresh, &self.directory, self.name).inspect_err(|_| {
                let _ = unlinkat(&self.directory, &fresh, AtFlags::empty());
            })
        };
        replace().map_err(|error| {
            let doing = format!("letting {} point to {}", self.path.display(), text.display());
            ActionError::failed(doing, error)
        })?;
        synced(&self.directory, self.path);
        Ok(())
    }

    /// How a release is written in a link that points to `now`: relative as that is, if it leads into the same directory.
    pub(crate) fn spelling(&self, now: &Path, release: &Path) -> PathBuf {
        let (Some(parent), Some(name)) = (now.parent(), release.file_name()) else {
            return release.to_owned();
        };
        let beside = self.path.parent().unwrap_or(Path::new("/"));
        if release.parent() == Some(&beside.join(parent)) { parent.join(name) } else { release.to_owned() }
    }
}

/// Whether a path names a directory, and no link to one, directly in `releases`.
pub(crate) fn is_release(releases: impl AsFd, to: &Path) -> bool {
    let name = to.file_name();
    name.is_some_and(|name| look(releases, name).is_ok_and(|stat| is_directory(&stat)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::not_to_be_synced;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_points_elsewhere_and_nothing_is_left_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("current");
        symlink("releases/2", &path).unwrap();
        fs::write(root.path().join(".current.hostmend-new"), "left by a crash").unwrap();
        let link = Link::open(&path).unwrap();
        assert_eq!(link.text().unwrap(), Path::new("releases/2"));
        link.point_to(Path::new("releases/1")).unwrap();
        assert_eq!(link.text().unwrap(), Path::new("releases/1"));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_that_points_elsewhere_does_so_even_if_its_directory_cannot_be_synced() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("current");
        symlink("releases/2", &path).unwrap();
        let link = Link { directory: not_to_be_synced(root.path()), ..Link::open(&path).unwrap() };
        link.point_to(Path::new("releases/1")).unwrap();
        assert_eq!(link.text().unwrap(), Path::new("releases/1"));
    }

    #[test]
    fn what_is_no_link_is_not_replaced_and_no_other_link_is_followed() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "x").unwrap();
        symlink(root.path(), root.path().join("self")).unwrap();
        let file = root.path().join("file");
        let said = Link::open(&file).unwrap().text().unwrap_err().to_string();
        assert!(said.ends_with("is not a symbolic link, and nothing else is replaced"), "{said}");
        assert!(Link::open(&root.path().join("self/self")).is_err());
        assert!(Link::open(Path::new("/")).is_err());
    }

    #[test]
    fn a_release_is_written_as_the_one_before_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("current");
        let link = Link::open(&path).unwrap();
        let release = root.path().join("releases/1");
        for (now, expected) in [
            (PathBuf::from("releases/2"), PathBuf::from("releases/1")),
            (PathBuf::from("./releases/2"), PathBuf::from("./releases/1")),
            (root.path().join("releases/2"), release.clone()),
            (PathBuf::from("elsewhere/2"), release.clone()),
            (PathBuf::from("/"), release.clone()),
        ] {
            assert_eq!(link.spelling(&now, &release), expected, "{}", now.display());
        }
    }

    #[test]
    fn a_release_is_a_directory_and_no_link_to_one() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("1")).unwrap();
        fs::write(root.path().join("file"), "x").unwrap();
        symlink("1", root.path().join("link")).unwrap();
        let releases = open_directory(root.path()).unwrap();
        for (name, is) in [("1", true), ("file", false), ("link", false), ("2", false)] {
            assert_eq!(is_release(&releases, &root.path().join(name)), is, "{name}");
        }
    }
}
