//! Whose a cgroup is, told from its path alone.
//!
//! systemd lays the cgroup of a unit below those of its slices, a user's units below `user@UID.service`, and container
//! runtimes have a few layouts of their own. What would surprise: a container may run a systemd whose units are called
//! as those of the host, so what lies below a container is of no unit.

mod collector;
mod figures;
mod member;
mod mounts;
mod sources;
mod tree;

pub(crate) use collector::Cgroups;
pub(crate) use tree::Kind;

/// The hexadecimal digits of a container's number.
const ID_DIGITS: usize = 64;

/// The unit of the system whose cgroup this path is, or lies in; slices are none. What a user's own systemd runs is of
/// `user@UID.service`: users give their units what names they like, those of the system's among them.
///
/// `/system.slice/nginx.service/worker` is of `nginx.service`,
/// `/user.slice/user-1000.slice/user@1000.service/app.slice/emacs.service` of `user@1000.service`.
pub(crate) fn unit_of(path: &str) -> Option<&str> {
    for name in names(path).filter(|name| !is_slice(name)) {
        if is_unit(name) {
            return Some(name.strip_prefix('_').unwrap_or(name));
        }
        if container_named(name).is_some() {
            return None;
        }
    }
    None
}

/// The container whose cgroup this path is, or lies in; of containers within containers the innermost.
pub(crate) fn container_of(path: &str) -> Option<&str> {
    let mut parent = "";
    let mut found = None;
    for name in names(path) {
        found = container_at(parent, name).map(|container| container.id).or(found);
        parent = name;
    }
    found
}

/// The path of a process's cgroup, from the text of its `/proc/PID/cgroup`: in the hierarchy of version 2, else in the
/// one that systemd keeps by name on hosts of version 1.
pub(crate) fn path_of_process(text: &str) -> Option<&str> {
    let of = |controller: &str| {
        text.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            (controllers == controller).then(|| path.strip_suffix(" (deleted)").unwrap_or(path))
        })
    };
    match of("") {
        // A host may have mounted version 2 beside version 1 and use it for nothing.
        Some("/") => of("name=systemd").or(Some("/")),
        Some(path) => Some(path),
        None => of("name=systemd"),
    }
}

/// A container, as the name of its cgroup tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Container<'a> {
    pub(crate) id: &'a str,
    /// `container.runtime.name`, where the path says it.
    pub(crate) runtime: Option<&'static str>,
}

/// The container whose cgroup is called `name` and lies in the one called `parent`.
pub(crate) fn container_at<'a>(parent: &str, name: &'a str) -> Option<Container<'a>> {
    if parent == "lxc" && !is_id(name) {
        return Some(Container { id: name, runtime: Some("lxc") });
    }
    let mut container = container_named(name)?;
    if container.runtime.is_none() && parent == "docker" {
        container.runtime = Some("docker");
    }
    Some(container)
}

fn container_named(name: &str) -> Option<Container<'_>> {
    const RUNTIMES: [(&str, &str); 4] =
        [("docker-", "docker"), ("cri-containerd-", "containerd"), ("crio-", "cri-o"), ("libpod-", "podman")];
    if let Some(id) = name.strip_prefix("lxc.payload.") {
        return Some(Container { id, runtime: Some("lxc") });
    }
    let bare = name.strip_suffix(".scope").unwrap_or(name);
    for (prefix, runtime) in RUNTIMES {
        if let Some(id) = bare.strip_prefix(prefix).filter(|id| is_id(id)) {
            return Some(Container { id, runtime: Some(runtime) });
        }
    }
    // containerd told to use systemd's cgroups without being told so by its client: SLICE:cri-containerd:ID.
    let (before, id) = name.rsplit_once(':').unwrap_or(("", name));
    let runtime = before.ends_with("cri-containerd").then_some("containerd");
    is_id(id).then_some(Container { id, runtime })
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) fn is_slice(name: &str) -> bool {
    name.strip_suffix(".slice").is_some()
}

/// Whether this is the name of the cgroup of a service or a scope. systemd puts an underscore before one that would
/// otherwise be taken for a file of the kernel.
pub(crate) fn is_unit(name: &str) -> bool {
    name.strip_suffix(".service").or_else(|| name.strip_suffix(".scope")).is_some_and(|stem| !stem.is_empty())
}

/// Whether the cgroups of other units lie below this one's: those of a user's own systemd.
pub(crate) fn holds_units(name: &str) -> bool {
    name.starts_with("user@") && name.ends_with(".service")
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

/// Reads a text as each of a cgroup's files and those around them, whatever it says.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn parse_as_everything(file: &crate::host::HostFile<'_>) {
    let _ = mounts::parse(file);
    let _ = figures::partitions(file.text()).count();
    sources::parse_as_everything(file.text());
    for line in file.lines() {
        let _ = (unit_of(line), container_of(line));
    }
    let _ = path_of_process(file.text());
}

#[cfg(test)]
mod tests;
