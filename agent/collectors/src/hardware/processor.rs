//! Processors and what belongs to them: packages with their speed and their throttling for heat, memory modules as EDAC
//! knows them, graphics processors of AMD.

use std::collections::BTreeMap;

use super::inventory::{Component, Inventory, Reading, Source, device, entries_named, exists, text};
use crate::host::HostRoot;
use crate::names;
use crate::sysfs::number;

const CPUS: &str = "sys/devices/system/cpu";
const MEMORY: &str = "sys/devices/system/edac/mc";
const GRAPHICS: &str = "sys/class/drm";

/// CPUs of a package whose speed is asked; asking costs up to some 10 us each.
const MOST_ASKED: usize = 64;

pub(super) fn look(host: &HostRoot, per_cpu: bool, inventory: &mut Inventory) {
    let mut packages: BTreeMap<u32, Vec<Cpu>> = BTreeMap::new();
    for name in entries_named(host, CPUS, "cpu") {
        let Some(number) = name.strip_prefix("cpu").and_then(|digits| digits.parse().ok()) else { continue };
        let topology = |file: &str| self::number(host, &format!("{CPUS}/{name}/topology/{file}"));
        // A CPU that is offline has no topology.
        let Some(package) = topology("physical_package_id") else { continue };
        let core = topology("core_id").unwrap_or_default();
        packages.entry(package.max(0.0) as u32).or_default().push(Cpu { number, core: core as i64 });
    }
    let model = host.read("proc/cpuinfo").ok().map(|file| parse_cpuinfo(file.text()));
    for (package, mut cpus) in packages {
        cpus.sort_unstable_by_key(|cpu| cpu.number);
        let facts = model.clone().unwrap_or_default();
        let name = format!("package-{package}");
        let component = Component { id: name.clone(), kind: "cpu", name, facts, ..Component::default() };
        let component = inventory.add(component, "cpu");
        speed(host, component, &cpus, inventory);
        throttles(host, (component, per_cpu), &cpus, inventory);
    }
    for name in entries_named(host, MEMORY, "mc") {
        memory(host, &name, inventory);
    }
    for name in entries_named(host, GRAPHICS, "card") {
        graphics(host, &name, inventory);
    }
}

struct Cpu {
    number: u32,
    core: i64,
}

/// The model and the vendor of the first processor.
pub(crate) fn parse_cpuinfo(text: &str) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    for (key, title) in [("hw.model", "model name"), ("hw.vendor", "vendor_id")] {
        let of_line = |line: &str| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == title).then(|| value.trim().chars().take(100).collect::<String>())
        };
        facts.extend(text.lines().find_map(of_line).map(|value| (key, value)));
    }
    facts
}

fn speed(host: &HostRoot, component: usize, cpus: &[Cpu], inventory: &mut Inventory) {
    let path = |cpu: &Cpu, file: &str| format!("{CPUS}/cpu{}/cpufreq/{file}", cpu.number);
    let paths: Vec<String> = cpus
        .iter()
        .map(|cpu| path(cpu, "scaling_cur_freq"))
        .filter(|path| exists(host, path))
        .take(MOST_ASKED)
        .collect();
    if !paths.is_empty() {
        let source = Source::Files { paths, divisor: 1e-3, fold: f64::max };
        inventory.reads(&names::HW_CPU_SPEED, component, &[], source);
    }
    let Some(first) = cpus.first() else { return };
    let metric = &names::HW_CPU_SPEED_LIMIT;
    inventory.reads_file(
        host,
        metric,
        component,
        &[("hw.limit_type", "turbo")],
        (path(first, "cpuinfo_max_freq"), 1e-3),
    );
    inventory.reads_file(
        host,
        metric,
        component,
        &[("hw.limit_type", "max")],
        (path(first, "base_frequency"), 1e-3),
    );
    inventory.reads_file(
        host,
        metric,
        component,
        &[("hw.limit_type", "throttled")],
        (path(first, "bios_limit"), 1e-3),
    );
}

/// The CPUs of a core count the same throttles, and those of a package the same of the package: one of each is asked.
fn throttles(host: &HostRoot, (component, per_cpu): (usize, bool), cpus: &[Cpu], inventory: &mut Inventory) {
    let path =
        |cpu: &Cpu, scope: &str| format!("{CPUS}/cpu{}/thermal_throttle/{scope}_throttle_count", cpu.number);
    let mut cores = std::collections::BTreeSet::new();
    let core = cpus.iter().filter(|cpu| cores.insert(cpu.core)).map(|cpu| (cpu.number, path(cpu, "core")));
    let core: Vec<(u32, String)> = core.filter(|(_, path)| exists(host, path)).collect();
    let package = cpus.first().map(|cpu| (cpu.number, path(cpu, "package")));
    let package: Vec<(u32, String)> = package.into_iter().filter(|(_, path)| exists(host, path)).collect();
    for (says, found) in [(CORE, core), (PACKAGE, package)] {
        for (cpu, path) in found {
            if per_cpu {
                let source = Source::file(path, 1.0);
                let (metric, cpu) = (&names::THERMAL_THROTTLES, Some(i64::from(cpu)));
                inventory.readings.push(Reading { metric, component, says, cpu, source });
            } else {
                add_up(says, component, path, inventory);
            }
        }
    }
}

type Says = &'static [(&'static str, &'static str)];

const CORE: Says = &[("system.cpu.linux.throttle.scope", "core")];
const PACKAGE: Says = &[("system.cpu.linux.throttle.scope", "package")];

fn add_up(says: Says, component: usize, path: String, inventory: &mut Inventory) {
    let sum = inventory.readings.iter_mut().find_map(|reading| match &mut reading.source {
        Source::Files { paths, .. } if reading.says == says => Some(paths),
        _ => None,
    });
    if let Some(paths) = sum {
        paths.push(path);
    } else {
        let source = Source::Files { paths: vec![path], divisor: 1.0, fold: |sum, count| sum + count };
        inventory.reads(&names::THERMAL_THROTTLES, component, says, source);
    }
}

/// What a number of MiB is divided by to be bytes.
const MEBIBYTES_PER_BYTE: f64 = 1.0 / 1_048_576.0;

const CORRECTED: Says = &[("error.type", "corrected")];
const UNCORRECTED: Says = &[("error.type", "uncorrected")];

/// Errors of each module where the driver knows modules, and of the controller what it could not put down to one; else
/// of the controller all.
fn memory(host: &HostRoot, name: &str, inventory: &mut Inventory) {
    let directory = format!("{MEMORY}/{name}");
    let component =
        Component { id: name.to_owned(), kind: "memory", name: name.to_owned(), ..Component::default() };
    let controller = inventory.add(component, "edac");
    let modules: Vec<String> = ["dimm", "rank"]
        .into_iter()
        .flat_map(|prefix| entries_named(host, &directory, prefix))
        .filter(|module| exists(host, &format!("{directory}/{module}/dimm_ce_count")))
        .collect();
    let (corrected, uncorrected) =
        if modules.is_empty() { ("ce_count", "ue_count") } else { ("ce_noinfo_count", "ue_noinfo_count") };
    let metric = &names::HW_ERRORS;
    inventory.reads_file(host, metric, controller, CORRECTED, (format!("{directory}/{corrected}"), 1.0));
    inventory.reads_file(host, metric, controller, UNCORRECTED, (format!("{directory}/{uncorrected}"), 1.0));
    if modules.is_empty() {
        let size = (format!("{directory}/size_mb"), MEBIBYTES_PER_BYTE);
        inventory.reads_file(host, &names::HW_MEMORY_SIZE, controller, &[], size);
    }
    for module in modules {
        let at = |file: &str| format!("{directory}/{module}/{file}");
        let component = Component {
            id: format!("{name}/{module}"),
            kind: "memory",
            name: text(host, &at("dimm_label")).unwrap_or_else(|| module.clone()),
            parent: name.to_owned(),
            facts: text(host, &at("dimm_mem_type"))
                .map(|kind| ("hw.memory.type", kind))
                .into_iter()
                .collect(),
            ..Component::default()
        };
        let component = inventory.add(component, "edac");
        inventory.reads_file(host, metric, component, CORRECTED, (at("dimm_ce_count"), 1.0));
        inventory.reads_file(host, metric, component, UNCORRECTED, (at("dimm_ue_count"), 1.0));
        inventory.reads_file(host, &names::HW_MEMORY_SIZE, component, &[], (at("size"), MEBIBYTES_PER_BYTE));
    }
}

/// Only amdgpu has these files; the others need their vendors' libraries.
fn graphics(host: &HostRoot, name: &str, inventory: &mut Inventory) {
    let at = |file: &str| format!("{GRAPHICS}/{name}/device/{file}");
    let total = number(host, &at("mem_info_vram_total"));
    if total.is_none() && !exists(host, &at("gpu_busy_percent")) {
        return;
    }
    let says = |key, file: &str| text(host, &at(file)).map(|fact| (key, fact));
    let facts = [says("hw.model", "product_name"), says("hw.serial_number", "serial_number")];
    let component = Component {
        id: device(host, &format!("{GRAPHICS}/{name}"), "drm").unwrap_or_else(|| name.to_owned()),
        kind: "gpu",
        name: name.to_owned(),
        facts: facts.into_iter().flatten().collect(),
        ..Component::default()
    };
    let gpu = inventory.add(component, name);
    let busy = (at("gpu_busy_percent"), 100.0);
    inventory.reads_file(host, &names::HW_GPU_UTILIZATION, gpu, &[("hw.gpu.task", "general")], busy);
    inventory.reads_file(host, &names::HW_GPU_MEMORY_LIMIT, gpu, &[], (at("mem_info_vram_total"), 1.0));
    inventory.reads_file(host, &names::HW_GPU_MEMORY_USAGE, gpu, &[], (at("mem_info_vram_used"), 1.0));
    if let Some(total) = total.filter(|total| *total > 0.0) {
        let share = (at("mem_info_vram_used"), total);
        inventory.reads_file(host, &names::HW_GPU_MEMORY_UTILIZATION, gpu, &[], share);
    }
}
