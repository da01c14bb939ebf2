//! Debian's nginx is hurt, and the agent repairs it through the executor.

use std::time::Duration;

use anyhow::ensure;

use crate::machine::Release::{Debian12, Debian13};
use crate::machine::{Machine, Release, Seconds, package, story, until, within};

/// A machine whose nginx answers and is watched by an installed agent.
fn with_watched_nginx(releases: &[Release], tell: impl Fn(&Machine) -> anyhow::Result<()>) {
    story(releases, |host| {
        // What is disabled and does not run is left alone.
        host.does(&["systemctl", "enable", "--quiet", "--now", "nginx"])?;
        host.install(package())?;
        host.configure("nginx")?;
        tell(host)
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn nginx_comes_back_when_it_is_killed() {
    with_watched_nginx(&[Debian12, Debian13], |host| {
        host.kill("nginx", "KILL")?;
        host.expect_active("nginx", within(2.s()))?;
        host.expect_said("hostmend", "repaired: ", within(10.s()))?;
        ensure!(host.answers(80)?);
        Ok(())
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn nginx_comes_back_when_all_of_it_hangs() {
    with_watched_nginx(&[Debian12, Debian13], |host| {
        host.hang("nginx")?;
        // Debian's unit gives it 5 s to quit by itself before it is killed.
        host.expect_active("nginx", within(15.s()))?;
        host.expect_said("hostmend", "repaired: ", within(10.s()))?;
        ensure!(host.answers(80)?);
        Ok(())
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn what_the_policy_does_not_allow_is_refused_and_reported() {
    with_watched_nginx(&[Debian12], |host| {
        host.write("/etc/hostmend/policy.yaml", "units: []\n")?;
        host.kill("nginx", "KILL")?;
        until("the refusal arrives at the collector", Duration::from_secs(10), || {
            Ok(host.sink.received().records.iter().any(|line| line.contains("refused: ")))
        })?;
        host.expect_said("hostmend-executor", "refused", within(1.s()))?;
        ensure!(host.show("nginx", "ActiveState")? != "active", "nginx was started all the same");
        Ok(())
    });
}
