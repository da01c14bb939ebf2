//! Which of the kernel's messages are events: a table of their texts.
//!
//! The kernel has no names for what it says, and changes its words between versions; each row is a text as some version
//! has it. In it, `{name}` is a text that becomes the attribute `name`, `{name#}` a decimal number, and `{}` any text. What
//! follows the end of a row is not looked at. The first row that fits counts.

use telemetry::{LogScalar, LogWriter};

/// A message of the kernel that is an event.
#[derive(Clone, Copy, Debug)]
pub struct KernelEvent {
    /// The name of the event.
    pub name: &'static str,
    /// The text, as above.
    pub text: &'static str,
}

const fn row(name: &'static str, text: &'static str) -> KernelEvent {
    KernelEvent { name, text }
}

/// The messages that are events.
pub static KERNEL_EVENTS: &[KernelEvent] = &[
    // mm/oom_kill.c: with the reason before it since 4.20, alone before, with the user in some distributions.
    row(
        "kernel.oom_kill",
        "{kernel.oom.reason}: Killed process {process.pid#} ({process.command}) total-vm:{kernel.oom.total_vm_kb#}kB, anon-rss:{kernel.oom.anon_rss_kb#}kB",
    ),
    row(
        "kernel.oom_kill",
        "Killed process {process.pid#} ({process.command}) total-vm:{kernel.oom.total_vm_kb#}kB, anon-rss:{kernel.oom.anon_rss_kb#}kB",
    ),
    row(
        "kernel.oom_kill",
        "Killed process {process.pid#}, UID {process.owner.id#}, ({process.command}) total-vm:{kernel.oom.total_vm_kb#}kB, anon-rss:{kernel.oom.anon_rss_kb#}kB",
    ),
    row("kernel.oom_kill", "{kernel.oom.reason}: Killed process {process.pid#} ({process.command})"),
    row("kernel.panic", "Kernel panic - not syncing: {kernel.reason}"),
    row("kernel.bug", "kernel BUG at {code.file.path}:{code.line.number#}!"),
    row(
        "kernel.soft_lockup",
        "watchdog: BUG: soft lockup - CPU#{cpu.logical_number#} stuck for {kernel.blocked_seconds#}s! [{process.command}:{process.pid#}]",
    ),
    row(
        "kernel.soft_lockup",
        "{}BUG: soft lockup - CPU#{cpu.logical_number#} stuck for {kernel.blocked_seconds#}s! [{process.command}:{process.pid#}]",
    ),
    row("kernel.hard_lockup", "{}Watchdog detected hard LOCKUP on cpu {cpu.logical_number#}"),
    row("kernel.bug", "BUG: {kernel.reason}"),
    row("kernel.bug", "general protection fault{kernel.reason}: "),
    row("kernel.bug", "Oops: {kernel.reason}"),
    row("kernel.bug", "Internal error: {kernel.reason}"),
    row("kernel.bug", "Unable to handle kernel {kernel.reason}"),
    row(
        "kernel.warning",
        "WARNING: CPU: {cpu.logical_number#} PID: {process.pid#} at {code.file.path}:{code.line.number#} {code.function.name}+",
    ),
    row("kernel.rcu_stall", "rcu: INFO: {kernel.rcu.flavor} self-detected stall"),
    row("kernel.rcu_stall", "rcu: INFO: {kernel.rcu.flavor} detected stall"),
    row("kernel.rcu_stall", "rcu: INFO: {kernel.rcu.flavor} detected expedited stall"),
    row("kernel.rcu_stall", "INFO: {kernel.rcu.flavor} self-detected stall"),
    row("kernel.rcu_stall", "INFO: {kernel.rcu.flavor} detected stall"),
    row(
        "kernel.hung_task",
        "INFO: task {process.command}:{process.pid#} blocked for more than {kernel.blocked_seconds#} seconds",
    ),
    row(
        "kernel.hung_task",
        "INFO: task {process.command}:{process.pid#} blocked in I/O wait for more than {kernel.blocked_seconds#} seconds",
    ),
    row(
        "kernel.segfault",
        "{process.command}[{process.pid#}]: segfault at {kernel.fault.address} ip {kernel.fault.ip} sp {kernel.fault.sp} error {kernel.fault.error#} in {code.file.path}[",
    ),
    row(
        "kernel.segfault",
        "{process.command}[{process.pid#}]: segfault at {kernel.fault.address} ip {kernel.fault.ip} sp {kernel.fault.sp} error {kernel.fault.error#}",
    ),
    row(
        "kernel.trap",
        "traps: {process.command}[{process.pid#}] {kernel.reason} ip:{kernel.fault.ip} sp:{kernel.fault.sp} error:{kernel.fault.error#}",
    ),
    row(
        "kernel.page_allocation_failure",
        "{process.command}: page allocation failure: order:{kernel.order#}",
    ),
    // block/blk-core.c: without a prefix since 5.16, with three others before.
    row(
        "kernel.io_error",
        "I/O error, dev {system.device}, sector {kernel.io.sector#} op {}:({kernel.io.operation})",
    ),
    row(
        "kernel.io_error",
        "{}: I/O error, dev {system.device}, sector {kernel.io.sector#} op {}:({kernel.io.operation})",
    ),
    row("kernel.io_error", "I/O error, dev {system.device}, sector {kernel.io.sector#}"),
    row("kernel.io_error", "{}: I/O error, dev {system.device}, sector {kernel.io.sector#}"),
    row(
        "kernel.io_error",
        "{}critical {kernel.reason} error, dev {system.device}, sector {kernel.io.sector#}",
    ),
    row("kernel.io_error", "Buffer I/O error on dev {system.device}, logical block {kernel.io.block#},"),
    row("kernel.io_error", "Buffer I/O error on device {system.device}, logical block {kernel.io.block#}"),
    row("kernel.device_error", "nvme {system.device}: I/O {} timeout, {kernel.reason}"),
    row("kernel.device_error", "nvme {system.device}: controller is down; {kernel.reason}"),
    row("kernel.device_error", "nvme {system.device}: Device not ready; {kernel.reason}"),
    row("kernel.device_error", "ata{kernel.ata.port}: failed command: {kernel.reason}"),
    row("kernel.device_error", "ata{kernel.ata.port}: exception Emask {kernel.reason}"),
    row("kernel.device_error", "sd {}: [{system.device}] {}FAILED Result: {kernel.reason}"),
    row(
        "kernel.raid_failure",
        "md/{kernel.raid.level}:{system.device}: Disk failure on {kernel.raid.member}, disabling device",
    ),
    row(
        "kernel.filesystem_error",
        "{system.filesystem.type}-fs error (device {system.device}): {kernel.reason}",
    ),
    row(
        "kernel.filesystem_readonly",
        "{system.filesystem.type}-fs ({system.device}): Remounting filesystem read-only",
    ),
    row("kernel.filesystem_error", "XFS ({system.device}): Metadata {kernel.reason}"),
    row("kernel.filesystem_error", "XFS ({system.device}): Corruption {kernel.reason}"),
    row("kernel.filesystem_error", "XFS ({system.device}): log I/O error {kernel.reason}"),
    row("kernel.filesystem_error", "XFS ({system.device}): metadata I/O error {kernel.reason}"),
    row("kernel.filesystem_readonly", "XFS ({system.device}): Filesystem has been shut down"),
    row("kernel.filesystem_readonly", "BTRFS info (device {system.device}): forced readonly"),
    row("kernel.filesystem_readonly", "BTRFS info (device {system.device}{}): forced readonly"),
    row("kernel.filesystem_error", "BTRFS error (device {system.device}): {kernel.reason}"),
    row("kernel.filesystem_error", "BTRFS critical (device {system.device}): {kernel.reason}"),
    row("kernel.filesystem_error", "BTRFS: error (device {system.device}) in {kernel.reason}"),
    row("kernel.filesystem_error", "JBD2: Detected IO errors while flushing file data on {system.device}"),
    row("kernel.filesystem_error", "Aborting journal on device {system.device}."),
    row("kernel.machine_check", "mce: [Hardware Error]: {kernel.reason}"),
    row("kernel.machine_check", "{}[Hardware Error]: Hardware error from {kernel.reason}"),
    row(
        "kernel.memory_error",
        "EDAC {kernel.edac.controller}: {kernel.edac.errors#} {kernel.edac.type} {kernel.reason}",
    ),
    row(
        "kernel.thermal_throttle",
        "{}CPU{cpu.logical_number#}: {} temperature above threshold, cpu clock throttled",
    ),
    row(
        "kernel.thermal_throttle",
        "{}CPU{cpu.logical_number#}: {} temperature/speed above threshold, cpu clock throttled",
    ),
    row(
        "kernel.network_timeout",
        "NETDEV WATCHDOG: {network.interface.name} ({kernel.driver}): transmit queue {kernel.queue#} timed out",
    ),
    row(
        "kernel.network_timeout",
        "NETDEV WATCHDOG: CPU: {cpu.logical_number#}: transmit queue {kernel.queue#} timed out",
    ),
    row("kernel.conntrack_full", "nf_conntrack: nf_conntrack: table full, dropping packet"),
    row("kernel.conntrack_full", "nf_conntrack: table full, dropping packet"),
    row("kernel.syn_flooding", "TCP: {}: Possible SYN flooding on port {kernel.port}. "),
    row("kernel.fork_rejected", "cgroup: fork rejected by pids controller in {process.linux.cgroup}"),
    row("kernel.file_limit", "VFS: file-max limit {kernel.limit#} reached"),
];

/// The line before the one that tells of a kill, since 4.20: whose limit it was and in which cgroup the process is.
const OOM_SUMMARY: &str =
    "oom-kill:constraint={constraint},{},task_memcg={cgroup},task={command},pid={pid#},uid=";

/// What a `{name}` has matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Text(&'a str),
    Number(i64),
}

/// The event that a message is, and what it says.
pub(super) fn find(message: &str) -> Option<(&'static KernelEvent, Vec<(&'static str, Found<'_>)>)> {
    KERNEL_EVENTS.iter().find_map(|event| Some((event, matched(event.text, message)?)))
}

/// What the names in `pattern` match in `message`.
fn matched<'a>(pattern: &'static str, message: &'a str) -> Option<Vec<(&'static str, Found<'a>)>> {
    let mut found = Vec::new();
    fits(pattern, message, &mut found).then_some(found)
}

/// A name goes as far as what follows it in the pattern asks for; where that fits later only, further.
fn fits<'a>(pattern: &'static str, message: &'a str, found: &mut Vec<(&'static str, Found<'a>)>) -> bool {
    let Some((literal, rest)) = pattern.split_once('{') else { return message.starts_with(pattern) };
    let Some(message) = message.strip_prefix(literal) else { return false };
    let Some((name, rest)) = rest.split_once('}') else { return false };
    let before = found.len();
    if let Some(name) = name.strip_suffix('#') {
        let end = message.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(message.len());
        let Some((Ok(number), after)) = message.split_at_checked(end).map(|(it, after)| (it.parse(), after))
        else {
            return false;
        };
        found.push((name, Found::Number(number)));
        return fits(rest, after, found) || forget(found, before);
    }
    if rest.is_empty() {
        found.push((name, Found::Text(message)));
        return true;
    }
    let next = rest.split('{').next().unwrap_or_default();
    for (at, _) in message.match_indices(next) {
        let Some((value, after)) = message.split_at_checked(at) else { continue };
        if !name.is_empty() {
            found.push((name, Found::Text(value)));
        }
        if fits(rest, after, found) {
            return true;
        }
        forget(found, before);
    }
    false
}

fn forget<T>(found: &mut Vec<T>, count: usize) -> bool {
    found.truncate(count);
    false
}

/// What is remembered of the line before a kill.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OomSummary {
    pid: i64,
    constraint: String,
    cgroup: String,
}

impl OomSummary {
    fn parse(message: &str) -> Option<Self> {
        let mut summary = Self::default();
        for (name, value) in matched(OOM_SUMMARY, message)? {
            match (name, value) {
                ("pid", Found::Number(pid)) => summary.pid = pid,
                ("constraint", Found::Text(text)) => text.clone_into(&mut summary.constraint),
                ("cgroup", Found::Text(text)) => text.clone_into(&mut summary.cgroup),
                _ => {}
            }
        }
        Some(summary)
    }
}

/// Makes the record an event, if its message is one. What the line before a kill says is kept in `oom`.
pub(crate) fn tell(message: &str, oom: &mut Option<OomSummary>, record: &mut LogWriter<'_>) {
    *oom = OomSummary::parse(message).or(oom.take());
    describe(message, oom.as_ref(), record);
}

fn describe(message: &str, oom: Option<&OomSummary>, record: &mut LogWriter<'_>) {
    let Some((event, found)) = find(message) else { return };
    record.set_event_name(event.name);
    for (name, value) in &found {
        let value = match value {
            Found::Text(text) => LogScalar::Text(text.as_bytes()),
            Found::Number(number) => LogScalar::Int(*number),
        };
        record.attribute(name.as_bytes(), value);
    }
    let pid = found.iter().find(|(name, _)| *name == "process.pid").map(|(_, pid)| *pid);
    let oom = oom.filter(|oom| event.name == "kernel.oom_kill" && pid == Some(Found::Number(oom.pid)));
    if let Some(oom) = oom {
        record.attribute(b"kernel.oom.constraint", LogScalar::Text(oom.constraint.as_bytes()));
        record.attribute(b"process.linux.cgroup", LogScalar::Text(oom.cgroup.as_bytes()));
    }
}

#[cfg(test)]
mod tests;
