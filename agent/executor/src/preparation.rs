//! What must hold before a process is ended, so that it can be started again.
//!
//! Whatever the start needs and can be had beforehand is had here: the program looks like one, the log file is open, the
//! pid file's successor lies beside it. What is left to fail is the kernel's: no memory, no process number.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;

use documents::Trust;
use rustix::fs::{Access, OFlags};
use rustix::io::Errno;

use crate::ActionError;
use crate::policy::ProcessRule;
use crate::replacement::Replacement;

/// What the kernel reads of a program to learn what it is: `BINPRM_BUF_SIZE` of `include/uapi/linux/binfmts.h`.
const BEGINNING_BYTES: u64 = 256;

/// Ready to start what a rule defines.
#[derive(Debug)]
pub(crate) struct Preparation {
    /// Where standard output and standard error go.
    pub(crate) output: [Stdio; 2],
    /// The next pid file, if the rule says that the executor writes it.
    pub(crate) pid_file: Option<Replacement>,
}

impl Preparation {
    /// Looks at all that the start will need.
    ///
    /// # Errors
    ///
    /// The process could not be started.
    pub(crate) fn of(rule: &ProcessRule) -> Result<Self, ActionError> {
        check_program(&rule.program, &|why| not_started(rule, why))?;
        let output = match &rule.log_file {
            Some(path) => open_log(path, rule)?,
            None => [Stdio::null(), Stdio::null()],
        };
        let pid_file = rule.write_pid_file.then(|| Replacement::create(&rule.pid_file, 0o644)).transpose();
        let pid_file = pid_file.map_err(|error| {
            ActionError::failed(format!("preparing the pid file {}", rule.pid_file.display()), error)
        })?;
        Ok(Self { output, pid_file })
    }
}

fn not_started(rule: &ProcessRule, why: &str) -> ActionError {
    ActionError::refused(format!("process {} is not started: {why}", rule.name))
}

/// Whether a program looks like one, and is nobody else's. `not_started` makes the refusal.
pub(crate) fn check_program(
    program: &Path,
    not_started: &dyn Fn(&str) -> ActionError,
) -> Result<(), ActionError> {
    check_executable(program, not_started)?;
    // Whoever could replace the program could have the executor run anything.
    Trust::invoking_user().check(program).map_err(|error| not_started(&telemetry::with_causes(&error)))?;
    let Some(beginning) = beginning(program)? else { return Ok(()) };
    if beginning.starts_with(b"\x7fELF") {
        return Ok(());
    }
    let Some(line) = beginning.strip_prefix(b"#!") else {
        let path = program.display();
        return Err(not_started(&format!("{path} begins neither as an ELF file nor with `#!`")));
    };
    let words = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let interpreter = words.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    // A relative one is looked for where the process is started.
    check_executable(&Path::new("/").join(std::ffi::OsStr::from_bytes(interpreter)), not_started)
}

fn check_executable(path: &Path, not_started: &dyn Fn(&str) -> ActionError) -> Result<(), ActionError> {
    let failed = |error: std::io::Error| {
        ActionError::failed(format!("looking for the program {}", path.display()), error)
    };
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(not_started(&format!("{} is not a regular file", path.display())));
    }
    rustix::fs::access(path, Access::EXEC_OK).map_err(|error| failed(error.into()))
}

/// The first bytes of a program; none of one that may be run but not read.
fn beginning(path: &Path) -> Result<Option<Vec<u8>>, ActionError> {
    let failed = |error: std::io::Error| {
        ActionError::failed(format!("reading the beginning of {}", path.display()), error)
    };
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(None),
        other => other.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    file.take(BEGINNING_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

fn open_log(path: &Path, rule: &ProcessRule) -> Result<[Stdio; 2], ActionError> {
    let no_file = || not_started(rule, &format!("its log file {} is not a regular file", path.display()));
    let failed = |error: std::io::Error| {
        ActionError::failed(format!("opening the log file {}", path.display()), error)
    };
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(path);
    let file = file.map_err(|error| match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NXIO | Errno::ISDIR | Errno::LOOP) => no_file(),
        _ => failed(error),
    })?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(no_file());
    }
    // The child need not know how it was opened.
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND).map_err(|error| failed(error.into()))?;
    Ok([Stdio::from(file.try_clone().map_err(failed)?), Stdio::from(file)])
}
