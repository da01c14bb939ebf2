//! Cores and clock rates of the CPUs online, from `/sys/devices/system/cpu` and, where the kernel does not steer them, `/proc/cpuinfo`.
//!
//! Asked once a minute: cores do not come and go, and reading a clock rate may interrupt the CPU that it is of.

use std::collections::BTreeSet;
use std::time::Duration;

use telemetry::{SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::cpu::parse_cpus;
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "processors",
    summary: "Cores, and the clock rate of each CPU.",
    metrics: &[&names::CPU_PHYSICAL_COUNT, &names::CPU_FREQUENCY],
    interval: Some(Duration::from_mins(1)),
    open: |_, _| Ok(Box::new(Processors)),
};

struct Processors;

impl Collector for Processors {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let stat = host.read("proc/stat")?;
        let cpus: Vec<i64> = parse_cpus(&stat).map(|cpu| Ok(cpu?.0)).collect::<Result<_, CollectError>>()?;
        let cores = cores(host, &cpus)?;
        if cores > 0 {
            out.int(&names::CPU_PHYSICAL_COUNT, &[], cores);
        }
        if !out.takes(&names::CPU_FREQUENCY) {
            return Ok(());
        }
        let steered = steered(host, &cpus)?;
        let rates = match host.read_optional("proc/cpuinfo")? {
            Some(file) if steered.is_empty() => parse_cpuinfo(&file),
            _ => steered,
        };
        for (cpu, hertz) in rates {
            out.int(&names::CPU_FREQUENCY, &[Value::Int(cpu)], hertz);
        }
        Ok(())
    }
}

/// Different pairs of package and core; 0 where the kernel knows none.
fn cores(host: &HostRoot, cpus: &[i64]) -> Result<i64, CollectError> {
    let mut cores = BTreeSet::new();
    for cpu in cpus {
        let part = |name: &str| -> Result<Option<i64>, CollectError> {
            let path = format!("sys/devices/system/cpu/cpu{cpu}/topology/{name}");
            host.read_optional(path)?.map(|file| file.first_number("a number")).transpose()
        };
        if let (Some(package), Some(core)) = (part("physical_package_id")?, part("core_id")?) {
            cores.insert((package, core));
        }
    }
    Ok(cores.len() as i64)
}

/// Hertz of the CPUs whose clock rate the kernel steers.
fn steered(host: &HostRoot, cpus: &[i64]) -> Result<Vec<(i64, i64)>, CollectError> {
    let mut rates = Vec::new();
    for cpu in cpus {
        let path = format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq");
        match host.read_optional(path) {
            // A driver that cannot say writes `<unknown>`.
            Ok(Some(file)) => {
                let kilohertz: Option<i64> = file.first_number("a number").ok();
                rates.extend(kilohertz.map(|rate| (*cpu, rate.saturating_mul(1000))));
            }
            // A CPU that goes offline meanwhile answers EBUSY, EIO or EINVAL.
            Ok(None) | Err(CollectError::Read { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(rates)
}

/// CPUs and their hertz, from the lines `processor : 0` and `cpu MHz : 2596.130`, which not every architecture has.
pub(crate) fn parse_cpuinfo(file: &HostFile<'_>) -> Vec<(i64, i64)> {
    let mut cpu = None;
    let mut rates = Vec::new();
    for (key, value) in file.lines().filter_map(|line| line.split_once(':')) {
        match key.trim_ascii_end() {
            "processor" => cpu = value.trim().parse().ok(),
            "cpu MHz" => {
                let megahertz = value.trim().parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate < 1e9);
                rates.extend(cpu.take().zip(megahertz).map(|(cpu, rate)| (cpu, (rate * 1e6).round() as i64)));
            }
            _ => {}
        }
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        directory
    }

    fn told(files: &[(&str, &str)]) -> String {
        let machine = machine(files);
        let mut out = SampleBuffer::default();
        Processors.collect(&HostRoot::at(machine.path()), &mut out).unwrap();
        out.to_text()
    }

    const CPUINFO: &str =
        "processor\t: 0\nmodel name\t: x: y\ncpu MHz\t\t: 2596.130\n\nprocessor\t: 3\ncpu MHz\t\t: 800.5\n";

    #[test]
    fn threads_of_a_core_count_once_and_cores_of_two_packages_twice() {
        let topology = |cpu: u32, package: &'static str, core: &'static str| {
            let file = |name: &str| format!("sys/devices/system/cpu/cpu{cpu}/topology/{name}");
            [(file("physical_package_id"), package), (file("core_id"), core)]
        };
        let files =
            [topology(0, "0\n", "0\n"), topology(1, "0\n", "0\n"), topology(2, "1\n", "0\n")].concat();
        let mut files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        files.push(("proc/stat", "cpu0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0\ncpu2 0 0 0 0 0 0 0 0\n"));
        assert_eq!(told(&files), "system.cpu.physical.count 2\n");
    }

    #[test]
    fn the_rate_that_the_kernel_steers_goes_before_that_of_cpuinfo() {
        let online = ("proc/stat", "cpu0 0 0 0 0 0 0 0 0\ncpu3 0 0 0 0 0 0 0 0\n");
        let told_by_cpuinfo = "system.cpu.frequency{cpu.logical_number=0} 2596130000\n\
             system.cpu.frequency{cpu.logical_number=3} 800500000\n";
        assert_eq!(told(&[online, ("proc/cpuinfo", CPUINFO)]), told_by_cpuinfo);
        let steered = ("sys/devices/system/cpu/cpu3/cpufreq/scaling_cur_freq", "1200000\n");
        assert_eq!(
            told(&[online, ("proc/cpuinfo", CPUINFO), steered]),
            "system.cpu.frequency{cpu.logical_number=3} 1200000000\n"
        );
        assert_eq!(told(&[online]), "");
        let unknown = ("sys/devices/system/cpu/cpu3/cpufreq/scaling_cur_freq", "<unknown>\n");
        assert_eq!(told(&[online, ("proc/cpuinfo", CPUINFO), unknown]), told_by_cpuinfo);
    }
}
