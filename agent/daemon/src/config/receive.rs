//! The section about where telemetry is received, from whom, and how much.
//!
//! What can be judged without opening a socket is judged here; a port that is taken shows when the agent starts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU64;

use documents::{Problem, Review, Spanned, yaml};
use http::Uri;
use otlp::{ListenAddress, Listener, ReceiverLimits, ServerTls};
use telemetry::with_causes;

use super::Base;
use super::file::{
    ApiSection, DestinationSection, ListenerLimitsSection, ListenerSection, ReceiveSection, RequireSection,
    ServerTlsSection,
};
use crate::executor_process::{USERS, user_id};

/// Smaller requests than this are what SDKs send without being asked.
const SMALLEST_REQUEST: usize = 64 * 1024;

/// What the OTLP specification recommends servers to take.
const LARGEST_REQUEST: usize = 64 << 20;

/// More than this for requests alone is no longer a small agent.
const MOST_IN_FLIGHT: usize = 1 << 30;

/// A descriptor each.
const MOST_CONNECTIONS: usize = 65_536;

/// Where telemetry is received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReceiveConfig {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) limits: ReceiverLimits,
    /// How many series the points of a listener may make, by its name; others have the default.
    pub(crate) max_series: BTreeMap<String, usize>,
}

impl ReceiveConfig {
    /// Whether telemetry for `endpoint` would come back to us.
    pub(crate) fn listens_at(&self, endpoint: &str) -> bool {
        let Ok(uri) = endpoint.parse::<Uri>() else { return false };
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let ip = host.parse().ok().map(|ip: IpAddr| ip.to_canonical());
        let is_ours = |address: &ListenAddress| match address {
            ListenAddress::Tcp(own) => {
                own.port() == port
                    && match ip {
                        // A connection to the address of nobody arrives at this host as well.
                        Some(ip) => {
                            let either = [(ip, own.ip()), (own.ip(), ip)];
                            ip == own.ip()
                                || either.iter().any(|(a, b)| a.is_unspecified() && b.is_loopback())
                        }
                        None => {
                            host.eq_ignore_ascii_case("localhost")
                                && (own.ip().is_loopback() || own.ip().is_unspecified())
                        }
                    }
            }
            ListenAddress::Unix(_) => false,
        };
        self.listeners.iter().flat_map(|listener| &listener.addresses).any(is_ours)
    }
}

pub(super) fn receive(section: &ReceiveSection, base: &Base, review: &mut Review) -> ReceiveConfig {
    let mut config = ReceiveConfig { limits: limits(section, review), ..ReceiveConfig::default() };
    let users = std::fs::read_to_string(USERS).unwrap_or_default();
    for section in &section.listeners {
        let listener = listener(section, base, &users, review);
        if config.listeners.iter().any(|earlier| earlier.name == listener.name) {
            review.error(&section.name, format!("two listeners are named {:?}", listener.name));
        }
        let earlier: Vec<_> = config.listeners.iter().flat_map(|earlier| &earlier.addresses).collect();
        for value in [&section.grpc, &section.http].into_iter().flatten() {
            if value.value.parse().is_ok_and(|address| earlier.contains(&&address)) {
                review.error(value, format!("another listener has the address {}", value.value));
            }
        }
        if let Some(value) = &section.limits.max_series {
            config.max_series.insert(listener.name.clone(), value.value);
        }
        config.listeners.push(listener);
    }
    config
}

/// An error at each destination that is a listener of ours: telemetry would go round for ever.
pub(super) fn refuse_loops(
    receive: &ReceiveConfig,
    destinations: &[DestinationSection],
    review: &mut Review,
) {
    for destination in destinations {
        if receive.listens_at(&destination.endpoint.value) {
            let message = "this is where the agent itself receives; it would send to itself without end";
            review.error(&destination.endpoint, message).hint =
                Some("send to another address, or receive on another port".to_owned());
        }
    }
}

/// An error at `api.listen` if a listener has the same address: the agent would not start.
pub(super) fn refuse_address_of_api(receive: &ReceiveConfig, api: &ApiSection, review: &mut Review) {
    let Some(value) = &api.listen else { return };
    let mut listeners = receive.listeners.iter().flat_map(|listener| &listener.addresses);
    if value.value.parse().is_ok_and(|address| listeners.any(|own| *own == address)) {
        review.error(value, "a listener in `receive` has this address").hint =
            Some("choose another port, as in 127.0.0.1:4320".to_owned());
    }
}

fn limits(section: &ReceiveSection, review: &mut Review) -> ReceiverLimits {
    let default = ReceiverLimits::default();
    let max_request_bytes = within(
        section.max_request_bytes.as_ref(),
        (SMALLEST_REQUEST, LARGEST_REQUEST),
        default.max_request_bytes,
        review,
    );
    // A request is in memory twice while it is decompressed.
    let least = 2 * max_request_bytes;
    ReceiverLimits {
        max_request_bytes,
        max_in_flight_bytes: within(
            section.max_in_flight_bytes.as_ref(),
            (least, MOST_IN_FLIGHT),
            default.max_in_flight_bytes.max(least),
            review,
        ),
        max_connections: within(
            section.max_connections.as_ref(),
            (1, MOST_CONNECTIONS),
            default.max_connections,
            review,
        ),
        ..default
    }
}

fn within(
    value: Option<&Spanned<usize>>,
    (least, most): (usize, usize),
    default: usize,
    review: &mut Review,
) -> usize {
    let Some(value) = value else { return default };
    if !(least..=most).contains(&value.value) {
        review.error(value, format!("from {least} to {most} is possible here"));
    }
    value.value.clamp(least, most)
}

fn listener(section: &ListenerSection, base: &Base, users: &str, review: &mut Review) -> Listener {
    let mut listener = Listener::new(&section.name.value, addresses(section, review));
    let name = &section.name.value;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        let message = "the name of a listener is made of letters, digits, `-`, `_` and `.`";
        review.error(&section.name, message);
    }
    if let Some(value) = &section.socket_mode
        && let Some(mode) = review.read(value, mode)
    {
        listener.socket_mode = mode;
    }
    listener.tls = section.tls.as_ref().map(|section| tls(section, base, review));
    listener.users = section.require.users.iter().filter_map(|name| user(name, users, review)).collect();
    listener.client_names = section.require.client_names.iter().map(|name| name.value.clone()).collect();
    listener.strict = section.strict;
    listener.bytes_per_second = rate(&section.limits, review);
    if let Some(value) = &section.limits.max_series
        && value.value == 0
    {
        review.error(value, "at least 1 series must fit");
    }
    listener.peer_attribute = section.peer_attribute.as_ref().map(|key| key.value.clone());
    peers(section, &listener, review);
    warn_of_strangers(section, review);
    listener
}

fn addresses(section: &ListenerSection, review: &mut Review) -> Vec<ListenAddress> {
    let mut addresses = Vec::new();
    for value in [&section.grpc, &section.http].into_iter().flatten() {
        if let Some(address) = review.read(value, str::parse) {
            // One address for both is one socket, which speaks both anyway.
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    if section.grpc.is_none() && section.http.is_none() {
        review.error(&section.name, format!("listener {:?} needs grpc or http", section.name.value)).hint =
            Some("write grpc: 127.0.0.1:4317".to_owned());
    }
    addresses
}

/// Whether what is asked of peers can be known of them.
fn peers(section: &ListenerSection, listener: &Listener, review: &mut Review) {
    let RequireSection { users, client_names } = &section.require;
    let is_unix = |address: &ListenAddress| matches!(address, ListenAddress::Unix(_));
    let has_tcp = !listener.addresses.iter().all(is_unix);
    let has_unix = listener.addresses.iter().any(is_unix);
    let knows_clients = section.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
    if let Some(first) = users.first().filter(|_| has_tcp) {
        let hint = "listen on unix:/run/hostmend/otlp.sock only";
        review.error(first, "the user of a peer is known on Unix sockets only").hint = Some(hint.to_owned());
    }
    if let Some(first) = client_names.first().filter(|_| !knows_clients) {
        let hint = "set tls.client_ca_file to the authority that signs certificates of clients";
        review.error(first, "the name of a client is known by its certificate only").hint =
            Some(hint.to_owned());
    }
    if let Some(tls) = section.tls.as_ref().filter(|_| has_unix) {
        review.error(&tls.certificate_file, "Unix sockets have no TLS; give them a listener of their own");
    }
    if let Some(key) = &section.peer_attribute {
        if key.value.is_empty() {
            review.error(key, "the name of a resource attribute is missing");
        } else if has_tcp && !knows_clients {
            let message = "peers are known on Unix sockets and by certificates of clients only";
            review.error(key, message).hint =
                Some("listen on a Unix socket, or set tls.client_ca_file".to_owned());
        }
    }
}

/// Beyond this host, only certificates keep strangers out.
fn warn_of_strangers(section: &ListenerSection, review: &mut Review) {
    let is_open = |address: &ListenAddress| matches!(address, ListenAddress::Tcp(address) if !address.ip().is_loopback());
    let knows_clients = section.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
    for value in [&section.grpc, &section.http].into_iter().flatten().filter(|_| !knows_clients) {
        if value.value.parse().is_ok_and(|address| is_open(&address)) {
            let message = "other hosts can send here, and nothing asks who they are";
            let problem = Problem::at(review.document(), yaml::range(value), message).as_warning();
            review.add(problem.with_hint("listen on 127.0.0.1, or set tls.client_ca_file"));
        }
    }
}

fn tls(section: &ServerTlsSection, base: &Base, review: &mut Review) -> ServerTls {
    let files = ServerTls {
        certificate_file: base.path(&section.certificate_file.value),
        key_file: base.path(&section.key_file.value),
        client_ca_file: section.client_ca_file.as_ref().map(|file| base.path(&file.value)),
    };
    if let Err(error) = files.check() {
        review.error(&section.certificate_file, with_causes(&error));
    }
    files
}

fn user(name: &Spanned<String>, users: &str, review: &mut Review) -> Option<u32> {
    let id = user_id(&name.value, users);
    if id.is_none() {
        review.error(name, format!("there is no user {:?} in {USERS}", name.value)).hint =
            Some("make it first, or name it by its number".to_owned());
    }
    id
}

fn rate(section: &ListenerLimitsSection, review: &mut Review) -> Option<NonZeroU64> {
    let value = section.bytes_per_second.as_ref()?;
    let rate = NonZeroU64::new(value.value);
    if rate.is_none() {
        review.error(value, "nothing would be taken; leave bytes_per_second out to take everything");
    }
    rate
}

/// Permissions as `chmod` reads them.
fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| format!("{text:?} are no permissions; try \"0660\""))
}

#[cfg(test)]
mod tests;
