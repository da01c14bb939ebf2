//! Texts that runs keep beside their incidents: evidence, and what scripts attach.
//!
//! A directory for each run, its files named by whoever attaches. Everything is bounded: what is too long is cut and says
//! so, what is too much is refused, and the oldest runs make room.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use telemetry::RunId;

/// Runs whose texts are kept.
const MAX_RUNS: usize = 500;

/// Texts of one run.
const MAX_FILES: usize = 32;

/// The longest text, in bytes. With the two above, at most 4 GB could be kept; a run's evidence has some 20 KiB.
const MAX_BYTES: usize = 256 << 10;

/// Where the texts are.
#[derive(Clone, Debug)]
pub(crate) struct Attachments {
    directory: PathBuf,
}

impl Attachments {
    /// Below `state`.
    pub(crate) fn at(state: &Path) -> Self {
        Self { directory: state.join("attachments") }
    }

    /// Keeps a text and says in which file. One of the same name is kept beside it.
    pub(crate) fn keep(&self, run: &RunId, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let directory = self.directory.join(safe(&run.0));
        if !directory.exists() {
            make(&directory)?;
            remove_oldest(&self.directory, MAX_RUNS)?;
        }
        let taken =
            fs::read_dir(&directory).with_context(|| format!("listing {}", directory.display()))?.count();
        ensure!(taken < MAX_FILES, "a run can attach {MAX_FILES} texts and has done so; {name} is not kept");
        let (stem, ending) = match name.rsplit_once('.') {
            Some((stem, ending)) if !stem.is_empty() && is_ending(ending) => (safe(stem), ending.to_owned()),
            _ => (safe(name), "txt".to_owned()),
        };
        let beginning = text.get(..text.floor_char_boundary(MAX_BYTES)).unwrap_or_default();
        for number in 1..=MAX_FILES {
            let distinct = if number == 1 { String::new() } else { format!("-{number}") };
            let path = directory.join(format!("{stem}{distinct}.{ending}"));
            let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            let mut file = match file {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error).with_context(|| format!("making {}", path.display())),
            };
            let write = file.write_all(beginning.as_bytes()).and_then(|()| {
                let cut = text.len() - beginning.len();
                if cut > 0 { writeln!(file, "\n({cut} bytes more were cut off)") } else { Ok(()) }
            });
            write.with_context(|| format!("writing {}", path.display()))?;
            return Ok(path);
        }
        anyhow::bail!("{} has too many texts of the name {name}", directory.display())
    }
}

fn make(directory: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.with_context(|| format!("making {}", directory.display()))
}

/// Removes what exceeds `keep` runs. Their ids begin with the time, so the first by name are the oldest.
fn remove_oldest(directory: &Path, keep: usize) -> anyhow::Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))?;
    let mut runs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    runs.sort();
    for run in runs.iter().take(runs.len().saturating_sub(keep)) {
        fs::remove_dir_all(run).with_context(|| format!("removing {}", run.display()))?;
    }
    Ok(())
}

/// Whether it says what kind of text it is: `txt`, `json`.
fn is_ending(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A name from a script as part of a file name: nothing that could leave the directory.
fn safe(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    name.chars().take(64).map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str) -> RunId {
        RunId(id.to_owned())
    }

    #[test]
    fn a_text_is_kept_beside_others_of_its_name_and_never_outside() {
        let state = tempfile::tempdir().unwrap();
        let attachments = Attachments::at(state.path());
        let root = state.path().join("attachments/r1");
        for (name, expected) in [
            ("top.txt", "top.txt"),
            ("top.txt", "top-2.txt"),
            ("../../etc/passwd", "______etc_passwd.txt"),
            ("stack of web", "stack_of_web.txt"),
            ("..", "__.txt"),
            ("sockets.json", "sockets.json"),
        ] {
            assert_eq!(attachments.keep(&run("r1"), name, "text").unwrap(), root.join(expected), "{name}");
        }
        assert_eq!(fs::read_to_string(root.join("top-2.txt")).unwrap(), "text");
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so_and_what_is_too_much_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let attachments = Attachments::at(state.path());
        let path = attachments.keep(&run("r1"), "long", &"é".repeat(MAX_BYTES)).unwrap();
        let kept = fs::read_to_string(path).unwrap();
        assert!(kept.ends_with(&format!("\n({MAX_BYTES} bytes more were cut off)\n")));
        for number in 1..MAX_FILES {
            attachments.keep(&run("r1"), &format!("{number}.txt"), "").unwrap();
        }
        assert!(attachments.keep(&run("r1"), "one-more", "").is_err());
        attachments.keep(&run("r2"), "one", "").unwrap();
    }

    #[test]
    fn the_oldest_runs_make_room() {
        let state = tempfile::tempdir().unwrap();
        for id in ["20261121T080000Z-1", "20261121T090000Z-2", "20261122T080000Z-3"] {
            fs::create_dir(state.path().join(id)).unwrap();
        }
        remove_oldest(state.path(), 1).unwrap();
        let left: Vec<_> = fs::read_dir(state.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(left, ["20261122T080000Z-3"]);
    }
}
