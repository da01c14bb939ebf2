//! The section about who is told of alerts.

use std::collections::BTreeMap;
use std::time::Duration;

use collectors::HostRoot;
use documents::{Review, Severity, Spanned};
use notify::{ALERTMANAGER_PATH, DeadMansSwitch, Externals, Kind, MAX_RECEIVERS, Options, Receiver};
use otlp::{DestinationError, DestinationOptions, PostTarget, Protocol, Secret, proxy_from_environment};
use serde::Deserialize;
use telemetry::with_causes;

use super::destination::tls;
use super::file::{SecretValue, TlsSection};
use super::secret::secret;
use super::{Identity, Surroundings, find};

/// As Prometheus sends.
const DEFAULT_RESEND_DELAY: Duration = Duration::from_mins(1);

/// As Alertmanager repeats.
const DEFAULT_REPEAT: Duration = Duration::from_hours(4);

const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);

/// Resending more often would be load, and nobody would learn anything.
const MIN_RESEND: Duration = Duration::from_secs(1);

/// Repeating more often would drive people mad.
const MIN_REPEAT: Duration = Duration::from_mins(1);

/// Labels that every alert of this host gets.
const MAX_LABELS: usize = 32;

/// Who is told of alerts.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NotifySection {
    /// Labels that every alert gets on its way out, unless it has them. Default: `host_name`, the host's name.
    pub(super) external_labels: Option<BTreeMap<String, Spanned<String>>>,
    /// Where people reach the agent, for links. Without it, there are none.
    pub(super) external_url: Option<Spanned<String>>,
    /// How often Alertmanagers are told of what still fires. Default `1m`.
    pub(super) resend_delay: Option<Spanned<String>>,
    /// Each is told of every alert.
    pub(super) alertmanagers: Vec<Spanned<ReceiverSection>>,
    /// Each is told of every alert, in Alertmanager's message to webhooks, version 4.
    pub(super) webhooks: Vec<Spanned<ReceiverSection>>,
    /// Somebody who notices when nothing comes any more.
    pub(super) dead_mans_switch: Option<Spanned<ReceiverSection>>,
    /// `false`: no alert `Watchdog` that fires for as long as rules are evaluated. Default `true`.
    pub(super) watchdog: Option<bool>,
    /// `false`: alerts that begin to fire and that are over are no log records. Default `true`.
    pub(super) otlp_events: Option<bool>,
}

/// One who is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiverSection {
    /// The name in messages and in the agent's own figures; what it was told is remembered under it.
    pub(super) name: Option<Spanned<String>>,
    /// Of an Alertmanager without `/api/v2/alerts`. A value may stand in a file of its own.
    pub(super) url: Spanned<SecretValue>,
    /// Sent with every request. A value may stand in a file of its own.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Spanned<SecretValue>>,
    /// How long one request may take. Default `10s`.
    pub(super) timeout: Option<Spanned<String>>,
    /// `http://host:port` of a proxy, or `none`. Default: what `HTTPS_PROXY` and the like say.
    pub(super) proxy: Option<Spanned<SecretValue>>,
    /// Only for `https://`.
    pub(super) tls: Option<TlsSection>,
    /// Not for Alertmanagers: messages are signed by it.
    pub(super) secret: Option<Spanned<SecretValue>>,
    /// Only for webhooks: what still fires is told again after so long. Default `4h`.
    pub(super) repeat_interval: Option<Spanned<String>>,
    /// Only for the dead man's switch: how often it is held. Default `1m`.
    pub(super) interval: Option<Spanned<String>>,
}

/// Who is told of alerts, and whether the destinations are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notify {
    pub(crate) options: Options,
    pub(crate) otlp_events: bool,
}

/// What `identity` says is the host's name goes with every alert unless the section says otherwise.
pub(super) fn notify(
    section: &NotifySection,
    identity: &Identity,
    surroundings: &Surroundings<'_>,
    review: &mut Review,
) -> Notify {
    let resend_delay = at_least(section.resend_delay.as_ref(), MIN_RESEND, DEFAULT_RESEND_DELAY, review);
    let mut receivers = Vec::new();
    for section in &section.alertmanagers {
        only_for(&section.value, &[Extra::Secret, Extra::Repeat, Extra::Interval], "an Alertmanager", review);
        let target = target(section, Some(ALERTMANAGER_PATH), None, surroundings, review);
        receivers.extend(target.map(|target| Receiver { target, kind: Kind::Alertmanager }));
    }
    for section in &section.webhooks {
        only_for(&section.value, &[Extra::Interval], "a webhook", review);
        let repeat = at_least(section.value.repeat_interval.as_ref(), MIN_REPEAT, DEFAULT_REPEAT, review);
        let kind = Kind::Webhook { repeat, secret: signed_by(&section.value, surroundings, review) };
        let target = target(section, None, None, surroundings, review);
        receivers.extend(target.map(|target| Receiver { target, kind }));
    }
    let dead_mans_switch = section.dead_mans_switch.as_ref().and_then(|section| {
        only_for(&section.value, &[Extra::Repeat], "the dead man's switch", review);
        let interval = at_least(section.value.interval.as_ref(), MIN_RESEND, DEFAULT_INTERVAL, review);
        let secret = signed_by(&section.value, surroundings, review);
        let target = target(section, None, Some("dead_mans_switch"), surroundings, review)?;
        Some(DeadMansSwitch { target, interval, secret })
    });
    tell_apart(section, review);
    Notify {
        options: Options {
            externals: externals(section, identity, review),
            resend_delay,
            receivers,
            watchdog: section.watchdog.unwrap_or(true),
            dead_mans_switch,
        },
        otlp_events: section.otlp_events.unwrap_or(true),
    }
}

/// Keys that not every receiver has.
#[derive(Clone, Copy)]
enum Extra {
    Secret,
    Repeat,
    Interval,
}

fn only_for(section: &ReceiverSection, without: &[Extra], what: &str, review: &mut Review) {
    for extra in without {
        let (key, range) = match extra {
            Extra::Secret => ("secret", section.secret.as_ref().map(documents::yaml::range)),
            Extra::Repeat => {
                ("repeat_interval", section.repeat_interval.as_ref().map(documents::yaml::range))
            }
            Extra::Interval => ("interval", section.interval.as_ref().map(documents::yaml::range)),
        };
        if let Some(range) = range {
            review.error_at(range, format!("{what} has no use for {key}; leave it out"));
        }
    }
}

fn at_least(
    value: Option<&Spanned<String>>,
    least: Duration,
    fallback: Duration,
    review: &mut Review,
) -> Duration {
    let duration = review.duration_or(value, fallback);
    if let Some(value) = value.filter(|_| duration < least) {
        review.error(value, format!("{} is the shortest", telemetry::format_duration(least)));
    }
    duration
}

fn signed_by(
    section: &ReceiverSection,
    surroundings: &Surroundings<'_>,
    review: &mut Review,
) -> Option<Secret> {
    let value = section.secret.as_ref()?;
    let secret = secret(value, surroundings, review)?;
    if let Err(error) = secret.read() {
        review.error(value, with_causes(&error));
    }
    Some(secret)
}

/// Where a receiver is reached, below its URL at `path`. `name` is its name if the section gives none.
fn target(
    section: &Spanned<ReceiverSection>,
    path: Option<&str>,
    name: Option<&str>,
    surroundings: &Surroundings<'_>,
    review: &mut Review,
) -> Option<PostTarget> {
    let receiver = &section.value;
    let name = receiver.name.as_ref().map(|name| name.value.as_str()).or(name);
    let Some(name) = name else {
        review.error(&receiver.url, "a receiver needs a name; what it was told is remembered under it");
        return None;
    };
    let url = match secret(&receiver.url, surroundings, review)?.read() {
        Ok(url) => url,
        Err(error) => {
            review.error(&receiver.url, with_causes(&error));
            return None;
        }
    };
    let url = match path {
        Some(path) => format!("{}{path}", url.trim_end_matches('/').trim_end_matches(path)),
        None => url,
    };
    let proxy = match &receiver.proxy {
        Some(value) if matches!(&value.value, SecretValue::Text(text) if text == "none") => None,
        Some(value) => secret(value, surroundings, review),
        None => proxy_from_environment(&url, |name| surroundings.variable(name)).map(Secret::from),
    };
    let mut options = DestinationOptions::new(name, url, Protocol::HttpJson);
    options.timeout = review.duration_or(receiver.timeout.as_ref(), options.timeout);
    options.connect_timeout = options.connect_timeout.min(options.timeout);
    for (name, value) in &receiver.headers {
        options.headers.push((name.clone(), secret(value, surroundings, review)?));
    }
    options.proxy = proxy;
    options.tls = receiver.tls.as_ref().map(|section| tls(section, surroundings, review));
    PostTarget::new(options).map_err(|error| report(receiver, &error, review)).ok()
}

/// Puts the error where the operator has to change something. A URL that may be a secret is not repeated.
fn report(section: &ReceiverSection, error: &DestinationError, review: &mut Review) {
    let range = documents::yaml::range::<String>;
    let (place, message) = match error {
        DestinationError::Endpoint { problem, .. } => (None, format!("url {problem}")),
        DestinationError::TlsWithoutHttps { .. } => {
            (None, "tls is set, but url is not encrypted; write https:// or leave tls out".to_owned())
        }
        DestinationError::Header { name, .. } | DestinationError::HeaderSecret { name, .. } => {
            (section.headers.get(name).map(documents::yaml::range), with_causes(error))
        }
        DestinationError::Name => (
            section.name.as_ref().map(range),
            "a receiver needs a name of up to 200 letters, digits, `-`, `_` and `.`, not a dot first"
                .to_owned(),
        ),
        DestinationError::Zero { .. } => {
            (section.timeout.as_ref().map(range), "timeout must be more than 0".to_owned())
        }
        error => (None, with_causes(error)),
    };
    review.error_at(place.unwrap_or_else(|| documents::yaml::range(&section.url)), message);
}

fn tell_apart(section: &NotifySection, review: &mut Review) {
    let receivers = section.alertmanagers.iter().chain(&section.webhooks).chain(&section.dead_mans_switch);
    let names: Vec<_> = receivers.filter_map(|receiver| receiver.value.name.as_ref()).collect();
    for (at, name) in names.iter().enumerate() {
        if names.iter().take(at).any(|earlier| earlier.value == name.value) {
            review.error(name, format!("two receivers are named {:?}", name.value));
        }
    }
    if let Some(one_too_many) = names.get(MAX_RECEIVERS) {
        review.error(
            one_too_many,
            format!("at most {MAX_RECEIVERS} are told; let an Alertmanager tell the others"),
        );
    }
}

fn externals(section: &NotifySection, identity: &Identity, review: &mut Review) -> Externals {
    let labels = match &section.external_labels {
        None => {
            let own = identity.own(&HostRoot::at("/"), None);
            find(&own, "host.name").map(|name| ("host_name", name)).into_iter().collect()
        }
        Some(given) => {
            for (at, (name, value)) in given.iter().enumerate() {
                if name.is_empty() || name == "alertname" || name == telemetry::METRIC_NAME {
                    review.error(value, format!("{name:?} is no label that a host may give to its alerts"));
                } else if at >= MAX_LABELS {
                    review.error(value, format!("at most {MAX_LABELS} labels"));
                }
            }
            given.iter().map(|(name, value)| (name, &value.value)).collect()
        }
    };
    let url = section.external_url.as_ref().map(|value| {
        if !value.value.starts_with("http://") && !value.value.starts_with("https://") {
            review.error(value, "links need a scheme; write it as in https://web-01.example:9090");
        }
        value.value.clone()
    });
    Externals { labels, url: url.unwrap_or_default() }
}

/// Receivers without anything to be told are a mistake, or wait for rules.
pub(super) fn warn_of_silence(
    section: &NotifySection,
    notify: &Notify,
    has_alerts: bool,
    review: &mut Review,
) {
    let first = section.alertmanagers.iter().chain(&section.webhooks).next();
    if let Some(first) = first.filter(|_| !has_alerts && !notify.options.watchdog) {
        let problem =
            review.error(&first.value.url, "nobody is told of anything: there are no rules with alerts");
        problem.severity = Severity::Warning;
        problem.hint = Some("name rule files in `rules`, or leave out `watchdog: false`".to_owned());
    }
}

#[cfg(test)]
mod tests;
