//! Packets that a CPU could not take in time, from `/proc/1/net/softnet_stat`.

use telemetry::{MetricSpec, SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "softnet",
    summary: "Packets that a CPU dropped or left for later.",
    metrics: &[&names::SOFTNET_DROPPED, &names::SOFTNET_SQUEEZES],
    interval: None,
    open: |_, options| Ok(Box::new(Softnet { per_cpu: options.per_cpu, cpus: Vec::new() })),
};

struct Softnet {
    per_cpu: bool,
    cpus: Vec<Cpu>,
}

impl Collector for Softnet {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let Some(file) = host.read_optional_of_init("net/softnet_stat")? else {
            return Err(CollectError::Absent { what: "counts of its CPUs' backlogs" });
        };
        parse(&file, &mut self.cpus)?;
        let mut report = |metric: &'static MetricSpec, count: fn(&Cpu) -> i64| {
            if self.per_cpu {
                for cpu in &self.cpus {
                    out.int(metric, &[Value::Int(cpu.number)], count(cpu));
                }
            } else {
                out.int(metric, &[Value::Absent], self.cpus.iter().map(count).fold(0, i64::saturating_add));
            }
        };
        report(&names::SOFTNET_DROPPED, |cpu| cpu.dropped);
        report(&names::SOFTNET_SQUEEZES, |cpu| cpu.squeezes);
        Ok(())
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Cpu {
    number: i64,
    dropped: i64,
    squeezes: i64,
}

/// Parses one line of hexadecimal columns for each CPU that is online: the 2nd is what was dropped, the 3rd what was
/// left for later and the 13th, since Linux 5.10, the CPU; before, it is taken for the line's number.
pub(crate) fn parse(file: &HostFile<'_>, cpus: &mut Vec<Cpu>) -> Result<(), CollectError> {
    cpus.clear();
    for (at, line) in file.lines().enumerate() {
        let mut columns = line.split_ascii_whitespace().map(|column| i64::from_str_radix(column, 16));
        let (Some(_), Some(Ok(dropped)), Some(Ok(squeezes))) =
            (columns.next(), columns.next(), columns.next())
        else {
            return Err(file.malformed("three hexadecimal numbers and more", line));
        };
        let number = columns.nth(9).and_then(Result::ok).unwrap_or(at as i64);
        cpus.push(Cpu { number, dropped, squeezes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_is_known_by_its_number_where_the_kernel_says_it() {
        for (line, number) in [("0a 01 02 0 0 0 0 0 0 0 0", 0), ("0a 01 02 0 0 0 0 0 0 0 0 0 11 0 0", 17)] {
            let mut cpus = Vec::new();
            parse(&HostFile::new("/proc/1/net/softnet_stat", line), &mut cpus).unwrap();
            assert_eq!(cpus, [Cpu { number, dropped: 1, squeezes: 2 }]);
        }
    }

    #[test]
    fn a_line_that_is_not_hexadecimal_is_named() {
        for line in ["", "1 2", "1 2 squeezed"] {
            let file = HostFile::new("/proc/1/net/softnet_stat", format!("{line}\n"));
            let error = parse(&file, &mut Vec::new()).unwrap_err().to_string();
            assert!(error.ends_with(&format!("found {line:?}")), "{error}");
        }
    }
}
