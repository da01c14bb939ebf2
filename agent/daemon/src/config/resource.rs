//! The sections about who is speaking, and how much the agent says about itself.

use std::collections::BTreeMap;
use std::path::Path;

use collectors::{HostRoot, host_resource};
use documents::{Problem, Review, Spanned, nearest};

use super::file::{DetectorName, ResourceSection};
use crate::self_telemetry::environment::{
    self, CONFIG_FILE, NAMES, RESOURCE_ATTRIBUTES, SERVICE_NAME, Settings, Variables,
};

/// Each attribute stands in every request, and in each that is received.
const MAX_ATTRIBUTES: usize = 64;
const MAX_ATTRIBUTE_BYTES: usize = 1_024;

/// What the resource of this host's telemetry is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// What the file says. It stands before everything else.
    attributes: BTreeMap<String, String>,
    /// What the environment says about the agent.
    of_the_agent: Vec<(String, String)>,
    /// Attributes that begin so are not found out.
    undetected: Vec<&'static str>,
}

impl Identity {
    /// The attributes of everything that this host makes itself: what the file says, else what the environment says,
    /// else what is found out.
    pub(crate) fn own(&self, host: &HostRoot) -> Vec<(String, String)> {
        let mut attributes = self.detected(host);
        overlay(&mut attributes, self.of_the_agent.iter().map(|(key, value)| (key, value)));
        overlay(&mut attributes, &self.attributes);
        attributes
    }

    /// What received telemetry gets where it says nothing itself: the host, and what the file says about it. Nothing
    /// about a service, which is the sender's to say, and nothing that the environment says about the agent.
    pub(crate) fn of_received(&self, host: &HostRoot) -> Vec<(String, String)> {
        let mut attributes = self.detected(host);
        overlay(&mut attributes, &self.attributes);
        attributes.retain(|(key, _)| !key.starts_with("service."));
        attributes
    }

    fn detected(&self, host: &HostRoot) -> Vec<(String, String)> {
        let found = host_resource(host, env!("CARGO_PKG_VERSION")).into_iter();
        let wanted = found.filter(|(key, _)| !self.undetected.iter().any(|prefix| key.starts_with(prefix)));
        wanted.map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

fn overlay<'a>(
    attributes: &mut Vec<(String, String)>,
    by: impl IntoIterator<Item = (&'a String, &'a String)>,
) {
    for (key, value) in by {
        match attributes.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => known.clone_from(value),
            None => attributes.push((key.clone(), value.clone())),
        }
    }
}

pub(super) fn identity(section: &ResourceSection, settings: &Settings, review: &mut Review) -> Identity {
    for (at, (key, value)) in section.attributes.iter().enumerate() {
        let problem = if key.is_empty() || key.contains(|c: char| c.is_whitespace() || c.is_control()) {
            "an attribute needs a name without spaces, such as deployment.environment.name"
        } else if value.value.is_empty() {
            "an attribute without a value says nothing; leave it out"
        } else if key.len() + value.value.len() > MAX_ATTRIBUTE_BYTES {
            "an attribute may have 1024 bytes, for it stands in every request"
        } else if at >= MAX_ATTRIBUTES {
            "at most 64 attributes, for they stand in every request"
        } else {
            continue;
        };
        review.error(value, problem);
    }
    let wanted = section.detect.as_deref().unwrap_or(&[DetectorName::Host, DetectorName::Os]);
    let undetected = [(DetectorName::Host, "host."), (DetectorName::Os, "os.")];
    let undetected = undetected.into_iter().filter(|(name, _)| !wanted.contains(name));
    Identity {
        attributes: section
            .attributes
            .iter()
            .map(|(key, value)| (key.clone(), value.value.clone()))
            .collect(),
        of_the_agent: settings.attributes.clone(),
        undetected: undetected.map(|(_, prefix)| prefix).collect(),
    }
}

/// What the file and, where it is silent, the variables say about the agent's own telemetry.
pub(super) fn own_telemetry(
    section: &BTreeMap<String, Spanned<String>>,
    variables: &Variables,
    review: &mut Review,
) -> Settings {
    let mut effective = variables.clone();
    if variables.get(CONFIG_FILE).is_some_and(|path| !path.trim().is_empty()) {
        effective.clear();
        let message = "this file is not read; as the specification wants it, the other variables are ignored; say what they \
                       say under own_telemetry and resource";
        review.add(in_the_environment(CONFIG_FILE, message));
    }
    for (name, value) in section {
        if NAMES.contains(&name.as_str()) {
            effective.insert(name.clone(), value.value.clone());
            continue;
        }
        let hint = if [RESOURCE_ATTRIBUTES, SERVICE_NAME].contains(&name.as_str()) {
            Some("`resource: { attributes: … }` at the top says it".to_owned())
        } else {
            nearest(name, NAMES).map(|near| format!("did you mean `{near}`?"))
        };
        review.error(value, format!("there is no setting {name:?}")).hint = hint;
    }
    let (settings, complaints) = environment::read(&effective);
    for complaint in complaints {
        match section.get(&complaint.variable) {
            Some(value) => {
                review.error(value, complaint.message);
            }
            None => review.add(in_the_environment(&complaint.variable, &complaint.message)),
        }
    }
    settings
}

/// Not an error: a variable may be meant for other programs on the host.
pub(super) fn in_the_environment(variable: &str, message: &str) -> Problem {
    Problem::about(Path::new("environment"), format!("{variable}: {message}")).as_warning()
}

#[cfg(test)]
mod tests;
