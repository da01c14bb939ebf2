use std::path::{Path, PathBuf};

use telemetry::Timestamp;

use super::*;

/// A host of processes that are all alike but for what a test says.
struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let host = Self { dir: tempfile::tempdir().unwrap() };
        host.write("proc/uptime", "1000.00 1.00\n");
        host.write("proc/sys/kernel/pid_max", "4194304\n");
        host.write("proc/sys/kernel/threads-max", "1000\n");
        host.write("etc/passwd", "root:x:0:0:::\nwww:x:33:33:::\n");
        let cpu =
            "cpu 1 1 1 1 1 1 1 1\nctxt 1\nbtime 1800000000\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n";
        host.write("proc/stat", cpu);
        host
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A process that has used `cpu` ticks and has `resident` pages.
    fn process(&self, pid: u32, start: u64, cpu: u64, resident: u64) {
        self.stat(pid, &format!("p{pid}"), 'S', start, cpu, resident, 0);
        self.write(&format!("proc/{pid}/statm"), &format!("100 {resident} 1 1 0 1 0\n"));
        self.io(pid, 4096);
        self.write(&format!("proc/{pid}/cmdline"), "/bin/cmd\0--secret\0");
        self.write(&format!("proc/{pid}/status"), "Name:\tx\nUid:\t33\t33\t33\t33\n");
        self.write(&format!("proc/{pid}/cgroup"), "0::/system.slice/web.service\n");
        self.write(&format!("proc/{pid}/fd/0"), "");
        self.write(&format!("proc/{pid}/smaps_rollup"), "Rss: 12 kB\nPss:  8 kB\n");
        for thread in [pid, pid + 1000] {
            self.switches(pid, thread, 10);
        }
    }

    fn switches(&self, pid: u32, thread: u32, voluntary: u32) {
        let text = format!(
            "SigPnd:\t0\nShdPnd:\t0\nCpus_allowed:\tff\nvoluntary_ctxt_switches:\t{voluntary}\n\
             nonvoluntary_ctxt_switches:\t1\n"
        );
        self.write(&format!("proc/{pid}/task/{thread}/status"), &text);
    }

    fn io(&self, pid: u32, read: u64) {
        let text = format!("rchar: 9\nsyscr: 3\nsyscw: 4\nread_bytes: {read}\nwrite_bytes: 512\n");
        self.write(&format!("proc/{pid}/io"), &text);
    }

    #[expect(clippy::too_many_arguments, reason = "one per field that a test sets")]
    fn stat(&self, pid: u32, comm: &str, state: char, start: u64, cpu: u64, resident: u64, wait: u64) {
        let text = format!(
            "{pid} ({comm}) {state} 1 1 1 0 -1 4194304 5 0 2 0 {cpu} 0 0 0 20 0 3 0 {start} 409600 {resident} 1 \
             0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 {wait} 0 0\n"
        );
        self.write(&format!("proc/{pid}/stat"), &text);
    }

    fn end(&self, pid: u32) {
        std::fs::remove_dir_all(self.dir.path().join(format!("proc/{pid}"))).unwrap();
    }

    fn root(&self) -> HostRoot {
        HostRoot::captured(PathBuf::from(self.dir.path()))
    }
}

fn collect(processes: &mut Processes, host: &Host) -> String {
    collect_at(processes, host, 0)
}

fn collect_at(processes: &mut Processes, host: &Host, seconds: i64) -> String {
    let mut out = SampleBuffer::default();
    out.reset(Timestamp::from_secs(seconds), Timestamp::EPOCH);
    processes.collect(&host.root(), &mut out).unwrap();
    out.to_text()
}

fn top(top: usize) -> Options {
    Options { processes_top: Some(top), ..Options::default() }
}

fn reported(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("[process{process.pid=")?.split(',').next()).collect()
}

#[test]
fn a_process_is_told_with_its_constant_attributes_and_never_with_its_arguments() {
    let host = Host::new();
    host.process(7, 5000, 250, 3);
    std::os::unix::fs::symlink("/usr/bin/cmd (deleted)", host.dir.path().join("proc/7/exe")).unwrap();
    let text = collect(&mut Processes::open(&host.root(), &Options::default()).unwrap(), &host);
    assert_eq!(
        text.replace("hostmend.process_group.", "group."),
        "system.process.count{process.state=\"running\"} 0\n\
         system.process.count{process.state=\"sleeping\"} 1\n\
         system.process.count{process.state=\"stopped\"} 0\n\
         system.process.count{process.state=\"defunct\"} 0\n\
         hostmend.thread.skips 0\n\
         system.process.limit 1000\n\
         [hostmend.process_group{group.name=\"other\"}]\n"
            .to_owned()
            + &group(0, 0, 0)
            + "[hostmend.process_group{group.name=\"web.service\"}]\n"
            + &group(1, 12288, 3)
            + "[process{process.pid=7,process.creation.time=\"2027-01-15T08:00:50.000Z\",process.command=\"/bin/cmd\",\
         process.executable.name=\"cmd\",process.owner=\"www\"}]\n\
         process.cpu.time{cpu.mode=\"user\"} 2.5\n\
         process.cpu.time{cpu.mode=\"system\"} 0\n\
         process.paging.faults{system.paging.fault.type=\"major\"} 2\n\
         process.paging.faults{system.paging.fault.type=\"minor\"} 5\n\
         process.thread.count 3\n\
         process.context_switches{process.context_switch.type=\"voluntary\"} 20\n\
         process.context_switches{process.context_switch.type=\"involuntary\"} 2\n\
         process.memory.usage 12288\n\
         process.memory.virtual 409600\n\
         hostmend.process.memory.pss 8192\n\
         process.disk.io{disk.io.direction=\"read\"} 4096\n\
         process.disk.io{disk.io.direction=\"write\"} 512\n\
         process.disk.operations{disk.io.direction=\"read\"} 3\n\
         process.disk.operations{disk.io.direction=\"write\"} 4\n\
         process.unix.file_descriptor.count 1\n\
         process.uptime 950\n"
    );
}

/// A group of `count` sleeping processes that used nothing since it was first seen.
fn group(count: u32, memory: u32, threads: u32) -> String {
    format!(
        "group.cpu.time{{cpu.mode=\"user\"}} 0\n\
         group.cpu.time{{cpu.mode=\"system\"}} 0\n\
         group.paging.faults{{system.paging.fault.type=\"major\"}} 0\n\
         group.paging.faults{{system.paging.fault.type=\"minor\"}} 0\n\
         group.disk.io{{disk.io.direction=\"read\"}} 0\n\
         group.disk.io{{disk.io.direction=\"write\"}} 0\n\
         group.count{{process.state=\"running\"}} 0\n\
         group.count{{process.state=\"sleeping\"}} {count}\n\
         group.count{{process.state=\"stopped\"}} 0\n\
         group.count{{process.state=\"defunct\"}} 0\n\
         group.uninterruptible.count 0\n\
         group.memory.usage {memory}\n\
         group.thread.count {threads}\n"
    )
}

#[test]
fn uptime_is_exact_to_the_tick() {
    let host = Host::new();
    host.process(7, 0, 1, 1);
    let mut processes = Processes::open(&host.root(), &Options::default()).unwrap();
    for (uptime, start, expected) in [
        ("2337.42", 233_741, "0.01"),
        ("350735.47", 35_073_461, "0.86"),
        ("99.99", 9_999, "0"),
        ("0.29", 0, "0.29"),
    ] {
        host.write("proc/uptime", &format!("{uptime} 1.00\n"));
        host.process(7, start, 1, 1);
        let text = collect(&mut processes, &host);
        assert!(text.ends_with(&format!("process.uptime {expected}\n")), "{uptime} {start}: {text}");
    }
}

#[test]
fn a_number_that_is_used_again_is_another_process() {
    let host = Host::new();
    host.process(7, 5000, 250, 3);
    let mut processes = Processes::open(&host.root(), &Options::default()).unwrap();
    assert!(collect(&mut processes, &host).contains("process.creation.time=\"2027-01-15T08:00:50.000Z\""));
    host.process(7, 6000, 1, 3);
    host.write("proc/7/cmdline", "/bin/other\0");
    let text = collect(&mut processes, &host);
    assert!(
        text.contains("process.creation.time=\"2027-01-15T08:01:00.000Z\",process.command=\"/bin/other\""),
        "{text}"
    );
    assert_eq!(processes.roster.known[0].cost(0, false).cpu_ticks, 1);
}

#[test]
fn a_process_that_becomes_another_program_is_named_anew() {
    let host = Host::new();
    host.process(7, 5000, 250, 3);
    let mut processes = Processes::open(&host.root(), &Options::default()).unwrap();
    collect(&mut processes, &host);
    host.write("proc/7/cmdline", "/bin/other\0");
    assert!(collect(&mut processes, &host).contains("/bin/cmd"), "read once and kept");
    host.stat(7, "other", 'S', 5000, 250, 3, 0);
    assert!(collect(&mut processes, &host).contains("/bin/other"));
}

#[test]
fn a_process_that_ended_costs_nothing_and_is_forgotten() {
    let host = Host::new();
    host.process(7, 5000, 250, 3);
    host.process(8, 5000, 250, 3);
    // A directory without files is what a process looks like that ends while it is read.
    std::fs::create_dir(host.dir.path().join("proc/9")).unwrap();
    let mut processes = Processes::open(&host.root(), &Options::default()).unwrap();
    assert_eq!(reported(&collect(&mut processes, &host)), ["7", "8"]);
    assert_eq!(processes.roster.known.len(), 2);
    host.end(8);
    assert_eq!(reported(&collect(&mut processes, &host)), ["7"]);
    assert_eq!(processes.roster.known.len(), 1);
}

#[test]
fn one_that_cannot_be_understood_costs_only_itself() {
    let host = Host::new();
    host.process(7, 5000, 250, 3);
    host.write("proc/8/stat", "8 (x) S what\n");
    let mut out = SampleBuffer::default();
    let error = Processes::open(&host.root(), &Options::default())
        .unwrap()
        .collect(&host.root(), &mut out)
        .unwrap_err()
        .to_string();
    assert!(error.ends_with(
        "proc/8/stat: expected PID (NAME) STATE and at least 39 numbers, found \"8 (x) S what\\n\""
    ));
    assert_eq!(reported(&out.to_text()), ["7"]);
}

#[test]
fn only_the_costliest_since_the_last_cycle_are_reported_and_all_are_counted() {
    let host = Host::new();
    for (pid, cpu, resident) in [(1, 9000, 1), (2, 10, 50), (3, 10, 10), (4, 0, 9)] {
        host.process(pid, 100, cpu, resident);
    }
    let mut processes = Processes::open(&host.root(), &top(1)).unwrap();
    assert_eq!(reported(&collect(&mut processes, &host)), ["1", "2"]);
    host.process(3, 100, 20, 10);
    let text = collect(&mut processes, &host);
    assert_eq!(reported(&text), ["2", "3"], "process 1 has spent nothing since");
    assert!(text.contains("system.process.count{process.state=\"sleeping\"} 4\n"), "{text}");
}

#[test]
fn io_that_may_not_be_read_is_not_tried_again() {
    let host = Host::new();
    host.process(7, 5000, 250, 3);
    std::fs::remove_file(host.dir.path().join("proc/7/io")).unwrap();
    let mut processes = Processes::open(&host.root(), &Options::default()).unwrap();
    assert!(!collect(&mut processes, &host).contains("process.disk.io"));
    host.io(7, 1);
    assert!(!collect(&mut processes, &host).contains("process.disk.io"));
}

#[test]
fn memory_is_read_again_when_anything_else_of_the_process_changed() {
    let host = Host::new();
    host.process(7, 5000, 250, 3);
    let mut processes = Processes::open(&host.root(), &Options::default()).unwrap();
    assert!(collect(&mut processes, &host).contains("process.memory.usage 12288\n"));
    host.write("proc/7/statm", "100 4 1 1 0 1 0\n");
    assert!(collect(&mut processes, &host).contains("process.memory.usage 12288\n"), "nothing happened");
    host.stat(7, "p7", 'S', 5000, 251, 3, 0);
    assert!(collect(&mut processes, &host).contains("process.memory.usage 16384\n"));
}

#[test]
fn waiting_is_told_only_where_the_kernel_counts_it() {
    let host = Host::new();
    host.process(7, 5000, 250, 3);
    let mut processes = Processes::open(&host.root(), &Options::default()).unwrap();
    assert!(!collect(&mut processes, &host).contains("wait"));
    host.stat(7, "p7", 'S', 5000, 250, 3, 40);
    assert!(collect(&mut processes, &host).contains("process.cpu.time{cpu.mode=\"wait\"} 0.4\n"));
}

#[test]
fn descriptors_are_kept_up_to_the_limit_and_closed_with_their_process() {
    let host = Host::new();
    for pid in 1..=4 {
        host.process(pid, 100, 1, 1);
    }
    let mut processes = Processes::open(&host.root(), &Options::default()).unwrap();
    processes.files.limit_kept(7);
    let kept = |processes: &Processes| processes.roster.known.iter().map(Process::kept).sum::<usize>();
    let first = collect(&mut processes, &host);
    assert_eq!(kept(&processes), 7);
    assert_eq!(collect(&mut processes, &host), first, "the rest is read all the same");
    host.end(1);
    host.end(2);
    for pid in 3..=4 {
        host.process(pid, 100, 2, 1);
    }
    collect(&mut processes, &host);
    assert_eq!(kept(&processes), 6, "room was made for what is left");
}

#[test]
fn the_real_proc_tells_of_this_very_process() {
    let mut processes = Processes::open(&HostRoot::at("/"), &Options::default()).unwrap();
    for _ in 0..2 {
        let mut out = SampleBuffer::default();
        processes.collect(&HostRoot::at("/"), &mut out).unwrap();
        let own = i64::from(std::process::id());
        let mine = out.entities().find(|entity| {
            entity.attributes().any(|attribute| attribute == ("process.pid", Value::Int(own)))
        });
        let exe = std::env::current_exe().unwrap();
        let name = exe.file_name().and_then(|name| Path::new(name).to_str()).unwrap();
        let mut attributes = mine.unwrap().attributes();
        assert!(attributes.any(|attribute| attribute == ("process.executable.name", Value::Str(name))));
    }
}

#[test]
fn a_group_counts_what_its_members_did_and_keeps_what_one_had_done_that_ended() {
    let host = Host::new();
    host.process(7, 5000, 250, 3);
    let mut processes = Processes::open(&host.root(), &top(0)).unwrap();
    let used = |text: &str| -> Vec<String> {
        let web = text.split_once("web.service").unwrap().1;
        let lines = web.lines().filter_map(|line| line.strip_prefix("hostmend.process_group."));
        let told = ["cpu.time{cpu.mode=\"user\"} ", "disk.io{disk.io.direction=\"read\"} "];
        lines
            .filter_map(|line| told.iter().find_map(|told| line.strip_prefix(told)))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(used(&collect_at(&mut processes, &host, 0)), ["0", "0"]);
    host.process(7, 5000, 350, 3);
    host.io(7, 5096);
    // Began after the cycle before, so all that it has used counts.
    host.process(8, 100_500, 40, 3);
    host.write("proc/uptime", "1010.00 1.00\n");
    assert_eq!(used(&collect_at(&mut processes, &host, 10)), ["1.4", "5096"]);
    host.end(8);
    assert_eq!(used(&collect_at(&mut processes, &host, 20)), ["1.4", "5096"]);
    // The number is used again by a process that has less.
    host.process(7, 101_500, 10, 3);
    assert_eq!(used(&collect_at(&mut processes, &host, 30)), ["1.5", "9192"]);
}

#[test]
fn a_process_that_did_nothing_is_asked_for_its_io_once_a_minute_only() {
    let host = Host::new();
    host.process(7, 5000, 250, 3);
    let mut processes = Processes::open(&host.root(), &top(0)).unwrap();
    collect_at(&mut processes, &host, 0);
    host.io(7, 8192);
    let read = |text: &str| text.contains("disk.io{disk.io.direction=\"read\"} 4096\n");
    assert!(!read(&collect_at(&mut processes, &host, 1)));
    assert!(read(&collect_at(&mut processes, &host, 120)), "found late, not lost");
    host.io(7, 12_288);
    let read = |text: &str| text.contains("disk.io{disk.io.direction=\"read\"} 8192\n");
    assert!(!read(&collect_at(&mut processes, &host, 180)), "the next time is later");
    assert!(read(&collect_at(&mut processes, &host, 240)));
}

#[test]
fn a_process_that_is_named_is_told_whatever_it_costs() {
    let host = Host::new();
    for pid in [7, 8, 9, 10] {
        host.process(pid, 5000, 250, 3);
    }
    host.write("proc/8/cmdline", "/usr/bin/web\0");
    std::os::unix::fs::symlink("/usr/bin/nginx", host.dir.path().join("proc/9/exe")).unwrap();
    host.write("run/ten.pid", "10\n");
    let watch = |target| crate::Watch { name: "w".to_owned(), target };
    let options = Options {
        processes_top: Some(0),
        named_processes: vec!["/usr/bin/web".to_owned(), "nginx".to_owned()],
        watches: vec![
            watch(crate::WatchTarget::PidFile("/run/ten.pid".into())),
            watch(crate::WatchTarget::PidFile("/run/none.pid".into())),
        ],
        ..Options::default()
    };
    let mut processes = Processes::open(&host.root(), &options).unwrap();
    assert_eq!(reported(&collect(&mut processes, &host)), ["8", "9", "10"]);
    host.stat(7, "nginx", 'S', 5000, 250, 3, 0);
    host.stat(8, "other", 'S', 5000, 250, 3, 0);
    host.write("proc/8/cmdline", "/usr/bin/other\0");
    assert_eq!(reported(&collect(&mut processes, &host)), ["7", "9", "10"], "programs have changed");
}

#[test]
fn of_many_processes_that_take_a_name_the_oldest_are_told() {
    let host = Host::new();
    for pid in 1..=MOST_NAMED as u32 + 3 {
        host.stat(pid, "nginx", 'S', 9000 - u64::from(pid), 0, 1, 0);
    }
    let options = Options { named_processes: vec!["nginx".to_owned()], ..top(0) };
    let mut processes = Processes::open(&host.root(), &options).unwrap();
    let mut out = SampleBuffer::default();
    let error = processes.collect(&host.root(), &mut out).unwrap_err();
    let text = out.to_text();
    let told = reported(&text);
    assert_eq!((told.len(), told.first()), (MOST_NAMED, Some(&"4")), "{error}");
    assert!(error.to_string().contains("processes named by rules and watches"), "{error}");
}

#[test]
fn command_lines_are_told_only_when_asked_for_and_without_secrets() {
    let host = Host::new();
    host.process(7, 5000, 250, 3);
    host.write("proc/7/cmdline", "/bin/cmd\0--password=hush\0-v\0");
    let mut processes = Processes::open(&host.root(), &Options::default()).unwrap();
    assert!(!collect(&mut processes, &host).contains("command_line"));
    let options = Options { command_lines: true, ..Options::default() };
    let mut processes = Processes::open(&host.root(), &options).unwrap();
    let text = collect(&mut processes, &host);
    assert!(text.contains("process.command_line=\"/bin/cmd --password=*** -v\""), "{text}");
}

#[test]
fn counters_of_a_process_do_not_fall_when_the_kernels_do() {
    let host = Host::new();
    host.process(7, 5000, 250, 3);
    let mut processes = Processes::open(&host.root(), &Options::default()).unwrap();
    collect(&mut processes, &host);
    host.stat(7, "p7", 'S', 5000, 249, 3, 0);
    host.io(7, 1);
    let text = collect(&mut processes, &host);
    assert!(text.contains("process.cpu.time{cpu.mode=\"user\"} 2.5\n"), "{text}");
    assert!(text.contains("process.disk.io{disk.io.direction=\"read\"} 4096\n"), "{text}");
}

#[test]
fn context_switches_of_more_threads_than_a_cycle_allows_are_read_in_the_next() {
    let host = Host::new();
    for pid in 1..=150 {
        host.process(pid, 5000, 250, 3);
    }
    let mut processes = Processes::open(&host.root(), &Options::default()).unwrap();
    let told = |text: &str| text.matches("process.context_switches{process.context_switch.type=\"v").count();
    let first = collect(&mut processes, &host);
    assert_eq!(told(&first), 66, "three threads each");
    assert!(first.contains("hostmend.thread.skips 252\n"), "{first}");
    assert_eq!(told(&collect(&mut processes, &host)), 132);
    let third = collect(&mut processes, &host);
    assert_eq!(told(&third), 150);
    assert!(third.contains("hostmend.thread.skips 306\n"), "{third}");
}

#[test]
fn utilization_is_against_the_cpus_on_which_a_process_may_run() {
    let host = Host::new();
    host.write("proc/meminfo", "MemTotal:       120 kB\n");
    let cpu = "cpu 1 1 1 1 1 1 1 1\ncpu0 1\ncpu1 1\nctxt 1\nbtime 1800000000\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n";
    host.write("proc/stat", cpu);
    let mut processes = Processes::open(&host.root(), &Options::default()).unwrap();
    host.process(7, 5000, 250, 3);
    host.switches(7, 7, 1);
    let status = std::fs::read_to_string(host.dir.path().join("proc/7/task/7/status")).unwrap();
    host.write("proc/7/status", &format!("Name:\tx\n{status}").replace("SigPnd:\t0", "SigPnd:\t5"));
    assert!(!collect(&mut processes, &host).contains("utilization{"), "nothing is known of before");
    host.process(7, 5000, 350, 3);
    host.write("proc/7/status", &status);
    host.write("proc/uptime", "1010.00 1.00\n");
    let text = collect(&mut processes, &host);
    assert!(text.contains("process.cpu.utilization{cpu.mode=\"user\"} 0.05\n"), "{text}");
    assert!(text.contains("process.memory.utilization 0.1\n"), "{text}");
    assert!(text.contains("process.signals_pending 0\n"), "{text}");
}

#[test]
fn the_share_of_memory_is_saved_up_for_and_asked_of_all_in_turn() {
    let host = Host::new();
    // 50 MiB each: the worth of more than three cycles.
    for pid in [7, 8] {
        host.process(pid, 5000, 250, 12_800);
    }
    host.process(9, 5000, 250, (1 << 18) + 1);
    let mut processes = Processes::open(&host.root(), &top(9)).unwrap();
    let told = |text: &str| text.matches("hostmend.process.memory.pss 8192").count();
    let counts: Vec<_> =
        (0..6).map(|cycle| told(&collect_at(&mut processes, &host, 1000 + 10 * cycle))).collect();
    assert_eq!(counts, [1, 1, 1, 2, 2, 2], "not of the one that is too large");
    for pid in [7, 8] {
        host.write(&format!("proc/{pid}/smaps_rollup"), "Pss:  9 kB\n");
    }
    assert_eq!(told(&collect_at(&mut processes, &host, 1059)), 2, "not within a minute");
    assert_eq!(told(&collect_at(&mut processes, &host, 2000)), 1);
    for cycle in 0..4 {
        collect_at(&mut processes, &host, 2100 + 100 * cycle);
    }
    assert_eq!(told(&collect_at(&mut processes, &host, 2500)), 0, "the longest due comes first");
}
