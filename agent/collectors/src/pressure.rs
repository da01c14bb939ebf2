//! Pressure stall information, from `/proc/pressure`.
//!
//! The totals; the kernel's averages are a view of the same numbers, for whoever asks for them. Each file is optional,
//! because kernels are built without it, booted with `psi=0`, or lack `irq`.

use telemetry::{MetricSpec, SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "pressure",
    summary: "Time that tasks waited for CPU, memory, I/O and interrupts.",
    metrics: &[
        &names::CPU_PRESSURE,
        &names::CPU_PRESSURE_10S,
        &names::CPU_PRESSURE_1M,
        &names::CPU_PRESSURE_5M,
        &names::MEMORY_PRESSURE,
        &names::MEMORY_PRESSURE_10S,
        &names::MEMORY_PRESSURE_1M,
        &names::MEMORY_PRESSURE_5M,
        &names::IO_PRESSURE,
        &names::IO_PRESSURE_10S,
        &names::IO_PRESSURE_1M,
        &names::IO_PRESSURE_5M,
        &names::IRQ_PRESSURE,
    ],
    interval: None,
    open: |_, _| Ok(Box::new(Pressure)),
};

/// A file, the metric of its totals and those of its averages over 10, 60 and 300 seconds.
type Source = (&'static str, &'static MetricSpec, &'static [&'static MetricSpec]);

static SOURCES: [Source; 4] = [
    (
        "proc/pressure/cpu",
        &names::CPU_PRESSURE,
        &[&names::CPU_PRESSURE_10S, &names::CPU_PRESSURE_1M, &names::CPU_PRESSURE_5M],
    ),
    (
        "proc/pressure/memory",
        &names::MEMORY_PRESSURE,
        &[&names::MEMORY_PRESSURE_10S, &names::MEMORY_PRESSURE_1M, &names::MEMORY_PRESSURE_5M],
    ),
    (
        "proc/pressure/io",
        &names::IO_PRESSURE,
        &[&names::IO_PRESSURE_10S, &names::IO_PRESSURE_1M, &names::IO_PRESSURE_5M],
    ),
    ("proc/pressure/irq", &names::IRQ_PRESSURE, &[]),
];

struct Pressure;

impl Collector for Pressure {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let mut found = false;
        for (path, total, averages) in &SOURCES {
            let Some(file) = host.read_optional(path)? else { continue };
            found = true;
            let stalls = parse(&file)?;
            for stall in &stalls {
                out.double(total, &[Value::Str(stall.kind)], stall.total_micros as f64 / 1e6);
            }
            for (at, average) in averages.iter().enumerate() {
                for stall in &stalls {
                    if let Some(percent) = stall.percent.get(at).copied().flatten() {
                        out.double(average, &[Value::Str(stall.kind)], percent / 100.0);
                    }
                }
            }
        }
        if found { Ok(()) } else { Err(CollectError::Absent { what: "pressure stall information" }) }
    }
}

/// How long tasks waited.
#[derive(Debug, PartialEq)]
pub(crate) struct Stall {
    /// `some`: at least one task waited; `full`: all did.
    kind: &'static str,
    total_micros: u64,
    /// Percent of the last 10, 60 and 300 seconds.
    percent: [Option<f64>; 3],
}

impl Stall {
    /// Whether it is of this kind.
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }

    /// Percent of the last 10 seconds.
    pub(crate) fn last_10_seconds(&self) -> Option<f64> {
        let [last, ..] = self.percent;
        last
    }
}

/// Parses `some avg10=0.00 avg60=0.52 avg300=1.03 total=10330924`, the total in microseconds, and the same of `full`.
pub(crate) fn parse(file: &HostFile<'_>) -> Result<Vec<Stall>, CollectError> {
    file.lines()
        .map(|line| {
            let malformed = || file.malformed("some or full, and total= in microseconds", line);
            let (kind, rest) = line.split_once(' ').ok_or_else(malformed)?;
            let kind = ["some", "full"].into_iter().find(|known| *known == kind).ok_or_else(malformed)?;
            let field = |key: &str| {
                rest.split_ascii_whitespace().find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
            };
            let total_micros = field("total").and_then(|total| total.parse().ok()).ok_or_else(malformed)?;
            let percent = ["avg10", "avg60", "avg300"]
                .map(|key| field(key)?.parse().ok().filter(|percent: &f64| percent.is_finite()));
            Ok(Stall { kind, total_micros, percent })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_seconds_and_averages_shares() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("proc/pressure")).unwrap();
        let text =
            "some avg10=0.00 avg60=0.52 avg300=1.03 total=10330924\nfull avg10=50.00 avg60=nan total=0\n";
        std::fs::write(directory.path().join("proc/pressure/io"), text).unwrap();
        let mut out = SampleBuffer::default();
        Pressure.collect(&HostRoot::at(directory.path()), &mut out).unwrap();
        let told =
            out.to_text().replace("system.linux.pressure.stall_type=", "").replace("system.io.linux.", "");
        assert_eq!(
            told,
            "pressure.total{\"some\"} 10.330924\npressure.total{\"full\"} 0\n\
             pressure.10s{\"some\"} 0\npressure.10s{\"full\"} 0.5\n\
             pressure.1m{\"some\"} 0.0052\n\
             pressure.5m{\"some\"} 0.0103\n"
        );
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
