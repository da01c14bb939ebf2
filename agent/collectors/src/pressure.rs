//! Pressure stall information, from `/proc/pressure`.
//!
//! Only the totals: the kernel's averages are a view of the same numbers. Each file is optional, because kernels are
//! built without it, booted with `psi=0`, or lack `irq`.

use telemetry::{MetricSpec, SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "pressure",
    summary: "Time that tasks waited for CPU, memory, I/O and interrupts.",
    metrics: &[&names::CPU_PRESSURE, &names::MEMORY_PRESSURE, &names::IO_PRESSURE, &names::IRQ_PRESSURE],
    interval: None,
    open: |_, _| Ok(Box::new(Pressure)),
};

static FILES: [(&str, &MetricSpec); 4] = [
    ("proc/pressure/cpu", &names::CPU_PRESSURE),
    ("proc/pressure/memory", &names::MEMORY_PRESSURE),
    ("proc/pressure/io", &names::IO_PRESSURE),
    ("proc/pressure/irq", &names::IRQ_PRESSURE),
];

struct Pressure;

impl Collector for Pressure {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let mut found = false;
        for (path, metric) in FILES {
            let Some(file) = host.read_optional(path)? else { continue };
            found = true;
            for (kind, seconds) in parse(&file)? {
                out.double(metric, &[Value::Str(kind)], seconds);
            }
        }
        if found { Ok(()) } else { Err(CollectError::Absent { what: "pressure stall information" }) }
    }
}

/// Parses `some avg10=0.00 avg60=0.52 avg300=1.03 total=10330924`, the total in microseconds, and the same of `full`.
pub(crate) fn parse(file: &HostFile<'_>) -> Result<Vec<(&'static str, f64)>, CollectError> {
    file.lines()
        .map(|line| {
            let malformed = || file.malformed("some or full, and total= in microseconds", line);
            let (kind, rest) = line.split_once(' ').ok_or_else(malformed)?;
            let kind = ["some", "full"].into_iter().find(|known| *known == kind).ok_or_else(malformed)?;
            let total: u64 = rest
                .split_ascii_whitespace()
                .find_map(|field| field.strip_prefix("total="))
                .and_then(|total| total.parse().ok())
                .ok_or_else(malformed)?;
            Ok((kind, total as f64 / 1e6))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_seconds() {
        let text =
            "some avg10=0.00 avg60=0.52 avg300=1.03 total=10330924\nfull avg10=0.00 avg60=0.00 total=0\n";
        let totals = parse(&HostFile::new("/proc/pressure/io", text)).unwrap();
        assert_eq!(totals, [("some", 10.330_924), ("full", 0.0)]);
    }

    #[test]
    fn malformed_lines_are_named() {
        for line in ["some", "most total=1", "full avg10=0.00", "some total=-1"] {
            let error = parse(&HostFile::new("/proc/pressure/io", line)).unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "/proc/pressure/io: expected some or full, and total= in microseconds, found {line:?}"
                )
            );
        }
    }

    #[test]
    fn a_kernel_without_pressure_information_is_no_failure() {
        let host = tempfile::tempdir().unwrap();
        let error = Pressure.collect(&HostRoot::at(host.path()), &mut SampleBuffer::default()).unwrap_err();
        assert_eq!(error, CollectError::Absent { what: "pressure stall information" });
    }
}
