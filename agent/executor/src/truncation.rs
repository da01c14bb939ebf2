//! Empties a file that its writer keeps open, but for its end.
//!
//! The end is copied to the beginning and the rest cut off, so that a writer that appends goes on behind it. What is
//! written meanwhile is copied too, until nothing comes; only what is written between the last look and the cut is lost.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{IFlags, OFlags, ioctl_getflags};
use rustix::io::Errno;

use crate::beneath::{STAT_BLOCK_BYTES, not_opened, open_below, open_file};
use crate::{ActionError, ByteCount};

const COPY_BYTES: usize = 64 << 10;

/// How often what was written meanwhile is copied: a writer that is faster than that would never end.
const MAX_ROUNDS: usize = 8;

/// Opens the file `path`, which is `allowed` or lies below it, and shortens it to at most its last `keep` bytes, from the
/// beginning of a line on where there is one. Returns the disk space that is free now.
///
/// # Errors
///
/// It is no regular file, has another name elsewhere, cannot be written, or a part was not copied; then nothing is cut off.
pub(crate) fn truncate(allowed: &Path, path: &Path, keep: ByteCount) -> Result<ByteCount, ActionError> {
    let refused = |why: &str| ActionError::refused(format!("{} {why}", path.display()));
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(refused("names no file"));
    };
    let allowed = if allowed == path { parent } else { allowed };
    let directory = open_below(allowed, parent)?;
    let file = match open_file(&directory, name, OFlags::RDWR) {
        Err(Errno::LOOP) => return Err(refused("is a symbolic link, and links are not followed")),
        Err(Errno::PERM) if is_kept(&directory, path) => {
            return Err(refused("is immutable or append-only: see chattr(1)"));
        }
        other => File::from(other.map_err(|error| not_opened(path, error))?),
    };
    let failed = |error| ActionError::failed(format!("emptying {}", path.display()), error);
    let before = file.metadata().map_err(failed)?;
    if !before.is_file() {
        return Err(refused("is not a regular file"));
    }
    // Whoever may write to the directory could have laid the name of a file that is none of his.
    if before.nlink() != 1 {
        return Err(refused("has other names too, which may lie elsewhere"));
    }
    if before.len() <= keep.0 {
        return Ok(ByteCount(0));
    }
    let kept = keep_end(&file, before.len(), keep.0).map_err(failed)?;
    file.set_len(kept).map_err(failed)?;
    let after = file.metadata().map_err(failed)?;
    Ok(ByteCount(before.blocks().saturating_sub(after.blocks()).saturating_mul(STAT_BLOCK_BYTES)))
}

/// Whether a flag of the file system keeps the file from being written.
fn is_kept(directory: &OwnedFd, path: &Path) -> bool {
    let file = path.file_name().and_then(|name| open_file(directory, name, OFlags::RDONLY).ok());
    let flags = file.and_then(|file| ioctl_getflags(file).ok());
    flags.is_some_and(|flags| flags.intersects(IFlags::IMMUTABLE | IFlags::APPEND))
}

/// Copies the last `keep` bytes to the beginning, and whatever comes meanwhile behind them; returns where they end.
fn keep_end(file: &File, size: u64, keep: u64) -> std::io::Result<u64> {
    if keep == 0 {
        return Ok(0);
    }
    let mut from = next_line(file, size - keep, size)?;
    let mut to = 0;
    for _ in 0..MAX_ROUNDS {
        let copied = copy_down(file, from, to)?;
        if copied == 0 {
            break;
        }
        from += copied;
        to += copied;
    }
    Ok(to)
}

/// Where the next line begins, or `from` itself if it begins one or none is near.
fn next_line(file: &File, from: u64, size: u64) -> std::io::Result<u64> {
    let mut near = vec![0; COPY_BYTES];
    let before = from.saturating_sub(1);
    let read = file.read_at(&mut near, before)?;
    let end = near.iter().take(read).position(|byte| *byte == b'\n');
    let next = end.map_or(from, |end| before + end as u64 + 1);
    // A last line without an end is kept as far as it goes.
    Ok(if next >= size { from } else { next })
}

/// Copies all from `from` on to `to`, which lies before it; returns how much that was.
fn copy_down(file: &File, from: u64, to: u64) -> std::io::Result<u64> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut copied = 0;
    loop {
        let read = match file.read_at(&mut buffer, from + copied) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        };
        if read == 0 {
            return Ok(copied);
        }
        file.write_all_at(buffer.get(..read).unwrap_or_default(), to + copied)?;
        copied += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    fn cut(text: &[u8], keep: u64) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, text).unwrap();
        truncate(directory.path(), &path, ByteCount(keep)).unwrap();
        fs::read(&path).unwrap()
    }

    #[test]
    fn the_end_stays_from_the_beginning_of_a_line_on() {
        let text = b"one\ntwo\nthree\n";
        for (keep, left) in [
            (0, &b""[..]),
            (6, b"three\n"),
            (7, b"three\n"),
            (10, b"two\nthree\n"),
            (5, b"hree\n"),
            (14, text),
            (u64::MAX, text),
        ] {
            assert_eq!(cut(text, keep), left, "{keep}");
        }
    }

    #[test]
    fn a_writer_that_appends_goes_on_behind_what_was_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut writer = File::options().append(true).create(true).open(&path).unwrap();
        writer.write_all(&b"0123456789abcde\n".repeat(10_000)).unwrap();
        let freed = truncate(&path, &path, ByteCount(32)).unwrap();
        assert!(freed.0 >= 150_000, "{freed}");
        writer.write_all(b"next\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"0123456789abcde\n0123456789abcde\nnext\n");
    }

    #[test]
    fn nothing_but_a_regular_file_with_one_name_is_emptied() {
        let root = tempfile::tempdir().unwrap();
        let (allowed, outside) = (root.path().join("allowed"), root.path().join("precious"));
        fs::create_dir(&allowed).unwrap();
        fs::write(&outside, "x".repeat(100)).unwrap();
        symlink(&outside, allowed.join("link")).unwrap();
        symlink(root.path(), allowed.join("up")).unwrap();
        fs::hard_link(&outside, allowed.join("twin")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            allowed.join("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        for (name, said) in [
            ("link", "links are not followed"),
            ("up/precious", "without following links failed"),
            ("../precious", "without following links failed"),
            ("twin", "has other names too"),
            ("fifo", "is not a regular file"),
            ("missing", "without following links failed"),
        ] {
            let error = truncate(&allowed, &allowed.join(name), ByteCount(1)).unwrap_err().to_string();
            assert!(error.contains(said), "{name}: {error}");
        }
        assert_eq!(fs::read(&outside).unwrap().len(), 100);
    }

    #[test]
    fn a_file_that_may_only_be_appended_to_is_named_as_such() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "text").unwrap();
        let file = File::open(&path).unwrap();
        // Not everybody can set it, and not every file system knows it.
        if rustix::fs::ioctl_setflags(&file, IFlags::APPEND).is_err() {
            return;
        }
        let error = truncate(directory.path(), &path, ByteCount(0)).unwrap_err().to_string();
        rustix::fs::ioctl_setflags(&file, IFlags::empty()).unwrap();
        assert!(error.ends_with("is immutable or append-only: see chattr(1)"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_left_is_an_end_no_longer_than_asked(
            pieces in proptest::collection::vec((1_usize..40_000, any::<bool>()), 0..8),
            keep in 0_u64..200_000,
        ) {
            let text: Vec<u8> = pieces.iter().enumerate().flat_map(|(at, (length, line))| {
                let mut piece = vec![b'a' + at as u8; *length];
                if *line { piece.push(b'\n'); }
                piece
            }).collect();
            let left = cut(&text, keep);
            prop_assert!(left.len() as u64 <= keep && text.ends_with(&left));
            prop_assert!(keep == 0 || text.is_empty() || !left.is_empty());
        }
    }
}
