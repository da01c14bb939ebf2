//! The sections about who is speaking, and how much the agent says about itself.

use std::collections::BTreeMap;
use std::path::Path;

use collectors::{Detector, HostRoot, host_resource, own_container};
use documents::{Problem, Review, Spanned, nearest};
use telemetry::{AttributeValue, Attributes};

use super::file::{DetectorName, ResourceSection};
use crate::self_telemetry::environment::{
    self, CONFIG_FILE, NAMES, RESOURCE_ATTRIBUTES, SERVICE_NAME, Settings, Variables,
};

/// Each attribute stands in every request, and in each that is received.
const MAX_ATTRIBUTES: usize = 64;
const MAX_ATTRIBUTE_BYTES: usize = 1_024;

/// What is found out unless the file says otherwise. Models of processors and addresses tell more than everyone wants
/// told.
const DETECTED: [DetectorName; 4] =
    [DetectorName::Host, DetectorName::Os, DetectorName::Container, DetectorName::Cloud];

/// What the resource of this host's telemetry is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// What the file says. It stands before everything else.
    attributes: BTreeMap<String, String>,
    /// What the environment says about the agent.
    of_the_agent: Vec<(String, String)>,
    detected: Vec<DetectorName>,
}

impl Default for Identity {
    fn default() -> Self {
        Self { attributes: BTreeMap::new(), of_the_agent: Vec::new(), detected: DETECTED.to_vec() }
    }
}

impl Identity {
    /// The attributes of everything that this host makes itself: what the file says, else what the environment says,
    /// else what is found out. `instance` is the agent's `service.instance.id`; without one it is made of the host's id.
    pub(crate) fn own(&self, host: &HostRoot, instance: Option<String>) -> Attributes {
        let mut attributes = self.detected(host);
        let host_id = || find(&attributes, "host.id").or_else(|| find(&attributes, "host.name"));
        let instance = instance.or_else(|| host_id().map(collectors::instance_id_from));
        attributes.push(("service.name".to_owned(), "hostmend".into()));
        attributes.push(("service.version".to_owned(), env!("CARGO_PKG_VERSION").into()));
        attributes.extend(instance.map(|instance| ("service.instance.id".to_owned(), instance.into())));
        overlay(&mut attributes, self.of_the_agent.iter().map(|(key, value)| (key, value)));
        overlay(&mut attributes, &self.attributes);
        attributes
    }

    /// The attributes of what the agent says of itself alone: the same as `own`, and the container that it runs in, which
    /// is not that of the host's other processes.
    pub(crate) fn of_the_agent(&self, own: &[(String, AttributeValue)], host: &HostRoot) -> Attributes {
        let mut attributes = own.to_vec();
        if self.detected.contains(&DetectorName::Container)
            && find(own, "container.id").is_none()
            && let Some(id) = own_container(host)
        {
            attributes.push(("container.id".to_owned(), id.into()));
        }
        attributes
    }

    /// What received telemetry gets where it says nothing itself: the host, and what the file says about it. Nothing
    /// about a service, which is the sender's to say, and nothing that the environment says about the agent.
    pub(crate) fn of_received(&self, host: &HostRoot) -> Attributes {
        let mut attributes = self.detected(host);
        overlay(&mut attributes, &self.attributes);
        attributes.retain(|(key, _)| !key.starts_with("service."));
        attributes
    }

    fn detected(&self, host: &HostRoot) -> Attributes {
        let detectors: Vec<Detector> = self
            .detected
            .iter()
            .filter_map(|name| match name {
                DetectorName::Host => Some(Detector::Host),
                DetectorName::Os => Some(Detector::Os),
                DetectorName::Container => None,
                DetectorName::Cloud => Some(Detector::Cloud),
                DetectorName::Cpu => Some(Detector::Cpu),
                DetectorName::Addresses => Some(Detector::Addresses),
            })
            .collect();
        let found = host_resource(host, &detectors).into_iter();
        found.map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// The text of an attribute.
pub(crate) fn find<'a>(attributes: &'a [(String, AttributeValue)], key: &str) -> Option<&'a str> {
    attributes.iter().find(|(known, _)| known == key).and_then(|(_, value)| value.as_text())
}

fn overlay<'a>(attributes: &mut Attributes, by: impl IntoIterator<Item = (&'a String, &'a String)>) {
    for (key, value) in by {
        match attributes.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value.as_str().into(),
            None => attributes.push((key.clone(), value.as_str().into())),
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
    Identity {
        attributes: section
            .attributes
            .iter()
            .map(|(key, value)| (key.clone(), value.value.clone()))
            .collect(),
        of_the_agent: settings.attributes.clone(),
        detected: section.detect.clone().unwrap_or_else(|| DETECTED.to_vec()),
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
