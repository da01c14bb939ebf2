//! Messages as kernels of several versions and distributions have written them.

use super::*;

/// A message, the event that it is, and some of what it says.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const MESSAGES: &[Row] = &[
    (
        "Out of memory: Killed process 1234 (mysqld) total-vm:6152560kB, anon-rss:3034520kB, file-rss:0kB, \
         shmem-rss:0kB, UID:110 pgtables:6520kB oom_score_adj:0",
        "kernel.oom_kill",
        &[("process.pid", "1234"), ("process.command", "mysqld"), ("kernel.oom.anon_rss_kb", "3034520")],
    ),
    (
        "Memory cgroup out of memory: Killed process 5678 (stress (x)) total-vm:1048576kB, anon-rss:524288kB, \
         file-rss:4kB, shmem-rss:0kB, UID:0 pgtables:1068kB oom_score_adj:0",
        "kernel.oom_kill",
        &[
            ("process.pid", "5678"),
            ("process.command", "stress (x)"),
            ("kernel.oom.reason", "Memory cgroup out of memory"),
        ],
    ),
    (
        "Killed process 2599 (java) total-vm:4152560kB, anon-rss:1034520kB, file-rss:0kB",
        "kernel.oom_kill",
        &[("process.pid", "2599")],
    ),
    (
        "Killed process 2599, UID 48, (httpd) total-vm:415256kB, anon-rss:103452kB, file-rss:120kB",
        "kernel.oom_kill",
        &[("process.command", "httpd")],
    ),
    (
        "Kernel panic - not syncing: Fatal exception in interrupt",
        "kernel.panic",
        &[("kernel.reason", "Fatal exception in interrupt")],
    ),
    ("kernel BUG at fs/ext4/inode.c:2721!", "kernel.bug", &[("code.line.number", "2721")]),
    ("BUG: kernel NULL pointer dereference, address: 0000000000000008", "kernel.bug", &[]),
    ("BUG: unable to handle page fault for address: ffffb6f0c0a8d000", "kernel.bug", &[]),
    (
        "general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP",
        "kernel.bug",
        &[],
    ),
    ("Unable to handle kernel paging request at virtual address dead000000000108", "kernel.bug", &[]),
    (
        "WARNING: CPU: 3 PID: 1417 at net/sched/sch_generic.c:467 dev_watchdog+0x20f/0x250",
        "kernel.warning",
        &[("code.function.name", "dev_watchdog"), ("cpu.logical_number", "3")],
    ),
    (
        "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [kworker/1:2:10521]",
        "kernel.soft_lockup",
        &[("process.command", "kworker/1:2"), ("process.pid", "10521"), ("kernel.blocked_seconds", "22")],
    ),
    ("NMI watchdog: BUG: soft lockup - CPU#0 stuck for 23s! [swapper/0:1]", "kernel.soft_lockup", &[]),
    (
        "NMI watchdog: Watchdog detected hard LOCKUP on cpu 4",
        "kernel.hard_lockup",
        &[("cpu.logical_number", "4")],
    ),
    (
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
        "kernel.rcu_stall",
        &[("kernel.rcu.flavor", "rcu_preempt")],
    ),
    ("INFO: rcu_sched detected stalls on CPUs/tasks: {}", "kernel.rcu_stall", &[]),
    (
        "INFO: task jbd2/sda1-8:287 blocked for more than 120 seconds.",
        "kernel.hung_task",
        &[("process.command", "jbd2/sda1-8"), ("process.pid", "287"), ("kernel.blocked_seconds", "120")],
    ),
    (
        "INFO: task kworker/u8:2:1234 blocked for more than 241 seconds.",
        "kernel.hung_task",
        &[("process.command", "kworker/u8:2"), ("process.pid", "1234")],
    ),
    (
        "nginx[30211]: segfault at 0 ip 000055d0a3c2b1a4 sp 00007ffc1d6f2a80 error 4 in nginx[55d0a3bf0000+e6000]",
        "kernel.segfault",
        &[("process.command", "nginx"), ("process.pid", "30211"), ("code.file.path", "nginx")],
    ),
    (
        "a b[12]: segfault at 10 ip 00007f0 sp 00007ff error 6",
        "kernel.segfault",
        &[("process.command", "a b")],
    ),
    (
        "traps: python3[4711] general protection fault ip:5a1b2c sp:7ffd5a error:0 in python3.11[400000+2a0000]",
        "kernel.trap",
        &[("process.pid", "4711"), ("kernel.reason", "general protection fault")],
    ),
    (
        "kworker/0:1: page allocation failure: order:5, mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO)",
        "kernel.page_allocation_failure",
        &[("kernel.order", "5")],
    ),
    (
        "blk_update_request: I/O error, dev sda, sector 12345 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 0",
        "kernel.io_error",
        &[("system.device", "sda"), ("kernel.io.sector", "12345"), ("kernel.io.operation", "READ")],
    ),
    (
        "I/O error, dev nvme0n1, sector 2048 op 0x1:(WRITE) flags 0x103000 phys_seg 1 prio class 2",
        "kernel.io_error",
        &[("kernel.io.operation", "WRITE")],
    ),
    ("print_req_error: I/O error, dev loop0, sector 0", "kernel.io_error", &[("system.device", "loop0")]),
    ("end_request: I/O error, dev sdb, sector 976773160", "kernel.io_error", &[("system.device", "sdb")]),
    (
        "critical medium error, dev sdb, sector 4096 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2",
        "kernel.io_error",
        &[("kernel.reason", "medium")],
    ),
    (
        "blk_update_request: critical target error, dev sdc, sector 0",
        "kernel.io_error",
        &[("system.device", "sdc")],
    ),
    (
        "Buffer I/O error on dev sda1, logical block 1310720, async page read",
        "kernel.io_error",
        &[("kernel.io.block", "1310720")],
    ),
    ("Buffer I/O error on device sda1, logical block 12", "kernel.io_error", &[]),
    ("nvme nvme0: I/O 12 QID 4 timeout, aborting", "kernel.device_error", &[("system.device", "nvme0")]),
    (
        "nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0x10",
        "kernel.device_error",
        &[],
    ),
    ("ata1.00: failed command: READ FPDMA QUEUED", "kernel.device_error", &[("kernel.ata.port", "1.00")]),
    (
        "sd 0:0:0:0: [sda] tag#0 FAILED Result: hostbyte=DID_OK driverbyte=DRIVER_OK cmd_age=0s",
        "kernel.device_error",
        &[("system.device", "sda")],
    ),
    (
        "md/raid1:md0: Disk failure on sdb1, disabling device.",
        "kernel.raid_failure",
        &[("kernel.raid.member", "sdb1")],
    ),
    (
        "EXT4-fs error (device sda1): ext4_lookup:1590: inode #2: comm ls: deleted inode referenced: 12",
        "kernel.filesystem_error",
        &[("system.filesystem.type", "EXT4"), ("system.device", "sda1")],
    ),
    (
        "EXT4-fs (sda1): Remounting filesystem read-only",
        "kernel.filesystem_readonly",
        &[("system.device", "sda1")],
    ),
    (
        "XFS (dm-0): Metadata corruption detected at xfs_agf_read_verify+0xde/0x110, xfs_agf block 0x1",
        "kernel.filesystem_error",
        &[],
    ),
    (
        "XFS (sda1): Corruption of in-memory data (0x8) detected at xfs_defer_finish_noroll.  Shutting down filesystem.",
        "kernel.filesystem_error",
        &[("system.device", "sda1")],
    ),
    (
        "BTRFS error (device sdb): bdev /dev/sdb errs: wr 0, rd 0, flush 0, corrupt 1, gen 0",
        "kernel.filesystem_error",
        &[("system.device", "sdb")],
    ),
    (
        "BTRFS: error (device sda2) in btrfs_commit_transaction:2281: errno=-5 IO failure",
        "kernel.filesystem_error",
        &[],
    ),
    ("BTRFS info (device sda2): forced readonly", "kernel.filesystem_readonly", &[]),
    ("Aborting journal on device sda1-8.", "kernel.filesystem_error", &[("system.device", "sda1-8")]),
    ("mce: [Hardware Error]: Machine check events logged", "kernel.machine_check", &[]),
    ("mce: [Hardware Error]: CPU 0: Machine Check: 0 Bank 5: be00000000800400", "kernel.machine_check", &[]),
    (
        "{1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 1",
        "kernel.machine_check",
        &[],
    ),
    (
        "EDAC MC0: 1 CE memory read error on CPU_SrcID#0_MC#0_Chan#1_DIMM#0",
        "kernel.memory_error",
        &[("kernel.edac.type", "CE")],
    ),
    (
        "mce: CPU3: Core temperature above threshold, cpu clock throttled (total events = 2)",
        "kernel.thermal_throttle",
        &[("cpu.logical_number", "3")],
    ),
    (
        "CPU1: Package temperature/speed above threshold, cpu clock throttled (total events = 7)",
        "kernel.thermal_throttle",
        &[],
    ),
    (
        "NETDEV WATCHDOG: eth0 (e1000e): transmit queue 0 timed out",
        "kernel.network_timeout",
        &[("network.interface.name", "eth0")],
    ),
    ("nf_conntrack: nf_conntrack: table full, dropping packet", "kernel.conntrack_full", &[]),
    (
        "TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:80. Sending cookies.",
        "kernel.syn_flooding",
        &[("kernel.port", "0.0.0.0:80")],
    ),
    (
        "cgroup: fork rejected by pids controller in /system.slice/web.service",
        "kernel.fork_rejected",
        &[("process.linux.cgroup", "/system.slice/web.service")],
    ),
    ("VFS: file-max limit 9223372 reached", "kernel.file_limit", &[]),
];

#[test]
fn what_kernels_write_of_faults_are_events() {
    for (message, name, said) in MESSAGES {
        let (event, found) = find(message).unwrap_or_else(|| panic!("no event: {message}"));
        assert_eq!(event.name, *name, "{message}");
        for (key, value) in *said {
            let is = found.iter().find(|(name, _)| name == key).map(|(_, value)| match value {
                Found::Text(text) => (*text).to_owned(),
                Found::Number(number) => number.to_string(),
            });
            assert_eq!(is.as_deref(), Some(*value), "{key} of {message}");
        }
    }
}

#[test]
fn what_is_nothing_out_of_the_ordinary_is_no_event() {
    for message in [
        "",
        "EXT4-fs (sda1): mounted filesystem with ordered data mode. Opts: (null)",
        "eth0: Link is Up",
        "oom_reaper: reaped process 1234 (mysqld), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
        "usb 1-1: new high-speed USB device number 2 using xhci_hcd",
        "systemd[1]: Killed process group",
        "Out of memory: Killed process x (y)",
        "INFO: task nothing",
        "XFS (sda1): Mounting V5 Filesystem",
    ] {
        assert_eq!(find(message).map(|(event, _)| event.name), None, "{message}");
    }
}

#[test]
fn every_event_is_written_by_some_kernel_in_these_tests() {
    for event in KERNEL_EVENTS {
        assert!(MESSAGES.iter().any(|(_, name, _)| *name == event.name), "{}", event.name);
        assert_eq!(event.text.matches('{').count(), event.text.matches('}').count());
    }
}

#[test]
fn a_kill_is_told_with_its_cgroup() {
    let summary = OomSummary::parse(
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
         oom_memcg=/system.slice/web.service,task_memcg=/system.slice/web.service,task=stress,pid=5678,uid=0",
    );
    let expected = OomSummary {
        pid: 5678,
        constraint: "CONSTRAINT_MEMCG".to_owned(),
        cgroup: "/system.slice/web.service".to_owned(),
    };
    assert_eq!(summary, Some(expected));
}

#[test]
fn long_hostile_messages_cost_little() {
    let message = "a: ".repeat(2_700);
    assert!(find(&message).is_none());
    assert!(find(&"[]:() ".repeat(1_300)).is_none());
}
