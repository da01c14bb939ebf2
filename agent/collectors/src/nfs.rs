//! The kernel's NFS client and server, from `/proc/1/net/rpc/nfs` and `nfsd`.
//!
//! The files are there only while the modules are loaded. How many operations the kernel counts depends on its release,
//! and so does their order from a certain one on: see [`operations::client`].

mod operations;

use telemetry::{MetricSpec, SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "nfs",
    summary: "Requests, procedures and operations of the kernel's NFS client and server.",
    metrics: &[
        &names::NFS_CLIENT_NET_COUNT,
        &names::NFS_CLIENT_CONNECTIONS,
        &names::NFS_CLIENT_RPC_COUNT,
        &names::NFS_CLIENT_RETRANSMITS,
        &names::NFS_CLIENT_AUTHREFRESHES,
        &names::NFS_CLIENT_PROCEDURES,
        &names::NFS_CLIENT_OPERATIONS,
        &names::NFS_SERVER_REPCACHE_REQUESTS,
        &names::NFS_SERVER_STALE,
        &names::NFS_SERVER_IO,
        &names::NFS_SERVER_THREADS,
        &names::NFS_SERVER_NET_COUNT,
        &names::NFS_SERVER_CONNECTIONS,
        &names::NFS_SERVER_RPC_COUNT,
        &names::NFS_SERVER_PROCEDURES,
        &names::NFS_SERVER_OPERATIONS,
    ],
    interval: None,
    open: |_, _| Ok(Box::new(Nfs { numbers: Vec::new() })),
};

struct Nfs {
    /// Kept for its memory.
    numbers: Vec<i64>,
}

impl Collector for Nfs {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let mut is_there = false;
        for (path, report) in [("net/rpc/nfs", client as Report), ("net/rpc/nfsd", server)] {
            if let Some(file) = host.read_optional_of_init(path)? {
                each_line(&file, &mut self.numbers, report, out)?;
                is_there = true;
            }
        }
        if is_there { Ok(()) } else { Err(CollectError::Absent { what: "NFS" }) }
    }
}

/// Reports a line by its key and numbers.
type Report = fn(&str, &[i64], &mut SampleBuffer);

fn each_line(
    file: &HostFile<'_>,
    numbers: &mut Vec<i64>,
    report: Report,
    out: &mut SampleBuffer,
) -> Result<(), CollectError> {
    for line in file.lines() {
        let key = parse_line(file, line, numbers)?;
        report(key, numbers, out);
    }
    Ok(())
}

/// Parses a line like `rpc 18628 0 0 0 0`. Of `th` only the first number counts: the kernel prints a histogram of
/// seconds behind it.
pub(crate) fn parse_line<'f>(
    file: &HostFile<'_>,
    line: &'f str,
    numbers: &mut Vec<i64>,
) -> Result<&'f str, CollectError> {
    numbers.clear();
    let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
    let counted = if key == "th" { 1 } else { usize::MAX };
    for field in rest.split_ascii_whitespace().take(counted) {
        numbers.push(file.number(&mut Some(field).into_iter(), "a name and numbers", line)?);
    }
    Ok(key)
}

fn client(key: &str, numbers: &[i64], out: &mut SampleBuffer) {
    match (key, numbers) {
        ("net", [_, udp, tcp, connections, ..]) => {
            transports(&names::NFS_CLIENT_NET_COUNT, *udp, *tcp, out);
            out.int(&names::NFS_CLIENT_CONNECTIONS, &[], *connections);
        }
        ("rpc", [requests, again, renewed, ..]) => {
            out.int(&names::NFS_CLIENT_RPC_COUNT, &[], *requests);
            out.int(&names::NFS_CLIENT_RETRANSMITS, &[], *again);
            out.int(&names::NFS_CLIENT_AUTHREFRESHES, &[], *renewed);
        }
        ("proc2", [_, counts @ ..]) => {
            named(&names::NFS_CLIENT_PROCEDURES, 2, operations::VERSION_2, counts, out);
        }
        ("proc3", [_, counts @ ..]) => {
            named(&names::NFS_CLIENT_PROCEDURES, 3, operations::VERSION_3, counts, out);
        }
        ("proc4", [_, counts @ ..]) => {
            named(&names::NFS_CLIENT_OPERATIONS, 4, operations::client(counts.len()), counts, out);
        }
        _ => {}
    }
}

fn server(key: &str, numbers: &[i64], out: &mut SampleBuffer) {
    match (key, numbers) {
        ("rc", [hits, misses, uncached, ..]) => {
            for (status, requests) in [("hit", hits), ("miss", misses), ("nocache", uncached)] {
                out.int(&names::NFS_SERVER_REPCACHE_REQUESTS, &[Value::Str(status)], *requests);
            }
        }
        ("fh", [stale, ..]) => out.int(&names::NFS_SERVER_STALE, &[], *stale),
        ("io", [read, written, ..]) => {
            out.int(&names::NFS_SERVER_IO, &[Value::Str("receive")], *read);
            out.int(&names::NFS_SERVER_IO, &[Value::Str("transmit")], *written);
        }
        ("th", [threads, ..]) => out.int(&names::NFS_SERVER_THREADS, &[], *threads),
        ("net", [_, udp, tcp, connections, ..]) => {
            transports(&names::NFS_SERVER_NET_COUNT, *udp, *tcp, out);
            out.int(&names::NFS_SERVER_CONNECTIONS, &[], *connections);
        }
        ("rpc", [good, _, format, auth, client, ..]) => {
            out.int(&names::NFS_SERVER_RPC_COUNT, &[Value::Absent], *good);
            for (wrong, requests) in [("format", format), ("auth", auth), ("client", client)] {
                out.int(&names::NFS_SERVER_RPC_COUNT, &[Value::Str(wrong)], *requests);
            }
        }
        ("proc2", [_, counts @ ..]) => {
            named(&names::NFS_SERVER_PROCEDURES, 2, operations::VERSION_2, counts, out);
        }
        ("proc3", [_, counts @ ..]) => {
            named(&names::NFS_SERVER_PROCEDURES, 3, operations::VERSION_3, counts, out);
        }
        ("proc4", [_, counts @ ..]) => {
            named(&names::NFS_SERVER_PROCEDURES, 4, operations::VERSION_4, counts, out);
        }
        // The first three numbers of operations are unused.
        ("proc4ops", [_, _, _, _, counts @ ..]) => {
            named(&names::NFS_SERVER_OPERATIONS, 4, operations::SERVER, counts, out);
        }
        _ => {}
    }
}

fn transports(metric: &'static MetricSpec, udp: i64, tcp: i64, out: &mut SampleBuffer) {
    out.int(metric, &[Value::Str("udp")], udp);
    out.int(metric, &[Value::Str("tcp")], tcp);
}

fn named(
    metric: &'static MetricSpec,
    version: i64,
    names: &[&'static str],
    counts: &[i64],
    out: &mut SampleBuffer,
) {
    for (name, count) in names.iter().zip(counts) {
        out.int(metric, &[Value::Int(version), Value::Str(name)], *count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, report: Report) -> String {
        let mut out = SampleBuffer::default();
        each_line(&HostFile::new("/proc/1/net/rpc/x", text), &mut Vec::new(), report, &mut out).unwrap();
        out.to_text()
    }

    #[test]
    fn operations_bear_the_names_of_the_protocol() {
        let text = told("proc4ops 72 0 0 0 1098 2 0\n", server);
        assert_eq!(
            text,
            "nfs.server.operation.count{onc_rpc.version=4,nfs.operation.name=\"ACCESS\"} 1098\n\
             nfs.server.operation.count{onc_rpc.version=4,nfs.operation.name=\"CLOSE\"} 2\n\
             nfs.server.operation.count{onc_rpc.version=4,nfs.operation.name=\"COMMIT\"} 0\n"
        );
        assert!(told("proc2 18 2 69\n", client).contains("onc_rpc.procedure.name=\"GETATTR\"} 69\n"));
    }

    #[test]
    fn requests_are_told_apart_by_what_was_wrong_with_them() {
        let text = told("rpc 18628 6 1 2 3\nth 8 0 0.000 1.5\n", server);
        assert_eq!(
            text,
            "nfs.server.rpc.count 18628\nnfs.server.rpc.count{error.type=\"format\"} 1\n\
             nfs.server.rpc.count{error.type=\"auth\"} 2\nnfs.server.rpc.count{error.type=\"client\"} 3\n\
             nfs.server.thread.count 8\n"
        );
    }

    #[test]
    fn a_line_that_is_too_short_or_unknown_says_nothing_and_a_broken_one_is_named() {
        assert_eq!(told("rpc 1\nio 7\nwdeleg_getattr 15\nproc2\n\n", server), "");
        let file = HostFile::new("/proc/1/net/rpc/nfs", "");
        let error = parse_line(&file, "rpc 1 x", &mut Vec::new()).unwrap_err().to_string();
        assert!(error.ends_with("a name and numbers, found \"rpc 1 x\""), "{error}");
    }
}
