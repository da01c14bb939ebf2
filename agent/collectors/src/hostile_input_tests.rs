//! No bytes that stand where a kernel file is expected make a parser panic.
//!
//! Random bytes rarely get past the first field, so real lines are also cut, repeated and overwritten.

use proptest::prelude::*;

use crate::HostRoot;
use crate::hostile_input::parse_as_everything;

const FILES: &[&str] = &[
    "sys/fs/cgroup/web.slice/hungry.service/cpu.stat",
    "sys/fs/cgroup/web.slice/hungry.service/memory.stat",
    "sys/fs/cgroup/web.slice/hungry.service/memory.events",
    "sys/fs/cgroup/system.slice/io.stat",
    "proc/1/net/netstat",
    "proc/1/net/snmp6",
    "proc/1/net/sockstat",
    "proc/1/net/softnet_stat",
    "proc/1/net/stat/nf_conntrack",
    "proc/1/net/rpc/nfsd",
    "proc/stat",
    "proc/cpuinfo",
    "proc/locks",
    "proc/sys/fs/file-nr",
    "proc/meminfo",
    "proc/vmstat",
    "proc/swaps",
    "proc/loadavg",
    "proc/uptime",
    "proc/diskstats",
    "proc/pressure/io",
    "proc/1/net/dev",
    "proc/1/mountinfo",
    "proc/31536/stat",
    "statvfs",
    "etc/passwd",
    "etc/os-release",
];

/// A piece of a captured file in which some bytes were replaced.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let piece = (0..FILES.len(), any::<u16>(), 0..2000_usize);
    let damage = prop::collection::vec((any::<u16>(), any::<u8>()), 0..8);
    (piece, damage).prop_map(|((file, from, length), damage)| {
        let hosts = ["firecracker-6.18", "node_exporter", "debian-13"].map(HostRoot::fixture);
        let text =
            hosts.iter().find_map(|host| host.read(FILES[file]).ok()).unwrap().text().as_bytes().to_vec();
        let from = usize::from(from) % text.len();
        let mut piece = text[from..text.len().min(from + length)].to_vec();
        for (at, byte) in damage {
            let at = usize::from(at) % piece.len().max(1);
            if let Some(damaged) = piece.get_mut(at) {
                *damaged = byte;
            }
        }
        piece
    })
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        parse_as_everything(&bytes);
    }

    #[test]
    fn no_damaged_kernel_file_makes_a_parser_panic(bytes in damaged()) {
        parse_as_everything(&bytes);
    }

    #[test]
    fn no_numbers_make_a_parser_panic(
        prefix in prop::sample::select(vec!["cpu ", "ctxt ", "MemTotal: ", "pgfault ", "x\n/dev/x file ", "1 1 sda ",
            "\n\neth0: ", "some total=", "254:0 Read ", "oom_kill ", "user_usec ", "1 (x) S ", "Udp: A\nUdp: ", "proc4ops ", "TCP: mem ", ""]),
        numbers in prop::collection::vec(prop_oneof![Just(u64::MAX), Just(i64::MAX as u64), any::<u64>(), 0..9_u64], 0..60),
    ) {
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        parse_as_everything(format!("{prefix}{}\n", numbers.join(" ")).as_bytes());
    }
}
