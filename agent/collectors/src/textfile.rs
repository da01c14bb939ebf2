//! Metrics that others lay down as files: `*.prom` in one directory, as for `node_exporter`'s collector `textfile`.
//!
//! A file costs only itself: what is wrong with it is told with its name and line, and the others are taken. Only regular
//! files that are no links are opened. What a file says is said by whoever may write it, so it is kept apart from what is
//! measured: this knows neither the store nor the wire.

mod parse;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use telemetry::{Family, FamilyKind, FamilySample, Timestamp};

pub use parse::{TextError, parse};

/// Files that are read; those after them in order of their names are an error each.
const MOST_FILES: usize = 256;

/// Bytes of all files together. What is sent of so much fits one request.
const MOST_BYTES: usize = 1 << 20;

/// Series of all files together: what an origin may have, and more than batch jobs of a host tell.
pub const MOST_TEXTFILE_SERIES: usize = 5_000;

/// Entries of the directory that are looked at.
const MOST_ENTRIES: usize = 4_096;

/// What the directory held.
#[derive(Debug, Default)]
pub struct Textfiles {
    /// The families of all files by name, and those about the files.
    pub families: Vec<Family>,
    /// What is wrong.
    pub errors: Vec<TextfileError>,
}

/// Why a file was not taken, or the directory was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextfileError {
    /// It cannot be opened or read.
    #[error("reading {path}")]
    Read {
        /// The file or directory.
        path: String,
        /// What the kernel said.
        source: Errno,
    },
    /// It is not as the text format has it.
    #[error("{path}, {what}")]
    Text {
        /// The file.
        path: String,
        /// Where and what.
        what: TextError,
    },
    /// A link, a directory, a FIFO.
    #[error("{path} is no regular file; write it elsewhere and rename it into place")]
    NotAFile {
        /// The file.
        path: String,
    },
    /// Its name is no text, and the label `file` could not tell it from others.
    #[error("the name of {path} is not UTF-8; choose another")]
    Name {
        /// The file, as far as it can be shown.
        path: String,
    },
    /// A name that is not its to tell.
    #[error("{path}: {name} is a name of the host's own; choose another")]
    HostName {
        /// The file.
        path: String,
        /// The name.
        name: String,
    },
    /// Two files do not agree.
    #[error("{path}: {name} stands in another file with another type or the same labels")]
    Clash {
        /// The later file by name.
        path: String,
        /// The name of the metric.
        name: String,
    },
    /// More than is taken.
    #[error("{path} is beyond the limit of {limit} {what} of all files")]
    TooMuch {
        /// The file.
        path: String,
        /// How much is taken.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
}

const SCRAPE_ERROR: &str = "node_textfile_scrape_error";
const MTIME: &str = "node_textfile_mtime_seconds";

/// Reads the directory. `may_bear` says of a name whether a file may bear it.
pub fn read_textfiles(directory: &Path, may_bear: &dyn Fn(&str) -> bool) -> Textfiles {
    let mut reading = Reading::default();
    match names(directory) {
        Ok(names) => {
            for (number, name) in names.into_iter().enumerate() {
                let path = directory.join(name);
                let taken = if number < MOST_FILES {
                    reading.file(&path, may_bear)
                } else {
                    Err(Reading::too_much(&path, MOST_FILES, "files"))
                };
                reading.errors.extend(taken.err());
            }
        }
        Err(source) => {
            reading.errors.push(TextfileError::Read { path: directory.display().to_string(), source });
        }
    }
    reading.finish()
}

/// The names that end in `.prom`, in order.
fn names(directory: &Path) -> Result<Vec<PathBuf>, Errno> {
    let entries =
        std::fs::read_dir(directory).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let entries =
        entries.take(MOST_ENTRIES).filter_map(Result::ok).map(|entry| PathBuf::from(entry.file_name()));
    let mut names: Vec<PathBuf> =
        entries.filter(|name| name.extension().is_some_and(|extension| extension == "prom")).collect();
    names.sort();
    Ok(names)
}

#[derive(Default)]
struct Reading {
    families: Vec<Family>,
    /// Where each stands, by name.
    places: HashMap<String, usize>,
    errors: Vec<TextfileError>,
    files: Vec<(String, Duration)>,
    series: HashSet<(String, Vec<(String, String)>)>,
    bytes: usize,
}

impl Reading {
    fn too_much(path: &Path, limit: usize, what: &'static str) -> TextfileError {
        TextfileError::TooMuch { path: path.display().to_string(), limit, what }
    }

    /// Takes all of a file or nothing.
    fn file(&mut self, path: &Path, may_bear: &dyn Fn(&str) -> bool) -> Result<(), TextfileError> {
        let shown = || path.display().to_string();
        if path.to_str().is_none() {
            return Err(TextfileError::Name { path: shown() });
        }
        let (bytes, written) = open(path, MOST_BYTES - self.bytes)?;
        if bytes.len() > MOST_BYTES - self.bytes {
            return Err(Self::too_much(path, MOST_BYTES, "bytes"));
        }
        let families = parse(&bytes).map_err(|what| TextfileError::Text { path: shown(), what })?;
        let all = || families.iter().flat_map(|family| &family.samples);
        let names = families.iter().map(|family| &family.name).chain(all().map(|sample| &sample.name));
        // A destination that translates to Prometheus gives a counter this ending.
        let counters = families.iter().filter(|family| family.kind == FamilyKind::Counter);
        let counters = counters.map(|family| format!("{}_total", family.name));
        let is_ours = |name: &str| name == SCRAPE_ERROR || name == MTIME || !may_bear(name);
        if let Some(name) = names.cloned().chain(counters).find(|name| is_ours(name)) {
            return Err(TextfileError::HostName { path: shown(), name });
        }
        if self.series.len() + all().count() > MOST_TEXTFILE_SERIES {
            return Err(Self::too_much(path, MOST_TEXTFILE_SERIES, "series"));
        }
        let known = |name: &str| self.families.get(*self.places.get(name)?);
        let differs = |family: &&Family| known(&family.name).is_some_and(|known| known.kind != family.kind);
        let is_there =
            |sample: &&FamilySample| self.series.contains(&(sample.name.clone(), sample.labels.clone()));
        let clash = families.iter().find(differs).map(|family| &family.name);
        if let Some(name) = clash.or_else(|| all().find(is_there).map(|sample| &sample.name)) {
            return Err(TextfileError::Clash { path: shown(), name: name.clone() });
        }
        self.series.extend(all().map(|sample| (sample.name.clone(), sample.labels.clone())));
        self.bytes += bytes.len();
        self.files.push((shown(), written));
        for family in families {
            let place = *self.places.entry(family.name.clone()).or_insert(self.families.len());
            match self.families.get_mut(place) {
                Some(known) => known.samples.extend(family.samples),
                None => self.families.push(family),
            }
        }
        Ok(())
    }

    fn finish(self) -> Textfiles {
        let Self { mut families, errors, files, .. } = self;
        let gauge = |name: &str, help: &str, samples: Vec<(Vec<(String, String)>, f64)>| Family {
            name: name.to_owned(),
            help: help.to_owned(),
            kind: FamilyKind::Gauge,
            samples: samples
                .into_iter()
                .map(|(labels, value)| FamilySample { name: name.to_owned(), labels, value })
                .collect(),
        };
        let failed = f64::from(u8::from(!errors.is_empty()));
        families.push(gauge(
            SCRAPE_ERROR,
            "1 if a file could not be taken, else 0.",
            vec![(Vec::new(), failed)],
        ));
        let files =
            files.into_iter().map(|(path, written)| (vec![("file".to_owned(), path)], written.as_secs_f64()));
        families.push(gauge(MTIME, "When a file was written, in seconds since 1970.", files.collect()));
        families.retain(|family| !family.samples.is_empty());
        families.sort_by(|one, other| one.name.cmp(&other.name));
        Textfiles { families, errors }
    }
}

/// The bytes of a file, one more than `limit` at most, and when it was written.
fn open(path: &Path, limit: usize) -> Result<(Vec<u8>, Duration), TextfileError> {
    let shown = || path.display().to_string();
    let reading = |source| TextfileError::Read { path: shown(), source };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = match openat(CWD, path, flags, Mode::empty()) {
        // The kernel's word for a link that is not to be followed.
        Err(Errno::LOOP) => return Err(TextfileError::NotAFile { path: shown() }),
        other => other.map_err(reading)?,
    };
    let stat = fstat(&file).map_err(reading)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(TextfileError::NotAFile { path: shown() });
    }
    let mut bytes = Vec::new();
    while bytes.len() <= limit {
        bytes.reserve(8192);
        match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(source) => return Err(reading(source)),
        }
    }
    let nanos = stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(stat.st_mtime_nsec as i64);
    Ok((bytes, Timestamp::from_nanos(nanos).since(Timestamp::EPOCH)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    fn read(directory: &tempfile::TempDir) -> (Vec<String>, Vec<String>) {
        let read = read_textfiles(directory.path(), &|name| !name.starts_with("system_"));
        let series = read.families.iter().flat_map(|family| &family.samples);
        let series = series.filter(|sample| sample.name != MTIME);
        let root = format!("{}/", directory.path().display());
        (
            series.map(|sample| format!("{} {}", sample.name, sample.value)).collect(),
            read.errors.iter().map(|error| error.to_string().replace(&root, "")).collect(),
        )
    }

    #[test]
    fn files_are_put_together_and_a_bad_one_costs_only_itself() {
        let directory = directory(&[
            ("a.prom", "# TYPE backup_last gauge\nbackup_last{job=\"a\"} 1\n"),
            ("b.prom", "# TYPE backup_last gauge\nbackup_last{job=\"b\"} 2\n"),
            ("c.prom", "good 1\nbad\n"),
            ("d.prom", "# TYPE backup_last counter\nbackup_last{job=\"d\"} 1\n"),
            ("e.prom", "backups 1\n# TYPE backup_last gauge\nbackup_last{job=\"a\"} 3\n"),
            ("f.prom", "system_cpu 1\n"),
            ("g.prom", "node_textfile_scrape_error 0\n"),
            ("h.prom.tmp", "half"),
        ]);
        std::os::unix::fs::symlink(directory.path().join("a.prom"), directory.path().join("link.prom"))
            .unwrap();
        std::fs::create_dir(directory.path().join("z.prom")).unwrap();
        let (series, errors) = read(&directory);
        assert_eq!(series, ["backup_last 1", "backup_last 2", "node_textfile_scrape_error 1"]);
        assert_eq!(
            errors,
            [
                "c.prom, line 2: the value is a number, NaN, +Inf or -Inf",
                "d.prom: backup_last stands in another file with another type or the same labels",
                "e.prom: backup_last stands in another file with another type or the same labels",
                "f.prom: system_cpu is a name of the host's own; choose another",
                "g.prom: node_textfile_scrape_error is a name of the host's own; choose another",
                "link.prom is no regular file; write it elsewhere and rename it into place",
                "z.prom is no regular file; write it elsewhere and rename it into place",
            ]
        );
    }

    #[test]
    fn a_name_that_could_not_be_told_from_another_is_refused() {
        use std::os::unix::ffi::OsStrExt;
        let directory = directory(&[]);
        for name in [&b"\xfe.prom"[..], b"\xff.prom"] {
            std::fs::write(directory.path().join(std::ffi::OsStr::from_bytes(name)), "a 1\n").unwrap();
        }
        let (series, errors) = read(&directory);
        assert_eq!(series, ["node_textfile_scrape_error 1"]);
        assert_eq!(errors, vec!["the name of \u{fffd}.prom is not UTF-8; choose another"; 2]);
    }

    #[test]
    fn a_counter_whose_name_becomes_one_of_the_hosts_at_its_destination_is_refused() {
        let directory = directory(&[
            ("a.prom", "# TYPE system_cpu_time counter\nsystem_cpu_time 1\n"),
            ("b.prom", "# TYPE jobs counter\njobs 1\n"),
        ]);
        let read = read_textfiles(directory.path(), &|name| name != "system_cpu_time_total");
        let errors: Vec<String> = read.errors.iter().map(ToString::to_string).collect();
        let path = directory.path().join("a.prom");
        assert_eq!(
            errors,
            [format!(
                "{}: system_cpu_time_total is a name of the host's own; choose another",
                path.display()
            )]
        );
    }

    #[test]
    fn what_is_beyond_a_limit_is_left_out_and_told() {
        let many: Vec<String> =
            (0..=MOST_TEXTFILE_SERIES).map(|number| format!("a{{x=\"{number}\"}} 1\n")).collect();
        let long = "# \n".repeat(MOST_BYTES / 3 + 1);
        let directory = directory(&[("a.prom", &many.concat()), ("b.prom", &long), ("c.prom", "c 1\n")]);
        let (series, errors) = read(&directory);
        assert_eq!(series, ["c 1", "node_textfile_scrape_error 1"]);
        assert_eq!(
            errors,
            [
                "a.prom is beyond the limit of 5000 series of all files",
                "b.prom is beyond the limit of 1048576 bytes of all files"
            ]
        );
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_and_an_empty_one_is_none() {
        let read = read_textfiles(Path::new("/nowhere"), &|_| true);
        assert_eq!(read.errors.first().unwrap().to_string(), "reading /nowhere");
        assert!(read.families.first().unwrap().samples.first().unwrap().value > 0.0);
        let (series, errors) = self::read(&directory(&[]));
        assert_eq!((series, errors), (vec!["node_textfile_scrape_error 0".to_owned()], vec![]));
    }
}
