//! Metrics of physical components other than sensors. Points name their component as those of sensors do.

use telemetry::{Aspect, MetricSpec, Resource};

use super::{COUNT, GAUGE, GAUGE_INT, LEVEL, draft, metric, shows};

const CPU: &[&str] = &["hw.id", "hw.name", "hw.parent", "hw.model", "hw.vendor"];
const CPU_LIMIT: &[&str] = &["hw.id", "hw.name", "hw.parent", "hw.model", "hw.vendor", "hw.limit_type"];
const BATTERY: &[&str] = &[
    "hw.id",
    "hw.name",
    "hw.parent",
    "hw.battery.chemistry",
    "hw.battery.capacity",
    "hw.model",
    "hw.vendor",
];
const BATTERY_LIMIT: &[&str] = &[
    "hw.id",
    "hw.name",
    "hw.parent",
    "hw.battery.chemistry",
    "hw.battery.capacity",
    "hw.model",
    "hw.vendor",
    "hw.limit_type",
];
const BATTERY_TIME: &[&str] = &[
    "hw.id",
    "hw.name",
    "hw.parent",
    "hw.battery.chemistry",
    "hw.battery.capacity",
    "hw.model",
    "hw.vendor",
    "hw.state",
    "hw.battery.state",
];
const DISK: &[&str] = &[
    "hw.id",
    "hw.name",
    "hw.parent",
    "hw.firmware_version",
    "hw.model",
    "hw.serial_number",
    "hw.physical_disk.type",
    "hw.vendor",
];
const ARRAY: &[&str] = &["hw.id", "hw.name", "hw.parent", "hw.logical_disk.raid_level"];
const DIMM: &[&str] = &["hw.id", "hw.name", "hw.parent", "hw.memory.type"];
const LINK: &[&str] = &["hw.id", "hw.name", "hw.parent", "hw.network.physical_address"];
const LINK_IO: &[&str] =
    &["hw.id", "hw.name", "hw.parent", "hw.network.physical_address", "network.io.direction"];
const GPU: &[&str] = &["hw.id", "hw.name", "hw.parent", "hw.model", "hw.serial_number"];
const GPU_TASK: &[&str] = &["hw.id", "hw.name", "hw.parent", "hw.model", "hw.serial_number", "hw.gpu.task"];
const ERRORS: &[&str] = &["hw.id", "hw.name", "hw.parent", "hw.type", "error.type", "network.io.direction"];
const STATUS: &[&str] = &["hw.id", "hw.name", "hw.parent", "hw.type", "hw.state"];

/// How often a CPU or its package slowed down for heat.
pub static THERMAL_THROTTLES: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Saturation,
    draft(metric(
        "system.cpu.linux.thermal_throttles",
        "{throttle}",
        COUNT,
        &["system.cpu.linux.throttle.scope", "cpu.logical_number"],
        [
            "How often CPUs or their packages slowed down for heat.",
            "/sys/devices/system/cpu/cpu*/thermal_throttle/{core|package}_throttle_count, once for each core or package",
        ],
    )),
);

/// Which state a component is in: 1 for that state, 0 for the others.
pub static HW_STATUS: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Errors,
    metric(
        "hw.status",
        "1",
        LEVEL,
        STATUS,
        [
            "Which state a component is in: 1 for that state, 0 for the others.",
            "alarms and faults of /sys/class/hwmon, md array_state and degraded, SCSI and NVMe state, MII status below a bond, health and online of /sys/class/power_supply",
        ],
    ),
);

/// Errors of memory, disks and network links.
pub static HW_ERRORS: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Errors,
    metric(
        "hw.errors",
        "{error}",
        COUNT,
        ERRORS,
        [
            "Errors of memory, disks and network links.",
            "/sys/devices/system/edac/mc/mc*: counts of each DIMM or of the controller; SCSI ioerr_cnt; statistics of /sys/class/net",
        ],
    ),
);

/// How fast the fastest CPU of a package runs.
pub static HW_CPU_SPEED: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Utilization,
    metric(
        "hw.cpu.speed",
        "Hz",
        GAUGE_INT,
        CPU,
        [
            "How fast the fastest CPU of a package runs.",
            "/sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq x 1000",
        ],
    ),
);

/// How fast a package can run.
pub static HW_CPU_SPEED_LIMIT: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Context,
    metric(
        "hw.cpu.speed.limit",
        "Hz",
        GAUGE_INT,
        CPU_LIMIT,
        [
            "How fast a package can run.",
            "cpufreq/cpuinfo_max_freq = turbo, base_frequency = max, bios_limit = throttled, x 1000",
        ],
    ),
);

/// How full a battery is.
pub static HW_BATTERY_CHARGE: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Utilization,
    metric(
        "hw.battery.charge",
        "1",
        GAUGE,
        BATTERY,
        ["How full a battery is.", "/sys/class/power_supply/*/capacity / 100"],
    ),
);

/// When a battery is too empty, and how far it is charged.
pub static HW_BATTERY_CHARGE_LIMIT: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Context,
    metric(
        "hw.battery.charge.limit",
        "1",
        GAUGE,
        BATTERY_LIMIT,
        [
            "When a battery is too empty, and how far it is charged.",
            "alarm / energy_full = degraded, charge_control_end_threshold / 100 = max",
        ],
    ),
);

/// Time until a battery is empty, or full.
pub static HW_BATTERY_TIME_LEFT: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Context,
    metric(
        "hw.battery.time_left",
        "s",
        GAUGE,
        BATTERY_TIME,
        ["Time until a battery is empty, or full.", "time_to_empty_now, time_to_full_now"],
    ),
);

/// How much memory a module holds.
pub static HW_MEMORY_SIZE: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Context,
    metric(
        "hw.memory.size",
        "By",
        LEVEL,
        DIMM,
        [
            "How much memory a module holds.",
            "/sys/devices/system/edac/mc/mc*/dimm*/size (MiB), else size_mb of the controller",
        ],
    ),
);

/// How much a disk holds.
pub static HW_PHYSICAL_DISK_SIZE: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Context,
    metric(
        "hw.physical_disk.size",
        "By",
        LEVEL,
        DISK,
        ["How much a disk holds.", "/sys/block/*/size x 512, of those with a device"],
    ),
);

/// How much an array of disks holds.
pub static HW_LOGICAL_DISK_LIMIT: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Context,
    metric(
        "hw.logical_disk.limit",
        "By",
        LEVEL,
        ARRAY,
        ["How much an array of disks holds.", "/sys/block/md*/size x 512"],
    ),
);

/// Whether a network link has a carrier.
pub static HW_NETWORK_UP: MetricSpec = shows(
    Resource::Network,
    Aspect::Errors,
    metric(
        "hw.network.up",
        "1",
        LEVEL,
        LINK,
        [
            "Whether a network link has a carrier.",
            "/sys/class/net/*/carrier of interfaces with a device; else the MII status below a bond",
        ],
    ),
);

/// How fast a network link is.
pub static HW_NETWORK_BANDWIDTH_LIMIT: MetricSpec = shows(
    Resource::Network,
    Aspect::Context,
    metric(
        "hw.network.bandwidth.limit",
        "By/s",
        LEVEL,
        LINK,
        ["How fast a network link is.", "speed (Mbit/s) x 125000"],
    ),
);

/// Bytes that a network link received and transmitted.
pub static HW_NETWORK_IO: MetricSpec = shows(
    Resource::Network,
    Aspect::Utilization,
    metric(
        "hw.network.io",
        "By",
        COUNT,
        LINK_IO,
        ["Bytes that a network link received and transmitted.", "statistics/{rx|tx}_bytes"],
    ),
);

/// Packets that a network link received and transmitted.
pub static HW_NETWORK_PACKETS: MetricSpec = shows(
    Resource::Network,
    Aspect::Utilization,
    metric(
        "hw.network.packets",
        "{packet}",
        COUNT,
        LINK_IO,
        ["Packets that a network link received and transmitted.", "statistics/{rx|tx}_packets"],
    ),
);

/// How busy a graphics processor is.
pub static HW_GPU_UTILIZATION: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Utilization,
    metric(
        "hw.gpu.utilization",
        "1",
        GAUGE,
        GPU_TASK,
        ["How busy a graphics processor is.", "/sys/class/drm/card*/device/gpu_busy_percent / 100 (amdgpu)"],
    ),
);

/// How much memory a graphics processor has.
pub static HW_GPU_MEMORY_LIMIT: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Context,
    metric(
        "hw.gpu.memory.limit",
        "By",
        LEVEL,
        GPU,
        [
            "How much memory a graphics processor has.",
            "/sys/class/drm/card*/device/mem_info_vram_total (amdgpu)",
        ],
    ),
);

/// How much of its memory a graphics processor uses.
pub static HW_GPU_MEMORY_USAGE: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Utilization,
    metric(
        "hw.gpu.memory.usage",
        "By",
        LEVEL,
        GPU,
        [
            "How much of its memory a graphics processor uses.",
            "/sys/class/drm/card*/device/mem_info_vram_used (amdgpu)",
        ],
    ),
);

/// Share of its memory that a graphics processor uses.
pub static HW_GPU_MEMORY_UTILIZATION: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Utilization,
    metric(
        "hw.gpu.memory.utilization",
        "1",
        GAUGE,
        GPU,
        ["Share of its memory that a graphics processor uses.", "mem_info_vram_used / mem_info_vram_total"],
    ),
);
