//! `arp`, `bonding`, `netclass` and `netdev`.
//!
//! Counters of interfaces are the host's; what `/sys/class/net` holds is of the network namespace for which it was mounted,
//! mostly the agent's own. Both are the same unless the agent runs in a container.

use telemetry::{MetricSpec, Value};

use super::Out;
use super::rows::{counter, from, gauge};
use crate::error::{CollectError, at_most};
use crate::host::HostRoot;
use crate::sysfs;

const DEVICE: &[&str] = &["device"];
const NET: &str = "sys/class/net";

/// Interfaces that are told of, 40 series each; beyond it a source fails after telling of so many.
const MOST_INTERFACES: usize = 1_000;

macro_rules! counts {
    ($($name:literal $help:literal)*) => {
        [$(counter(concat!("node_network_", $name, "_total"), DEVICE, $help)),*]
    };
}

/// The first sixteen in the order of the columns.
pub(super) static NETDEV: [MetricSpec; 17] = from(
    "/proc/1/net/dev, /sys/class/net",
    counts! {
        "receive_bytes" "Bytes received."
        "receive_packets" "Packets received."
        "receive_errs" "Packets received with an error."
        "receive_drop" "Packets that were received and dropped."
        "receive_fifo" "Overruns of the receiving queue."
        "receive_frame" "Frames received with a wrong length, checksum or alignment."
        "receive_compressed" "Compressed packets received."
        "receive_multicast" "Multicast packets received."
        "transmit_bytes" "Bytes sent."
        "transmit_packets" "Packets sent."
        "transmit_errs" "Packets that could not be sent for an error."
        "transmit_drop" "Packets that were to be sent and dropped."
        "transmit_fifo" "Overruns of the sending queue."
        "transmit_colls" "Collisions while sending."
        "transmit_carrier" "Failures to send for want of a carrier, a window or a heartbeat."
        "transmit_compressed" "Compressed packets sent."
        "receive_nohandler" "Packets received that no protocol took."
    },
);

macro_rules! properties {
    ($($kind:ident $name:literal $help:literal)*) => {
        [$($kind(concat!("node_network_", $name), DEVICE, $help)),*]
    };
}

/// From the second row on, the names of the files are in [`PROPERTIES`].
pub(super) static NETCLASS: [MetricSpec; 18] = from(
    "/sys/class/net",
    properties! {
        gauge "up" "Whether an interface is operational."
        gauge "address_assign_type" "How an interface got its address."
        gauge "carrier" "Whether there is a link."
        counter "carrier_changes_total" "How often the link came or went."
        counter "carrier_up_changes_total" "How often the link came."
        counter "carrier_down_changes_total" "How often the link went."
        gauge "device_id" "What tells apart interfaces of one address."
        gauge "dormant" "Whether an interface waits for something."
        gauge "flags" "Flags of an interface."
        gauge "iface_id" "Index of an interface."
        gauge "iface_link" "Index of the interface below."
        gauge "iface_link_mode" "Whether the link needs somebody to say that it is up."
        gauge "mtu_bytes" "Longest packet, in bytes."
        gauge "name_assign_type" "How an interface got its name."
        gauge "net_dev_group" "Group of an interface."
        gauge "speed_bytes" "Speed in bytes per second; negative where it is unknown."
        gauge "transmit_queue_length" "Packets that the sending queue may hold."
        gauge "protocol_type" "Protocol of an interface, as ARP numbers them."
    },
);

const PROPERTIES: [&str; 17] = [
    "addr_assign_type",
    "carrier",
    "carrier_changes",
    "carrier_up_count",
    "carrier_down_count",
    "dev_id",
    "dormant",
    "flags",
    "ifindex",
    "iflink",
    "link_mode",
    "mtu",
    "name_assign_type",
    "netdev_group",
    "speed",
    "tx_queue_len",
    "type",
];

pub(super) static NETCLASS_INFO: [MetricSpec; 1] = from(
    "/sys/class/net",
    [gauge(
        "node_network_info",
        &["device", "address", "broadcast", "duplex", "operstate", "adminstate", "ifalias"],
        "1 for each interface, with what can be said of it in words.",
    )],
);

pub(super) static ARP: [MetricSpec; 1] =
    from("/proc/1/net/arp", [gauge("node_arp_entries", DEVICE, "Neighbours known by ARP.")]);

pub(super) static BONDING: [MetricSpec; 2] = from(
    "/sys/class/net",
    [
        gauge("node_bonding_slaves", &["master"], "Interfaces that a bond has."),
        gauge("node_bonding_active", &["master"], "Interfaces of a bond that have a link."),
    ],
);

pub(super) fn netdev(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let (file, _) = host.read_of_init("net/dev")?;
    let expected = "an interface, a colon and 16 counters";
    let mut interfaces = 0;
    for line in file.lines().skip(2) {
        interfaces += 1;
        if interfaces > MOST_INTERFACES {
            break;
        }
        let (name, counters) = line.rsplit_once(':').ok_or_else(|| file.malformed(expected, line))?;
        let device = [Value::Str(name.trim())];
        let mut fields = counters.split_ascii_whitespace();
        for metric in NETDEV.iter().take(16) {
            let count: u64 = file.number(&mut fields, expected, line)?;
            out.put(metric.name, &device, count as f64);
        }
        let path = || format!("{NET}/{}/statistics/rx_nohandler", name.trim());
        if out.takes("node_network_receive_nohandler_total")
            && let Some(count) = sysfs::number(host, &path())
        {
            out.put("node_network_receive_nohandler_total", &device, count);
        }
    }
    at_most(MOST_INTERFACES, interfaces, &file.path(), "interfaces")
}

pub(super) fn netclass(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let mut interfaces = sysfs::entries(host, NET);
    interfaces.retain(|name| host.path(format!("{NET}/{name}")).is_dir());
    let count = interfaces.len();
    for name in interfaces.into_iter().take(MOST_INTERFACES) {
        let path = |file: &str| format!("{NET}/{name}/{file}");
        let device = Value::Str(&name);
        for (metric, file) in NETCLASS.iter().skip(1).zip(PROPERTIES) {
            if out.takes(metric.name)
                && let Some(value) = sysfs::number(host, &path(file))
            {
                // The kernel gives megabits.
                let factor = if file == "speed" { 125_000.0 } else { 1.0 };
                out.put(metric.name, &[device], value * factor);
            }
        }
        if out.takes("node_network_up") || out.takes("node_network_info") {
            let of = |file: &str| sysfs::text(host, &path(file)).unwrap_or_default();
            let state = of("operstate");
            out.put("node_network_up", &[device], f64::from(u8::from(state == "up")));
            let flags = sysfs::number(host, &path("flags"));
            let admin = flags.map_or("unknown", |flags| if flags as u64 & 1 == 1 { "up" } else { "down" });
            let [address, broadcast, duplex, alias] = ["address", "broadcast", "duplex", "ifalias"].map(of);
            let labels = [&name, &address, &broadcast, &duplex, &state, admin, &alias].map(Value::Str);
            out.put("node_network_info", &labels, 1.0);
        }
    }
    at_most(MOST_INTERFACES, count, "/sys/class/net", "interfaces")
}

pub(super) fn arp(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let (file, _) = host.read_of_init("net/arp")?;
    let mut devices: Vec<(&str, u32)> = Vec::new();
    for device in file.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().nth(5)) {
        if let Some((_, count)) = devices.iter_mut().find(|(name, _)| *name == device) {
            *count += 1;
        } else if devices.len() < MOST_INTERFACES {
            devices.push((device, 1));
        }
    }
    for (device, count) in devices {
        out.put("node_arp_entries", &[Value::Str(device)], f64::from(count));
    }
    Ok(())
}

pub(super) fn bonding(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let masters = super::present(host.read_optional(format!("{NET}/bonding_masters"))?, "bonds")?;
    for master in masters.text().split_ascii_whitespace() {
        let slaves = sysfs::text(host, &format!("{NET}/{master}/bonding/slaves")).unwrap_or_default();
        let (mut count, mut active) = (0, 0);
        for slave in slaves.split_ascii_whitespace() {
            let status = |prefix: &str| {
                sysfs::text(host, &format!("{NET}/{master}/{prefix}_{slave}/bonding_slave/mii_status"))
            };
            count += 1;
            active +=
                i32::from(status("lower").or_else(|| status("slave")).is_some_and(|state| state == "up"));
        }
        out.put("node_bonding_slaves", &[Value::Str(master)], f64::from(count));
        out.put("node_bonding_active", &[Value::Str(master)], f64::from(active));
    }
    Ok(())
}
