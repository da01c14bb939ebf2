//! What a process does and what its memory is made of: texts for whoever reads the incident.
//!
//! The kernel shows these of the processes of others only to those with capabilities that the agent does not have as
//! installed. What it does not show is said, with what would help. A number that another process has meanwhile is noticed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};

use rustix::io::Errno;

use super::processes::lives;
use crate::error::{CollectError, Found};
use crate::host::{HostRoot, display};

/// Threads that are shown.
const MOST_THREADS: usize = 64;

/// Lines of `smaps` that are read: some 25 for each mapping.
const MOST_LINES: usize = 500_000;

/// Of the files and areas that memory is mapped from, so many are told.
const MOST_MAPPINGS: usize = 20;

/// Different files and areas that are told apart; the rest is added up as one.
const MOST_NAMES: usize = 10_000;

/// The drop-in that gives the agent what it takes.
const SEE_MORE: &str =
    "the drop-in /usr/share/doc/hostmend/examples/see-more.conf gives the agent CAP_SYS_PTRACE";

/// Where each thread of a process is in the kernel: a line for each, and its stack where the kernel tells.
///
/// # Errors
///
/// The process has ended.
pub fn process_stack(host: &HostRoot, pid: u32, start_ticks: u64) -> Result<String, CollectError> {
    let tasks = host.path(format!("proc/{pid}/task"));
    let reading = |error: &std::io::Error| CollectError::Read {
        path: display(&tasks),
        source: Errno::from_io_error(error).unwrap_or(Errno::IO),
    };
    let listing = std::fs::read_dir(&tasks).map_err(|error| reading(&error))?;
    let mut threads: Vec<u32> =
        listing.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    threads.sort_unstable();
    let (mut text, mut with_stack) = (String::new(), false);
    for thread in threads.iter().take(MOST_THREADS) {
        let of = |name: &str| {
            let file = host.read(format!("proc/{pid}/task/{thread}/{name}")).ok()?;
            Some(file.text().trim().to_owned()).filter(|text| !text.is_empty())
        };
        let state = of("stat").and_then(|line| line.rsplit_once(") ")?.1.chars().next()).unwrap_or('?');
        let waits_in = of("wchan").filter(|name| name != "0").unwrap_or_else(|| "?".to_owned());
        let name = of("comm").unwrap_or_default();
        let _ = writeln!(text, "thread {thread} ({name}) state {state} in {waits_in}");
        for line in of("stack").iter().flat_map(|stack| stack.lines()) {
            with_stack = true;
            let _ = writeln!(text, "  {line}");
        }
    }
    if threads.len() > MOST_THREADS {
        let _ = writeln!(text, "and {} threads more", threads.len() - MOST_THREADS);
    }
    if !with_stack {
        let _ = writeln!(
            text,
            "the kernel shows whole stacks only to CAP_SYS_ADMIN, which no drop-in gives; where a thread of another user \
             waits, it shows to CAP_SYS_PTRACE: {SEE_MORE}"
        );
    }
    still_there(host, pid, start_ticks)?;
    Ok(text)
}

/// The sums of a process's memory, then the files and areas that most of it is mapped from.
///
/// # Errors
///
/// The process has ended, or this user may not look; then with what would help.
pub fn process_maps(host: &HostRoot, pid: u32, start_ticks: u64) -> Result<String, CollectError> {
    let sums = host.read(format!("proc/{pid}/smaps_rollup")).map_err(|error| or_remedy(error, host, pid))?;
    let mut text: String = sums.lines().skip(1).flat_map(|line| [line, "\n"]).collect();
    let path = host.path(format!("proc/{pid}/smaps"));
    let file = File::open(&path).map_err(|error| {
        let source = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        or_remedy(CollectError::Read { path: display(&path), source }, host, pid)
    })?;
    let mut resident = resident_by_name(BufReader::new(file));
    resident.sort_by(|(_, one), (_, other)| other.cmp(one));
    for (name, kilobytes) in resident.iter().take(MOST_MAPPINGS).filter(|(_, kilobytes)| *kilobytes > 0) {
        let _ = writeln!(text, "{kilobytes:>10} kB {name}");
    }
    still_there(host, pid, start_ticks)?;
    Ok(text)
}

/// Adds up `Rss:` by what is mapped.
fn resident_by_name(file: impl BufRead) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let mut name = String::new();
    for line in file.split(b'\n').take(MOST_LINES).map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        if let Some(rest) = line.strip_prefix("Rss:") {
            let kilobytes = rest.split_ascii_whitespace().next().and_then(|number| number.parse().ok());
            if !sums.contains_key(&name) && sums.len() >= MOST_NAMES {
                "(others)".clone_into(&mut name);
            }
            let sum: &mut u64 = sums.entry(std::mem::take(&mut name)).or_default();
            *sum = sum.saturating_add(kilobytes.unwrap_or(0));
        } else if let Some(mapped) = mapped_name(&line) {
            mapped.clone_into(&mut name);
        }
    }
    sums.into_iter().collect()
}

/// What `7f00-7f01 rw-p 00000000 fe:00 123  /usr/lib/libc.so` maps; `None` for the other lines.
fn mapped_name(line: &str) -> Option<&str> {
    let (range, rest) = line.split_once(' ')?;
    if range.ends_with(':') || !range.contains('-') {
        return None;
    }
    let mut rest = rest;
    for _ in 0..4 {
        let (_, next) = rest.trim_start().split_once(' ').unwrap_or((rest, ""));
        rest = next;
    }
    let name = rest.trim();
    Some(if name.is_empty() { "(anonymous)" } else { name })
}

fn or_remedy(error: CollectError, host: &HostRoot, pid: u32) -> CollectError {
    match error {
        CollectError::Read { source: Errno::ACCESS | Errno::PERM, .. } => {
            let path = host.path(format!("proc/{pid}"));
            let why = format!("what it shows of {} only to CAP_SYS_PTRACE: {SEE_MORE}", display(&path));
            CollectError::Unanswered { by: "the kernel", why: Found::whole(why) }
        }
        other => other,
    }
}

fn still_there(host: &HostRoot, pid: u32, start_ticks: u64) -> Result<(), CollectError> {
    if lives(host, pid, start_ticks) {
        return Ok(());
    }
    Err(CollectError::Read { path: display(&host.path(format!("proc/{pid}"))), source: Errno::SRCH })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{Sought, find_processes};

    fn own() -> (HostRoot, u32, u64) {
        let (host, pid) = (HostRoot::at("/"), std::process::id());
        let found = find_processes(&host, &Sought { pid: Some(pid), ..Sought::default() }).unwrap();
        let start = found[0].start_ticks;
        (host, pid, start)
    }

    #[test]
    fn the_own_process_shows_its_threads_and_its_memory() {
        let (host, pid, start) = own();
        let stack = process_stack(&host, pid, start).unwrap();
        assert!(stack.starts_with(&format!("thread {pid} (")), "{stack}");
        let maps = process_maps(&host, pid, start).unwrap();
        assert!(maps.starts_with("Rss:") && maps.contains(" kB [heap]"), "{maps}");
    }

    #[test]
    fn a_number_that_is_anothers_now_shows_nothing() {
        let (host, pid, start) = own();
        assert!(process_stack(&host, pid, start + 1).is_err());
        assert!(process_maps(&host, pid, start + 1).is_err());
    }

    #[test]
    fn memory_is_added_up_by_what_is_mapped() {
        let smaps = "55-56 r-xp 00000000 fe:00 12     /usr/bin/a b\nSize: 8 kB\nRss:  8 kB\n\
            57-58 rw-p 00000000 00:00 0 \nRss: 100 kB\n59-60 rw-p 00000000 fe:00 12     /usr/bin/a b\nRss: 2 kB\n";
        let found = resident_by_name(smaps.as_bytes());
        assert_eq!(found, [("(anonymous)".to_owned(), 100), ("/usr/bin/a b".to_owned(), 10)]);
    }
}
