//! The shipped scripts, each on a machine that suffers what it is for; and who keeps repairs from running away.

mod brakes;
mod limits;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::machine::Release::{Debian12, Debian13};
use crate::machine::{Machine, Release, Seconds, package, story, until, within};
use crate::stories::privileges::grant;

/// How many of them fail at once.
const APPS: usize = 20;

/// Serves what the release says, until it ends.
const WEB: &str = r#"#!/usr/bin/perl
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 8080, Listen => 9, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
    <$client>;
    open(my $file, "<", "/srv/web/current/status"); my $status = <$file>; chomp $status;
    print $client "HTTP/1.0 $status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    close $client;
}
"#;

/// Puts the agent with the shipped scripts on the machine, and its files with what a story fills in.
fn install(host: &Machine) -> anyhow::Result<()> {
    host.install(package())?;
    grant(host, &["files", "processes"])?;
    let apps: Vec<String> = (1..=APPS).map(|number| format!("app@{number}.service")).collect();
    let rules: Vec<String> =
        apps.iter().map(|name| format!("- {{ name: {name}, at_most: 5 per 1h }}")).collect();
    let fill = |text: String| {
        text.replace("[APPS]", &format!("[{}]", apps.join(", "))).replace("# APPS", &rules.join("\n  "))
    };
    host.configure_with("repairs", fill)?;
    host.does(&["hostmend", "check"]).map(drop)
}

/// The steps of all runs that the journal of runs has, in order.
fn steps(host: &Machine) -> anyhow::Result<Vec<Value>> {
    let text = host.sh("cat /var/lib/hostmend/runs/*.jsonl 2> /dev/null || true")?;
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(events.filter(|event| event["step"].is_object()).collect())
}

fn steps_of(host: &Machine, kind: &str) -> anyhow::Result<Vec<Value>> {
    Ok(steps(host)?.into_iter().filter(|event| event["step"]["step"] == kind).collect())
}

/// What was done, in order.
fn actions(host: &Machine) -> anyhow::Result<Vec<String>> {
    let intended = steps_of(host, "action_intended")?;
    Ok(intended.iter().map(|event| event["step"]["action"].as_str().unwrap_or_default().to_owned()).collect())
}

/// Waits for the end of a run of this runbook and says how it ended.
fn outcome(host: &Machine, runbook: &str, seconds: u64) -> anyhow::Result<String> {
    outcome_of(host, runbook, seconds, |_| true)
}

/// As [`outcome`], of a run that no guard refused and that found what it is about: it is tried again while the alert goes on,
/// and on a slow machine systemd may not have answered a guard in time, or a process not have had its time.
fn outcome_of_what_began(host: &Machine, runbook: &str, seconds: u64) -> anyhow::Result<String> {
    outcome_of(host, runbook, seconds, |outcome| outcome != "refused" && outcome != "skipped")
}

fn outcome_of(
    host: &Machine,
    runbook: &str,
    seconds: u64,
    is_meant: impl Fn(&Value) -> bool,
) -> anyhow::Result<String> {
    let mut outcome = None;
    until(&format!("a run of {runbook} ends"), within(seconds.s()), || {
        let steps = steps(host)?;
        let runs: Vec<&Value> = steps
            .iter()
            .filter(|event| event["step"]["runbook"] == runbook)
            .map(|matched| &matched["run"])
            .collect();
        let ended = steps.iter().find(|event| {
            event["step"]["step"] == "finished"
                && is_meant(&event["step"]["outcome"])
                && runs.contains(&&event["run"])
        });
        outcome = ended.map(|event| event["step"].clone());
        Ok(outcome.is_some())
    })
    .with_context(|| format!("{:#?}", steps(host)))?;
    let outcome = outcome.unwrap_or_default();
    Ok(format!(
        "{}: {}",
        outcome["outcome"].as_str().unwrap_or_default(),
        outcome["reason"].as_str().unwrap_or_default()
    ))
}

fn with_agent(releases: &[Release], tell: impl Fn(&Machine) -> anyhow::Result<()>) {
    story(releases, |host| {
        install(host)?;
        tell(host)
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_service_that_failed_is_active_again() {
    with_agent(&[Debian12, Debian13], |host| {
        host.write("/etc/systemd/system/frail.service", "[Service]\nExecStart=/bin/sleep 600\n")?;
        host.sh("systemctl daemon-reload; systemctl start frail")?;
        host.kill("frail", "SEGV")?;
        let outcome = outcome(host, "restart-unit", 30)?;
        ensure!(outcome.starts_with("repaired"), "{outcome}");
        host.expect_active("frail", within(1.s()))
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_service_that_cannot_come_up_is_tried_as_often_as_its_runbook_says_and_escalated() {
    with_agent(&[Debian12], |host| {
        host.write(
            "/etc/systemd/system/frail.service",
            "[Service]\nExecStart=/bin/sh -c 'sleep 0.2; exit 3'\n",
        )?;
        host.sh("systemctl daemon-reload; systemctl start frail")?;
        let outcome = outcome(host, "restart-unit", 120)?;
        ensure!(outcome.starts_with("escalated"), "{outcome}");
        let restarts = actions(host)?.iter().filter(|action| action.starts_with("restart frail")).count();
        ensure!(restarts == 2, "{:?}", actions(host)?);
        host.does(&["systemctl", "reset-failed", "frail"]).map(drop)
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_full_disk_has_room_again_and_nothing_young_or_foreign_is_gone() {
    with_agent(&[Debian12, Debian13], |host| {
        host.sh("mkdir -p /srv/log; mount -t tmpfs -o size=24m log /srv/log
                 touch /srv/log/app.log
                 for n in 1 2 3 4 5 6 7 8; do
                     head -c 2000000 /dev/urandom > /srv/log/app.$n.gz; touch -d \"$n days ago\" /srv/log/app.$n.gz
                 done
                 head -c 1000000 /dev/urandom > /srv/log/young.gz
                 head -c 500000 /dev/urandom > /srv/log/old.db; touch -d '9 days ago' /srv/log/old.db
                 dd if=/dev/zero of=/srv/log/app.log bs=64k conv=notrunc 2> /dev/null || true")?;
        let outcome = outcome(host, "disk-full", 60)?;
        let left = host.sh("ls /srv/log")?;
        ensure!(outcome.starts_with("repaired"), "{outcome}\n{left}");
        for name in ["app.log", "young.gz", "old.db"] {
            ensure!(left.contains(name), "{name} is gone: {left}");
        }
        ensure!(!left.contains("app.8.gz"), "the oldest is still there: {left}");
        ensure!(left.contains("app.1.gz"), "more went than was needed: {left}");
        host.sh("umount /srv/log").map(drop)
    });
}

fn deploy_a_bad_release(host: &Machine) -> anyhow::Result<()> {
    host.write("/usr/local/bin/web", WEB)?;
    host.write("/srv/web/releases/9/status", "200 OK\n")?;
    host.write("/srv/web/releases/10/status", "500 Broken\n")?;
    host.write("/etc/systemd/system/web.service", "[Service]\nExecStart=/usr/bin/perl /usr/local/bin/web\n")?;
    host.sh("touch -d '2 days ago' /srv/web/releases/9
             ln -s releases/10 /srv/web/current
             systemctl daemon-reload; systemctl start web")?;
    Ok(())
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_bad_deploy_is_turned_back() {
    with_agent(&[Debian12, Debian13], |host| {
        deploy_a_bad_release(host)?;
        let outcome = outcome(host, "rollback-deploy", 60)?;
        ensure!(outcome.starts_with("repaired"), "{outcome}");
        let points_to = host.sh("readlink -f /srv/web/current")?;
        ensure!(points_to.trim() == "/srv/web/releases/9", "{points_to}");
        host.does(&["systemctl", "stop", "web"]).map(drop)
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_deploy_that_is_no_better_when_turned_back_runs_again_as_it_was() {
    with_agent(&[Debian12], |host| {
        deploy_a_bad_release(host)?;
        host.sh("echo 503 worse > /srv/web/releases/9/status")?;
        let outcome = outcome(host, "rollback-deploy", 60)?;
        ensure!(outcome.starts_with("escalated"), "{outcome}");
        let points_to = host.sh("readlink -f /srv/web/current")?;
        ensure!(points_to.trim() == "/srv/web/releases/10", "{points_to}");
        ensure!(actions(host)?.len() == 4, "{:?}", actions(host)?);
        host.does(&["systemctl", "stop", "web"]).map(drop)
    });
}
