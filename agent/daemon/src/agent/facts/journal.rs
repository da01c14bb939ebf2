//! The last lines that a service has logged, and when it was last told to stop.
//!
//! Asked of `journalctl`, which knows every format that a journal can have, in a process of its own: with an empty
//! environment, for a limited time, and read only as far as the lines are wanted.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use executor::UnitName;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::clock;

const JOURNALCTL: &str = "/usr/bin/journalctl";

/// How long it may take. Over large journals on slow disks it takes seconds.
const WITHIN: Duration = Duration::from_secs(10);

/// Of what is read, so much is kept from the end.
const MAX_BYTES: usize = 256 << 10;

/// The longest line that is kept; of a longer one the beginning.
const MAX_LINE_BYTES: usize = 4 << 10;

/// What is read of its complaints.
const MAX_COMPLAINT_BYTES: u64 = 4 << 10;

/// What systemd writes when it begins to stop a unit because it was told to, and when it has: systemd.journal-fields(7) and
/// its message catalogue.
const STOPPING: &str = "de5b426a63be47a7b6ac3eaac82e2f6f";
const STOPPED: &str = "9d1aaa27d60140bd96365438aad20286";

/// The last lines of a unit, the newest last.
pub(super) fn tail(unit: &UnitName, lines: usize) -> Result<Vec<String>, String> {
    let text = read(
        unit.as_str(),
        &["--output=cat".to_owned(), format!("--lines={lines}"), format!("--unit={unit}")],
    )?;
    Ok(last_lines(&text, lines))
}

/// When systemd last stopped a unit because it was told to, since the host was booted, in microseconds of the monotonic
/// clock. A stop that is half of a restart counts too.
pub(in crate::agent) fn last_stop(unit: &str) -> Result<Option<u64>, String> {
    let mut arguments =
        ["--output=json", "--output-fields=JOB_TYPE", "--boot=0", "--lines=1"].map(str::to_owned).to_vec();
    // Nobody but the first process can write entries that have its number there.
    arguments.extend(["_PID=1", "JOB_TYPE=stop"].map(str::to_owned));
    arguments.extend([STOPPING, STOPPED].map(|message| format!("MESSAGE_ID={message}")));
    arguments.push(format!("UNIT={unit}"));
    let text = read(unit, &arguments)?;
    moment(&text).map_err(|why| format!("reading the journal of {unit}: {why}"))
}

fn moment(text: &[u8]) -> Result<Option<u64>, String> {
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    let entry: serde_json::Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let at = entry.get("__MONOTONIC_TIMESTAMP").and_then(|at| at.as_str()?.parse().ok());
    at.map(Some).ok_or_else(|| "an entry without a time".to_owned())
}

fn read(unit: &str, arguments: &[String]) -> Result<Vec<u8>, String> {
    let failed = |why: String| format!("reading the journal of {unit}: {why}");
    let mut child = start(arguments).map_err(|error| failed(format!("{JOURNALCTL}: {error}")))?;
    let read = read_end(&mut child);
    // It has ended by itself, or has nothing more to say.
    let _ = read.is_err().then(|| child.kill());
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    let text = read.map_err(failed)?;
    if !status.success() {
        let mut complaint = String::new();
        let _ = child.stderr.take().map(|it| it.take(MAX_COMPLAINT_BYTES).read_to_string(&mut complaint));
        let complaint = complaint.split_whitespace().collect::<Vec<_>>().join(" ");
        return Err(failed(format!("{complaint} (readers of the journal are in group systemd-journal)")));
    }
    Ok(text)
}

#[expect(clippy::disallowed_methods, reason = "it reads; only journalctl knows all formats of the journal")]
fn start(arguments: &[String]) -> std::io::Result<Child> {
    Command::new(JOURNALCTL)
        .args(["--quiet", "--no-pager"])
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// The end of what it says, once it has said all.
fn read_end(child: &mut Child) -> Result<Vec<u8>, String> {
    let Some(mut output) = child.stdout.take() else { return Ok(Vec::new()) };
    let deadline = clock::monotonic() + WITHIN;
    let (mut kept, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let left = Timespec::try_from(clock::left(deadline)).unwrap_or_default();
        match poll(&mut [PollFd::new(&output.as_fd(), PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(format!("it takes longer than {} s", WITHIN.as_secs())),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.to_string()),
        }
        match output.read(&mut piece).map_err(|error| error.to_string())? {
            0 => return Ok(kept),
            count => kept.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
        let beyond = kept.len().saturating_sub(MAX_BYTES * 2);
        if beyond > 0 {
            kept.drain(..beyond + MAX_BYTES);
        }
    }
}

fn last_lines(text: &[u8], count: usize) -> Vec<String> {
    let text = text.get(text.len().saturating_sub(MAX_BYTES)..).unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let mut lines: Vec<String> = text
        .lines()
        .rev()
        .take(count)
        .map(|line| line.get(..line.floor_char_boundary(MAX_LINE_BYTES)).unwrap_or_default().to_owned())
        .collect();
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_none_is_endless() {
        let long = "é".repeat(MAX_LINE_BYTES);
        let text = format!("one\ntwo\n{long}\nfour\n");
        let lines = last_lines(text.as_bytes(), 2);
        assert_eq!((lines[0].len(), lines[1].as_str()), (MAX_LINE_BYTES, "four"));
        assert_eq!(last_lines(b"", 5), Vec::<String>::new());
        let flood = "x\n".repeat(MAX_BYTES);
        assert!(last_lines(flood.as_bytes(), usize::MAX).len() <= MAX_BYTES / 2);
    }

    #[test]
    fn an_entry_says_when_and_no_entry_is_never() {
        let entry = b"{\"JOB_TYPE\":\"stop\",\"__MONOTONIC_TIMESTAMP\":\"76289605527\"}\n";
        assert_eq!(moment(entry), Ok(Some(76_289_605_527)));
        assert_eq!(moment(b"\n"), Ok(None));
        assert!(moment(b"{}").is_err() && moment(b"-- No entries --").is_err());
    }

    #[test]
    fn a_unit_that_has_logged_nothing_has_no_lines_or_the_reason_is_told() {
        let tail = tail(&"hostmend-never-was.service".parse().unwrap(), 5);
        let beginning = "reading the journal of hostmend-never-was.service: ";
        assert!(tail.as_ref().map_or_else(|why| why.starts_with(beginning), Vec::is_empty), "{tail:?}");
    }
}
