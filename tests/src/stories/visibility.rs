//! Hardening must not blind: what the unit takes away from the agent, no series may miss.

use std::collections::BTreeSet;

use anyhow::ensure;

use crate::machine::Release::{Debian12, Debian13};
use crate::machine::{Machine, Seconds, package, story, within};

/// Series of what `ProtectClock=yes` forbids to ask, which the unit says and the start reports.
const NOT_ASKED: [&str; 2] = ["system.clock.linux.", "hostmend.collector.name=clock"];

/// The series that arrive over some collections, once what was started by hand has ended and had its last points.
fn reported(host: &Machine) -> anyhow::Result<BTreeSet<String>> {
    let before = host.sink.received().collections;
    host.expect_collections(before + 4, within(20.s()))?;
    host.sink.forget_series();
    host.expect_collections(before + 10, within(20.s()))?;
    let mut series = host.sink.received().series;
    series.retain(|series| !NOT_ASKED.iter().any(|clock| series.contains(clock)));
    Ok(series)
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn the_hardened_unit_reports_what_an_unhardened_run_reports() {
    story(&[Debian12, Debian13], |host| {
        host.sh("mkdir /home/app /srv/data; mount -t tmpfs -o size=8m app /home/app; mount -t tmpfs -o ro data /srv/data")?;
        host.start("nginx")?;
        host.install(package())?;
        host.configure("everything")?;
        let hardened = reported(host)?;
        host.does(&["systemctl", "stop", "hostmend"])?;
        host.sh(
            "systemd-run --quiet --unit=hostmend-unhardened --uid=hostmend --setenv=STATE_DIRECTORY=/var/lib/hostmend \
                 hostmend run --config /etc/hostmend/hostmend.yaml",
        )?;
        let unhardened = reported(host)?;
        host.does(&["systemctl", "stop", "hostmend-unhardened"])?;
        host.start("hostmend")?;
        let only = |one: &BTreeSet<String>, other| one.difference(other).cloned().collect::<Vec<_>>();
        let (missing, extra) = (only(&unhardened, &hardened), only(&hardened, &unhardened));
        ensure!(
            hardened.iter().any(|series| series.contains("/home/app")),
            "mounts below /home are not seen at all"
        );
        ensure!(missing.is_empty() && extra.is_empty(), "missing: {missing:#?}\nextra: {extra:#?}");
        Ok(())
    });
}
