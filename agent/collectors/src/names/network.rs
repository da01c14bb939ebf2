//! Metrics of network interfaces.

use telemetry::{Aspect, MetricSpec, Resource};

use super::{COUNT, DEVICE, draft, metric, shows};

const INTERFACE: &str = "network.interface.name";
const NETWORK_DIRECTION: &str = "network.io.direction";

/// Bytes received and transmitted.
pub static NETWORK_IO: MetricSpec = shows(
    Resource::Network,
    Aspect::Utilization,
    metric(
        "system.network.io",
        "By",
        COUNT,
        &[INTERFACE, NETWORK_DIRECTION],
        ["Bytes received and transmitted.", "/proc/1/net/dev: columns 1 and 9"],
    ),
);

/// Packets received and transmitted.
pub static NETWORK_PACKET_COUNT: MetricSpec = shows(
    Resource::Network,
    Aspect::Utilization,
    metric(
        "system.network.packet.count",
        "{packet}",
        COUNT,
        &[DEVICE, NETWORK_DIRECTION],
        ["Packets received and transmitted.", "/proc/1/net/dev: columns 2 and 10"],
    ),
);

/// Errors while receiving and transmitting.
pub static NETWORK_ERRORS: MetricSpec = shows(
    Resource::Network,
    Aspect::Errors,
    metric(
        "system.network.errors",
        "{error}",
        COUNT,
        &[INTERFACE, NETWORK_DIRECTION],
        ["Errors while receiving and transmitting.", "/proc/1/net/dev: columns 3 and 11"],
    ),
);

/// Packets dropped while receiving and transmitting.
pub static NETWORK_PACKET_DROPPED: MetricSpec = shows(
    Resource::Network,
    Aspect::Saturation,
    metric(
        "system.network.packet.dropped",
        "{packet}",
        COUNT,
        &[INTERFACE, NETWORK_DIRECTION],
        ["Packets dropped while receiving and transmitting.", "/proc/1/net/dev: columns 4 and 12"],
    ),
);

/// Packets lost because a device queue overran.
pub static NETWORK_OVERRUNS: MetricSpec = shows(
    Resource::Network,
    Aspect::Saturation,
    draft(metric(
        "system.network.linux.overruns",
        "{packet}",
        COUNT,
        &[INTERFACE, NETWORK_DIRECTION],
        ["Packets lost because a device queue overran.", "/proc/1/net/dev: columns 5 and 13"],
    )),
);
