//! Whether the processes that an operator named are there.
//!
//! A watch by pid file reads that file and one `stat`, and does not believe a number that was used again. A watch by
//! command has to look at every process; the ones that did not match are remembered by number and inode of their
//! directory and looked at again only now and then, because a process can become another program. Nothing counts as 0
//! because it could not be seen: that is an error.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use telemetry::{SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec, Options, Watch, WatchTarget};
use crate::error::CollectError;
use crate::events::WatchedProcess;
use crate::host::HostRoot;
use crate::names;
use crate::pid_file::{self, PidFile};
use crate::processes::files::ProcFiles;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "watch",
    summary: "How many live processes each configured watch matches.",
    metrics: &[&names::WATCH_PROCESS_COUNT],
    interval: None,
    open: |host, options| {
        if options.watches.is_empty() {
            return Err(CollectError::Absent { what: "configured watches" });
        }
        Ok(Box::new(Watches::open(host, options)?))
    },
};

/// A process that matched no watch is looked at again after so many cycles: a start script that becomes its service
/// is found at most so much later.
const LOOK_AGAIN_CYCLES: u64 = 8;

struct Watches {
    by_pid_file: Vec<PidFileWatch>,
    by_command: Vec<(String, String)>,
    files: ProcFiles,
    /// The inode of each process that matched no command.
    others: HashMap<u32, u64>,
    cycle: u64,
    counted: Vec<WatchedProcess>,
}

struct PidFileWatch {
    name: String,
    path: PathBuf,
    /// Judged once: reading the time of boot costs something, and a clock that is set later changes nothing.
    judged: Option<Judgement>,
}

/// Whether the process that started then is the one that the file means.
#[derive(Clone, Copy)]
struct Judgement {
    file: PidFile,
    start_ticks: u64,
    is_meant: bool,
}

impl Watches {
    fn open(host: &HostRoot, options: &Options) -> Result<Self, CollectError> {
        let (mut by_pid_file, mut by_command) = (Vec::new(), Vec::new());
        for Watch { name, target } in options.watches.iter().cloned() {
            match target {
                WatchTarget::PidFile(path) => by_pid_file.push(PidFileWatch { name, path, judged: None }),
                WatchTarget::Command(command) => by_command.push((name, command)),
            }
        }
        let files = ProcFiles::open(host)?;
        Ok(Self { by_pid_file, by_command, files, others: HashMap::new(), cycle: 0, counted: Vec::new() })
    }

    /// Live processes by command.
    fn count_commands(&mut self) -> Result<BTreeMap<String, i64>, CollectError> {
        let mut counts: BTreeMap<String, i64> =
            self.by_command.iter().map(|(_, command)| (command.clone(), 0)).collect();
        self.cycle += 1;
        let mut found = Vec::new();
        self.files.list(|pid, inode| found.push((pid, inode)))?;
        let mut others = HashMap::with_capacity(found.len());
        for (pid, inode) in found {
            let its_turn = (u64::from(pid) + self.cycle).is_multiple_of(LOOK_AGAIN_CYCLES);
            if !its_turn && self.others.get(&pid) == Some(&inode) {
                others.insert(pid, inode);
                continue;
            }
            let (name, start_ticks) = match self.files.live(pid) {
                Ok(Some(stat)) => (stat.comm.to_vec(), stat.start_ticks),
                // What is hidden is not counted; a count of 0 is then doubted.
                Ok(None) | Err(CollectError::Hidden { .. }) => continue,
                Err(error) => return Err(error),
            };
            let executable = self.files.executable_name(pid).unwrap_or_default();
            let mut matched = false;
            for (command, count) in &mut counts {
                if name == command.as_bytes() || executable == command.as_bytes() {
                    *count += 1;
                    matched = true;
                }
            }
            if matched {
                self.counted.push(WatchedProcess { pid, start_ticks });
            } else {
                others.insert(pid, inode);
            }
        }
        self.others = others;
        Ok(counts)
    }
}

impl PidFileWatch {
    /// The process, if it lives. A missing or empty file means that the service is not running.
    fn find(
        &mut self,
        files: &mut ProcFiles,
        host: &HostRoot,
    ) -> Result<Option<WatchedProcess>, CollectError> {
        let Some(file) = pid_file::read(host, &self.path)? else { return Ok(None) };
        let Some(start_ticks) = files.live(file.pid)?.map(|stat| stat.start_ticks) else {
            files.check_none_is_hidden()?;
            return Ok(None);
        };
        let known = self.judged.filter(|known| known.file == file && known.start_ticks == start_ticks);
        let judged = match known {
            Some(known) => known,
            None => Judgement { file, start_ticks, is_meant: file.means(start_ticks, files, host)? },
        };
        self.judged = Some(judged);
        Ok(judged.is_meant.then_some(WatchedProcess { pid: file.pid, start_ticks }))
    }
}

impl Collector for Watches {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let mut first_error = None;
        self.counted.clear();
        for watch in &mut self.by_pid_file {
            match watch.find(&mut self.files, host) {
                Ok(found) => {
                    let count = i64::from(found.is_some());
                    out.int(&names::WATCH_PROCESS_COUNT, &[Value::Str(&watch.name)], count);
                    self.counted.extend(found);
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        if !self.by_command.is_empty() {
            let counts = self.count_commands()?;
            for (name, command) in &self.by_command {
                let count = counts.get(command).copied().unwrap_or(0);
                let is_known = if count > 0 { Ok(()) } else { self.files.check_none_is_hidden() };
                match is_known {
                    Ok(()) => out.int(&names::WATCH_PROCESS_COUNT, &[Value::Str(name)], count),
                    Err(error) => first_error = first_error.or(Some(error)),
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    fn watched(&self) -> &[WatchedProcess] {
        &self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long before any file of these tests was written.
    const BOOT: &str =
        "cpu 1 1 1 1 1 1 1 1\nctxt 1\nbtime 1000000000\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n";

    struct Host {
        dir: tempfile::TempDir,
    }

    impl Host {
        fn with(processes: &[(u32, &str, char)]) -> Self {
            let host = Self { dir: tempfile::tempdir().unwrap() };
            std::fs::create_dir_all(host.dir.path().join("proc")).unwrap();
            std::fs::create_dir_all(host.dir.path().join("run")).unwrap();
            std::fs::write(host.dir.path().join("proc/stat"), BOOT).unwrap();
            host.set(1, "init", 'S');
            for (pid, comm, state) in processes {
                host.set(*pid, comm, *state);
            }
            host
        }

        fn set(&self, pid: u32, comm: &str, state: char) {
            self.set_started(pid, comm, state, 0);
        }

        fn set_started(&self, pid: u32, comm: &str, state: char, start_secs: u64) {
            let dir = self.dir.path().join(format!("proc/{pid}"));
            std::fs::create_dir_all(&dir).unwrap();
            let ticks = start_secs * HostRoot::at("/").ticks_per_second() as u64;
            let stat = format!("{pid} ({comm}) {state}{} {ticks}{}\n", " 1".repeat(18), " 1".repeat(30));
            std::fs::write(dir.join("stat"), stat).unwrap();
        }

        fn watch(&self, target: WatchTarget) -> Watches {
            let watches = vec![Watch { name: "it".to_owned(), target }];
            Watches::open(&HostRoot::at(self.dir.path()), &Options { watches, ..Options::default() }).unwrap()
        }

        fn count(&self, watches: &mut Watches) -> Result<i64, CollectError> {
            let mut out = SampleBuffer::default();
            watches.collect(&HostRoot::at(self.dir.path()), &mut out)?;
            let text = out.to_text();
            Ok(text
                .strip_prefix("hostmend.watch.process.count{hostmend.watch.name=\"it\"} ")
                .and_then(|count| count.trim().parse().ok())
                .expect(&text))
        }
    }

    #[test]
    fn a_pid_file_counts_the_live_process_that_it_names() {
        let host = Host::with(&[(7, "nginx", 'S'), (8, "gone", 'Z'), (9, "dead", 'X')]);
        let mut watches = host.watch(WatchTarget::PidFile("/run/it.pid".into()));
        assert_eq!(host.count(&mut watches), Ok(0), "no file");
        for (text, count) in [("7\n", 1), ("8\n", 0), ("9", 0), ("10\n", 0), ("", 0), (" 7 \n", 1)] {
            std::fs::write(host.dir.path().join("run/it.pid"), text).unwrap();
            assert_eq!(host.count(&mut watches), Ok(count), "{text:?}");
        }
        std::fs::write(host.dir.path().join("run/it.pid"), "seven\n").unwrap();
        let error = host.count(&mut watches).unwrap_err().to_string();
        assert!(error.ends_with("run/it.pid: expected the number of a process, found \"seven\""), "{error}");
    }

    #[test]
    fn a_number_that_was_used_again_after_the_file_was_written_is_not_the_service() {
        let host = Host::with(&[(7, "nginx", 'S')]);
        std::fs::write(host.dir.path().join("run/it.pid"), "7\n").unwrap();
        let mut watches = host.watch(WatchTarget::PidFile("/run/it.pid".into()));
        assert_eq!(host.count(&mut watches), Ok(1));
        host.set_started(7, "other", 'S', 4_000_000_000);
        assert_eq!(host.count(&mut watches), Ok(0));
    }

    #[test]
    fn a_clock_that_is_set_forward_does_not_make_a_service_another() {
        let host = Host::with(&[(7, "nginx", 'S')]);
        std::fs::write(host.dir.path().join("run/it.pid"), "7\n").unwrap();
        let mut watches = host.watch(WatchTarget::PidFile("/run/it.pid".into()));
        assert_eq!(host.count(&mut watches), Ok(1));
        let later = BOOT.replace("btime 1", "btime 9");
        std::fs::write(host.dir.path().join("proc/stat"), later).unwrap();
        assert_eq!(host.count(&mut watches), Ok(1));
    }

    #[test]
    fn a_pid_file_that_cannot_be_read_counts_nothing() {
        let host = Host::with(&[(7, "nginx", 'S')]);
        std::os::unix::fs::symlink("it.pid", host.dir.path().join("run/it.pid")).unwrap();
        let mut watches = host.watch(WatchTarget::PidFile("/run/it.pid".into()));
        let error = host.count(&mut watches).unwrap_err();
        assert!(matches!(error, CollectError::Read { source: rustix::io::Errno::LOOP, .. }), "{error}");
    }

    #[test]
    fn a_fifo_in_the_place_of_a_pid_file_holds_nobody_up_and_the_other_watches_count() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let host = Host::with(&[(7, "nginx", 'S')]);
        mknodat(CWD, host.dir.path().join("run/it.pid"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let mut watches = host.watch(WatchTarget::PidFile("/run/it.pid".into()));
        watches.by_command.push(("web".to_owned(), "nginx".to_owned()));
        let mut out = SampleBuffer::default();
        let error = watches.collect(&HostRoot::at(host.dir.path()), &mut out).unwrap_err();
        assert!(error.to_string().contains("run/it.pid is not a regular file"), "{error}");
        assert_eq!(out.to_text().trim(), "hostmend.watch.process.count{hostmend.watch.name=\"web\"} 1");
    }

    #[test]
    fn where_processes_are_hidden_one_that_is_not_seen_counts_nothing() {
        let host = Host::with(&[(7, "nginx", 'S'), (8, "postgres", 'S')]);
        std::fs::write(host.dir.path().join("run/it.pid"), "8\n").unwrap();
        for target in
            [WatchTarget::PidFile("/run/it.pid".into()), WatchTarget::Command("postgres".to_owned())]
        {
            let mut watches = host.watch(target);
            host.set(1, "init", 'S');
            host.set(8, "postgres", 'S');
            std::fs::remove_dir_all(host.dir.path().join("proc/1")).unwrap();
            assert_eq!(host.count(&mut watches), Ok(1), "what is seen is counted");
            std::fs::remove_dir_all(host.dir.path().join("proc/8")).unwrap();
            let error = host.count(&mut watches).unwrap_err().to_string();
            assert!(
                error.contains("proc hides processes from the agent's user: run it as root, or"),
                "{error}"
            );
            host.set(1, "init", 'S');
            assert_eq!(host.count(&mut watches), Ok(0), "nothing is hidden");
        }
    }

    #[test]
    fn a_command_counts_processes_by_kernel_name_or_executable() {
        let host =
            Host::with(&[(7, "nginx", 'S'), (8, "nginx", 'R'), (9, "nginx", 'Z'), (10, "worker", 'S')]);
        std::os::unix::fs::symlink("/usr/sbin/nginx (deleted)", host.dir.path().join("proc/10/exe")).unwrap();
        let mut watches = host.watch(WatchTarget::Command("nginx".to_owned()));
        for _ in 0..3 {
            assert_eq!(host.count(&mut watches), Ok(3));
            let pids: Vec<u32> = watches.watched().iter().map(|process| process.pid).collect();
            assert!(pids.len() == 3 && [7, 8, 10].iter().all(|pid| pids.contains(pid)), "{pids:?}");
        }
        host.set(8, "nginx", 'Z');
        assert_eq!(host.count(&mut watches), Ok(2), "a process that ends is noticed in the next cycle");
    }

    #[test]
    fn a_process_that_becomes_the_command_is_found_within_the_promised_cycles() {
        let host = Host::with(&[(7, "sh", 'S')]);
        let mut watches = host.watch(WatchTarget::Command("nginx".to_owned()));
        assert_eq!(host.count(&mut watches), Ok(0));
        host.set(7, "nginx", 'S');
        let found = (0..LOOK_AGAIN_CYCLES).any(|_| host.count(&mut watches) == Ok(1));
        assert!(found);
    }
}
