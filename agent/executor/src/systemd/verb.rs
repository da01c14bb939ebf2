//! What can be done with a unit, in systemd's words and in ours.

use zbus::ObjectPath;

use super::{Connected, UNIT};
use crate::{ActionError, UnitName, UnitVerb};

impl UnitVerb {
    /// The method of systemd's manager object.
    pub(super) const fn method(self) -> &'static str {
        match self {
            Self::Restart => "RestartUnit",
            Self::Reload => "ReloadUnit",
            Self::Start => "StartUnit",
            Self::Stop => "StopUnit",
            Self::ResetFailed => "ResetFailedUnit",
            Self::Freeze => "FreezeUnit",
            Self::Thaw => "ThawUnit",
        }
    }

    /// Whether systemd answers with a job, of which a signal tells the end. The others are done when it answers.
    pub(super) const fn is_a_job(self) -> bool {
        matches!(self, Self::Restart | Self::Reload | Self::Start | Self::Stop)
    }

    pub(super) const fn starts(self) -> bool {
        matches!(self, Self::Restart | Self::Start)
    }

    pub(super) const fn stops(self) -> bool {
        matches!(self, Self::Restart | Self::Stop)
    }

    /// As in "restarting web.service failed".
    pub(super) const fn doing(self) -> &'static str {
        match self {
            Self::Restart => "restarting",
            Self::Reload => "reloading",
            Self::Start => "starting",
            Self::Stop => "stopping",
            Self::ResetFailed => "forgetting the failure of",
            Self::Freeze => "freezing",
            Self::Thaw => "thawing",
        }
    }

    /// As in "which systemd has restarted".
    pub(super) const fn done(self) -> &'static str {
        match self {
            Self::Restart => "restarted",
            Self::Reload => "reloaded",
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::ResetFailed => "reset",
            Self::Freeze => "frozen",
            Self::Thaw => "thawed",
        }
    }

    /// The property by which a unit says that it knows this.
    const fn condition(self) -> Option<&'static str> {
        match self {
            Self::Reload => Some("CanReload"),
            Self::Freeze => Some("CanFreeze"),
            _ => None,
        }
    }
}

impl Connected {
    /// Whether the unit knows how to do this.
    pub(super) async fn can(
        &self,
        verb: UnitVerb,
        unit: &UnitName,
        path: &ObjectPath<'_>,
    ) -> Result<(), ActionError> {
        let Some(property) = verb.condition() else { return Ok(()) };
        let answer = self.property(path.as_str(), UNIT, property).await.and_then(TryInto::try_into);
        let can: bool =
            answer.map_err(|error| ActionError::failed(format!("asking systemd about {unit}"), error))?;
        let cannot = || {
            let verb = verb.as_str();
            format!("systemd cannot {verb} {unit}; `systemctl show -P {property} {unit}` says so too")
        };
        if can { Ok(()) } else { Err(ActionError::refused(cannot())) }
    }
}
