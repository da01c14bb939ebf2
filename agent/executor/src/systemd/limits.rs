//! Limits of a running service, as properties of its unit. They are set for this boot only.

use zbus::Variant;

use super::{Connected, MANAGER, OBJECT, Systemd, UNIT_SERVICE, block_on, in_time};
use crate::changes::PropertyValue;
use crate::{ActionError, Limits, UnitName};

/// Microseconds of processor time in a second, for each percent of a processor: the measure of `CPUQuotaPerSecUSec`.
const MICROS_PER_PERCENT: u64 = 10_000;

const MEMORY_HIGH: &str = "MemoryHigh";
const MEMORY_MAX: &str = "MemoryMax";
const CPU: &str = "CPUQuotaPerSecUSec";
const TASKS_MAX: &str = "TasksMax";

/// Limits under systemd's names, in its measures. `u64::MAX` is no limit there too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LimitProperties(pub(crate) Vec<(String, u64)>);

impl From<Limits> for LimitProperties {
    fn from(limits: Limits) -> Self {
        let micros = |percent: u64| percent.saturating_mul(MICROS_PER_PERCENT);
        let all = [
            (MEMORY_HIGH, limits.memory_high),
            (MEMORY_MAX, limits.memory_max),
            (CPU, limits.cpu_percent.map(micros)),
            (TASKS_MAX, limits.tasks_max),
        ];
        Self(all.into_iter().filter_map(|(name, limit)| Some((name.to_owned(), limit?))).collect())
    }
}

impl From<&LimitProperties> for Limits {
    fn from(properties: &LimitProperties) -> Self {
        let of = |name: &str| properties.0.iter().find(|(known, _)| known == name).map(|(_, limit)| *limit);
        let percent = |micros: u64| if micros == u64::MAX { micros } else { micros / MICROS_PER_PERCENT };
        Self {
            memory_high: of(MEMORY_HIGH),
            memory_max: of(MEMORY_MAX),
            cpu_percent: of(CPU).map(percent),
            tasks_max: of(TASKS_MAX),
            open_files: None,
        }
    }
}

impl LimitProperties {
    pub(crate) fn before(values: &[PropertyValue]) -> Self {
        Self(values.iter().map(|value| (value.property.clone(), value.before)).collect())
    }

    pub(crate) fn after(values: &[PropertyValue]) -> Self {
        Self(values.iter().map(|value| (value.property.clone(), value.after)).collect())
    }
}

impl Systemd {
    /// What these properties of a unit that may be touched are now, and the path of its control group: empty if it does
    /// not run.
    pub(crate) fn limits(
        &self,
        unit: &UnitName,
        wanted: &LimitProperties,
    ) -> Result<(LimitProperties, String), ActionError> {
        let asking = || format!("asking systemd about the limits of {unit}");
        block_on(in_time(self.answer_within, asking, async {
            let connected = self.connect().await?;
            let path = connected.load(unit).await?;
            let read = async {
                let mut now = Vec::new();
                for (name, _) in &wanted.0 {
                    let value: u64 =
                        connected.property(path.as_str(), UNIT_SERVICE, name).await?.try_into()?;
                    now.push((name.clone(), value));
                }
                let cgroup = connected.text(path.as_str(), UNIT_SERVICE, "ControlGroup").await?;
                Ok::<_, zbus::Error>((LimitProperties(now), cgroup))
            };
            read.await.map_err(|error| ActionError::failed(asking(), error))
        }))
    }

    /// Sets them all, or none, until the next boot.
    pub(crate) fn set_limits(
        &self,
        unit: &UnitName,
        properties: &LimitProperties,
    ) -> Result<(), ActionError> {
        let setting = || format!("limiting {unit} to {}", Limits::from(properties));
        block_on(in_time(self.answer_within, setting, async {
            let connected: Connected = self.connect().await?;
            let values: Vec<(&str, Variant<'_>)> =
                properties.0.iter().map(|(name, limit)| (name.as_str(), Variant::from(*limit))).collect();
            let only_now = true;
            let what = (unit.as_str(), only_now, values);
            let set = connected.call(OBJECT, MANAGER, "SetUnitProperties", &what);
            set.await.map(drop).map_err(|error| ActionError::failed(setting(), error))
        }))
    }
}
