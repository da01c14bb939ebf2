//! What no policy can allow.
//!
//! A host without these cannot be reached or repaired. The lists err on the side of refusing: a process counts as
//! protected by the name of its file or by the name it gives itself.

use std::path::Path;

use crate::UnitName;
use crate::process::Process;

/// Programs that are never stopped, by file name.
const PROGRAMS: &[&str] = &[
    "NetworkManager",
    "agetty",
    "connmand",
    "dbus-broker",
    "dbus-broker-launch",
    "dbus-daemon",
    "dhclient",
    "dhcpcd",
    "dropbear",
    "elogind",
    "init",
    "iwd",
    "login",
    "netplan",
    "openrc-init",
    "polkitd",
    "runit",
    "runsvdir",
    "s6-svscan",
    "systemd",
    "udevd",
    "wpa_supplicant",
];

/// The same, by the beginning of the name: `sshd-session`, `systemd-journald`.
const PROGRAM_PREFIXES: &[&str] = &["sshd", "systemd-", "(sd-"];

/// Services that are never restarted, beside those that are called like a protected program: without them nobody can
/// log in, or the host loses its network, its disks or its bus. A restart of the display ends everybody's work.
const UNITS: &[&str] = &[
    "auditd",
    "connman",
    "dbus",
    "display-manager",
    "dm-event",
    "emergency",
    "firewalld",
    "gdm",
    "gdm3",
    "ifupdown-pre",
    "iptables",
    "iscsid",
    "lightdm",
    "multipathd",
    "netfilter-persistent",
    "network",
    "networking",
    "nftables",
    "open-iscsi",
    "polkit",
    "rescue",
    "sddm",
    "ssh",
    "udev",
    "wicked",
];

/// The same, by the beginning of the name.
const UNIT_PREFIXES: &[&str] = &[
    "NetworkManager",
    "autovt@",
    "console-getty",
    "container-getty",
    "cryptsetup",
    "dbus-",
    "dhclient",
    "dhcpcd",
    "dracut-",
    "getty",
    "hostmend",
    "ifup@",
    "initrd-",
    "lvm2-",
    "netplan-",
    "openvswitch",
    "ovs",
    "serial-getty",
    "ssh@",
    "user-runtime-dir@",
    "user@",
    "wpa_supplicant",
];

/// Directories below which nothing is deleted.
const TREES: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/run/systemd",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/dpkg",
    "/var/lib/hostmend",
    "/var/lib/hostmend-executor",
    "/var/lib/rpm",
];

/// Directories that are too wide to be swept as a whole; one below them may be.
const TOO_WIDE: &[&str] =
    &["/", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/var", "/var/lib"];

/// Whether a program of this name is never stopped.
pub(crate) fn program(name: &str) -> bool {
    PROGRAMS.contains(&name) || PROGRAM_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Why this service is never restarted, if so.
pub(crate) fn unit(name: &UnitName) -> Option<String> {
    let stem = name.stem();
    let template = stem.split('@').next().unwrap_or(stem);
    let needed = program(template)
        || UNITS.contains(&template)
        || UNIT_PREFIXES.iter().any(|prefix| stem.starts_with(prefix));
    needed.then(|| format!("{name} is never restarted: the host cannot be reached or repaired without it"))
}

/// Why this process is never signalled or stopped, if so.
pub(crate) fn process(process: &Process) -> Option<String> {
    let why = if process.pid == 1 {
        "it is PID 1"
    } else if process.is_kernel_thread() {
        "it is a kernel thread"
    } else if is_ours(process.pid) {
        "it is hostmend or what started it"
    } else if program(&process.stat.comm) || process.executable_name().is_some_and(|name| program(&name)) {
        "the host cannot be repaired without it"
    } else {
        return None;
    };
    Some(format!("process {} ({}) is never touched: {why}", process.pid, process.stat.comm))
}

/// This process and its parent, without which nobody would wait for it.
fn is_ours(pid: u32) -> bool {
    pid == std::process::id() || pid == std::os::unix::process::parent_id()
}

/// Why nothing is deleted below this directory, if so. The path must be absolute and plain: see [`is_plain_path`].
pub(crate) fn directory(path: &Path) -> Option<String> {
    if let Some(tree) = TREES.iter().find(|tree| path.starts_with(tree)) {
        return Some(format!("nothing is ever deleted below {tree}"));
    }
    let wide = TOO_WIDE.iter().any(|wide| path == Path::new(wide));
    wide.then(|| format!("{} is too wide; name a directory below it", path.display()))
}

/// Whether a path is absolute and has no `.` or `..` in it, so that what it begins with is what it lies below; and no
/// control character, so that it is what it looks like.
pub fn is_plain_path(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    let dots = bytes.split(|byte| *byte == b'/').any(|part| part == b"." || part == b"..");
    path.is_absolute() && !dots && !bytes.iter().any(u8::is_ascii_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_needs_is_protected_by_name() {
        for name in ["sshd", "sshd-session", "systemd", "systemd-journald", "dbus-daemon", "init"] {
            assert!(program(name), "{name}");
        }
        for name in ["nginx", "web", "initdb", "loginctl"] {
            assert!(!program(name), "{name}");
        }
    }

    #[test]
    fn services_that_the_host_needs_are_protected_by_name() {
        for name in [
            "ssh",
            "sshd",
            "ssh@1",
            "sshd@7-10.0.0.1:22",
            "systemd-networkd",
            "systemd-journald",
            "systemd-logind",
            "dbus",
            "dbus-broker",
            "dbus-org.freedesktop.login1",
            "NetworkManager",
            "NetworkManager-wait-online",
            "networking",
            "getty@tty1",
            "serial-getty@ttyS0",
            "user@1000",
            "hostmend",
            "hostmend-executor",
            "init",
            "polkit",
            "wpa_supplicant@wlan0",
        ] {
            let name = format!("{name}.service").parse().unwrap();
            assert!(unit(&name).unwrap().contains("is never restarted"), "{name}");
        }
        for name in ["nginx", "networks-of-ours", "sshfs-home", "postgresql@15-main", "cron", "rsyslog"] {
            let name = format!("{name}.service").parse().unwrap();
            assert_eq!(unit(&name), None, "{name}");
        }
    }

    #[test]
    fn this_program_its_parent_and_pid_1_are_protected() {
        for pid in [1, std::process::id(), std::os::unix::process::parent_id()] {
            let opened = Process::open(pid).unwrap().unwrap();
            assert!(process(&opened).unwrap().contains("is never touched"), "{pid}");
        }
    }

    #[test]
    fn fatal_directories_are_protected() {
        for path in ["/", "/etc", "/etc/cron.d", "/usr/share/x", "/var", "/home", "/var/lib/dpkg/info"] {
            assert!(directory(Path::new(path)).is_some(), "{path}");
        }
        for path in ["/var/spool/web", "/tmp", "/var/log", "/home/web/cache", "/usrlocal"] {
            assert_eq!(directory(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn a_path_with_dots_or_control_characters_is_not_plain() {
        for path in ["/a/../b", "/a/./b", "a", "/a/..", "/a\0b", "/a\nb", ""] {
            assert!(!is_plain_path(Path::new(path)), "{path:?}");
        }
        assert!(is_plain_path(Path::new("/var/spool/web")));
        assert!(is_plain_path(Path::new("/var/spool/web/")));
    }
}
