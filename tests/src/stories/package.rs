//! The package's life: installed, watched, upgraded, purged.

use anyhow::ensure;

use crate::machine::Release::{Debian12, Debian13};
use crate::machine::{Seconds, package, story, within};
use crate::stories::privileges::ask;

#[test]
#[ignore = "boots machines: ./test --system"]
fn the_package_installs_and_runs_without_any_edit() {
    story(&[Debian12, Debian13], |host| {
        host.install(package())?;
        host.expect_active("hostmend", within(5.s()))?;
        host.expect_listening("hostmend-executor.socket")?;
        for unit in ["hostmend.service", "hostmend-executor.socket"] {
            ensure!(
                host.does(&["systemctl", "is-enabled", unit])?.trim() == "enabled",
                "{unit} is not enabled"
            );
        }
        for (path, expected) in [
            ("/etc/hostmend", "root:root 755"),
            ("/etc/hostmend/policy.yaml", "root:root 644"),
            ("/etc/hostmend/scripts", "root:root 755"),
            ("/var/lib/hostmend", "hostmend:hostmend 700"),
            ("/run/hostmend/executor.sock", "root:hostmend 660"),
        ] {
            let found = host.does(&["stat", "-c", "%U:%G %a", path])?;
            ensure!(found.trim() == expected, "{path} is {found}, not {expected}");
        }
        host.does(&["runuser", "-u", "hostmend", "--", "hostmend", "check"])?;
        ensure!(host.does(&["systemctl", "--failed", "--quiet", "--plain"])?.trim().is_empty());
        Ok(())
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn an_agent_that_hangs_is_restarted_by_its_watchdog() {
    story(&[Debian12, Debian13], |host| {
        host.write(
            "/etc/systemd/system/hostmend.service.d/watchdog.conf",
            "[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\n",
        )?;
        host.install(package())?;
        host.configure("quick")?;
        host.expect_restarts(1);
        host.expect_losses();
        host.kill("hostmend", "STOP")?;
        host.expect_active("hostmend", within(10.s()))
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn an_upgrade_restarts_the_agent_and_keeps_what_the_operator_wrote() {
    story(&[Debian12, Debian13], |host| {
        host.install(package())?;
        host.configure("quick")?;
        host.sh("echo '# ours' >> /etc/hostmend/policy.yaml; echo kept > /var/lib/hostmend/note")?;
        // An executor that runs when its program and its socket are replaced.
        ask(host, "hostmend", "no request")?;
        let (agent, executor) = (host.main_pid("hostmend")?, host.main_pid("hostmend-executor")?);
        ensure!(executor > 0, "the executor does not run");
        let directory = tempfile::tempdir()?;
        host.install(&package().as_version("9.9.9", directory.path())?)?;
        host.expect_active("hostmend", within(5.s()))?;
        ensure!(host.main_pid("hostmend")? != agent, "the old agent still runs");
        host.expect_listening("hostmend-executor.socket")?;
        let asked = ask(host, "hostmend", "no request")?;
        ensure!(asked.stdout.contains("refused"), "after the upgrade the executor says: {asked:?}");
        ensure!(host.main_pid("hostmend-executor")? != executor, "the old executor still runs");
        ensure!(host.read("/etc/hostmend/policy.yaml")?.ends_with("# ours\n"), "the policy was overwritten");
        ensure!(host.read("/var/lib/hostmend/note")? == "kept\n");
        Ok(())
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_purge_leaves_nothing_of_it() {
    story(&[Debian12, Debian13], |host| {
        host.install(package())?;
        host.configure("quick")?;
        host.does(&["dpkg", "--remove", "hostmend"])?;
        ensure!(host.read("/etc/hostmend/policy.yaml").is_ok(), "a removed package keeps its configuration");
        host.does(&["dpkg", "--purge", "hostmend"])?;
        for path in ["/etc/hostmend", "/var/lib/hostmend", "/var/lib/hostmend-executor", "/run/hostmend"] {
            ensure!(host.run(&["test", "-e", path])?.status == 1, "{path} is left behind");
        }
        let left = host.sh(
            "systemctl list-unit-files 'hostmend*' --no-legend || true; systemctl --failed --quiet --plain",
        )?;
        ensure!(left.trim().is_empty(), "left behind: {left}");
        Ok(())
    });
}
