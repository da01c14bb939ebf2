//! Metrics of sensors: temperature, fans, voltage, power and energy. Every point names its component: `hw.id` holds
//! from boot to boot, `hw.name` is what an operator calls it, `hw.parent` the component that it belongs to.

use telemetry::{Aspect, MetricSpec, Resource};

use super::{COUNT_SECONDS, GAUGE, GAUGE_INT, metric, shows};

const SENSOR: &[&str] = &["hw.id", "hw.name", "hw.parent", "hw.sensor_location"];
const SENSOR_LIMIT: &[&str] = &["hw.id", "hw.name", "hw.parent", "hw.sensor_location", "hw.limit_type"];
const TYPED: &[&str] = &["hw.id", "hw.name", "hw.parent", "hw.type"];
const COMPONENT: &[&str] = &["hw.id", "hw.name", "hw.parent"];

/// What a sensor of temperature shows.
pub static HW_TEMPERATURE: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Utilization,
    metric(
        "hw.temperature",
        "Cel",
        GAUGE,
        SENSOR,
        ["What a sensor of temperature shows.", "/sys/class/hwmon/hwmon*/temp*_input x 1e-3"],
    ),
);

/// Where a temperature becomes a problem.
pub static HW_TEMPERATURE_LIMIT: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Context,
    metric(
        "hw.temperature.limit",
        "Cel",
        GAUGE,
        SENSOR_LIMIT,
        [
            "Where a temperature becomes a problem.",
            "/sys/class/hwmon/hwmon*/temp*: _max = high.degraded, _crit = high.critical, _min = low.degraded, _lcrit = low.critical, x 1e-3",
        ],
    ),
);

/// How far the sensor that is nearest to its limit is from it.
pub static HW_HOST_HEATING_MARGIN: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Saturation,
    metric(
        "hw.host.heating_margin",
        "Cel",
        GAUGE,
        COMPONENT,
        [
            "How far the sensor that is nearest to its limit is from it.",
            "the smallest of high.degraded, else high.critical, of a sensor, less what it shows",
        ],
    ),
);

/// The temperature of the air that comes in.
pub static HW_HOST_AMBIENT: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Context,
    metric(
        "hw.host.ambient_temperature",
        "Cel",
        GAUGE,
        COMPONENT,
        [
            "The temperature of the air that comes in.",
            "a sensor of temperature whose label says ambient or inlet",
        ],
    ),
);

/// How fast a fan turns.
pub static HW_FAN_SPEED: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Utilization,
    metric(
        "hw.fan.speed",
        "rpm",
        GAUGE_INT,
        SENSOR,
        ["How fast a fan turns.", "/sys/class/hwmon/hwmon*/fan*_input"],
    ),
);

/// How slow a fan may turn, and how fast it can.
pub static HW_FAN_SPEED_LIMIT: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Context,
    metric(
        "hw.fan.speed.limit",
        "rpm",
        GAUGE_INT,
        SENSOR_LIMIT,
        [
            "How slow a fan may turn, and how fast it can.",
            "/sys/class/hwmon/hwmon*/fan*: _min = low.degraded, _max = max",
        ],
    ),
);

/// How much of its speed is asked of a fan.
pub static HW_FAN_SPEED_RATIO: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Utilization,
    metric(
        "hw.fan.speed_ratio",
        "1",
        GAUGE,
        SENSOR,
        ["How much of its speed is asked of a fan.", "/sys/class/hwmon/hwmon*/pwm* / 255"],
    ),
);

/// What a sensor of voltage shows.
pub static HW_VOLTAGE: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Utilization,
    metric(
        "hw.voltage",
        "V",
        GAUGE,
        SENSOR,
        ["What a sensor of voltage shows.", "/sys/class/hwmon/hwmon*/in*_input x 1e-3"],
    ),
);

/// Where a voltage becomes a problem.
pub static HW_VOLTAGE_LIMIT: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Context,
    metric(
        "hw.voltage.limit",
        "V",
        GAUGE,
        SENSOR_LIMIT,
        [
            "Where a voltage becomes a problem.",
            "/sys/class/hwmon/hwmon*/in*: _lcrit, _min, _max, _crit as those of temperature, x 1e-3",
        ],
    ),
);

/// Power that a component takes or gives.
pub static HW_POWER: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Utilization,
    metric(
        "hw.power",
        "W",
        GAUGE,
        TYPED,
        [
            "Power that a component takes or gives.",
            "/sys/class/hwmon/hwmon*/power*_input, else _average, x 1e-6; power_now of a battery",
        ],
    ),
);

/// Power that the whole host takes.
pub static HW_HOST_POWER: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Utilization,
    metric(
        "hw.host.power",
        "W",
        GAUGE,
        COMPONENT,
        ["Power that the whole host takes.", "the same of a chip that is named power_meter"],
    ),
);

/// Energy that a component took.
pub static HW_ENERGY: MetricSpec = shows(
    Resource::Hardware,
    Aspect::Utilization,
    metric(
        "hw.energy",
        "J",
        COUNT_SECONDS,
        TYPED,
        [
            "Energy that a component took.",
            "/sys/class/hwmon/hwmon*/energy*_input x 1e-6; energy_uj of intel-rapl in /sys/class/powercap, for root only, its wraps undone",
        ],
    ),
);
