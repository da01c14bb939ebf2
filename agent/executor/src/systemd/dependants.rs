//! What else an action would touch: a stop goes on to the units that need this one, a start stops those it conflicts with.

use std::collections::BTreeSet;

use zbus::{ObjectPath, fdo};

use super::{Connected, MANAGER, OBJECT, UNIT};
use crate::{ActionError, UnitName, UnitVerb, protected};

/// Units that would be stopped too, before it is too much to be looked through. Far more than a service has.
const MAX_DEPENDANTS: usize = 64;

/// systemd.unit(5), "Mapping of unit properties to their inverses": those by which a stop goes on.
const STOPPED_TOO: [&str; 4] = ["RequiredBy", "BoundBy", "ConsistsOf", "PropagatesStopTo"];

/// Those that cannot run at the same time.
const STOPPED_BY_A_START: [&str; 2] = ["Conflicts", "ConflictedBy"];

impl Connected {
    /// Refuses what would stop a protected unit too, directly or by way of others.
    pub(super) async fn touches_nothing_protected(
        &self,
        verb: UnitVerb,
        unit: &UnitName,
        path: &ObjectPath<'_>,
    ) -> Result<(), ActionError> {
        if verb.starts() {
            for name in self.related(unit.as_str(), path.as_str(), &STOPPED_BY_A_START).await? {
                refuse_protected(verb, unit, &name)?;
            }
        }
        if !verb.stops() {
            return Ok(());
        }
        let mut seen = BTreeSet::from([unit.as_str().to_owned()]);
        let mut next: Vec<String> = self.related(unit.as_str(), path.as_str(), &STOPPED_TOO).await?;
        while let Some(name) = next.pop() {
            refuse_protected(verb, unit, &name)?;
            if !seen.insert(name.clone()) {
                continue;
            }
            if seen.len() > MAX_DEPENDANTS {
                return Err(ActionError::refused(format!(
                    "a {} of {unit} would stop more than {MAX_DEPENDANTS} other units; `systemctl list-dependencies --reverse \
                     {unit}` shows them",
                    verb.as_str()
                )));
            }
            let failed = |error| ActionError::failed(format!("asking systemd about {name}"), error);
            let path = self.ask(OBJECT, MANAGER, "LoadUnit", &name.as_str()).await.map_err(failed)?;
            next.extend(self.related(&name, path.as_str(), &STOPPED_TOO).await?);
        }
        Ok(())
    }

    async fn related(&self, unit: &str, path: &str, relations: &[&str]) -> Result<Vec<String>, ActionError> {
        let mut names = Vec::new();
        for relation in relations {
            match self.property(path, UNIT, relation).await.and_then(Vec::<String>::try_from) {
                Ok(more) => names.extend(more),
                // This systemd does not have it yet.
                Err(zbus::Error::FDO(error)) if matches!(*error, fdo::Error::UnknownProperty(_)) => {}
                Err(error) => {
                    return Err(ActionError::failed(format!("asking systemd about {unit}"), error));
                }
            }
        }
        Ok(names)
    }
}

fn refuse_protected(verb: UnitVerb, unit: &UnitName, name: &str) -> Result<(), ActionError> {
    protected::unit_of_any_kind(name).map_or(Ok(()), |reason| {
        let verb = verb.as_str();
        Err(ActionError::refused(format!(
            "a {verb} of {unit} would stop {name} too, by what their units say of each other: {reason}"
        )))
    })
}
