//! Who is speaking: the attributes of the host's resource, as files tell them; nobody is asked over a network.
//!
//! What cannot be found out is left out; an empty text is never sent. What would surprise: what only root may read (the
//! serial numbers and the UUID of the board) is never read, whoever asks, as the conventions want it.

mod addresses;
mod cloud;
mod container;
mod os;
mod processor;

use telemetry::AttributeValue;
use uuid::Uuid;

use crate::host::HostRoot;

/// The namespace that the semantic conventions give for `service.instance.id` made from stable data.
const INSTANCE_NAMESPACE: Uuid = Uuid::from_u128(0x4d63_009a_8d0f_11ee_aad7_4c79_6ed8_e320);

/// What can be found out about a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detector {
    /// `host.id`, `host.name`, `host.arch`, and from a cloud `host.type`, `host.image.id`.
    Host,
    /// `os.*`.
    Os,
    /// `cloud.*`.
    Cloud,
    /// `host.cpu.*`.
    Cpu,
    /// `host.ip`, `host.mac`.
    Addresses,
}

/// The resource attributes of the host that `wanted` finds out, by name.
pub fn host_resource(host: &HostRoot, wanted: &[Detector]) -> Vec<(&'static str, AttributeValue)> {
    let has = |detector| wanted.contains(&detector);
    let cloud = if has(Detector::Host) || has(Detector::Cloud) { cloud::detect(host) } else { None };
    let mut found: Vec<(&'static str, Option<AttributeValue>)> = Vec::new();
    if has(Detector::Host) {
        let id = cloud.as_ref().and_then(|cloud| cloud.instance_id.clone()).or_else(|| machine_id(host));
        found.push(("host.id", id.map(Into::into)));
        found.push(("host.name", line(host, "proc/sys/kernel/hostname").map(Into::into)));
        found.push(("host.arch", machine(host).map(|machine| architecture(&machine).into())));
        found.extend(cloud.iter().flat_map(cloud::Facts::of_the_host));
    }
    if has(Detector::Os) {
        found.extend(os::attributes(host));
    }
    if has(Detector::Cloud) {
        found.extend(cloud.iter().flat_map(cloud::Facts::of_the_cloud));
    }
    if has(Detector::Cpu) {
        found.extend(processor::attributes(host));
    }
    if has(Detector::Addresses) {
        found.extend(addresses::attributes(host));
    }
    let found = found.into_iter().filter_map(|(key, value)| Some((key, value?)));
    found.filter(|(_, value)| !value.is_empty()).collect()
}

/// `container.id` of the container that this process runs in, if it does and can tell.
pub fn own_container(host: &HostRoot) -> Option<String> {
    container::surroundings(host).id
}

/// A `service.instance.id` that is the same for everyone who has the same stable data.
pub fn instance_id_from(stable: &str) -> String {
    Uuid::new_v5(&INSTANCE_NAMESPACE, stable.as_bytes()).hyphenated().to_string()
}

/// A `service.instance.id` that nobody else has.
pub fn new_instance_id() -> String {
    Uuid::new_v4().hyphenated().to_string()
}

/// The host's machine-id. The one of a container's own image is not the host's.
fn machine_id(host: &HostRoot) -> Option<String> {
    if host.is_own_root() && container::surroundings(host).is_container {
        return None;
    }
    line(host, "etc/machine-id").or_else(|| line(host, "var/lib/dbus/machine-id"))
}

/// The first line of a file, unless it is missing or empty.
fn line(host: &HostRoot, path: &str) -> Option<String> {
    let file = host.read(path).ok()?;
    let line = file.text().lines().next()?.trim();
    if line.is_empty() { None } else { Some(line.to_owned()) }
}

/// What `uname -m` says. A file says the same since Linux 6.1, and works for a captured host.
fn machine(host: &HostRoot) -> Option<String> {
    let asked =
        || (!host.is_captured()).then(|| rustix::system::uname().machine().to_string_lossy().into_owned());
    line(host, "proc/sys/kernel/arch").or_else(asked)
}

/// The name of an architecture by the conventions; one that they do not list keeps its own.
fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i486" | "i586" | "i686" => "x86",
        "ppc64le" => "ppc64",
        "ppc" => "ppc32",
        arm if arm.starts_with("armv") => "arm32",
        other => other,
    }
}

/// For the test that no bytes make a parser panic.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn parse_as_everything(file: &crate::host::HostFile<'_>) {
    let text = file.text();
    let _ = os::parse_os_release(file);
    let _ = container::of_mounts(text);
    let _ = processor::parse_cpuinfo(text);
    let _ = processor::parse_size(text);
    let _ = addresses::parse_fib_trie(text);
    let _ = addresses::parse_if_inet6(text);
    let _ = addresses::card(text);
    let _ = cloud::from_data(&serde_json::from_str(text).unwrap_or_default());
}

#[cfg(test)]
mod tests;
