//! Input and output of block devices, from `/proc/diskstats`.
//!
//! Partitions are listed beside their disks, as the kernel does; loop and RAM devices only once they were used.

use telemetry::{MetricSpec, SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::{CollectError, at_most};
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "disk",
    summary: "Bytes, operations, queue, waiting and busy time of block devices.",
    metrics: &[
        &names::DISK_IO,
        &names::DISK_OPERATIONS,
        &names::DISK_MERGED,
        &names::DISK_OPERATION_TIME,
        &names::DISK_IO_TIME,
        &names::DISK_WEIGHTED_IO_TIME,
        &names::DISK_PENDING_OPERATIONS,
        &names::DISK_LIMIT,
    ],
    interval: None,
    open: |_, _| Ok(Box::new(Disk)),
};

/// Devices that are reported, 11 series each; beyond it the collector fails after reporting so many.
const MOST_DEVICES: usize = 1000;

struct Disk;

impl Collector for Disk {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let file = host.read("proc/diskstats")?;
        let all = parse(&file)?;
        let devices = all.get(..MOST_DEVICES).unwrap_or(&all);
        let mut both = |metric: &'static MetricSpec, count: fn(&Direction) -> u64| {
            for device in devices {
                for (direction, done) in [("read", &device.read), ("write", &device.write)] {
                    push(out, metric, &[Value::Str(device.name), Value::Str(direction)], count(done));
                }
            }
        };
        both(&names::DISK_IO, |done| done.sectors.saturating_mul(SECTOR_BYTES));
        both(&names::DISK_OPERATIONS, |done| done.operations);
        both(&names::DISK_MERGED, |done| done.merged);
        both(&names::DISK_OPERATION_TIME, |done| done.millis);
        let mut one = |metric: &'static MetricSpec, value: fn(&Device<'_>) -> u64| {
            for device in devices {
                push(out, metric, &[Value::Str(device.name)], value(device));
            }
        };
        one(&names::DISK_IO_TIME, |device| device.busy_millis);
        one(&names::DISK_WEIGHTED_IO_TIME, |device| device.weighted_millis);
        one(&names::DISK_PENDING_OPERATIONS, |device| device.pending);
        if out.takes(&names::DISK_LIMIT) {
            sizes(host, devices, out)?;
        }
        at_most(MOST_DEVICES, all.len(), &file.path(), "devices")
    }
}

/// A file for each device; one that went away meanwhile is left out.
fn sizes(host: &HostRoot, devices: &[Device<'_>], out: &mut SampleBuffer) -> Result<(), CollectError> {
    for device in devices {
        // sysfs has no names with a slash, as that of `cciss/c0d0`.
        let name = device.name.replace('/', "!");
        if let Some(file) = host.read_optional(format!("sys/class/block/{name}/size"))? {
            let sectors: u64 = file.first_number("a number of sectors")?;
            push(out, &names::DISK_LIMIT, &[Value::Str(device.name)], sectors.saturating_mul(SECTOR_BYTES));
        }
    }
    Ok(())
}

/// The kernel counts in sectors of 512 bytes whatever the device's own.
const SECTOR_BYTES: u64 = 512;

/// Times are kept in milliseconds and leave as seconds, which all metrics in seconds are doubles of.
fn push(out: &mut SampleBuffer, metric: &'static MetricSpec, attributes: &[Value<'_>], value: u64) {
    if metric.unit == "s" {
        out.double(metric, attributes, value as f64 / 1000.0);
    } else {
        out.int(metric, attributes, value as i64);
    }
}

#[derive(Debug, Default, PartialEq)]
struct Direction {
    operations: u64,
    merged: u64,
    sectors: u64,
    millis: u64,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Device<'a> {
    name: &'a str,
    read: Direction,
    write: Direction,
    pending: u64,
    busy_millis: u64,
    weighted_millis: u64,
}

/// Parses ` 254 0 vda 36685 9105 5342706 18832 9336 32189 3653560 7362 0 6640 26588 …`: major, minor, name, then
/// operations, merged, sectors and milliseconds of reads, the same of writes, in flight, busy and weighted
/// milliseconds (the kernel's Documentation/admin-guide/iostats.rst).
pub(crate) fn parse<'a>(file: &'a HostFile<'_>) -> Result<Vec<Device<'a>>, CollectError> {
    let expected = "a device's numbers, name and at least 11 counters";
    let mut devices = Vec::new();
    for line in file.lines() {
        let mut fields = line.split_ascii_whitespace();
        let name = fields.nth(2).ok_or_else(|| file.malformed(expected, line))?;
        let mut next = || file.number(&mut fields, expected, line);
        let mut direction =
            || Ok(Direction { operations: next()?, merged: next()?, sectors: next()?, millis: next()? });
        let (read, write) = (direction()?, direction()?);
        let device =
            Device { name, read, write, pending: next()?, busy_millis: next()?, weighted_millis: next()? };
        let idle = device.read == Direction::default() && device.write == Direction::default();
        if !(idle && ["loop", "ram", "zram"].into_iter().any(|kind| name.starts_with(kind))) {
            devices.push(device);
        }
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VDA: &str =
        " 254 0 vda 36685 9105 5342706 18832 9336 32189 3653560 7362 2 6640 26588 4555 61 255880 377\n";

    #[test]
    fn columns_are_told_apart() {
        let file = HostFile::new("/proc/diskstats", VDA);
        let devices = parse(&file).unwrap();
        assert_eq!(
            devices,
            [Device {
                name: "vda",
                read: Direction { operations: 36685, merged: 9105, sectors: 5_342_706, millis: 18832 },
                write: Direction { operations: 9336, merged: 32189, sectors: 3_653_560, millis: 7362 },
                pending: 2,
                busy_millis: 6640,
                weighted_millis: 26588
            }]
        );
    }

    #[test]
    fn a_loop_device_appears_when_it_is_used() {
        for (line, reported) in [
            ("7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n", 0),
            ("7 0 loop0 1 0 8 0 0 0 0 0 0 0 0\n", 1),
            ("1 0 ram0 0 0 0 0 0 0 0 0 0 0 0\n", 0),
            ("252 0 zram0 0 0 0 0 0 0 0 0 0 0 0\n", 0),
            ("8 0 sda 0 0 0 0 0 0 0 0 0 0 0\n", 1),
        ] {
            assert_eq!(parse(&HostFile::new("/proc/diskstats", line)).unwrap().len(), reported, "{line}");
        }
    }

    #[test]
    fn a_size_is_told_of_devices_that_have_one_whatever_their_name() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/diskstats", "104 0 cciss/c0d0 0 0 0 0 0 0 0 0 0 0 0\n8 0 sda 0 0 0 0 0 0 0 0 0 0 0\n");
        write("sys/class/block/cciss!c0d0/size", "4\n");
        let mut out = SampleBuffer::default();
        Disk.collect(&HostRoot::at(directory.path()), &mut out).unwrap();
        let text = out.to_text();
        assert!(text.ends_with("system.disk.limit{system.device=\"cciss/c0d0\"} 2048\n"), "{text}");
    }

    #[test]
    fn a_short_line_is_named() {
        let error = parse(&HostFile::new("/proc/diskstats", "8 0 sda 1 2 3")).unwrap_err().to_string();
        assert!(error.ends_with("name and at least 11 counters, found \"8 0 sda 1 2 3\""), "{error}");
    }
}
