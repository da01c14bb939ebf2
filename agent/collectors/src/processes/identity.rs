//! What stays the same while a process runs one program: read once and kept.

use std::collections::HashMap;

use rustix::io::Errno;
use telemetry::{Timestamp, Value};

use super::command_line;
use super::files::ProcFiles;
use super::stat::decimal;
use crate::error::Lack;
use crate::host::{HostFile, HostRoot};

/// A longer command is cut. Some programs write their whole state into the place of their first argument.
const LONGEST_COMMAND_BYTES: usize = 256;

static EXECUTABLES: Lack =
    Lack { what: "names of executables of other users' processes (/proc/PID/exe)", remedy: "CAP_SYS_PTRACE" };

/// The attributes of the entity `process`.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) created: Timestamp,
    created_text: String,
    command: Option<String>,
    executable: Option<String>,
    owner: Option<String>,
    command_line: Option<String>,
}

impl Identity {
    /// Reads the identity of a process. What this user may not read stays absent.
    pub(super) fn read(
        pid: u32,
        created: Timestamp,
        files: &mut ProcFiles,
        users: &mut Users,
        host: &HostRoot,
        with_command_line: bool,
    ) -> Self {
        let command_line = if with_command_line { files.read_once(pid, "cmdline").ok() } else { None };
        let command_line = command_line.and_then(command_line::masked);
        let executable = match files.executable(pid) {
            Ok(name) => name.map(text),
            Err(error) => {
                if matches!(error, Errno::ACCESS | Errno::PERM) {
                    host.lacks(&EXECUTABLES);
                }
                None
            }
        };
        Self {
            created,
            created_text: created.to_string(),
            command: command(pid, files),
            executable,
            owner: files.read_once(pid, "status").ok().and_then(user_id).map(|uid| users.name(uid, host)),
            command_line,
        }
    }

    /// In the order of `names::PROCESS`.
    pub(super) fn values(&self, pid: u32) -> [Value<'_>; 6] {
        [
            Value::Int(i64::from(pid)),
            Value::Str(&self.created_text),
            optional(self.command.as_deref()),
            optional(self.executable.as_deref()),
            optional(self.owner.as_deref()),
            optional(self.command_line.as_deref()),
        ]
    }
}

fn optional(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Absent, Value::Str)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The first argument; of a kernel thread and a zombie, which have none, the kernel's name.
fn command(pid: u32, files: &mut ProcFiles) -> Option<String> {
    match files.read_once(pid, "cmdline").ok().and_then(first_argument) {
        // Some programs write a title of their own there, with all that they were told.
        Some(command) => command_line::masked(command),
        None => files.read_once(pid, "comm").ok().map(own_name),
    }
}

/// The first argument, which is the command; never the others, which may hold secrets.
pub(super) fn first_argument(cmdline: &[u8]) -> Option<&[u8]> {
    let first = cmdline.split(|byte| *byte == 0).next().filter(|first| !first.is_empty())?;
    Some(first.get(..LONGEST_COMMAND_BYTES).unwrap_or(first))
}

/// The kernel name. A worker of the kernel shows its present work behind `-` or `+`, which is not part of its name.
fn own_name(comm: &[u8]) -> String {
    let name = text(comm.strip_suffix(b"\n").unwrap_or(comm));
    match name.split_once(['-', '+']) {
        Some((worker, _)) if worker.starts_with("kworker/") && worker.contains(':') => worker.to_owned(),
        _ => name,
    }
}

/// The effective user in `Uid:\t1000\t1000\t1000\t1000` of `/proc/PID/status`: real, effective, saved, file system.
pub(crate) fn user_id(status: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:\t"))?;
    let effective = line.split(|byte| *byte == b'\t').nth(1)?;
    decimal(effective).and_then(|uid| u32::try_from(uid).ok())
}

/// The names of users, from `/etc/passwd`.
#[derive(Default)]
pub(super) struct Users {
    names: HashMap<u32, String>,
    fresh: bool,
}

impl Users {
    /// Allows the file to be read again, which one unknown user does once per cycle.
    pub(super) fn expire(&mut self) {
        self.fresh = false;
    }

    /// The name of a user, or its number when `/etc/passwd` does not know it.
    fn name(&mut self, uid: u32, host: &HostRoot) -> String {
        if !self.fresh && !self.names.contains_key(&uid) {
            self.fresh = true;
            if let Ok(file) = host.read("etc/passwd") {
                self.names = parse_passwd(&file);
            }
        }
        self.names.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }
}

/// Parses `name:password:uid:…`; the first name of a number counts. Other lines are people's business.
pub(crate) fn parse_passwd(file: &HostFile<'_>) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in file.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(uid)) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse().ok())) {
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_argument_is_told() {
        assert_eq!(first_argument(b"/usr/bin/mysql\0--password=secret\0"), Some(&b"/usr/bin/mysql"[..]));
        assert_eq!(first_argument(b""), None);
        assert_eq!(first_argument(&[b'x'; 3000]).map(<[u8]>::len), Some(LONGEST_COMMAND_BYTES));
    }

    #[test]
    fn a_kernel_worker_keeps_its_name_whatever_it_works_on() {
        for (comm, name) in [
            ("kworker/0:1-events", "kworker/0:1"),
            ("kworker/u4:2+flush-254:0", "kworker/u4:2"),
            ("kworker/R-netns\n", "kworker/R-netns"),
            ("a-b\n", "a-b"),
        ] {
            assert_eq!(own_name(comm.as_bytes()), name);
        }
    }

    #[test]
    fn a_process_belongs_to_its_effective_user() {
        assert_eq!(user_id(b"Name:\tx\nUid:\t1000\t33\t0\t0\nGid:\t1\n"), Some(33));
        assert_eq!(user_id(b"Name:\tUid:\t7\n"), None);
    }

    #[test]
    fn the_first_name_of_a_user_counts() {
        let file = HostFile::new(
            "/etc/passwd",
            "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n+nis\nbad:x:y:\n",
        );
        assert_eq!(parse_passwd(&file), HashMap::from([(0, "root".to_owned())]));
    }
}
