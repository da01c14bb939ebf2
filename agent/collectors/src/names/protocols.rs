//! Metrics of what lies between the interfaces and the programs: TCP, UDP, sockets, the backlog of the CPUs and
//! connection tracking.

use telemetry::{Aspect, MetricSpec, Resource};

use super::{COUNT, LEVEL, draft, metric, opt_in, shows};

const fn network(aspect: Aspect, spec: MetricSpec) -> MetricSpec {
    shows(Resource::Network, aspect, spec)
}

const LOGICAL_CPU: &[&str] = &["cpu.logical_number"];

/// Sockets by transport and state; a socket belongs to no interface.
pub static CONNECTION_COUNT: MetricSpec = network(
    Aspect::Utilization,
    metric(
        "system.network.connection.count",
        "{connection}",
        LEVEL,
        &["network.transport", "network.connection.state"],
        [
            "Sockets by transport and state.",
            "NETLINK_SOCK_DIAG with /proc/1/net/snmp and /proc/1/net/sockstat, else /proc/1/net/{tcp|tcp6|udp|udp6}",
        ],
    ),
);

/// TCP segments that were sent again.
pub static TCP_RETRANSMITS: MetricSpec = network(
    Aspect::Saturation,
    draft(metric(
        "system.network.tcp.retransmits",
        "{segment}",
        COUNT,
        &[],
        ["TCP segments that were sent again.", "/proc/1/net/snmp: Tcp RetransSegs"],
    )),
);

/// TCP connections that a listener could not take.
pub static TCP_LISTEN_DROPS: MetricSpec = network(
    Aspect::Saturation,
    draft(metric(
        "system.network.tcp.listen.drops",
        "{connection}",
        COUNT,
        &["system.network.tcp.listen.drop.reason"],
        [
            "TCP connections that a listener could not take.",
            "/proc/1/net/netstat: TcpExt ListenOverflows = overflow, ListenDrops - ListenOverflows = other",
        ],
    )),
);

/// TCP segments dropped because a socket had no room for them.
pub static TCP_BACKLOG_DROPS: MetricSpec = network(
    Aspect::Saturation,
    draft(metric(
        "system.network.tcp.backlog.drops",
        "{packet}",
        COUNT,
        &[],
        [
            "TCP segments dropped because a socket had no room for them.",
            "/proc/1/net/netstat: TcpExt TCPBacklogDrop + TCPRcvQDrop + TCPZeroWindowDrop",
        ],
    )),
);

/// How often TCP came to want for memory.
pub static TCP_MEMORY_PRESSURES: MetricSpec = network(
    Aspect::Saturation,
    opt_in(draft(metric(
        "system.network.tcp.memory_pressures",
        "{event}",
        COUNT,
        &[],
        ["How often TCP came to want for memory.", "/proc/1/net/netstat: TcpExt TCPMemoryPressures"],
    ))),
);

/// Memory that the buffers of TCP take.
pub static TCP_MEMORY_USAGE: MetricSpec = network(
    Aspect::Utilization,
    opt_in(draft(metric(
        "system.network.tcp.memory.usage",
        "By",
        LEVEL,
        &[],
        ["Memory that the buffers of TCP take.", "/proc/1/net/sockstat: TCP mem x page size"],
    ))),
);

/// UDP packets dropped because a socket's buffer was full.
pub static UDP_BUFFER_DROPS: MetricSpec = network(
    Aspect::Saturation,
    draft(metric(
        "system.network.udp.buffer.drops",
        "{packet}",
        COUNT,
        &["network.io.direction"],
        [
            "UDP packets dropped because a socket's buffer was full.",
            "/proc/1/net/snmp: Udp RcvbufErrors, SndbufErrors; and Udp6 of snmp6",
        ],
    )),
);

/// Connections that the kernel tracks.
pub static CONNTRACK_USAGE: MetricSpec = network(
    Aspect::Utilization,
    draft(metric(
        "system.network.conntrack.usage",
        "{entry}",
        LEVEL,
        &[],
        [
            "Connections that the kernel tracks.",
            "/proc/1/net/stat/nf_conntrack: entries, else /proc/sys/net/netfilter/nf_conntrack_count",
        ],
    )),
);

/// Connections that the kernel tracks at most.
pub static CONNTRACK_LIMIT: MetricSpec = network(
    Aspect::Context,
    draft(metric(
        "system.network.conntrack.limit",
        "{entry}",
        LEVEL,
        &[],
        ["Connections that the kernel tracks at most.", "/proc/sys/net/netfilter/nf_conntrack_max"],
    )),
);

/// Packets dropped because their connection could not be tracked.
pub static CONNTRACK_DROPS: MetricSpec = network(
    Aspect::Saturation,
    draft(metric(
        "system.network.linux.conntrack.drops",
        "{packet}",
        COUNT,
        &["system.network.linux.conntrack.drop.reason"],
        [
            "Packets dropped because their connection could not be tracked.",
            "/proc/1/net/stat/nf_conntrack: drop, early_drop, insert_failed of all CPUs",
        ],
    )),
);

/// Packets dropped because a CPU's backlog was full.
pub static SOFTNET_DROPPED: MetricSpec = network(
    Aspect::Saturation,
    draft(metric(
        "system.network.linux.softnet.dropped",
        "{packet}",
        COUNT,
        LOGICAL_CPU,
        ["Packets dropped because a CPU's backlog was full.", "/proc/1/net/softnet_stat: column 2"],
    )),
);

/// How often a CPU had to leave packets for later.
pub static SOFTNET_SQUEEZES: MetricSpec = network(
    Aspect::Saturation,
    draft(metric(
        "system.network.linux.softnet.squeezes",
        "{squeeze}",
        COUNT,
        LOGICAL_CPU,
        ["How often a CPU had to leave packets for later.", "/proc/1/net/softnet_stat: column 3"],
    )),
);
