//! `diskstats` and `nvme`, with `node_exporter`'s own choice of devices: whole disks, no RAM disks, loops or partitions.
//!
//! What a disk is called comes from udev's database, which is read only if somebody wants it.

use telemetry::{MetricSpec, Value};

use super::Out;
use super::rows::{counter, from, gauge};
use crate::error::{CollectError, at_most};
use crate::host::HostRoot;
use crate::sysfs;

const DEVICE: &[&str] = &["device"];

/// The first seventeen in the order of the columns.
pub(super) static DISKSTATS: [MetricSpec; 23] = from(
    "/proc/diskstats, /run/udev/data",
    [
        counter("node_disk_reads_completed_total", DEVICE, "Reads that were completed."),
        counter("node_disk_reads_merged_total", DEVICE, "Reads that were merged with another."),
        counter("node_disk_read_bytes_total", DEVICE, "Bytes read."),
        counter("node_disk_read_time_seconds_total", DEVICE, "Seconds that all reads took."),
        counter("node_disk_writes_completed_total", DEVICE, "Writes that were completed."),
        counter("node_disk_writes_merged_total", DEVICE, "Writes that were merged with another."),
        counter("node_disk_written_bytes_total", DEVICE, "Bytes written."),
        counter("node_disk_write_time_seconds_total", DEVICE, "Seconds that all writes took."),
        gauge("node_disk_io_now", DEVICE, "Requests that are under way."),
        counter("node_disk_io_time_seconds_total", DEVICE, "Seconds in which a request was under way."),
        counter(
            "node_disk_io_time_weighted_seconds_total",
            DEVICE,
            "Seconds in which requests were under way, times their number.",
        ),
        counter("node_disk_discards_completed_total", DEVICE, "Discards that were completed."),
        counter("node_disk_discards_merged_total", DEVICE, "Discards that were merged with another."),
        counter("node_disk_discarded_sectors_total", DEVICE, "Sectors of 512 bytes that were discarded."),
        counter("node_disk_discard_time_seconds_total", DEVICE, "Seconds that all discards took."),
        counter("node_disk_flush_requests_total", DEVICE, "Flushes that were completed."),
        counter("node_disk_flush_requests_time_seconds_total", DEVICE, "Seconds that all flushes took."),
        gauge(
            "node_disk_info",
            &["device", "major", "minor", "path", "wwn", "model", "serial", "revision", "rotational"],
            "1 for each device, with what udev knows of it.",
        ),
        gauge(
            "node_disk_filesystem_info",
            &["device", "type", "usage", "uuid", "version"],
            "1 for each device that holds a file system itself.",
        ),
        gauge(
            "node_disk_device_mapper_info",
            &["device", "name", "uuid", "vg_name", "lv_name", "lv_layer"],
            "1 for each device of the device mapper.",
        ),
        gauge("node_disk_ata_write_cache", DEVICE, "Whether an ATA disk has a write cache."),
        gauge("node_disk_ata_write_cache_enabled", DEVICE, "Whether an ATA disk uses its write cache."),
        gauge("node_disk_ata_rotation_rate_rpm", DEVICE, "Turns per minute of an ATA disk; 0 without any."),
    ],
);

pub(super) static NVME: [MetricSpec; 1] = from(
    "/sys/class/nvme",
    [gauge(
        "node_nvme_info",
        &["device", "firmware_revision", "model", "serial", "state"],
        "1 for each NVMe controller.",
    )],
);

/// Devices that are told of, 23 series each; beyond it the source fails after telling of so many.
const MOST_DEVICES: usize = 1_000;

/// By column, what one means: sectors are bytes for some, milliseconds are seconds for others.
const FACTORS: [f64; 17] =
    [1.0, 1.0, 512.0, 0.001, 1.0, 1.0, 512.0, 0.001, 1.0, 0.001, 0.001, 1.0, 1.0, 1.0, 0.001, 1.0, 0.001];

pub(super) fn diskstats(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let file = host.read("proc/diskstats")?;
    let infos = ["info", "filesystem_info", "device_mapper_info", "ata_write_cache"];
    let asks_udev = infos.iter().any(|name| out.takes(&format!("node_disk_{name}")));
    let mut devices = 0;
    for line in file.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(major), Some(minor), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(file.malformed("two numbers, a name and counters", line));
        };
        if is_left_out(name) {
            continue;
        }
        devices += 1;
        if devices > MOST_DEVICES {
            break;
        }
        if asks_udev {
            described(host, out, [major, minor, name]);
        }
        let device = [Value::Str(name)];
        for ((metric, factor), field) in DISKSTATS.iter().zip(FACTORS).zip(fields) {
            let count: u64 = file.number(&mut std::iter::once(field), "counters after the name", line)?;
            out.put(metric.name, &device, count as f64 * factor);
        }
    }
    at_most(MOST_DEVICES, devices, &file.path(), "devices")
}

/// Whether `node_exporter`'s default, `^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`, leaves a device out.
fn is_left_out(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == name.len() {
        return false;
    }
    let is_disk = |stem: &str| {
        let letters = ["hd", "sd", "vd", "xvd"].into_iter().find_map(|kind| stem.strip_prefix(kind));
        letters.is_some_and(|rest| matches!(rest.as_bytes(), [b'a'..=b'z']))
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_namespace = || {
        let numbers = stem.strip_prefix("nvme")?.strip_suffix('p')?.split_once('n')?;
        Some(is_number(numbers.0) && is_number(numbers.1))
    };
    ["ram", "zram", "loop", "fd"].contains(&stem) || is_disk(stem) || is_namespace() == Some(true)
}

/// What udev knows of a device.
fn described(host: &HostRoot, out: &mut Out<'_>, [major, minor, name]: [&str; 3]) {
    let file = host.read(format!("run/udev/data/b{major}:{minor}")).ok();
    let text = file.as_ref().map_or("", |file| file.text());
    let get = |key: &str| property(text, key).unwrap_or_default();
    let device = Value::Str(name);
    let serials = ["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"].map(get);
    let serial = serials.into_iter().find(|serial| !serial.is_empty()).unwrap_or_default();
    let rotational = sysfs::number(host, &format!("sys/block/{name}/queue/rotational")).unwrap_or(0.0);
    let of_disk = ["ID_PATH", "ID_WWN", "ID_MODEL"].map(get).map(Value::Str);
    let [path, wwn, model] = of_disk;
    let labels = [
        device,
        Value::Str(major),
        Value::Str(minor),
        path,
        wwn,
        model,
        Value::Str(serial),
        Value::Str(get("ID_REVISION")),
        Value::Str(if rotational > 0.0 { "1" } else { "0" }),
    ];
    out.put("node_disk_info", &labels, 1.0);
    if !get("ID_FS_TYPE").is_empty() {
        let [kind, usage, uuid, version] =
            ["ID_FS_TYPE", "ID_FS_USAGE", "ID_FS_UUID", "ID_FS_VERSION"].map(get).map(Value::Str);
        out.put("node_disk_filesystem_info", &[device, kind, usage, uuid, version], 1.0);
    }
    if !get("DM_NAME").is_empty() {
        let [name, uuid, group, volume, layer] =
            ["DM_NAME", "DM_UUID", "DM_VG_NAME", "DM_LV_NAME", "DM_LV_LAYER"].map(get).map(Value::Str);
        out.put("node_disk_device_mapper_info", &[device, name, uuid, group, volume, layer], 1.0);
    }
    if !get("ID_ATA").is_empty() {
        for (key, metric) in [
            ("ID_ATA_WRITE_CACHE", "node_disk_ata_write_cache"),
            ("ID_ATA_WRITE_CACHE_ENABLED", "node_disk_ata_write_cache_enabled"),
            ("ID_ATA_ROTATION_RATE_RPM", "node_disk_ata_rotation_rate_rpm"),
        ] {
            if let Some(value) = property(text, key).and_then(sysfs::parse) {
                out.put(metric, &[device], value);
            }
        }
    }
}

/// The value of the last line `E:KEY=VALUE`.
fn property<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().rev().find_map(|line| line.strip_prefix("E:")?.strip_prefix(key)?.strip_prefix('='))
}

pub(super) fn nvme(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    for device in sysfs::entries(host, "sys/class/nvme") {
        let of =
            |name: &str| sysfs::text(host, &format!("sys/class/nvme/{device}/{name}")).unwrap_or_default();
        let [firmware, model, serial, state] = ["firmware_rev", "model", "serial", "state"].map(of);
        let labels = [&device, &firmware, &model, &serial, &state].map(|text| Value::Str(text));
        out.put("node_nvme_info", &labels, 1.0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_disks_are_told_of_and_their_partitions_are_not() {
        for (name, left_out) in [
            ("sda", false),
            ("sda1", true),
            ("sdaa1", false),
            ("xvda2", true),
            ("nvme0n1", false),
            ("nvme0n1p2", true),
            ("nvmen1p2", false),
            ("mmcblk0p1", false),
            ("dm-0", false),
            ("md127", false),
            ("loop3", true),
            ("zram0", true),
            ("sr0", false),
            ("", false),
        ] {
            assert_eq!(is_left_out(name), left_out, "{name}");
        }
    }

    #[test]
    fn the_last_property_of_a_name_counts() {
        let text = "S:disk/by-id/x\nE:ID_MODEL=one\nE:ID_MODEL_ENC=two\nE:ID_MODEL=three\n";
        assert_eq!(property(text, "ID_MODEL"), Some("three"));
        assert_eq!(property(text, "ID_PATH"), None);
    }
}
