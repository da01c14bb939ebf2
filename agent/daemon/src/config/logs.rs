//! The section about logs of this host: which files, what of the journal, whether the kernel's log.

mod files;
mod host;
mod lines;
mod sections;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use documents::{Review, Spanned};
use logs::{
    FilesOptions, FilesSource, JournalOptions, JournalSource, KernelOptions, KernelSource, LogSource,
    LogSourceError, Positions, StartAt,
};
use otlp::{Builtin, MaskAction, MaskRule, Masking};

use super::Base;
use super::masking::DEFAULT_TEXT;
use crate::clock;
use crate::taps::SourceOptions;
pub(super) use sections::LogsSection;
use sections::{JournalSection, KernelSection, StartName};

/// Sources that are followed at most. Each has a place in the status and figures of its own.
const MAX_SOURCES: usize = 100;

/// A name stands in the origin `log:<name>`, in labels and on screens.
const MAX_NAME: usize = 64;

/// The longest value of a field of the journal that is kept whole: as long as a line of a file.
const MAX_FIELD_BYTES: usize = files::DEFAULT_LINE_BYTES;

/// Where journald keeps the journal, and where it keeps it until the disk can be written.
const JOURNALS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// Which logs are followed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logs {
    pub(crate) sources: Vec<LogSourceConfig>,
    /// What is masked in them.
    pub(crate) masking: Masking,
}

impl Logs {
    /// What the taps are to know of each source.
    pub(super) fn for_taps(&self) -> BTreeMap<String, SourceOptions> {
        let options = |source: &LogSourceConfig| SourceOptions {
            access: matches!(source, LogSourceConfig::Files(files) if lines::is_access_log(&files.record)),
        };
        self.sources.iter().map(|source| (source.name().to_string(), options(source))).collect()
    }
}

/// Options hold patterns, which cannot be compared but by how they are written.
impl PartialEq for Logs {
    fn eq(&self, other: &Self) -> bool {
        let printed = |logs: &Self| format!("{:?}", logs.sources);
        self.masking == other.masking && printed(self) == printed(other)
    }
}

/// One source.
#[derive(Clone, Debug)]
pub(crate) enum LogSourceConfig {
    Files(FilesOptions),
    Journal(JournalOptions),
    Kernel(KernelOptions),
}

impl LogSourceConfig {
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            Self::Files(options) => &options.name,
            Self::Journal(options) => &options.name,
            Self::Kernel(options) => &options.name,
        }
    }

    /// What it is, as the configuration calls it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Files(_) => "files",
            Self::Journal(_) => "journal",
            Self::Kernel(_) => "kernel",
        }
    }

    /// Opens it at its place.
    ///
    /// # Errors
    ///
    /// Says what cannot be opened.
    pub(crate) fn open(&self, positions: &Positions) -> Result<Box<dyn LogSource>, LogSourceError> {
        Ok(match self {
            Self::Files(options) => Box::new(FilesSource::open(options.clone(), positions, clock::now())?),
            Self::Journal(options) => Box::new(JournalSource::open(options.clone(), positions)?),
            Self::Kernel(options) => Box::new(KernelSource::open(options.clone(), positions)?),
        })
    }
}

/// `rules` are what is masked in everything.
pub(super) fn logs(section: &LogsSection, rules: Vec<MaskRule>, base: &Base, review: &mut Review) -> Logs {
    let mut names = Names::default();
    let room = files::open_files(section.files.len());
    let mut sources: Vec<LogSourceConfig> = Vec::new();
    for section in &section.files {
        let name = names.take(&section.name, review);
        sources.push(LogSourceConfig::Files(files::files(section, name, room, base, review)));
    }
    if let Some(section) = &section.journal {
        let name = names.take_or(section.name.as_ref(), "journal", review);
        sources.push(LogSourceConfig::Journal(journal(section, name, base, review)));
    }
    if let Some(section) = &section.kernel {
        let name = names.take_or(section.name.as_ref(), "kernel", review);
        sources.push(LogSourceConfig::Kernel(kernel(section, name, base)));
    }
    Logs { sources, masking: masking(section, rules) }
}

/// Rules of the operator go before what is masked without being asked for.
fn masking(section: &LogsSection, mut rules: Vec<MaskRule>) -> Masking {
    if section.masks_by_default() {
        let builtins = [Builtin::SecretKeys, Builtin::Tokens, Builtin::PrivateKeys];
        let replace = MaskAction::Replace(DEFAULT_TEXT.to_owned());
        rules.push(MaskRule::new(&[], &[], &builtins, replace).expect("builtins are patterns that compile"));
    }
    // What is too much together is told of where the rules stand.
    Masking::new(rules).unwrap_or_default()
}

/// The names of sources so far.
#[derive(Default)]
struct Names(BTreeSet<Arc<str>>);

impl Names {
    fn take(&mut self, name: &Spanned<String>, review: &mut Review) -> Arc<str> {
        let text = &name.value;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
        if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(is_plain) {
            review.error(name, format!("{text:?} is no name of a log source")).hint =
                Some(format!("write up to {MAX_NAME} of a-z, 0-9, `_`, `.` and `-`"));
        }
        let taken: Arc<str> = text.as_str().into();
        if !self.0.insert(Arc::clone(&taken)) {
            review.error(name, format!("two log sources are named {text:?}; name them apart"));
        }
        if self.0.len() == MAX_SOURCES + 1 {
            review.error(name, format!("more than {MAX_SOURCES} log sources; let one have several globs"));
        }
        taken
    }

    fn take_or(&mut self, name: Option<&Spanned<String>>, usual: &str, review: &mut Review) -> Arc<str> {
        let Some(name) = name else {
            let taken: Arc<str> = usual.into();
            if !self.0.insert(Arc::clone(&taken)) {
                let message = format!("two log sources are named {usual:?}; name them apart");
                review.error_at(0..0, message).hint =
                    Some(format!("logs.{usual}.name is {usual} by default"));
            }
            return taken;
        };
        self.take(name, review)
    }
}

fn journal(section: &JournalSection, name: Arc<str>, base: &Base, review: &mut Review) -> JournalOptions {
    let globs = |globs: &[Spanned<String>], review: &mut Review| {
        globs.iter().filter_map(|glob| unit_glob(glob, review)).collect()
    };
    JournalOptions {
        name,
        directories: directories(section.directory.as_ref(), base, review),
        units: globs(&section.units, review),
        exclude_units: globs(&section.exclude_units, review),
        priority: section.priority.as_ref().map_or(7, |value| lines::priority(value, review)),
        start: section.start.map_or(StartAt::End, StartName::meaning),
        max_field_bytes: MAX_FIELD_BYTES,
    }
}

fn unit_glob(glob: &Spanned<String>, review: &mut Review) -> Option<String> {
    review.read(glob, |text| match glob::Pattern::new(text) {
        Ok(_) if !text.is_empty() && !text.contains('/') => Ok(text.to_owned()),
        Ok(_) => Err("write the name of a unit, such as nginx.service, or a glob".to_owned()),
        Err(error) => Err(format!("{text:?} is no glob: {}", error.msg)),
    })
}

/// Those that journald writes for this machine. What is named may be one of them, or hold them.
fn directories(named: Option<&Spanned<String>>, base: &Base, review: &mut Review) -> Vec<PathBuf> {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let of_machine = |above: &Path| above.join(id.trim());
    let Some(named) = named else { return JOURNALS.map(|above| of_machine(Path::new(above))).into() };
    let path = base.path(&named.value);
    if !path.is_dir() {
        let message = format!("{} is no directory now; it is followed once there is one", path.display());
        review.error(named, message).severity = documents::Severity::Warning;
    }
    vec![of_machine(&path), path]
}

fn kernel(section: &KernelSection, name: Arc<str>, base: &Base) -> KernelOptions {
    let path =
        section.path.as_ref().map_or_else(|| PathBuf::from("/dev/kmsg"), |path| base.path(&path.value));
    let boot_id_path = "/proc/sys/kernel/random/boot_id".into();
    KernelOptions { name, path, boot_id_path, monotonic: clock::of_kernel }
}

#[cfg(test)]
mod tests;
