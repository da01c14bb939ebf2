//! Metrics of the NFS client and server of the kernel.

use telemetry::{Aspect, MetricSpec, Resource};

use super::{COUNT, LEVEL, metric, shows};

const TRANSPORT: &[&str] = &["network.transport"];
const OPERATION: &[&str] = &["onc_rpc.version", "nfs.operation.name"];
const PROCEDURE: &[&str] = &["onc_rpc.version", "onc_rpc.procedure.name"];

const fn count(
    aspect: Aspect,
    name: &'static str,
    unit: &'static str,
    attributes: &'static [&'static str],
    texts: [&'static str; 2],
) -> MetricSpec {
    shows(Resource::Filesystem, aspect, metric(name, unit, COUNT, attributes, texts))
}

/// Records that the NFS client sent and received.
pub static NFS_CLIENT_NET_COUNT: MetricSpec = count(
    Aspect::Context,
    "nfs.client.net.count",
    "{record}",
    TRANSPORT,
    ["Records that the NFS client sent and received.", "/proc/1/net/rpc/nfs: net 2 and 3"],
);

/// TCP connections of the NFS client.
pub static NFS_CLIENT_CONNECTIONS: MetricSpec = count(
    Aspect::Context,
    "nfs.client.net.tcp.connection.accepted",
    "{connection}",
    &[],
    ["TCP connections of the NFS client.", "/proc/1/net/rpc/nfs: net 4"],
);

/// Requests that the NFS client made.
pub static NFS_CLIENT_RPC_COUNT: MetricSpec = count(
    Aspect::Context,
    "nfs.client.rpc.count",
    "{request}",
    &[],
    ["Requests that the NFS client made.", "/proc/1/net/rpc/nfs: rpc 1"],
);

/// Requests that the NFS client made again.
pub static NFS_CLIENT_RETRANSMITS: MetricSpec = count(
    Aspect::Saturation,
    "nfs.client.rpc.retransmit.count",
    "{retransmit}",
    &[],
    ["Requests that the NFS client made again.", "/proc/1/net/rpc/nfs: rpc 2"],
);

/// How often the NFS client renewed its credentials.
pub static NFS_CLIENT_AUTHREFRESHES: MetricSpec = count(
    Aspect::Context,
    "nfs.client.rpc.authrefresh.count",
    "{authrefresh}",
    &[],
    ["How often the NFS client renewed its credentials.", "/proc/1/net/rpc/nfs: rpc 3"],
);

/// Procedures that the NFS client called.
pub static NFS_CLIENT_PROCEDURES: MetricSpec = count(
    Aspect::Utilization,
    "nfs.client.procedure.count",
    "{procedure}",
    PROCEDURE,
    ["Procedures that the NFS client called.", "/proc/1/net/rpc/nfs: proc2, proc3"],
);

/// Operations of NFS 4 that the client called.
pub static NFS_CLIENT_OPERATIONS: MetricSpec = count(
    Aspect::Utilization,
    "nfs.client.operation.count",
    "{operation}",
    OPERATION,
    ["Operations of NFS 4 that the client called.", "/proc/1/net/rpc/nfs: proc4"],
);

/// Requests that the reply cache of the NFS server was asked for.
pub static NFS_SERVER_REPCACHE_REQUESTS: MetricSpec = count(
    Aspect::Context,
    "nfs.server.repcache.requests",
    "{request}",
    &["nfs.server.repcache.status"],
    ["Requests that the reply cache of the NFS server was asked for.", "/proc/1/net/rpc/nfsd: rc"],
);

/// Stale file handles that the NFS server was given.
pub static NFS_SERVER_STALE: MetricSpec = count(
    Aspect::Errors,
    "nfs.server.fh.stale.count",
    "{fh}",
    &[],
    ["Stale file handles that the NFS server was given.", "/proc/1/net/rpc/nfsd: fh 1"],
);

/// Bytes that the NFS server read and wrote for its clients.
pub static NFS_SERVER_IO: MetricSpec = count(
    Aspect::Utilization,
    "nfs.server.io",
    "By",
    &["network.io.direction"],
    [
        "Bytes that the NFS server read and wrote for its clients.",
        "/proc/1/net/rpc/nfsd: io, read = receive, write = transmit",
    ],
);

/// Records that the NFS server sent and received.
pub static NFS_SERVER_NET_COUNT: MetricSpec = count(
    Aspect::Context,
    "nfs.server.net.count",
    "{record}",
    TRANSPORT,
    ["Records that the NFS server sent and received.", "/proc/1/net/rpc/nfsd: net 2 and 3"],
);

/// TCP connections that the NFS server accepted.
pub static NFS_SERVER_CONNECTIONS: MetricSpec = count(
    Aspect::Context,
    "nfs.server.net.tcp.connection.accepted",
    "{connection}",
    &[],
    ["TCP connections that the NFS server accepted.", "/proc/1/net/rpc/nfsd: net 4"],
);

/// Requests to the NFS server, good ones and by what was wrong with them.
pub static NFS_SERVER_RPC_COUNT: MetricSpec = count(
    Aspect::Errors,
    "nfs.server.rpc.count",
    "{request}",
    &["error.type"],
    [
        "Requests to the NFS server, good ones and by what was wrong with them.",
        "/proc/1/net/rpc/nfsd: rpc 1, 3, 4, 5",
    ],
);

/// Procedures that the NFS server was asked for.
pub static NFS_SERVER_PROCEDURES: MetricSpec = count(
    Aspect::Utilization,
    "nfs.server.procedure.count",
    "{procedure}",
    PROCEDURE,
    ["Procedures that the NFS server was asked for.", "/proc/1/net/rpc/nfsd: proc2, proc3, proc4"],
);

/// Operations of NFS 4 that the server was asked for.
pub static NFS_SERVER_OPERATIONS: MetricSpec = count(
    Aspect::Utilization,
    "nfs.server.operation.count",
    "{operation}",
    OPERATION,
    ["Operations of NFS 4 that the server was asked for.", "/proc/1/net/rpc/nfsd: proc4ops"],
);

/// Threads of the NFS server.
pub static NFS_SERVER_THREADS: MetricSpec = shows(
    Resource::Filesystem,
    Aspect::Context,
    metric(
        "nfs.server.thread.count",
        "{thread}",
        LEVEL,
        &[],
        ["Threads of the NFS server.", "/proc/1/net/rpc/nfsd: th 1"],
    ),
);
