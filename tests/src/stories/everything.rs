//! What a machine with a kernel of its own says of itself: cgroup v2 with all controllers, disks and a clock.

use anyhow::ensure;

use crate::machine::Release::{Debian12, Debian13};
use crate::machine::{emulated_story, package};
use crate::program::assert_follows_conventions;

/// Whatever of these has a source in such a machine, among many others.
const THERE: [&str; 12] = [
    "system.cpu.time",
    "system.cpu.linux.pressure.total",
    "system.memory.linux.workingset.refaults",
    "system.disk.io_time",
    "system.filesystem.inodes.usage",
    "system.network.tcp.retransmits",
    "system.network.connection.count",
    "system.unix.file_descriptor.count",
    "system.clock.linux.synchronized",
    "systemd.unit.cpu.time",
    "systemd.unit.memory.usage",
    "process.cpu.time",
];

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_machine_under_load_is_told_by_the_conventions() {
    emulated_story(&[Debian12, Debian13], |host| {
        host.install(package())?;
        // Processors, memory and the disk are busy while it looks; load ends by itself.
        host.sh(
            "load=
             for busy in 1 2 3; do timeout 60 sh -c 'while :; do :; done' & load=\"$load $!\"; done
             timeout 60 sh -c 'while :; do dd if=/dev/zero of=/var/tmp/load bs=64k count=64 conv=fsync; done' 2> /dev/null &
             load=\"$load $!\"
             hostmend collect --once --format otlp-json > /var/tmp/dump
             kill $load",
        )?;
        let text = host.read("/var/tmp/dump")?;
        let dump = tempfile::NamedTempFile::new()?;
        std::fs::write(dump.path(), &text)?;
        assert_follows_conventions(dump.path());
        let missing: Vec<_> =
            THERE.iter().filter(|name| !text.contains(&format!("\"name\":\"{name}\""))).collect();
        ensure!(missing.is_empty(), "missing: {missing:?}");
        Ok(())
    });
}
