//! Batteries and supplies of `/sys/class/power_supply`, and the energy that Intel's and AMD's processors count
//! themselves (`/sys/class/powercap`), which only root may read since 2020.

use super::inventory::{Component, Energy, Inventory, Source, State, entries_named, exists, state_of, text};
use crate::host::HostRoot;
use crate::names;
use crate::sysfs::{entries, number};

const CLASS: &str = "sys/class/power_supply";
const POWERCAP: &str = "sys/class/powercap";

pub(super) fn look(host: &HostRoot, inventory: &mut Inventory) {
    for name in entries(host, CLASS) {
        let path = format!("{CLASS}/{name}");
        match text(host, &format!("{path}/type")).as_deref() {
            Some("Battery" | "UPS") => battery(host, &name, &path, inventory),
            Some(_) => supply(host, &name, &path, inventory),
            None => {}
        }
    }
    // The zones of intel-rapl-mmio count the same energy again.
    for name in entries_named(host, POWERCAP, "intel-rapl:") {
        energy(host, &name, inventory);
    }
}

fn battery(host: &HostRoot, name: &str, path: &str, inventory: &mut Inventory) {
    let at = |file: &str| format!("{path}/{file}");
    let says = |file: &str| text(host, &at(file));
    let capacity = number(host, &at("energy_full_design"))
        .map(|microwatthours| format!("{}Wh", microwatthours / 1e6))
        .or_else(|| Some(format!("{}Ah", number(host, &at("charge_full_design"))? / 1e6)));
    let facts = [
        ("hw.battery.chemistry", says("technology")),
        ("hw.battery.capacity", capacity),
        ("hw.model", says("model_name")),
        ("hw.vendor", says("manufacturer")),
    ];
    let battery = inventory.add(component(name, "battery", facts), "power_supply");
    inventory.reads_file(host, &names::HW_BATTERY_CHARGE, battery, &[], (at("capacity"), 100.0));
    if let Some(full) = number(host, &at("energy_full")).filter(|full| *full > 0.0) {
        let degraded = &[("hw.limit_type", "degraded")];
        inventory.reads_file(host, &names::HW_BATTERY_CHARGE_LIMIT, battery, degraded, (at("alarm"), full));
    }
    let end = (at("charge_control_end_threshold"), 100.0);
    inventory.reads_file(host, &names::HW_BATTERY_CHARGE_LIMIT, battery, &[("hw.limit_type", "max")], end);
    let discharging = &[("hw.state", "ok"), ("hw.battery.state", "discharging")];
    let empty = (at("time_to_empty_now"), 1.0);
    inventory.reads_file(host, &names::HW_BATTERY_TIME_LEFT, battery, discharging, empty);
    let charging = &[("hw.state", "ok"), ("hw.battery.state", "charging")];
    inventory.reads_file(
        host,
        &names::HW_BATTERY_TIME_LEFT,
        battery,
        charging,
        (at("time_to_full_now"), 1.0),
    );
    inventory.reads_file(host, &names::HW_POWER, battery, &[], (at("power_now"), 1e6));
    health(host, battery, at("health"), inventory);
}

fn supply(host: &HostRoot, name: &str, path: &str, inventory: &mut Inventory) {
    let says = |file: &str| text(host, &format!("{path}/{file}"));
    let facts = [("hw.model", says("model_name")), ("hw.vendor", says("manufacturer"))];
    let supply = inventory.add(component(name, "power_supply", facts), "power_supply");
    let online = format!("{path}/online");
    if exists(host, &online) {
        // Whether it is unplugged or broken cannot be told from here.
        let parts = vec![(online, online_state as super::inventory::Says)];
        inventory.reads(&names::HW_STATUS, supply, &[], Source::Status { parts, combined: State::worst });
    } else {
        health(host, supply, format!("{path}/health"), inventory);
    }
}

fn online_state(text: &str) -> Option<State> {
    match text {
        "0" => Some(State::Degraded),
        "1" | "2" => Some(State::Ok),
        _ => None,
    }
}

fn health(host: &HostRoot, component: usize, path: String, inventory: &mut Inventory) {
    if exists(host, &path) {
        let parts = vec![(path, state_of as super::inventory::Says)];
        inventory.reads(&names::HW_STATUS, component, &[], Source::Status { parts, combined: State::worst });
    }
}

fn component<const N: usize>(
    name: &str,
    kind: &'static str,
    facts: [(&'static str, Option<String>); N],
) -> Component {
    Component {
        id: name.to_owned(),
        kind,
        name: name.to_owned(),
        facts: facts.into_iter().filter_map(|(key, fact)| Some((key, fact?))).collect(),
        ..Component::default()
    }
}

/// A zone `intel-rapl:0` is a package, `intel-rapl:0:0` a part of it; both count for themselves.
fn energy(host: &HostRoot, name: &str, inventory: &mut Inventory) {
    let at = |file: &str| format!("{POWERCAP}/{name}/{file}");
    if !exists(host, &at("energy_uj")) {
        return;
    }
    let zone = text(host, &at("name")).unwrap_or_else(|| name.to_owned());
    let kind = if zone == "dram" { "memory" } else { "cpu" };
    let parent = name.rsplit_once(':').map(|(parent, _)| parent).filter(|parent| parent.contains(':'));
    let component = Component {
        id: name.to_owned(),
        kind,
        name: zone,
        parent: parent.unwrap_or_default().to_owned(),
        ..Component::default()
    };
    let component = inventory.add(component, "powercap");
    let range = number(host, &at("max_energy_range_uj")).unwrap_or_default();
    let energy = Energy { path: at("energy_uj"), range, ..Energy::default() };
    inventory.reads(&names::HW_ENERGY, component, &[], Source::Energy(energy));
}
