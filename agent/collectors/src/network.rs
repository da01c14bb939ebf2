//! Traffic of network interfaces, from `/proc/1/net/dev`: the host's, whatever network namespace the agent lives in.

use telemetry::{MetricSpec, SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::{CollectError, at_most};
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "network",
    summary: "Bytes, packets, errors and drops of network interfaces, the loopback included.",
    metrics: &[
        &names::NETWORK_IO,
        &names::NETWORK_PACKET_COUNT,
        &names::NETWORK_ERRORS,
        &names::NETWORK_PACKET_DROPPED,
        &names::NETWORK_OVERRUNS,
    ],
    interval: None,
    open: |_, _| Ok(Box::new(Network)),
};

/// Interfaces that are reported, 10 series each: a container host has one per container. Beyond it the collector fails
/// after reporting so many.
const MOST_INTERFACES: usize = 1000;

struct Network;

impl Collector for Network {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let (file, _) = host.read_of_init("net/dev")?;
        let all = parse(&file)?;
        let interfaces = all.get(..MOST_INTERFACES).unwrap_or(&all);
        let mut both = |metric: &'static MetricSpec, count: fn(&Direction) -> i64| {
            for interface in interfaces {
                let name = Value::Str(interface.name);
                out.int(metric, &[name, Value::Str("receive")], count(&interface.received));
                out.int(metric, &[name, Value::Str("transmit")], count(&interface.transmitted));
            }
        };
        both(&names::NETWORK_IO, |counts| counts.bytes);
        both(&names::NETWORK_PACKET_COUNT, |counts| counts.packets);
        both(&names::NETWORK_ERRORS, |counts| counts.errors);
        both(&names::NETWORK_PACKET_DROPPED, |counts| counts.dropped);
        both(&names::NETWORK_OVERRUNS, |counts| counts.overruns);
        at_most(MOST_INTERFACES, all.len(), &file.path(), "interfaces")
    }
}

#[derive(Debug, PartialEq)]
struct Direction {
    bytes: i64,
    packets: i64,
    errors: i64,
    dropped: i64,
    overruns: i64,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Interface<'a> {
    name: &'a str,
    received: Direction,
    transmitted: Direction,
}

/// Parses `  eth0: 153334367 8769 0 0 0 0 0 0 647297 5516 0 0 0 0 0 0` after two lines of titles. Each direction has
/// eight columns, of which bytes, packets, errs, drop and fifo are the first five.
pub(crate) fn parse<'a>(file: &'a HostFile<'_>) -> Result<Vec<Interface<'a>>, CollectError> {
    let expected = "an interface, a colon and 16 counters";
    file.lines()
        .skip(2)
        .map(|line| {
            let (name, counters) = line.rsplit_once(':').ok_or_else(|| file.malformed(expected, line))?;
            let direction = |skipped: usize| {
                let mut fields = counters.split_ascii_whitespace().skip(skipped);
                // Kernel counters are unsigned; what does not fit is not real.
                let mut next = || Ok(file.number::<u64>(&mut fields, expected, line)? as i64);
                Ok(Direction {
                    bytes: next()?,
                    packets: next()?,
                    errors: next()?,
                    dropped: next()?,
                    overruns: next()?,
                })
            };
            Ok(Interface { name: name.trim(), received: direction(0)?, transmitted: direction(8)? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_told_apart() {
        let file = HostFile::new(
            "/proc/net/dev",
            "Inter-|\n face |\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
        );
        let interfaces = parse(&file).unwrap();
        assert_eq!(
            interfaces,
            [Interface {
                name: "eth0",
                received: Direction { bytes: 1, packets: 2, errors: 3, dropped: 4, overruns: 5 },
                transmitted: Direction { bytes: 9, packets: 10, errors: 11, dropped: 12, overruns: 13 },
            }]
        );
    }

    #[test]
    fn a_short_line_is_named() {
        for line in ["eth0: 1 2 3 4 5 6 7 8 9", "eth0 1 2", "eth0: x"] {
            let error =
                parse(&HostFile::new("/proc/1/net/dev", format!("\n\n{line}\n"))).unwrap_err().to_string();
            assert!(
                error.ends_with(&format!("an interface, a colon and 16 counters, found {line:?}")),
                "{error}"
            );
        }
    }
}
