use std::fs;
use std::path::Path;

use super::*;
use crate::descriptors::Descriptors;
use crate::names::{OF_CONTAINERS, OF_UNITS};

const V2: &str = "31 26 0:26 / /sys/fs/cgroup rw,nosuid shared:8 - cgroup2 cgroup2 rw,nsdelegate\n";
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A host whose cgroups are laid out by a test.
struct Laid {
    directory: tempfile::TempDir,
    host: HostRoot,
}

impl Laid {
    fn host(mountinfo: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host = HostRoot::captured(directory.path().to_owned());
        let laid = Self { directory, host };
        laid.file("proc/1/mountinfo", mountinfo);
        laid.file(
            "proc/stat",
            "cpu 1 1 1 1 1 1 1 1 0 0\nctxt 1\nbtime 1000\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n",
        );
        laid
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn unit(&self, path: &str, cpu_micros: u64, memory: u64) {
        let cgroup = Path::new("sys/fs/cgroup").join(path);
        self.file(
            cgroup.join("cpu.stat").to_str().unwrap(),
            &format!("usage_usec {cpu_micros}\nuser_usec {cpu_micros}\nsystem_usec 0\n"),
        );
        self.file(cgroup.join("memory.current").to_str().unwrap(), &format!("{memory}\n"));
    }

    fn gone(&self, path: &str) {
        fs::remove_dir_all(self.directory.path().join("sys/fs/cgroup").join(path)).unwrap();
    }

    fn open(&self, kind: Kind) -> Cgroups {
        let metrics = if kind == Kind::Units { &OF_UNITS } else { &OF_CONTAINERS };
        Cgroups::open(&self.host, kind, metrics).unwrap()
    }

    /// What is kept open of a cgroup that is gone answers that it is; of a file that is gone it does not.
    fn open_without_descriptors(&self, kind: Kind) -> Cgroups {
        let mut cgroups = self.open(kind);
        cgroups.reader = Reader::new(Descriptors::at_most(0));
        cgroups
    }

    /// Collects at a second, and keeps what begins with one of the words.
    fn collect(&self, cgroups: &mut Cgroups, second: i64, words: &[&str]) -> Vec<String> {
        let mut out = SampleBuffer::default();
        out.reset(Timestamp::from_secs(second), Timestamp::EPOCH);
        match cgroups.collect(&self.host, &mut out) {
            Ok(()) | Err(CollectError::Absent { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        out.to_text()
            .lines()
            .filter(|line| words.iter().any(|word| line.starts_with(word)))
            .map(str::to_owned)
            .collect()
    }
}

const MEMORY: &[&str] = &["[", "systemd.unit.memory.usage", "systemd.unit.uptime"];

#[test]
fn services_and_scopes_are_units_and_what_they_lie_in_is_not() {
    let laid = Laid::host(V2);
    for path in [
        "init.scope",
        "system.slice/cron.service",
        "system.slice/cron.service/inner.service",
        "system.slice/system-getty.slice/getty@tty1.service",
        "system.slice/tmp.mount/never.service",
        "user.slice/user-1000.slice/user@1000.service",
        "user.slice/user-1000.slice/user@1000.service/app.slice/emacs.service",
        "user.slice/user-1000.slice/session-3.scope",
        &format!("system.slice/docker-{ID}.scope"),
        &format!("docker/{ID}"),
        &format!("docker/{}/init.scope", ID.replace('0', "f")),
        &format!("docker/{}", ID.replace('0', "f")),
    ] {
        laid.unit(path, 1, 1);
    }
    let units = laid.collect(&mut laid.open(Kind::Units), 2000, &["["]);
    assert_eq!(
        units,
        [
            "[systemd.unit{systemd.unit.name=\"init.scope\"}]",
            "[systemd.unit{systemd.unit.name=\"cron.service\"}]",
            "[systemd.unit{systemd.unit.name=\"getty@tty1.service\"}]",
            "[systemd.unit{systemd.unit.name=\"session-3.scope\"}]",
            "[systemd.unit{systemd.unit.name=\"user@1000.service\"}]",
            "[systemd.unit{systemd.unit.name=\"emacs.service\",user.id=\"1000\"}]",
        ]
    );
    // What bears the name of another is told of once: two would be one series.
    let containers = laid.collect(&mut laid.open(Kind::Containers), 2000, &["["]);
    assert_eq!(containers.len(), 2);
    assert!(
        containers.iter().all(|line| line.contains("container.runtime.name=\"docker\"")),
        "{containers:?}"
    );
}

#[test]
fn a_unit_that_was_restarted_begins_anew_without_a_gap() {
    let laid = Laid::host(V2);
    laid.unit("system.slice/web.service", 900, 7);
    laid.unit("system.slice/other.service", 5, 1);
    let mut cgroups = laid.open_without_descriptors(Kind::Units);
    assert_eq!(laid.collect(&mut cgroups, 2000, MEMORY).last().unwrap(), "systemd.unit.uptime 0");
    laid.gone("system.slice/web.service");
    laid.unit("system.slice/web.service", 10, 8);
    assert_eq!(
        laid.collect(&mut cgroups, 2001, MEMORY),
        [
            "[systemd.unit{systemd.unit.name=\"other.service\"}]",
            "systemd.unit.memory.usage 1",
            "systemd.unit.uptime 1",
            "[systemd.unit{systemd.unit.name=\"web.service\"}]",
            "systemd.unit.memory.usage 8",
            "systemd.unit.uptime 0",
        ]
    );
}

#[test]
fn a_unit_that_is_gone_is_told_of_no_more_and_a_new_one_after_the_next_listing() {
    let laid = Laid::host(V2);
    laid.unit("a.slice/old.service", 1, 1);
    laid.unit("a.slice/stays.service", 1, 1);
    let mut cgroups = laid.open_without_descriptors(Kind::Units);
    assert_eq!(laid.collect(&mut cgroups, 2000, &["["]).len(), 2);
    laid.gone("a.slice/old.service");
    assert_eq!(
        laid.collect(&mut cgroups, 2001, &["["]),
        ["[systemd.unit{systemd.unit.name=\"stays.service\"}]"]
    );
    laid.unit("a.slice/young.service", 1, 1);
    assert_eq!(laid.collect(&mut cgroups, 2029, &["["]).len(), 1);
    assert_eq!(laid.collect(&mut cgroups, 2031, &["["]).len(), 2);
}

#[test]
fn what_has_not_run_is_read_in_full_every_half_minute_only() {
    let laid = Laid::host(V2);
    laid.unit("a.service", 5, 1);
    let mut cgroups = laid.open(Kind::Units);
    let memory = |cgroups: &mut Cgroups, second, cpu_micros, bytes| {
        laid.unit("a.service", cpu_micros, bytes);
        laid.collect(cgroups, second, &["systemd.unit.memory.usage"])
    };
    assert_eq!(memory(&mut cgroups, 2000, 5, 10), ["systemd.unit.memory.usage 10"]);
    assert_eq!(memory(&mut cgroups, 2001, 5, 11), ["systemd.unit.memory.usage 10"]);
    assert_eq!(memory(&mut cgroups, 2002, 6, 12), ["systemd.unit.memory.usage 12"]);
    assert_eq!(memory(&mut cgroups, 2031, 6, 13), ["systemd.unit.memory.usage 12"]);
    assert_eq!(memory(&mut cgroups, 2032, 6, 14), ["systemd.unit.memory.usage 14"]);
}

#[test]
fn the_lowest_limit_of_what_a_unit_lies_in_holds_and_is_seen_after_the_next_listing() {
    let laid = Laid::host(V2);
    let limit = |path: &str, limit: &str| laid.file(&format!("sys/fs/cgroup/{path}/memory.max"), limit);
    laid.unit("a.slice/a-b.slice/a.service", 5, 1);
    let mut cgroups = laid.open(Kind::Units);
    let mut told = |second| laid.collect(&mut cgroups, second, &["systemd.unit.memory.limit"]);
    limit("a.slice/a-b.slice/a.service", "max\n");
    limit("a.slice", "max\n");
    assert_eq!(told(2000), [""; 0]);
    limit("a.slice", "500\n");
    limit("a.slice/a-b.slice", "700\n");
    assert_eq!(told(2030), ["systemd.unit.memory.limit 500"]);
    limit("a.slice/a-b.slice/a.service", "300\n");
    assert_eq!(told(2060), ["systemd.unit.memory.limit 300"]);
    limit("a.slice/a-b.slice/a.service", "max\n");
    assert_eq!(told(2090), ["systemd.unit.memory.limit 500"]);
}

#[test]
fn the_controllers_of_version_1_are_read_where_version_2_has_them_not() {
    let laid = Laid::host(
        "31 23 0:28 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro\n\
         34 31 0:24 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd\n\
         35 31 0:25 / /sys/fs/cgroup/unified rw shared:11 - cgroup2 cgroup2 rw\n\
         37 31 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:14 - cgroup cgroup rw,cpu,cpuacct\n\
         38 31 0:28 / /sys/fs/cgroup/memory rw shared:15 - cgroup cgroup rw,memory\n\
         39 31 0:29 / /sys/fs/cgroup/blkio rw shared:16 - cgroup cgroup rw,blkio\n\
         40 31 0:30 / /sys/fs/cgroup/pids rw shared:17 - cgroup cgroup rw,pids\n",
    );
    for (file, text) in [
        ("systemd/a.slice/a.service/cgroup.procs", "42\n"),
        ("cpu,cpuacct/a.slice/a.service/cpuacct.stat", "user 250\nsystem 50\n"),
        (
            "cpu,cpuacct/a.slice/a.service/cpu.stat",
            "nr_periods 10\nnr_throttled 4\nthrottled_time 2500000000\n",
        ),
        ("memory/a.slice/a.service/memory.usage_in_bytes", "1000\n"),
        (
            "memory/a.slice/a.service/memory.stat",
            "rss 1\ntotal_rss 300\ntotal_inactive_file 400\ntotal_pgfault 9\ntotal_pgmajfault 2\n\
             hierarchical_memory_limit 5000\n",
        ),
        ("memory/a.slice/a.service/memory.failcnt", "3\n"),
        ("memory/a.slice/a.service/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
        (
            "blkio/a.slice/a.service/blkio.throttle.io_service_bytes",
            "254:0 Read 4096\n254:0 Write 512\n254:0 Sync 0\n254:0 Total 4608\nTotal 4608\n",
        ),
        ("pids/a.slice/a.service/pids.current", "5\n"),
        ("pids/a.slice/a.service/pids.max", "max\n"),
    ] {
        laid.file(&format!("sys/fs/cgroup/{file}"), text);
    }
    laid.file("proc/partitions", "major minor  #blocks  name\n\n 254        0    2097152 vda\n");
    laid.file("proc/42/stat", "42 (a) S 1 42 42 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 1 0 50000 1 1 1 1 1 1 1 1 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
    assert_eq!(
        laid.collect(&mut laid.open(Kind::Units), 2000, &["systemd"]),
        [
            "systemd.unit.cpu.time{cpu.mode=\"user\"} 2.5",
            "systemd.unit.cpu.time{cpu.mode=\"system\"} 0.5",
            "systemd.unit.cpu.periods 10",
            "systemd.unit.cpu.throttled_periods 4",
            "systemd.unit.cpu.throttled_time 2.5",
            "systemd.unit.memory.usage 1000",
            "systemd.unit.memory.working_set 600",
            "systemd.unit.memory.rss 300",
            "systemd.unit.memory.available 4400",
            "systemd.unit.memory.limit 5000",
            "systemd.unit.memory.linux.events{systemd.unit.memory.linux.event.type=\"max\"} 3",
            "systemd.unit.memory.linux.events{systemd.unit.memory.linux.event.type=\"oom_kill\"} 1",
            "systemd.unit.paging.faults{system.paging.fault.type=\"major\"} 2",
            "systemd.unit.paging.faults{system.paging.fault.type=\"minor\"} 7",
            "systemd.unit.disk.io{disk.io.direction=\"read\",system.device=\"vda\"} 4096",
            "systemd.unit.disk.io{disk.io.direction=\"write\",system.device=\"vda\"} 512",
            "systemd.unit.thread.count 5",
            // Booted at 1000, and the unit's process is 500 s younger.
            "systemd.unit.uptime 500",
        ]
    );
}

#[test]
fn beyond_the_limit_the_first_are_told_and_the_rest_is_an_error() {
    let laid = Laid::host(V2);
    for number in 0..=MOST_MEMBERS {
        laid.unit(&format!("system.slice/unit-{number:04}.service"), 1, 1);
    }
    let mut out = SampleBuffer::default();
    let error = laid.open(Kind::Units).collect(&laid.host, &mut out).unwrap_err().to_string();
    assert!(error.ends_with("cgroup holds more than the 500 units that are looked at"), "{error}");
    assert_eq!(out.entities().count(), MOST_MEMBERS);
}

#[test]
fn directories_that_users_make_take_no_room_of_the_systems_units() {
    let laid = Laid::host(V2);
    let home = "user.slice/user-1000.slice/user@1000.service";
    for number in 0..2_100 {
        laid.file(&format!("sys/fs/cgroup/{home}/{number}/x/cgroup.procs"), "");
    }
    laid.unit(&format!("{home}/user@0.service/nginx.service"), 1, 1);
    laid.unit("system.slice/nginx.service", 1, 1);
    let mut out = SampleBuffer::default();
    let error = laid.open(Kind::Units).collect(&laid.host, &mut out).unwrap_err().to_string();
    assert!(error.ends_with("holds more than the 1000 directories that are looked at"), "{error}");
    let text = out.to_text();
    assert!(text.contains("[systemd.unit{systemd.unit.name=\"nginx.service\"}]"), "{text}");
    assert!(!text.contains("user.id=\"0\""), "{text}");
}

#[test]
fn what_a_user_calls_as_anothers_systemd_stays_the_users() {
    let laid = Laid::host(V2);
    laid.unit("user.slice/user-1000.slice/user@1000.service/user@0.service/a.service", 1, 1);
    let told = laid.collect(&mut laid.open(Kind::Units), 0, &["["]);
    assert!(
        told.iter().all(|entity| entity.contains("user.id=\"1000\"") || !entity.contains("a.service")),
        "{told:?}"
    );
    assert!(told.iter().any(|entity| entity.contains("a.service")), "{told:?}");
}

#[test]
fn a_malformed_file_costs_its_own_figure_only_and_is_named() {
    let laid = Laid::host(V2);
    laid.unit("a.service", 1, 7);
    laid.unit("b.service", 1, 8);
    laid.file("sys/fs/cgroup/a.service/memory.current", "plenty\n");
    let mut out = SampleBuffer::default();
    let error = laid.open(Kind::Units).collect(&laid.host, &mut out).unwrap_err().to_string();
    assert!(error.contains("cgroup/*/memory.current: expected") && error.contains("plenty"), "{error}");
    assert!(out.to_text().contains("systemd.unit.memory.usage 8"));
    assert!(!out.to_text().contains("systemd.unit.memory.usage 7"));
}

#[test]
fn a_host_without_cgroups_or_units_has_none() {
    let laid = Laid::host("1 0 0:1 / / rw - ext4 /dev/vda rw\n");
    let error = Cgroups::open(&laid.host, Kind::Units, &OF_UNITS).err();
    assert_eq!(error, Some(CollectError::Absent { what: "cgroups" }));
    let laid = Laid::host(V2);
    laid.unit("user.slice", 1, 1);
    let mut out = SampleBuffer::default();
    let error = laid.open(Kind::Units).collect(&laid.host, &mut out).unwrap_err();
    assert!(matches!(error, CollectError::Absent { .. }), "{error}");
}
