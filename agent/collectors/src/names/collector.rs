//! How the OpenTelemetry Collector's hostmetrics receiver spells our metrics: its names, units, attributes and their values,
//! of version 0.158.0, which follow older conventions (1.9.0). For receivers whose dashboards know those.
//!
//! What the receiver does not have is sent as it is named here, and what it spells as we do has no row. Values stay what
//! they are: its `cached` adds the reclaimable slab, its `process.memory.utilization` is a percentage, and it tells
//! interrupts from soft interrupts.

use telemetry::AttributeSpelling::{As, Numbered, Only};
use telemetry::{AttributeSpelling, Spelling, ValueType};

type Attributes = &'static [(&'static str, AttributeSpelling)];

const fn spelled(
    of: &'static str,
    name: &'static str,
    unit: &'static str,
    attributes: Attributes,
) -> Spelling {
    Spelling { of, name, unit, value: None, attributes }
}

/// Of the same name.
const fn same(name: &'static str, unit: &'static str, attributes: Attributes) -> Spelling {
    spelled(name, name, unit, attributes)
}

const fn as_double(mut spelling: Spelling) -> Spelling {
    spelling.value = Some(ValueType::Double);
    spelling
}

const CPU: Attributes =
    &[("cpu.mode", As("state", &[("iowait", "wait")])), ("cpu.logical_number", Numbered("cpu", "cpu"))];
const MEMORY: Attributes = &[("system.memory.state", As("state", &[("buffers", "buffered")]))];
const SLAB: &[(&str, &str)] = &[("reclaimable", "slab_reclaimable"), ("unreclaimable", "slab_unreclaimable")];
const FAULTS: Attributes = &[("system.paging.fault.type", As("type", &[]))];
const SWAP: Attributes = &[("system.paging.state", As("state", &[])), ("system.device", As("device", &[]))];
const DISK: Attributes = &[("system.device", As("device", &[])), ("disk.io.direction", As("direction", &[]))];
const FILESYSTEM: Attributes = &[
    ("system.device", As("device", &[])),
    ("system.filesystem.mode", As("mode", &[])),
    ("system.filesystem.mountpoint", As("mountpoint", &[])),
    ("system.filesystem.type", As("type", &[])),
    ("system.filesystem.state", As("state", &[])),
];
/// It knows of each file system one share only, the one that is used.
const FILESYSTEM_SHARE: Attributes = &[
    ("system.device", As("device", &[])),
    ("system.filesystem.mode", As("mode", &[])),
    ("system.filesystem.mountpoint", As("mountpoint", &[])),
    ("system.filesystem.type", As("type", &[])),
    ("system.filesystem.state", Only(None, "used")),
];
const NETWORK: Attributes = &[
    ("network.interface.name", As("device", &[])),
    ("system.device", As("device", &[])),
    ("network.io.direction", As("direction", &[])),
];
/// It looks at TCP alone, and calls its states as the kernel's headers do.
const CONNECTIONS: Attributes = &[
    ("network.transport", Only(Some("protocol"), "tcp")),
    (
        "network.connection.state",
        As(
            "state",
            &[
                ("closed", "CLOSE"),
                ("close_wait", "CLOSE_WAIT"),
                ("closing", "CLOSING"),
                ("established", "ESTABLISHED"),
                ("fin_wait_1", "FIN_WAIT_1"),
                ("fin_wait_2", "FIN_WAIT_2"),
                ("last_ack", "LAST_ACK"),
                ("listen", "LISTEN"),
                ("syn_received", "SYN_RECV"),
                ("syn_sent", "SYN_SENT"),
                ("time_wait", "TIME_WAIT"),
            ],
        ),
    ),
];
const STATUS: Attributes = &[("process.state", As("status", &[("defunct", "zombies")]))];
const MODE: Attributes = &[("cpu.mode", As("state", &[]))];
const DIRECTION: Attributes = &[("disk.io.direction", As("direction", &[]))];
const SWITCHES: Attributes = &[("process.context_switch.type", As("type", &[]))];
const OPERATIONS: Attributes = &[
    ("system.paging.direction", As("direction", &[("in", "page_in"), ("out", "page_out")])),
    ("system.paging.fault.type", As("type", &[])),
];

/// All of them.
pub static COLLECTOR_SPELLINGS: &[Spelling] = &[
    as_double(same("system.cpu.frequency", "Hz", CPU)),
    same("system.cpu.time", "s", CPU),
    same("system.cpu.utilization", "1", CPU),
    spelled("system.memory.linux.available", "system.linux.memory.available", "By", &[]),
    spelled("system.memory.linux.dirty", "system.linux.memory.dirty", "By", &[]),
    spelled(
        "system.memory.linux.slab.usage",
        "system.memory.usage",
        "By",
        &[("system.memory.linux.slab.state", As("state", SLAB))],
    ),
    same("system.memory.usage", "By", MEMORY),
    same("system.memory.utilization", "1", MEMORY),
    same("system.paging.faults", "{faults}", FAULTS),
    same("system.paging.operations", "{operations}", OPERATIONS),
    same("system.paging.usage", "By", SWAP),
    same("system.paging.utilization", "1", SWAP),
    same("system.disk.io", "By", DISK),
    same("system.disk.io_time", "s", DISK),
    same("system.disk.merged", "{operations}", DISK),
    same("system.disk.operation_time", "s", DISK),
    same("system.disk.operations", "{operations}", DISK),
    same("system.disk.pending_operations", "{operations}", DISK),
    same("system.disk.weighted_io_time", "s", DISK),
    same("system.filesystem.inodes.usage", "{inodes}", FILESYSTEM),
    same("system.filesystem.usage", "By", FILESYSTEM),
    same("system.filesystem.utilization", "1", FILESYSTEM_SHARE),
    spelled("system.network.connection.count", "system.network.connections", "{connections}", CONNECTIONS),
    spelled("system.network.conntrack.limit", "system.network.conntrack.max", "{entries}", &[]),
    spelled("system.network.conntrack.usage", "system.network.conntrack.count", "{entries}", &[]),
    same("system.network.errors", "{errors}", NETWORK),
    same("system.network.io", "By", NETWORK),
    spelled("system.network.packet.count", "system.network.packets", "{packets}", NETWORK),
    spelled("system.network.packet.dropped", "system.network.dropped", "{packets}", NETWORK),
    spelled("system.process.count", "system.processes.count", "{processes}", STATUS),
    spelled("system.process.created", "system.processes.created", "{processes}", &[]),
    same("process.context_switches", "{count}", SWITCHES),
    same("process.cpu.time", "s", MODE),
    same("process.cpu.utilization", "1", MODE),
    same("process.disk.io", "By", DIRECTION),
    same("process.disk.operations", "{operations}", DIRECTION),
    same("process.paging.faults", "{faults}", FAULTS),
    same("process.signals_pending", "{signals}", &[]),
    spelled("process.thread.count", "process.threads", "{threads}", &[]),
    spelled("process.unix.file_descriptor.count", "process.open_file_descriptors", "{count}", &[]),
    same("nfs.server.net.count", "{request}", &[]),
];

#[cfg(test)]
mod tests;
