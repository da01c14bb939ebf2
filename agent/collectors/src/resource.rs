//! Who is speaking: the attributes of the agent's resource, which is the host and the agent on it.
//!
//! What cannot be found out is left out; an empty text is never sent.

use uuid::Uuid;

use crate::host::{HostFile, HostRoot};

/// The namespace that the semantic conventions give for `service.instance.id` made from stable data.
const INSTANCE_NAMESPACE: Uuid = Uuid::from_u128(0x4d63_009a_8d0f_11ee_aad7_4c79_6ed8_e320);

/// The resource attributes of the agent on this host, by name. Those that are lists by the conventions (`host.ip`,
/// `host.mac`) are not among them.
pub fn host_resource(host: &HostRoot, service_version: &str) -> Vec<(&'static str, String)> {
    let machine_id = line(host, "etc/machine-id").or_else(|| line(host, "var/lib/dbus/machine-id"));
    let name = line(host, "proc/sys/kernel/hostname");
    let release = os_release(host);
    let instance = machine_id
        .as_ref()
        .or(name.as_ref())
        .map(|stable| Uuid::new_v5(&INSTANCE_NAMESPACE, stable.as_bytes()).hyphenated().to_string());
    let of_release = |key: &str| release.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    let build = of_release("BUILD_ID").or_else(|| line(host, "proc/sys/kernel/osrelease"));
    [
        ("host.id", machine_id),
        ("host.name", name),
        ("host.arch", machine(host).map(|machine| architecture(&machine).to_owned())),
        ("os.type", Some("linux".to_owned())),
        ("os.name", of_release("NAME")),
        ("os.description", of_release("PRETTY_NAME")),
        ("os.version", of_release("VERSION_ID")),
        ("os.build_id", build),
        ("service.name", Some("hostmend".to_owned())),
        ("service.version", Some(service_version.to_owned())),
        ("service.instance.id", instance),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value.filter(|value| !value.is_empty())?)))
    .collect()
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

/// os-release(5): the file in `/etc` stands before that in `/usr/lib`.
fn os_release(host: &HostRoot) -> Vec<(String, String)> {
    ["etc/os-release", "usr/lib/os-release"]
        .into_iter()
        .find_map(|path| host.read(path).ok())
        .map(|file| parse_os_release(&file))
        .unwrap_or_default()
}

/// Parses lines `KEY=value`, the value quoted as a shell would.
pub(crate) fn parse_os_release(file: &HostFile<'_>) -> Vec<(String, String)> {
    file.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.trim().split_once('='))
        .map(|(key, value)| (key.to_owned(), unquote(value)))
        .collect()
}

fn unquote(value: &str) -> String {
    let inside = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(literal) = inside('\'') {
        return literal.to_owned();
    }
    let mut escaped = false;
    let mut plain = String::with_capacity(value.len());
    for character in inside('"').unwrap_or(value).chars() {
        escaped = !escaped && character == '\\';
        if !escaped {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captured_host_says_who_it_is() {
        let attributes = host_resource(&HostRoot::fixture("firecracker-6.18"), "1.2.3");
        let text: Vec<String> = attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected = [
            "host.id=9c1f6b0a52de4c0d8b7e3a1f60c2d495",
            "host.name=firecracker-6.18",
            "host.arch=amd64",
            "os.type=linux",
            "os.name=Debian GNU/Linux",
            "os.description=Debian GNU/Linux 12 (bookworm)",
            "os.version=12",
            "os.build_id=6.18.44-fc-v669",
            "service.name=hostmend",
            "service.version=1.2.3",
        ];
        assert_eq!(text.get(..expected.len()).unwrap(), expected);
        assert!(text.last().unwrap().starts_with("service.instance.id="));
    }

    #[test]
    fn without_a_machine_id_the_host_name_makes_the_instance() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/sys/kernel")).unwrap();
        std::fs::create_dir_all(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/machine-id"), "\n").unwrap();
        std::fs::write(dir.path().join("proc/sys/kernel/hostname"), "web-01\n").unwrap();
        let attributes = host_resource(&HostRoot::at(dir.path()), "1");
        assert!(!attributes.iter().any(|(key, _)| *key == "host.id"));
        let instance = Uuid::new_v5(&INSTANCE_NAMESPACE, b"web-01").to_string();
        assert_eq!(attributes.last(), Some(&("service.instance.id", instance)));
    }

    #[test]
    fn architectures_have_the_names_of_the_conventions() {
        for (machine, name) in [
            ("x86_64", "amd64"),
            ("aarch64", "arm64"),
            ("i686", "x86"),
            ("armv7l", "arm32"),
            ("ppc64le", "ppc64"),
            ("s390x", "s390x"),
            ("riscv64", "riscv64"),
        ] {
            assert_eq!(architecture(machine), name);
        }
    }

    #[test]
    fn quotes_and_escapes_are_those_of_a_shell() {
        for (written, meant) in [
            ("debian", "debian"),
            ("\"Debian 12\"", "Debian 12"),
            ("'a b'", "a b"),
            (r#""a \"b\" \\ \$c""#, r#"a "b" \ $c"#),
            ("\"", "\""),
            ("", ""),
        ] {
            assert_eq!(unquote(written), meant, "{written}");
        }
    }
}
