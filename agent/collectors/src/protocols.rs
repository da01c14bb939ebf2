//! What TCP and UDP lost or had to say twice, from the tables `snmp`, `snmp6`, `netstat` and `sockstat` of the host's
//! network namespace.
//!
//! The kernel adds columns with almost every release, so they are found by name; a column that this kernel has not
//! is no point.

use telemetry::{SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "protocols",
    summary: "Retransmits, full listeners and full buffers of TCP and UDP.",
    metrics: &[
        &names::TCP_RETRANSMITS,
        &names::TCP_LISTEN_DROPS,
        &names::TCP_BACKLOG_DROPS,
        &names::TCP_MEMORY_PRESSURES,
        &names::TCP_MEMORY_USAGE,
        &names::UDP_BUFFER_DROPS,
    ],
    interval: None,
    open: |_, _| Ok(Box::new(Protocols)),
};

struct Protocols;

impl Collector for Protocols {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let Some(snmp) = host.read_optional_of_init("net/snmp")? else {
            return Err(CollectError::Absent { what: "tables of protocols" });
        };
        let [retransmits] = columns(&snmp, "Tcp", ["RetransSegs"])?;
        if let Some(segments) = retransmits {
            out.int(&names::TCP_RETRANSMITS, &[], segments);
        }
        if let Some(netstat) = host.read_optional_of_init("net/netstat")? {
            report_netstat(&netstat, out)?;
        }
        if out.takes(&names::TCP_MEMORY_USAGE)
            && let Some(sockstat) = host.read_optional_of_init("net/sockstat")?
            && let Some(pages) = tcp_memory(&sockstat)?
        {
            let bytes = pages.saturating_mul(host.page_size_bytes() as i64);
            out.int(&names::TCP_MEMORY_USAGE, &[], bytes);
        }
        let udp = columns(&snmp, "Udp", ["RcvbufErrors", "SndbufErrors"])?;
        // A kernel without IPv6 has no such file.
        let udp6 = match host.read_optional_of_init("net/snmp6")? {
            Some(snmp6) => lines(&snmp6, ["Udp6RcvbufErrors", "Udp6SndbufErrors"])?,
            None => [None, None],
        };
        for ((direction, of_4), of_6) in ["receive", "transmit"].into_iter().zip(udp).zip(udp6) {
            if let Some(packets) = of_4 {
                let packets = packets.saturating_add(of_6.unwrap_or(0));
                out.int(&names::UDP_BUFFER_DROPS, &[Value::Str(direction)], packets);
            }
        }
        Ok(())
    }
}

fn report_netstat(netstat: &HostFile<'_>, out: &mut SampleBuffer) -> Result<(), CollectError> {
    let [overflows, drops, pressures, backlog @ ..] = columns(
        netstat,
        "TcpExt",
        [
            "ListenOverflows",
            "ListenDrops",
            "TCPMemoryPressures",
            "TCPBacklogDrop",
            "TCPRcvQDrop",
            "TCPZeroWindowDrop",
        ],
    )?;
    if let (Some(overflows), Some(drops)) = (overflows, drops) {
        // The kernel counts an overflow among the drops.
        let other = drops.saturating_sub(overflows).max(0);
        out.int(&names::TCP_LISTEN_DROPS, &[Value::Str("overflow")], overflows);
        out.int(&names::TCP_LISTEN_DROPS, &[Value::Str("other")], other);
    }
    if backlog.iter().any(Option::is_some) {
        let packets = backlog.into_iter().flatten().fold(0, i64::saturating_add);
        out.int(&names::TCP_BACKLOG_DROPS, &[], packets);
    }
    if let Some(events) = pressures {
        out.int(&names::TCP_MEMORY_PRESSURES, &[], events);
    }
    Ok(())
}

/// Parses pairs of lines like `Udp: InDatagrams NoPorts` and `Udp: 1 2`: the columns `wanted` of `group`.
pub(crate) fn columns<const N: usize>(
    file: &HostFile<'_>,
    group: &str,
    wanted: [&str; N],
) -> Result<[Option<i64>; N], CollectError> {
    let mut of_group = file.lines().filter_map(|line| {
        let (key, rest) = line.split_once(':')?;
        (key == group).then_some(rest)
    });
    let mut found = [None; N];
    let (Some(titles), Some(values)) = (of_group.next(), of_group.next()) else { return Ok(found) };
    let mut values_left = values.split_ascii_whitespace();
    for title in titles.split_ascii_whitespace() {
        let value = values_left.next();
        if let Some((_, slot)) = wanted.iter().zip(&mut found).find(|(wanted, _)| **wanted == title) {
            *slot = Some(file.number(&mut value.into_iter(), "a number below each title", values)?);
        }
    }
    Ok(found)
}

/// Parses lines like `Udp6RcvbufErrors   9`.
pub(crate) fn lines<const N: usize>(
    file: &HostFile<'_>,
    wanted: [&str; N],
) -> Result<[Option<i64>; N], CollectError> {
    let mut found = [None; N];
    for line in file.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some(name) = fields.next() else { continue };
        if let Some((_, slot)) = wanted.iter().zip(&mut found).find(|(wanted, _)| **wanted == name) {
            *slot = Some(file.number(&mut fields, "a name and a number", line)?);
        }
    }
    Ok(found)
}

/// Parses `TCP: inuse 4 orphan 0 tw 4 alloc 17 mem 1`, in pages.
pub(crate) fn tcp_memory(sockstat: &HostFile<'_>) -> Result<Option<i64>, CollectError> {
    of_sockstat(sockstat, "TCP:", "mem")
}

/// A figure of a line of `sockstat`: `TCP: inuse 4 orphan 0 tw 4 alloc 17 mem 1`.
pub(crate) fn of_sockstat(
    file: &HostFile<'_>,
    protocol: &str,
    figure: &str,
) -> Result<Option<i64>, CollectError> {
    let Some(line) = file.lines().find(|line| line.starts_with(protocol)) else { return Ok(None) };
    let mut fields = line.split_ascii_whitespace();
    if !fields.any(|field| field == figure) {
        return Ok(None);
    }
    file.number(&mut fields, "a number after each name", line).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_by_its_name_whatever_stands_before_it() {
        let text = "TcpExt: A ListenOverflows B\nTcpExt: 1 2 3\nIpExt: ListenOverflows\nIpExt: 9\n";
        let file = HostFile::new("/proc/1/net/netstat", text);
        assert_eq!(
            columns(&file, "TcpExt", ["B", "ListenOverflows", "C"]).unwrap(),
            [Some(3), Some(2), None]
        );
        assert_eq!(columns(&file, "IpExt", ["ListenOverflows"]).unwrap(), [Some(9)]);
        assert_eq!(columns(&file, "Tcp", ["A"]).unwrap(), [None]);
    }

    #[test]
    fn a_title_without_a_number_is_named() {
        for text in ["Udp: A B\nUdp: 1\n", "Udp: A B\nUdp: 1 many\n"] {
            let error = columns(&HostFile::new("/proc/1/net/snmp", text), "Udp", ["B"]).unwrap_err();
            assert!(error.to_string().contains("expected a number below each title, found \" 1"), "{error}");
        }
        let file = HostFile::new("/proc/1/net/snmp6", "Udp6RcvbufErrors\n");
        assert!(lines(&file, ["Udp6RcvbufErrors"]).is_err());
    }

    #[test]
    fn memory_of_tcp_is_found_behind_whatever_the_kernel_says_before_it() {
        let of = |text: &str| tcp_memory(&HostFile::new("/proc/1/net/sockstat", text));
        assert_eq!(of("sockets: used 2\nTCP: inuse 4 orphan 0 tw 4 alloc 17 mem 5\n"), Ok(Some(5)));
        assert_eq!(of("UDP: inuse 0 mem 7\n"), Ok(None));
        assert!(of("TCP: inuse 4 mem").is_err());
    }
}
