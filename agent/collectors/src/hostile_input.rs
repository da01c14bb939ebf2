//! Every parser at once, for tests and fuzz targets: whatever stands where a kernel's file is expected, none panics.

use crate::host::{HostFile, View};
use crate::processes::{self, identity, stat};
use crate::{
    cgroup, clock, conntrack, cpu, disk, filesystem, hardware, load, locks, memory, network, nfs, open_files,
    paging, pressure, processors, protocols, resource, sockets, softnet, uptime,
};

/// Has every parser read the same bytes.
pub fn parse_as_everything(bytes: &[u8]) {
    let file = HostFile::new("/proc/x", String::from_utf8_lossy(bytes));
    crate::node_exporter::parse_as_everything(&file);
    let _ = clock::parse(&file);
    let _ = cpu::parse(&file);
    let _ = cpu::parse_cpus(&file).count();
    let _ = cpu::parse_schedstat(&file).count();
    let _ = file.first_number::<i64>("a number");
    let _ = processors::parse_cpuinfo(&file);
    let _ = open_files::parse(&file);
    let _ = locks::parse(&file);
    let _ = memory::parse(&file);
    let _ = paging::parse_swaps(&file);
    let _ = paging::parse_vmstat(&file);
    let _ = load::parse(&file);
    let _ = uptime::parse(&file);
    let _ = disk::parse(&file);
    let _ = network::parse(&file);
    let _ = pressure::parse(&file);
    let _ = protocols::columns(&file, "TcpExt", ["ListenDrops", "TCPRcvQDrop"]);
    let _ = protocols::lines(&file, ["Udp6RcvbufErrors"]);
    let _ = protocols::tcp_memory(&file);
    let _ = softnet::parse(&file, &mut Vec::new());
    let _ = conntrack::parse(&file);
    sockets::Lines::default().take(bytes, &mut sockets::Counts::default());
    let _ = sockets::parse(bytes, &mut sockets::Counts::default());
    let _ = hardware::parse_cpuinfo(file.text());
    let _ = hardware::state_of(file.text());
    for line in file.lines() {
        let _ = nfs::parse_line(&file, line, &mut Vec::new());
    }
    let _ = filesystem::parse(&file, View::Host);
    let _ = filesystem::parse(&file, View::Own);
    let _ = filesystem::parse_statvfs(&file);
    cgroup::parse_as_everything(&file);
    let _ = filesystem::device_name(&file, "254:0");
    let _ = identity::parse_passwd(&file);
    resource::parse_as_everything(&file);
    let _ = stat::parse(bytes);
    let _ = processes::parse_statm(bytes);
    let _ = processes::parse_io(bytes);
    let _ = processes::parse_status(bytes);
    let _ = processes::parse_schedstat(bytes);
    let _ = processes::parse_pss(bytes);
    let _ = processes::parse_descriptor_limit(bytes);
    let _ = processes::masked(bytes);
    let _ = identity::user_id(bytes);
}
