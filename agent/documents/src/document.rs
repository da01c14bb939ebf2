//! One file, opened once.
//!
//! Whoever can write a rule or a script can make the agent act, so a file counts only if nobody but root and the
//! agent's user could have changed it: the file, and every directory above it.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use crate::Place;

/// The largest file that is read. Ten thousand rules take about this much; a larger file is refused.
pub const MAX_DOCUMENT_BYTES: u64 = 2 << 20;

const WRITABLE_BY_OTHERS: u32 = 0o002;
const WRITABLE_BY_GROUP: u32 = 0o020;
const STICKY: u32 = 0o1000;

/// As many links in a row as the kernel follows.
const MAX_LINKS: usize = 40;

/// Whose files are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Anybody's: the file is only looked at, and nothing will act on it.
    Anyone,
    /// Root's and this user's, if nobody else can write to them or to a directory above.
    Owner(u32),
}

impl Trust {
    /// Root's files and those of the user this process runs as.
    pub fn invoking_user() -> Self {
        Self::Owner(rustix::process::geteuid().as_raw())
    }

    /// Whether what lies under this absolute path can be believed, without reading it. Links are followed as long as
    /// nobody else could have laid them.
    ///
    /// # Errors
    ///
    /// [`OpenError::Untrusted`] names the file, link or directory that somebody else could have changed;
    /// [`OpenError::Read`] one that cannot be looked at.
    pub fn check(self, path: &Path) -> Result<(), OpenError> {
        let Self::Owner(user) = self else { return Ok(()) };
        let mut at = path.to_owned();
        for _ in 0..MAX_LINKS {
            let unreadable = |source| OpenError::Read { path: at.clone(), source };
            let directory = at.parent().unwrap_or(&at);
            believe_from_root(directory, user)?;
            let real = directory.canonicalize().map_err(unreadable)?;
            believe_from_root(&real, user)?;
            let metadata = at.symlink_metadata().map_err(unreadable)?;
            if !metadata.is_symlink() {
                return believe(&at, &metadata, user);
            }
            at = real.join(at.read_link().map_err(unreadable)?);
        }
        let source = std::io::Error::other(format!("it leads through more than {MAX_LINKS} links"));
        Err(OpenError::Read { path: path.to_owned(), source })
    }
}

/// A file that cannot be read or must not be believed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system refused.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or the directory above it.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A directory, a device, a FIFO.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path given.
        path: PathBuf,
    },
    /// Over the size limit.
    #[error("{} is larger than {limit} bytes; split it", path.display())]
    TooLarge {
        /// The path given.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// Not text.
    #[error("{} is not UTF-8 text", path.display())]
    NotText {
        /// The path given.
        path: PathBuf,
    },
    /// Somebody else could have changed it.
    #[error("{} is not trusted: {reason}; {remedy}", path.display())]
    Untrusted {
        /// The file or the directory above it.
        path: PathBuf,
        /// What is wrong with its owner or mode.
        reason: String,
        /// The command that mends it.
        remedy: String,
    },
}

/// The text of one file, read once. Cloning shares the text.
#[derive(Clone, Debug)]
pub struct Document {
    path: Arc<Path>,
    text: Arc<str>,
}

impl Document {
    /// Opens `path` without following a link in its last component, checks it against `trust`, and reads it.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]: unreadable, no regular file, too large, no text, or not to be trusted.
    pub fn open(path: &Path, trust: Trust) -> Result<Self, OpenError> {
        let unreadable = |source| OpenError::Read { path: path.to_owned(), source };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let real = directory.canonicalize().map_err(unreadable)?;
        let name = path.file_name().ok_or_else(|| OpenError::NotAFile { path: path.to_owned() })?;
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        // NONBLOCK: opening a FIFO would otherwise wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file: File = rustix::fs::openat2(CWD, real.join(name), flags, Mode::empty(), resolve)
            .map_err(|error| unreadable(link_refused(error)))?
            .into();
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(OpenError::NotAFile { path: path.to_owned() });
        }
        if let Trust::Owner(user) = trust {
            believe(path, &metadata, user)?;
            believe_from_root(&real, user)?;
        }
        let mut bytes = Vec::with_capacity(metadata.len().min(MAX_DOCUMENT_BYTES) as usize);
        file.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
            return Err(OpenError::TooLarge { path: path.to_owned(), limit: MAX_DOCUMENT_BYTES });
        }
        let text = String::from_utf8(bytes).map_err(|_| OpenError::NotText { path: path.to_owned() })?;
        Ok(Self::from_text(path, &text))
    }

    /// A document that was not read from a file.
    pub fn from_text(path: &Path, text: &str) -> Self {
        Self { path: Arc::from(path), text: Arc::from(text) }
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of the byte at `offset`, both from 1; the column counts characters.
    pub fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
        Place { line: before.matches('\n').count() + 1, column }
    }

    /// The byte offset of a line and column, both from 1, within the text.
    pub fn offset(&self, place: Place) -> usize {
        let mut start = 0;
        for _ in 1..place.line {
            let rest = self.text.get(start..).unwrap_or("");
            start += rest.find('\n').map_or(rest.len(), |at| at + 1);
        }
        let line = self.text.get(start..).unwrap_or("");
        start + line.char_indices().nth(place.column.saturating_sub(1)).map_or(line.len(), |(at, _)| at)
    }

    /// `range`, cut to the text and widened to whole characters.
    pub(crate) fn clamp(&self, range: Range<usize>) -> Range<usize> {
        let end = self.text.ceil_char_boundary(range.end.min(self.text.len()));
        let start = self.text.floor_char_boundary(range.start.min(end));
        start..end
    }
}

fn link_refused(error: rustix::io::Errno) -> std::io::Error {
    if error == rustix::io::Errno::LOOP {
        std::io::Error::other("it is a symbolic link, and links are not followed")
    } else {
        error.into()
    }
}

/// Believes a directory and all that are above it.
fn believe_from_root(directory: &Path, user: u32) -> Result<(), OpenError> {
    directory.ancestors().try_for_each(|above| {
        let metadata =
            above.metadata().map_err(|source| OpenError::Read { path: above.to_owned(), source })?;
        believe(above, &metadata, user)
    })
}

fn believe(path: &Path, metadata: &std::fs::Metadata, user: u32) -> Result<(), OpenError> {
    let (owner, mode) = (metadata.uid(), metadata.mode());
    let untrusted =
        |reason: String, remedy: String| OpenError::Untrusted { path: path.to_owned(), reason, remedy };
    if owner != 0 && owner != user {
        let reason = format!("it belongs to user {owner}");
        return Err(untrusted(reason, format!("chown it to root or to user {user}")));
    }
    // In a directory like /tmp nobody can replace what belongs to somebody else.
    let shared_safely = metadata.is_dir() && mode & STICKY != 0 && owner == 0;
    let own_group = is_own_group(metadata.gid(), user, rustix::process::getegid().as_raw());
    if mode & WRITABLE_BY_OTHERS != 0 && !shared_safely {
        return Err(untrusted(
            "everybody can write to it".to_owned(),
            format!("chmod o-w {}", path.display()),
        ));
    }
    if mode & WRITABLE_BY_GROUP != 0 && !shared_safely && !own_group {
        let reason = format!("group {} can write to it", metadata.gid());
        return Err(untrusted(reason, format!("chmod g-w {}", path.display())));
    }
    Ok(())
}

/// Whether a group holds only this person, so that with a umask of 0002 all the person makes is writable by it. By
/// convention such a group has the person's own number; one that is shared, as `users` is, has not.
fn is_own_group(group: u32, user: u32, effective_group: u32) -> bool {
    user != 0 && group == effective_group && group == user
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn write(directory: &tempfile::TempDir, mode: u32) -> PathBuf {
        let path = directory.path().join("rules.yaml");
        std::fs::write(&path, "groups: []\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_file_of_ones_own_is_read() {
        let directory = directory();
        let document = Document::open(&write(&directory, 0o644), Trust::invoking_user()).unwrap();
        assert_eq!(document.text(), "groups: []\n");
    }

    #[test]
    fn a_file_that_others_can_write_is_refused_with_the_remedy() {
        let directory = directory();
        let path = write(&directory, 0o666);
        let error = Document::open(&path, Trust::invoking_user()).unwrap_err().to_string();
        assert!(error.contains("everybody can write to it; chmod o-w"), "{error}");
        assert!(Document::open(&path, Trust::Anyone).is_ok());
    }

    #[test]
    fn a_file_in_a_directory_that_others_can_write_is_refused() {
        let directory = directory();
        let path = write(&directory, 0o644);
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
        assert!(matches!(Document::open(&path, Trust::invoking_user()), Err(OpenError::Untrusted { .. })));
    }

    #[test]
    fn only_the_group_that_is_one_s_own_may_write() {
        for (group, user, effective_group, own) in
            [(1000, 1000, 1000, true), (100, 1000, 100, false), (1000, 1000, 100, false), (0, 0, 0, false)]
        {
            assert_eq!(is_own_group(group, user, effective_group), own, "{group} {user} {effective_group}");
        }
    }

    #[test]
    fn a_link_is_believed_if_nobody_else_could_have_laid_it_and_its_end_is_believed() {
        let (own, open) = (directory(), directory());
        let trust = Trust::invoking_user();
        let file = write(&own, 0o755);
        let near = own.path().join("near");
        symlink("rules.yaml", &near).unwrap();
        assert!(trust.check(&file).is_ok() && trust.check(&near).is_ok());

        let far = open.path().join("far");
        symlink(&near, &far).unwrap();
        assert!(trust.check(&far).is_ok());
        std::fs::set_permissions(open.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let error = trust.check(&far).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} is not trusted", open.path().display())), "{error}");
        symlink(&far, own.path().join("through")).unwrap();
        assert!(trust.check(&own.path().join("through")).is_err());
        assert!(Trust::Anyone.check(&far).is_ok());

        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o777)).unwrap();
        let error = trust.check(&near).unwrap_err().to_string();
        assert!(error.contains("rules.yaml is not trusted: everybody can write to it"), "{error}");
    }

    #[test]
    fn links_in_a_circle_end_the_check() {
        let directory = directory();
        let link = directory.path().join("link");
        symlink("link", &link).unwrap();
        assert!(matches!(Trust::invoking_user().check(&link), Err(OpenError::Read { .. })));
    }

    #[test]
    fn a_link_is_not_followed() {
        let directory = directory();
        let link = directory.path().join("link.yaml");
        symlink(write(&directory, 0o644), &link).unwrap();
        let error = Document::open(&link, Trust::Anyone).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot read {}", link.display()));
    }

    #[test]
    fn what_is_no_text_file_is_refused_without_waiting() {
        let directory = directory();
        assert!(matches!(Document::open(directory.path(), Trust::Anyone), Err(OpenError::NotAFile { .. })));
        let binary = directory.path().join("binary");
        std::fs::write(&binary, [0xff, 0xfe]).unwrap();
        assert!(matches!(Document::open(&binary, Trust::Anyone), Err(OpenError::NotText { .. })));
        let large = directory.path().join("large");
        std::fs::write(&large, vec![b'a'; MAX_DOCUMENT_BYTES as usize + 1]).unwrap();
        assert!(matches!(Document::open(&large, Trust::Anyone), Err(OpenError::TooLarge { .. })));
    }

    #[test]
    fn offsets_and_places_agree() {
        let document = Document::from_text(Path::new("x"), "a: 1\nbö: 2\n");
        for offset in [0, 3, 5, 6, 8, 11] {
            assert_eq!(document.offset(document.place(offset)), offset);
        }
        assert_eq!(document.place(8), Place { line: 2, column: 3 });
    }
}
