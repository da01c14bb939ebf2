//! Who is logged in.
//!
//! logind keeps a file for each session, which anybody may read; where there is no logind, the record of logins says it.

use crate::error::CollectError;
use crate::host::HostRoot;

const SESSIONS: &str = "run/systemd/sessions";
const RECORD: &str = "run/utmp";

/// Sessions looked at.
const MOST_SESSIONS: usize = 1_000;

/// `struct utmp` of glibc on 64-bit hosts: `bits/types/struct_utmp.h`.
const RECORD_BYTES: usize = 384;
const USER_PROCESS: u8 = 7;
const LINE: std::ops::Range<usize> = 8..40;
const USER: std::ops::Range<usize> = 44..76;

/// A clause for each session: `ann is logged in at pts/0 from 192.0.2.7`.
///
/// # Errors
///
/// What is there cannot be read.
pub fn sessions(host: &HostRoot) -> Result<Vec<String>, CollectError> {
    let directory = host.path(SESSIONS);
    let Ok(listing) = std::fs::read_dir(&directory) else {
        return Ok(std::fs::read(host.path(RECORD)).map_or_else(|_| Vec::new(), |bytes| of_record(&bytes)));
    };
    let mut found = Vec::new();
    for entry in listing.filter_map(Result::ok).take(MOST_SESSIONS) {
        // Beside each file lies a pipe of the same name with `.ref`.
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.contains('.') {
            continue;
        }
        if let Some(file) = host.read_optional(format!("{SESSIONS}/{name}"))? {
            found.extend(of_session(file.text()));
        }
    }
    found.sort();
    Ok(found)
}

/// What the file of a session says, if it is a person's and not about to end.
fn of_session(text: &str) -> Option<String> {
    let of = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.filter(|value| !value.is_empty())
    };
    let is_a_persons = matches!(of("CLASS"), Some("user" | "user-early" | "user-light" | "user-early-light"));
    if !is_a_persons || of("STATE") == Some("closing") {
        return None;
    }
    let user = of("USER").or_else(|| of("UID")).unwrap_or("somebody");
    let at = of("TTY").or_else(|| of("SERVICE")).unwrap_or("a session without a terminal");
    let from = of("REMOTE_HOST").map(|host| format!(" from {host}")).unwrap_or_default();
    Some(format!("{user} is logged in at {at}{from}"))
}

fn of_record(bytes: &[u8]) -> Vec<String> {
    let (records, _) = bytes.as_chunks::<RECORD_BYTES>();
    let logins = records.iter().filter(|record| record.first() == Some(&USER_PROCESS));
    let text = |record: &[u8; RECORD_BYTES], range: std::ops::Range<usize>| {
        let field = record.get(range).unwrap_or_default();
        let field = field.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(field).into_owned()
    };
    logins
        .take(MOST_SESSIONS)
        .map(|record| format!("{} is logged in at {}", text(record, USER), text(record, LINE)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_session_is_told_and_a_services_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let sessions_at = dir.path().join(SESSIONS);
        std::fs::create_dir_all(&sessions_at).unwrap();
        for (name, text) in [
            ("3", "UID=1000\nUSER=ann\nCLASS=user\nSTATE=active\nTTY=pts/0\nREMOTE_HOST=192.0.2.7\n"),
            ("4", "UID=0\nUSER=root\nCLASS=manager\nSTATE=active\n"),
            ("5", "UID=1001\nUSER=bob\nCLASS=user\nSTATE=closing\nTTY=pts/1\n"),
            ("3.ref", "CLASS=user\nUSER=nobody\n"),
        ] {
            std::fs::write(sessions_at.join(name), text).unwrap();
        }
        let told = sessions(&HostRoot::at(dir.path())).unwrap();
        assert_eq!(told, ["ann is logged in at pts/0 from 192.0.2.7"]);
    }

    #[test]
    fn without_logind_the_record_of_logins_is_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("run")).unwrap();
        let mut bytes = vec![0; RECORD_BYTES * 2 + 5];
        bytes[0] = USER_PROCESS;
        bytes[8..12].copy_from_slice(b"tty1");
        bytes[44..47].copy_from_slice(b"ann");
        std::fs::write(dir.path().join(RECORD), bytes).unwrap();
        assert_eq!(sessions(&HostRoot::at(dir.path())).unwrap(), ["ann is logged in at tty1"]);
        assert_eq!(sessions(&HostRoot::at("/nowhere/at/all")), Ok(vec![]));
    }
}
