//! `conntrack`, `netstat`, `sockstat`, `softnet` and `udp_queues`: the tables of the network stack.
//!
//! Of the statistics of protocols the table holds those that `node_exporter` lets through by default.

use telemetry::{MetricSpec, Value};

use super::Out;
use super::rows::{counter, from, gauge, untyped};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::sysfs;

macro_rules! statistics {
    ($($protocol:literal: $($name:literal)*;)*) => {
        [$($(untyped(
            concat!("node_netstat_", $protocol, "_", $name),
            concat!("The statistic ", $name, " of ", $protocol, "."),
        )),*),*]
    };
}

pub(super) static NETSTAT: [MetricSpec; 42] = from(
    "/proc/1/net/netstat, snmp and snmp6",
    statistics! {
        "TcpExt": "SyncookiesSent" "SyncookiesRecv" "SyncookiesFailed" "ListenOverflows" "ListenDrops"
            "TCPTimeouts" "TCPOFOQueue" "TCPRcvQDrop" "TCPSynRetrans";
        "IpExt": "InOctets" "OutOctets";
        "Ip": "Forwarding";
        "Icmp": "InMsgs" "InErrors" "OutMsgs";
        "Tcp": "ActiveOpens" "PassiveOpens" "CurrEstab" "InSegs" "OutSegs" "RetransSegs" "InErrs" "OutRsts";
        "Udp": "InDatagrams" "NoPorts" "InErrors" "OutDatagrams" "RcvbufErrors" "SndbufErrors";
        "UdpLite": "InErrors";
        "Ip6": "InOctets" "OutOctets";
        "Icmp6": "InMsgs" "InErrors" "OutMsgs";
        "Udp6": "InDatagrams" "NoPorts" "InErrors" "OutDatagrams" "RcvbufErrors" "SndbufErrors";
        "UdpLite6": "InErrors";
    },
);

pub(super) fn netstat(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let mut name = String::new();
    for path in ["net/netstat", "net/snmp"] {
        let (file, _) = host.read_of_init(path)?;
        for (protocol, key, value) in pairs(&file) {
            put_statistic(out, &mut name, protocol, key, value);
        }
    }
    // Without IPv6 there is no such file.
    if let Ok((file, _)) = host.read_of_init("net/snmp6") {
        for line in file.lines() {
            let Some((key, value)) = line.split_once(|c: char| c.is_ascii_whitespace()) else { continue };
            let Some((protocol, key)) = key.find('6').and_then(|at| key.split_at_checked(at + 1)) else {
                continue;
            };
            put_statistic(out, &mut name, protocol, key, value.trim());
        }
    }
    Ok(())
}

fn put_statistic(out: &mut Out<'_>, name: &mut String, protocol: &str, key: &str, value: &str) {
    name.clear();
    for part in ["node_netstat_", protocol, "_", key] {
        name.push_str(part);
    }
    if let Some(value) = sysfs::parse(value) {
        out.put_known(name, &[], value);
    }
}

/// A line of names, then one of as many values, both after `Protocol:`.
pub(super) fn pairs<'a>(file: &'a HostFile<'_>) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    let mut lines = file.lines();
    std::iter::from_fn(move || Some((lines.next()?, lines.next()?))).flat_map(|(names, values)| {
        let (protocol, names) = names.split_once(": ").unwrap_or((names, ""));
        let values = values.split_once(": ").map_or("", |(_, values)| values);
        let both = names.split_ascii_whitespace().zip(values.split_ascii_whitespace());
        both.map(move |(name, value)| (protocol, name, value))
    })
}

macro_rules! sockets {
    ($($name:literal $help:literal)*) => {
        [$(gauge(concat!("node_sockstat_", $name), &[], $help)),*]
    };
}

pub(super) static SOCKSTAT: [MetricSpec; 20] = from(
    "/proc/1/net/sockstat and sockstat6",
    sockets! {
        "sockets_used" "Sockets of all kinds."
        "TCP_inuse" "TCP sockets in use."
        "TCP_orphan" "TCP sockets that belong to no process any more."
        "TCP_tw" "TCP connections that wait for late packets."
        "TCP_alloc" "TCP sockets that exist."
        "TCP_mem" "Pages that TCP sockets hold."
        "TCP_mem_bytes" "Bytes that TCP sockets hold."
        "UDP_inuse" "UDP sockets in use."
        "UDP_mem" "Pages that UDP sockets hold."
        "UDP_mem_bytes" "Bytes that UDP sockets hold."
        "UDPLITE_inuse" "UDP-Lite sockets in use."
        "RAW_inuse" "Raw sockets in use."
        "FRAG_inuse" "Packets that are being put together."
        "FRAG_memory" "Bytes that packets hold which are being put together."
        "TCP6_inuse" "TCP sockets of IPv6 in use."
        "UDP6_inuse" "UDP sockets of IPv6 in use."
        "UDPLITE6_inuse" "UDP-Lite sockets of IPv6 in use."
        "RAW6_inuse" "Raw sockets of IPv6 in use."
        "FRAG6_inuse" "Packets of IPv6 that are being put together."
        "FRAG6_memory" "Bytes that packets of IPv6 hold which are being put together."
    },
);

pub(super) fn sockstat(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let page = host.page_size_bytes() as f64;
    for path in ["net/sockstat", "net/sockstat6"] {
        let Ok((file, _)) = host.read_of_init(path) else { continue };
        for line in file.lines() {
            let Some((protocol, rest)) = line.split_once(':') else { continue };
            let mut fields = rest.split_ascii_whitespace();
            while let (Some(key), Some(value)) = (fields.next(), fields.next().and_then(sysfs::parse)) {
                let name = format!("node_sockstat_{protocol}_{key}");
                out.put_known(&name, &[], value);
                if key == "mem" {
                    out.put_known(&format!("{name}_bytes"), &[], value * page);
                }
            }
        }
    }
    Ok(())
}

const CPU: &[&str] = &["cpu"];

/// In the order of [`SOFTNET_COLUMNS`].
pub(super) static SOFTNET: [MetricSpec; 7] = from(
    "/proc/1/net/softnet_stat",
    [
        counter("node_softnet_processed_total", CPU, "Packets that a CPU took from interfaces."),
        counter("node_softnet_dropped_total", CPU, "Packets dropped because a CPU's backlog was full."),
        counter("node_softnet_times_squeezed_total", CPU, "How often a CPU had to stop with packets left."),
        counter(
            "node_softnet_cpu_collision_total",
            CPU,
            "How often a sending queue was locked by another CPU.",
        ),
        counter(
            "node_softnet_received_rps_total",
            CPU,
            "How often a CPU was woken to take another's packets.",
        ),
        counter("node_softnet_flow_limit_count_total", CPU, "How often the limit of a flow was reached."),
        gauge("node_softnet_backlog_len", CPU, "Packets that wait in a CPU's backlog."),
    ],
);

const SOFTNET_COLUMNS: [usize; 7] = [0, 1, 2, 8, 9, 10, 11];
const SOFTNET_CPU_COLUMN: usize = 12;

pub(super) fn softnet(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let (file, _) = host.read_of_init("net/softnet_stat")?;
    for (at, line) in file.lines().enumerate() {
        let columns: Vec<u32> =
            line.split_ascii_whitespace().filter_map(|field| u32::from_str_radix(field, 16).ok()).collect();
        let cpu = columns.get(SOFTNET_CPU_COLUMN).map_or_else(|| at.to_string(), u32::to_string);
        for (metric, column) in SOFTNET.iter().zip(SOFTNET_COLUMNS) {
            // What an older kernel does not tell counts 0, as with node_exporter.
            let value = columns.get(column).copied().unwrap_or(0);
            out.put(metric.name, &[Value::Str(&cpu)], f64::from(value));
        }
    }
    Ok(())
}

pub(super) static UDP_QUEUES: [MetricSpec; 1] = from(
    "/proc/1/net/udp and udp6",
    [gauge("node_udp_queues", &["queue", "ip"], "Bytes that wait in the queues of UDP sockets.")],
);

pub(super) fn udp_queues(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    for (path, ip) in [("net/udp", "v4"), ("net/udp6", "v6")] {
        let Ok((file, _)) = host.read_of_init(path) else { continue };
        let (mut sent, mut received) = (0_u64, 0_u64);
        for queues in file.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().nth(4)) {
            let Some((tx, rx)) = queues.split_once(':') else { continue };
            sent = sent.saturating_add(u64::from_str_radix(tx, 16).unwrap_or(0));
            received = received.saturating_add(u64::from_str_radix(rx, 16).unwrap_or(0));
        }
        for (queue, bytes) in [("tx", sent), ("rx", received)] {
            out.put("node_udp_queues", &[Value::Str(queue), Value::Str(ip)], bytes as f64);
        }
    }
    Ok(())
}

macro_rules! conntrack {
    ($($name:literal $help:literal)*) => { [$(gauge(concat!("node_nf_conntrack_", $name), &[], $help)),*] };
}

pub(super) static CONNTRACK: [MetricSpec; 10] = from(
    "/proc/sys/net/netfilter, /proc/1/net/stat/nf_conntrack",
    conntrack! {
        "entries" "Connections that are tracked."
        "entries_limit" "Connections that can be tracked."
        "stat_found" "Lookups that found a connection."
        "stat_invalid" "Packets that could not be tracked."
        "stat_ignore" "Packets that were tracked already."
        "stat_insert" "Connections that were entered."
        "stat_insert_failed" "Connections that were not entered because they were there."
        "stat_drop" "Packets dropped because no entry could be made."
        "stat_early_drop" "Entries that made room for others."
        "stat_search_restart" "Lookups that began anew because the table was changed."
    },
);

pub(super) fn conntrack(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let absent = || CollectError::Absent { what: "connection tracking" };
    let of = |name: &str| sysfs::number(host, &format!("proc/sys/net/netfilter/nf_conntrack_{name}"));
    out.put("node_nf_conntrack_entries", &[], of("count").ok_or_else(absent)?);
    out.put("node_nf_conntrack_entries_limit", &[], of("max").ok_or_else(absent)?);
    let (file, _) = host.read_of_init("net/stat/nf_conntrack")?;
    for row in CONNTRACK.iter().skip(2) {
        let key = row.name.strip_prefix("node_nf_conntrack_stat_").unwrap_or_default();
        out.put(row.name, &[], sum_of_column(&file, key) as f64);
    }
    Ok(())
}

/// A line of names, then one of hexadecimal numbers for each CPU.
pub(super) fn sum_of_column(file: &HostFile<'_>, name: &str) -> u64 {
    let mut lines = file.lines();
    let names = lines.next().unwrap_or_default();
    let Some(column) = names.split_ascii_whitespace().position(|key| key == name) else { return 0 };
    let of_line = |line: &str| u64::from_str_radix(line.split_ascii_whitespace().nth(column)?, 16).ok();
    lines.filter_map(of_line).fold(0, u64::saturating_add)
}
