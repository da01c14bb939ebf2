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
    "amazon-ssm-agent",
    "auditd",
    "connmand",
    "dbus-broker",
    "dbus-broker-launch",
    "dbus-daemon",
    "dhclient",
    "dhcpcd",
    "dmeventd",
    "dropbear",
    "elogind",
    "fgetty",
    "getty",
    "google_guest_agent",
    "init",
    "iscsid",
    "iwd",
    "login",
    "mdmon",
    "mingetty",
    "multipathd",
    "nbd-client",
    "netplan",
    "openrc-init",
    "openvpn",
    "ovs-vswitchd",
    "ovsdb-server",
    "polkitd",
    "pppd",
    "qemu-ga",
    "runit",
    "runsv",
    "runsvdir",
    "s6-supervise",
    "s6-svscan",
    "sulogin",
    "supervise-daemon",
    "systemd",
    "tailscaled",
    "udevd",
    "waagent",
    "wpa_supplicant",
];

/// The same, by the beginning of the name: `sshd-session`, `systemd-journald`.
const PROGRAM_PREFIXES: &[&str] = &["sshd", "systemd-", "(sd-"];

/// Services that are never touched, beside those that are called like a protected program: without them nobody can
/// log in, or the host loses its network, its disks or its bus. A restart of the display ends everybody's work; a VPN or the
/// agent of a cloud may be the only way in. What runs containers, cron and time are not among them: a host without them
/// can be reached and repaired.
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
    "google-guest-agent",
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
    "qemu-guest-agent",
    "rescue",
    "sddm",
    "ssh",
    "strongswan",
    "udev",
    "walinuxagent",
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
    "mdmon@",
    "netplan-",
    "openvpn-",
    "openvpn@",
    "openvswitch",
    "ovs",
    "serial-getty",
    "ssh@",
    "user-runtime-dir@",
    "user@",
    "wg-quick@",
    "wpa_supplicant",
];

/// Control groups that hold what the host needs, all of it or the most.
const CGROUPS: &[&str] = &["/", "/init.scope", "/system.slice", "/user.slice", "/machine.slice"];

/// Parameters of the kernel that are never set, by the beginning of their names: those that protect the host from its
/// users, those that cannot be set back, and those that say what becomes of it when it fails.
const SYSCTL_PREFIXES: &[&str] = &[
    "debug.",
    "dev.cdrom",
    "fs.binfmt_misc",
    "fs.mount-max",
    "fs.protected_",
    "fs.suid_dumpable",
    "fs.verity",
    "kernel.apparmor",
    "kernel.bpf",
    "kernel.cap_last_cap",
    "kernel.core_",
    "kernel.ctrl-alt-del",
    "kernel.dmesg_restrict",
    "kernel.firmware_config",
    "kernel.ftrace",
    "kernel.hardlockup_panic",
    "kernel.hung_task_panic",
    "kernel.io_uring_",
    "kernel.kexec",
    "kernel.keys",
    "kernel.kptr_restrict",
    "kernel.modprobe",
    "kernel.modules_disabled",
    "kernel.ns_last_pid",
    "kernel.oops_",
    "kernel.overflow",
    "kernel.panic",
    "kernel.perf_event_paranoid",
    "kernel.poweroff_cmd",
    "kernel.randomize_va_space",
    "kernel.seccomp",
    "kernel.softlockup_panic",
    "kernel.stack_tracer",
    "kernel.sysrq",
    "kernel.tainted",
    "kernel.traceoff",
    "kernel.unknown_nmi_panic",
    "kernel.unprivileged_",
    "kernel.usermodehelper",
    "kernel.warn_limit",
    "kernel.yama",
    "net.core.bpf_",
    "user.",
    "vm.memory_failure",
    "vm.mmap_min_addr",
    "vm.mmap_rnd_",
    "vm.panic_on_oom",
    "vm.unprivileged_userfaultfd",
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
    "/run/log/journal",
    "/run/systemd",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/dpkg",
    "/var/lib/hostmend",
    "/var/lib/hostmend-executor",
    "/var/lib/rpm",
    "/var/log/journal",
];

/// Directories that are too wide to be swept as a whole; one below them may be.
const TOO_WIDE: &[&str] =
    &["/", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/var", "/var/lib"];

/// Whether a program of this name is never stopped.
pub(crate) fn program(name: &str) -> bool {
    PROGRAMS.contains(&name) || PROGRAM_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Why this service is never touched, if so.
pub(crate) fn unit(name: &UnitName) -> Option<String> {
    unit_of_any_kind(name.as_str())
}

/// The same for what is no service too: a socket, a scope, a slice.
pub(crate) fn unit_of_any_kind(name: &str) -> Option<String> {
    let (stem, kind) = name.rsplit_once('.')?;
    let template = stem.split('@').next().unwrap_or(stem);
    let needed = match kind {
        "service" | "socket" => {
            program(template)
                || UNITS.contains(&template)
                || UNIT_PREFIXES.iter().any(|prefix| stem.starts_with(prefix))
        }
        "scope" => stem == "init" || stem.starts_with("session-"),
        "slice" => matches!(stem, "-" | "system" | "user" | "machine"),
        "mount" => matches!(stem, "-" | "usr" | "var" | "run"),
        _ => false,
    };
    needed.then(|| format!("{name} is never touched: the host cannot be reached or repaired without it"))
}

/// Why this control group is never touched, if so: by its own name, or that of one above it. It may still hold one that is
/// protected.
pub(crate) fn cgroup(path: &str) -> Option<String> {
    if !is_plain_path(Path::new(path)) || path.contains("//") || (path.len() > 1 && path.ends_with('/')) {
        let reason =
            format!("{path:?} is not the path of a control group; write it as in /system.slice/web.service");
        return Some(reason);
    }
    if CGROUPS.contains(&path) {
        return Some(format!("{path} is never touched: it holds what the host cannot live without"));
    }
    let is_slice = |name: &&str| name.rsplit_once('.').is_some_and(|(_, kind)| kind == "slice");
    path.split('/').skip(1).filter(|name| !is_slice(name)).find_map(unit_of_any_kind)
}

/// Why this parameter of the kernel is never set, if so.
pub(crate) fn sysctl(name: &str) -> Option<String> {
    let known = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let sound = name.contains('.') && name.split('.').all(|part| !part.is_empty() && part.chars().all(known));
    if !sound {
        let reason =
            format!("{name:?} is not the name of a kernel parameter; write it as in net.core.somaxconn");
        return Some(reason);
    }
    let prefix = SYSCTL_PREFIXES.iter().find(|prefix| name.starts_with(**prefix))?;
    let what = prefix.trim_end_matches(['.', '_', '-']);
    Some(format!("{name} is never set: what begins with {what} protects the host, or cannot be set back"))
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

/// The protected directory that a path is or lies below.
pub(crate) fn tree(path: &Path) -> Option<&'static str> {
    TREES.iter().find(|tree| path.starts_with(tree)).copied()
}

/// Why nothing is deleted below this directory, if so. The path must be absolute and plain: see [`is_plain_path`].
pub(crate) fn directory(path: &Path) -> Option<String> {
    if let Some(tree) = tree(path) {
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
        for name in [
            "sshd",
            "sshd-session",
            "systemd",
            "systemd-journald",
            "dbus-daemon",
            "init",
            "agetty",
            "getty",
            "mdmon",
            "tailscaled",
            "iscsid",
        ] {
            assert!(program(name), "{name}");
        }
        for name in ["nginx", "web", "initdb", "loginctl", "cron", "containerd", "containerd-shim-runc-v2"] {
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
            "wg-quick@wg0",
            "openvpn-server@office",
            "qemu-guest-agent",
            "mdmon@md127",
        ] {
            let name = format!("{name}.service").parse().unwrap();
            assert!(unit(&name).unwrap().contains("is never touched"), "{name}");
        }
        for name in ["nginx", "networks-of-ours", "sshfs-home", "postgresql@15-main", "cron", "rsyslog"] {
            let name = format!("{name}.service").parse().unwrap();
            assert_eq!(unit(&name), None, "{name}");
        }
    }

    #[test]
    fn control_groups_that_hold_the_host_are_protected() {
        for path in [
            "/",
            "/init.scope",
            "/system.slice",
            "/user.slice",
            "/system.slice/ssh.service",
            "/user.slice/user-1000.slice/session-3.scope",
            "/user.slice/user-1000.slice/user@1000.service/app.slice",
            "/system.slice/../init.scope",
            "/system.slice/",
            "//system.slice",
            "system.slice/web.service",
            "/system.slice/hostmend.service",
            "",
        ] {
            assert!(cgroup(path).is_some(), "{path}");
        }
        for path in
            ["/system.slice/web.service", "/batch.slice", "/user.slice/user-1000.slice", "/docker/0123"]
        {
            assert_eq!(cgroup(path), None, "{path}");
        }
    }

    #[test]
    fn parameters_that_protect_the_host_are_never_set() {
        for name in [
            "kernel.sysrq",
            "kernel.modules_disabled",
            "kernel.yama.ptrace_scope",
            "fs.protected_symlinks",
            "net..core",
            "vm",
            "../kernel.x",
            "net/core/somaxconn",
            "vm.swappiness\n",
        ] {
            assert!(sysctl(name).is_some(), "{name}");
        }
        for name in ["net.netfilter.nf_conntrack_max", "vm.swappiness", "fs.file-max", "kernel.pid_max"] {
            assert_eq!(sysctl(name), None, "{name}");
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
