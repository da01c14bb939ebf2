//! Files of the state directory that are replaced whole: after a crash there is the old one or the new one.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Puts what `write` writes in the file's place; on disk when this returns. Says how many bytes it was.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<u64> {
    let new = beside(path, "new");
    let written = write_new(&new, write).and_then(|bytes| {
        std::fs::rename(&new, path)?;
        let directory = path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all());
        directory.map(|()| bytes)
    });
    if written.is_err() {
        // A disk that is full is not to stay so by what could not be finished.
        let _ = std::fs::remove_file(&new);
    }
    written
}

fn write_new(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<u64> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    write(&mut file)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// The whole file, at most one byte more than `at_most`; none if there is none.
pub(super) fn read(path: &Path, at_most: usize) -> std::io::Result<Option<Vec<u8>>> {
    let file = match open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(at_most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Opens a file to read it; what is not a file, such as a pipe that nobody writes to, is refused and not waited for.
pub(super) fn open(path: &Path) -> std::io::Result<File> {
    let not_to_wait = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(not_to_wait).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(std::io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// Keeps a file that cannot be used for whoever wants to know why, in place of the one before; says under which name.
pub(super) fn put_aside(path: &Path) -> std::io::Result<PathBuf> {
    let aside = beside(path, "damaged");
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_leaves_the_old_file_and_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("it");
        assert_eq!(replace(&path, |file| file.write_all(b"old")).unwrap(), 3);
        let failed = replace(&path, |file| {
            file.write_all(b"ne")?;
            Err(ErrorKind::StorageFull.into())
        });
        assert!(failed.is_err());
        assert_eq!(read(&path, 3).unwrap().unwrap(), b"old");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(read(&path, 1).unwrap().unwrap(), b"ne", "one byte more tells that it is too long");
        assert_eq!(read(&directory.path().join("none"), 1).unwrap(), None);
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("it");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(read(&path, 9).unwrap_err().to_string(), "it is not a regular file");
    }

    #[test]
    fn what_a_crash_left_behind_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("it");
        std::fs::write(directory.path().join("it.new"), "cut short and longer").unwrap();
        replace(&path, |file| file.write_all(b"whole")).unwrap();
        assert_eq!(read(&path, 99).unwrap().unwrap(), b"whole");
    }
}
