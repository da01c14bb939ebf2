//! Network links with a device behind them, and bonds of several.
//!
//! The same links as the collector `network` tells of by interface, here as components: whether they have a carrier, how
//! fast they are, and which bond they belong to.

use super::inventory::{Component, Inventory, Says, Source, State, device, exists, state_of, text};
use crate::host::HostRoot;
use crate::names;
use crate::sysfs::entries;

const CLASS: &str = "sys/class/net";

type Direction = &'static [(&'static str, &'static str)];

const RECEIVE: Direction = &[("network.io.direction", "receive")];
const TRANSMIT: Direction = &[("network.io.direction", "transmit")];

pub(super) fn look(host: &HostRoot, inventory: &mut Inventory) {
    let interfaces = entries(host, CLASS);
    for name in &interfaces {
        if let Some(device) = device(host, &format!("{CLASS}/{name}"), "net") {
            link(host, name, &device, inventory);
        }
    }
    for name in &interfaces {
        if let Some(slaves) = text(host, &format!("{CLASS}/{name}/bonding/slaves")) {
            bond(host, name, &slaves, inventory);
        }
    }
}

fn link(host: &HostRoot, name: &str, device: &str, inventory: &mut Inventory) {
    let at = |file: &str| format!("{CLASS}/{name}/{file}");
    let address = text(host, &at("address"));
    let component = Component {
        id: format!("{device}/{name}"),
        kind: "network",
        name: name.to_owned(),
        facts: address.map(|address| ("hw.network.physical_address", address)).into_iter().collect(),
        ..Component::default()
    };
    let link = inventory.add(component, "net");
    // An interface that is administratively down says neither its carrier nor its speed.
    inventory.reads_file(host, &names::HW_NETWORK_UP, link, &[], (at("carrier"), 1.0));
    inventory.reads_file(host, &names::HW_NETWORK_BANDWIDTH_LIMIT, link, &[], (at("speed"), 1.0 / 125_000.0));
    for (file, metric) in [
        ("bytes", &names::HW_NETWORK_IO),
        ("packets", &names::HW_NETWORK_PACKETS),
        ("errors", &names::HW_ERRORS),
    ] {
        let path = |direction: &str| format!("{CLASS}/{name}/statistics/{direction}_{file}");
        inventory.reads_file(host, metric, link, RECEIVE, (path("rx"), 1.0));
        inventory.reads_file(host, metric, link, TRANSMIT, (path("tx"), 1.0));
    }
}

fn bond(host: &HostRoot, name: &str, slaves: &str, inventory: &mut Inventory) {
    let component =
        Component { id: name.to_owned(), kind: "network", name: name.to_owned(), ..Component::default() };
    let bond = inventory.add(component, "net");
    let mut parts = Vec::new();
    for slave in slaves.split_ascii_whitespace() {
        let directories = [
            format!("{CLASS}/{slave}"),
            format!("{CLASS}/{name}/lower_{slave}"),
            format!("{CLASS}/{name}/slave_{slave}"),
        ];
        let mut files = directories.iter().map(|directory| format!("{directory}/bonding_slave/mii_status"));
        let Some(file) = files.find(|file| exists(host, file)) else { continue };
        let part = slave_of(name, slave, &file, inventory);
        let status = Source::Status { parts: vec![(file.clone(), state_of as Says)], combined: State::worst };
        inventory.reads(&names::HW_STATUS, part, &[], status);
        parts.push((file, state_of as Says));
    }
    if !parts.is_empty() {
        inventory.reads(&names::HW_STATUS, bond, &[], Source::Status { parts, combined: State::shared });
    }
}

/// The link of this name becomes a part of the bond. One that has no device becomes a component as such, which is up
/// when its status says so.
fn slave_of(bond: &str, slave: &str, file: &str, inventory: &mut Inventory) -> usize {
    let is_slave = |link: &Component| link.kind == "network" && link.name == slave && link.parent.is_empty();
    if let Some(at) = inventory.components.iter().position(|link| is_slave(link) && link.id != slave) {
        if let Some(link) = inventory.components.get_mut(at) {
            bond.clone_into(&mut link.parent);
        }
        return at;
    }
    let component = Component {
        id: format!("{bond}/{slave}"),
        kind: "network",
        name: slave.to_owned(),
        parent: bond.to_owned(),
        ..Component::default()
    };
    let link = inventory.add(component, "net");
    let parts = vec![(file.to_owned(), state_of as Says)];
    inventory.reads(&names::HW_NETWORK_UP, link, &[], Source::Status { parts, combined: State::worst });
    link
}
