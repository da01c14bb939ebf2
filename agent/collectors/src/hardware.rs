//! Physical components, from what the kernel says of them below `/sys` to any user: sensors, processors, memory, disks
//! and arrays, network links and bonds, batteries, graphics processors.
//!
//! Which components there are, what they are called and what never changes of them is read once, into an
//! [`Inventory`]; a collection then reads only the values. Looking again costs more and is done when a component
//! comes or goes. A sensor that does not answer costs its own point only: many say nothing while their device sleeps.

mod array;
mod disk;
mod inventory;
mod link;
mod power;
mod processor;
mod sensor;

use std::time::Duration;

use telemetry::{MetricSpec, SampleBuffer, Value, ValueType};

use crate::collector::{Collector, CollectorSpec};
use crate::error::{CollectError, Lack, at_most};
use crate::host::HostRoot;
use crate::names;
use crate::sysfs;
use inventory::{Component, Inventory, Reading, Says, Source, State, is};

#[cfg(any(test, feature = "fuzz"))]
pub(crate) use inventory::state_of;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use processor::parse_cpuinfo;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "hardware",
    summary: "Sensors, processors, memory modules, disks, arrays, links, batteries and their states.",
    metrics: METRICS,
    interval: Some(Duration::from_mins(1)),
    open: |_, options| Ok(Box::new(Hardware { per_cpu: options.per_cpu, ..Hardware::default() })),
};

/// In the order in which they are reported.
const METRICS: &[&MetricSpec] = &[
    &names::HW_STATUS,
    &names::HW_ERRORS,
    &names::HW_TEMPERATURE,
    &names::HW_TEMPERATURE_LIMIT,
    &names::HW_HOST_AMBIENT,
    &names::HW_FAN_SPEED,
    &names::HW_FAN_SPEED_LIMIT,
    &names::HW_FAN_SPEED_RATIO,
    &names::HW_VOLTAGE,
    &names::HW_VOLTAGE_LIMIT,
    &names::HW_POWER,
    &names::HW_HOST_POWER,
    &names::HW_ENERGY,
    &names::HW_CPU_SPEED,
    &names::HW_CPU_SPEED_LIMIT,
    &names::HW_BATTERY_CHARGE,
    &names::HW_BATTERY_CHARGE_LIMIT,
    &names::HW_BATTERY_TIME_LEFT,
    &names::HW_MEMORY_SIZE,
    &names::HW_PHYSICAL_DISK_SIZE,
    &names::HW_LOGICAL_DISK_LIMIT,
    &names::HW_NETWORK_UP,
    &names::HW_NETWORK_BANDWIDTH_LIMIT,
    &names::HW_NETWORK_IO,
    &names::HW_NETWORK_PACKETS,
    &names::HW_GPU_UTILIZATION,
    &names::HW_GPU_MEMORY_LIMIT,
    &names::HW_GPU_MEMORY_USAGE,
    &names::HW_GPU_MEMORY_UTILIZATION,
    &names::THERMAL_THROTTLES,
    &names::HW_HOST_HEATING_MARGIN,
];

/// Values read for one collection; a large server has about 500. Beyond it the collector fails after reporting so many.
const MOST_READINGS: usize = 4000;

/// After so many collections one looks again, whatever seems to have changed: an hour.
const LOOK_AGAIN_AFTER: u32 = 60;

static ENERGY: Lack = Lack {
    what: "energy of the processors (/sys/class/powercap/*/energy_uj)",
    remedy: "CAP_DAC_READ_SEARCH, or a rule of udev that lets the agent's group read it",
};

#[derive(Default)]
struct Hardware {
    per_cpu: bool,
    inventory: Option<Inventory>,
    collections: u32,
}

impl Collector for Hardware {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let (seen, most) = inventory::what_is_there(host);
        let is_current = self.inventory.as_ref().is_some_and(|inventory| inventory.seen == seen);
        self.collections = if is_current { self.collections + 1 } else { 0 };
        if !is_current || self.collections >= LOOK_AGAIN_AFTER {
            self.collections = 0;
            let energies = self.inventory.take().map(Inventory::into_energies).unwrap_or_default();
            let mut inventory = look(host, seen, self.per_cpu);
            inventory.keep_energies(&energies);
            self.inventory = Some(inventory);
        }
        let Some(inventory) = &mut self.inventory else { return Ok(()) };
        if inventory.readings.is_empty() {
            return Err(CollectError::Absent { what: "hardware that tells of itself" });
        }
        let found = inventory.readings.len();
        if !report(host, inventory, out) {
            self.collections = LOOK_AGAIN_AFTER;
        }
        let path = host.path("sys").display().to_string();
        at_most(MOST_READINGS, found, &path, "values of hardware")?;
        at_most(sysfs::MOST_ENTRIES, most, &path, "entries of a directory")
    }
}

fn look(host: &HostRoot, seen: String, per_cpu: bool) -> Inventory {
    let mut inventory = Inventory::new(seen);
    processor::look(host, per_cpu, &mut inventory);
    sensor::look(host, &mut inventory);
    power::look(host, &mut inventory);
    disk::look(host, &mut inventory);
    array::look(host, &mut inventory);
    link::look(host, &mut inventory);
    // Points of a metric stand together.
    inventory.readings.sort_by_key(|reading| METRICS.iter().position(|metric| is(metric, reading.metric)));
    inventory
}

/// Pushes a point for each reading that can be made; `false` when something is not where it was.
fn report(host: &HostRoot, inventory: &mut Inventory, out: &mut SampleBuffer) -> bool {
    let mut all_there = true;
    let mut margin = None;
    for reading in inventory.readings.iter_mut().take(MOST_READINGS) {
        let Some(component) = inventory.components.get(reading.component) else { continue };
        if let Source::Status { parts, combined } = &reading.source {
            report_status(reading, component, combined(&mut states(host, parts, &mut all_there)), out);
            continue;
        }
        match reading.source.read(host) {
            Ok(Some(value)) if is_known(reading.metric, value) => {
                if let Some(limit) = component.limit.filter(|_| is(reading.metric, &names::HW_TEMPERATURE)) {
                    margin = Some(margin.map_or(limit - value, |least: f64| least.min(limit - value)));
                }
                push(reading, component, value, out);
            }
            Err(_) if matches!(reading.source, Source::Energy(_)) => host.lacks(&ENERGY),
            Err(error) => all_there &= !error.is_out_of_reach(),
            Ok(_) => {}
        }
    }
    if let Some(margin) = margin {
        let id = [Value::Str("host"), Value::Absent, Value::Absent];
        out.double(&names::HW_HOST_HEATING_MARGIN, &id, margin);
    }
    all_there
}

fn states<'a>(
    host: &'a HostRoot,
    parts: &'a [(String, Says)],
    all_there: &'a mut bool,
) -> impl Iterator<Item = State> + 'a {
    parts.iter().filter_map(move |(path, says)| match host.read(path) {
        Ok(file) => says(file.text().trim()),
        Err(error) => {
            *all_there &= !error.is_out_of_reach();
            None
        }
    })
}

fn report_status(reading: &Reading, component: &Component, is_in: Option<State>, out: &mut SampleBuffer) {
    let Some(is_in) = is_in else { return };
    if !is(reading.metric, &names::HW_STATUS) {
        return push(reading, component, f64::from(is_in == State::Ok), out);
    }
    for state in [State::Ok, State::Degraded, State::Failed] {
        let values = values(reading, component, state.name());
        let values = values.get(..reading.metric.attributes.len()).unwrap_or(&[]);
        out.int(reading.metric, values, i64::from(state == is_in));
    }
}

/// Links that do not know how fast they are say -1, before Linux 3.19 as an unsigned number.
fn is_known(metric: &'static MetricSpec, value: f64) -> bool {
    const FASTEST: f64 = 1e14;
    !is(metric, &names::HW_NETWORK_BANDWIDTH_LIMIT) || (value > 0.0 && value < FASTEST)
}

fn push(reading: &Reading, component: &Component, value: f64, out: &mut SampleBuffer) {
    let values = values(reading, component, "");
    let values = values.get(..reading.metric.attributes.len()).unwrap_or(&[]);
    match reading.metric.value {
        ValueType::Int => out.int(reading.metric, values, value.round() as i64),
        ValueType::Double => out.double(reading.metric, values, value),
    }
}

/// More than any metric of hardware has.
const MOST_ATTRIBUTES: usize = 12;

/// What the attributes of the metric are for this component.
fn values<'a>(
    reading: &'a Reading,
    component: &'a Component,
    state: &'a str,
) -> [Value<'a>; MOST_ATTRIBUTES] {
    let mut values = [Value::Absent; MOST_ATTRIBUTES];
    let text = |text: &'a str| if text.is_empty() { Value::Absent } else { Value::Str(text) };
    for (value, key) in values.iter_mut().zip(reading.metric.attributes) {
        *value = match *key {
            "hw.id" => text(&component.id),
            "hw.name" => text(&component.name),
            "hw.parent" => text(&component.parent),
            "hw.type" => text(component.kind),
            "cpu.logical_number" => reading.cpu.map_or(Value::Absent, Value::Int),
            "hw.state" if !state.is_empty() => text(state),
            key => {
                let of_reading = reading.says.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
                let of_component =
                    || component.facts.iter().find(|(name, _)| *name == key).map(|(_, fact)| fact.as_str());
                text(of_reading.or_else(of_component).unwrap_or_default())
            }
        };
    }
    values
}

#[cfg(test)]
mod tests;
