//! The processes that somebody named: rules by their selectors, operators by watches.

use std::path::PathBuf;

use super::files::ProcFiles;
use super::identity::first_argument;
use super::process::Process;
use crate::collector::{Options, WatchTarget};
use crate::host::HostRoot;
use crate::pid_file::{self, PidFile};

/// Processes that are reported because they bear a name that somebody named: any user can give his processes any name, and
/// so many leave most of the room for series to others. Beyond it the collector fails after reporting the oldest.
pub(super) const MOST_NAMED: usize = 200;

/// The places of the oldest of the processes that bear a name, each given with its start.
pub(super) fn oldest(mut bearers: Vec<(u64, usize)>) -> impl Iterator<Item = usize> {
    bearers.sort_unstable();
    bearers.into_iter().take(MOST_NAMED).map(|(_, at)| at)
}

/// Names and pid files of processes that are reported whatever they cost.
#[derive(Debug, Default)]
pub(super) struct Named {
    names: Vec<String>,
    files: Vec<NamedFile>,
}

#[derive(Debug)]
struct NamedFile {
    path: PathBuf,
    /// What the file said, of which process that is by its start, and whether it means that one.
    judged: Option<(PidFile, u64, bool)>,
}

impl Named {
    pub(super) fn by(options: &Options) -> Self {
        let mut named = Self { names: options.named_processes.clone(), files: Vec::new() };
        for watch in &options.watches {
            match &watch.target {
                WatchTarget::Command(command) => named.names.push(command.clone()),
                WatchTarget::PidFile(path) => {
                    named.files.push(NamedFile { path: path.clone(), judged: None });
                }
            }
        }
        named
    }

    /// Whether the name of the process is one of them; found out once of each program, and again when it is renamed.
    pub(super) fn has(&self, process: &mut Process, files: &mut ProcFiles) -> bool {
        let known = process.is_named;
        let is_named = known.unwrap_or_else(|| !self.names.is_empty() && self.finds(process, files));
        process.is_named = Some(is_named);
        is_named
    }

    fn finds(&self, process: &Process, files: &mut ProcFiles) -> bool {
        let is = |name: &[u8]| self.names.iter().any(|wanted| wanted.as_bytes() == name);
        if is(process.comm()) {
            return true;
        }
        if process.now.is_kernel_thread {
            return false;
        }
        files.executable_name(process.pid).is_some_and(is)
            || files.read_once(process.pid, "cmdline").ok().and_then(first_argument).is_some_and(is)
    }

    /// Calls `found` with the number of each process that a pid file means. What is wrong with a file is the watch's to say.
    pub(super) fn in_files(
        &mut self,
        host: &HostRoot,
        files: &mut ProcFiles,
        start_of: impl Fn(u32) -> Option<u64>,
        mut found: impl FnMut(u32),
    ) {
        for named in &mut self.files {
            let Ok(Some(file)) = pid_file::read(host, &named.path) else { continue };
            let Some(start) = start_of(file.pid) else { continue };
            let is_meant = match named.judged {
                Some((known, known_start, is_meant)) if (known, known_start) == (file, start) => is_meant,
                _ => file.means(start, files, host).unwrap_or(false),
            };
            named.judged = Some((file, start, is_meant));
            if is_meant {
                found(file.pid);
            }
        }
    }
}
