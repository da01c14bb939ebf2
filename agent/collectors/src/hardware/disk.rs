//! Disks: block devices of `/sys/block` with a device behind them, virtual machines' included.

use super::inventory::{Component, Inventory, Says, Source, State, device, exists, state_of, text};
use crate::host::HostRoot;
use crate::names;
use crate::sysfs::{entries, number};

pub(super) const BLOCKS: &str = "sys/block";

/// What a number of blocks is divided by to be bytes: those of `size` have 512, whatever the disk's own are.
pub(super) const BLOCKS_PER_BYTE: f64 = 1.0 / 512.0;

pub(super) fn look(host: &HostRoot, inventory: &mut Inventory) {
    for name in entries(host, BLOCKS) {
        if exists(host, &format!("{BLOCKS}/{name}/device")) {
            add(host, &name, inventory);
        }
    }
}

fn add(host: &HostRoot, name: &str, inventory: &mut Inventory) {
    let at = |file: &str| format!("{BLOCKS}/{name}/{file}");
    let says = |file: &str| text(host, &at(file));
    let rotates = number(host, &at("queue/rotational"));
    let facts = [
        ("hw.model", says("device/model")),
        ("hw.vendor", says("device/vendor").filter(|vendor| !vendor.starts_with("0x"))),
        ("hw.firmware_version", says("device/firmware_rev").or_else(|| says("device/rev"))),
        ("hw.serial_number", says("device/serial").or_else(|| says("serial"))),
        (
            "hw.physical_disk.type",
            rotates.map(|rotates| if rotates > 0.0 { "HDD" } else { "SSD" }.to_owned()),
        ),
    ];
    let address = || Some(format!("{}/{name}", device(host, &format!("{BLOCKS}/{name}"), "block")?));
    let component = Component {
        id: says("wwid").or_else(|| says("device/wwid")).or_else(address).unwrap_or_else(|| name.to_owned()),
        kind: "physical_disk",
        name: name.to_owned(),
        facts: facts.into_iter().filter_map(|(key, fact)| Some((key, fact?))).collect(),
        ..Component::default()
    };
    let disk = inventory.add(component, name);
    // Disks of virtual machines grow.
    inventory.reads_file(host, &names::HW_PHYSICAL_DISK_SIZE, disk, &[], (at("size"), BLOCKS_PER_BYTE));
    inventory.reads_file(host, &names::HW_ERRORS, disk, &[], (at("device/ioerr_cnt"), 1.0));
    if exists(host, &at("device/state")) {
        let parts = vec![(at("device/state"), state_of as Says)];
        inventory.reads(&names::HW_STATUS, disk, &[], Source::Status { parts, combined: State::worst });
    }
}
