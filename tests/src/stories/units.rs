//! What befalls a service, as its unit's series tell it: at the limits of its unit, and when it fails.

use anyhow::ensure;

use crate::machine::Release::{Debian12, Debian13};
use crate::machine::{Machine, Seconds, emulated_story, package, story, until, within};

/// Takes more memory and more of the CPU than it may, goes on without the process that was killed, and ends after a
/// while, each time.
const HUNGRY: &str = r#"
[Unit]
StartLimitIntervalSec=0

[Service]
ExecStart=/bin/sh -c 'perl -e "\\$x = q(y) x (80 << 20)"; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 30; exit 1'
MemoryMax=40M
MemorySwapMax=0
CPUQuota=20%
OOMPolicy=continue
Restart=always
RestartSec=1
"#;

/// The newest value of a series of the unit.
fn value(host: &Machine, series: &str) -> f64 {
    let (metric, attributes) = series.split_once(' ').unwrap_or((series, ""));
    let series = format!("{metric} systemd.unit.name=hungry.service {attributes}");
    host.sink.received().of_units.get(series.trim_end()).copied().unwrap_or_default()
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_unit_at_its_limits_shows_that_it_was_throttled_and_killed_and_how_often_it_was_restarted() {
    emulated_story(&[Debian13], |host| {
        host.install(package())?;
        host.configure("quick")?;
        host.write("/etc/systemd/system/hungry.service", HUNGRY)?;
        host.sh("systemctl daemon-reload; systemctl start hungry")?;
        until("a process was killed and the rest throttled", within(300.s()), || {
            let killed = "systemd.unit.memory.linux.events systemd.unit.memory.linux.event.type=oom_kill";
            Ok(value(host, killed) >= 1.0 && value(host, "systemd.unit.cpu.throttled_periods") >= 1.0)
        })?;
        let limit = value(host, "systemd.unit.memory.limit");
        ensure!(limit.to_string() == (40 << 20).to_string(), "the limit is told as {limit}");
        ensure!(value(host, "systemd.unit.cpu.throttled_time") > 0.0, "no time was lost");
        until("the service is active, says systemd", within(120.s()), || {
            Ok(value(host, "systemd.unit.state systemd.unit.state=active") >= 1.0)
        })?;
        until("systemd's restarts are counted", within(300.s()), || {
            Ok(value(host, "systemd.unit.restarts") >= 1.0)
        })?;
        host.does(&["systemctl", "stop", "hungry"]).map(drop)
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_unit_that_fails_is_judged_at_once_though_nothing_is_due() {
    story(&[Debian12, Debian13], |host| {
        host.write("/etc/systemd/system/frail.service", "[Service]\nExecStart=/bin/sleep 600\n")?;
        host.sh("systemctl daemon-reload; systemctl start frail")?;
        host.install(package())?;
        host.configure("units")?;
        let before = host.sink.received().collections;
        host.expect_collections(before + 3, within(40.s()))?;
        host.does(&["systemctl", "kill", "--signal=SEGV", "frail"])?;
        until("the alert fires", within(2.s()), || Ok(host.sh("hostmend status")?.contains("UnitFailed")))?;
        host.sh("systemctl reset-failed frail; systemctl start frail")?;
        until("the alert is over", within(3.s()), || Ok(!host.sh("hostmend status")?.contains("UnitFailed")))
    });
}
