//! What keeps repairs from running away: two at a time, the kill switch, a person's word, a crash in the middle.

use std::collections::BTreeSet;

use anyhow::ensure;

use super::{APPS, actions, outcome, steps, steps_of, with_agent};
use crate::machine::Release::{Debian12, Debian13};
use crate::machine::{Machine, Seconds, until, within};
use crate::stories::privileges::ask;

const FRAIL: &str = "[Service]\nExecStart=/bin/sleep 600\n";
const RESTART_FRAIL: &str = r#"{"action":"unit","verb":"restart","unit":"frail.service"}"#;

/// Restarts, and is then busy for a while.
const SLOW: &str = r#"//! summary: Restarts a service, and takes its time
//! params: { unit: { type: unit }, tries: { type: int }, within: { type: duration } }
//! needs: { unit.restart: ["${unit}"] }
//! risk: low
//! timeout: 1m
fn remediate(ctx) {
    step("restart", || unit::restart(ctx.params.unit));
    clock::sleep("5s");
    fixed("restarted")
}
"#;

fn start_frail(host: &Machine) -> anyhow::Result<()> {
    host.write("/etc/systemd/system/frail.service", FRAIL)?;
    host.sh("systemctl daemon-reload; systemctl start frail").map(drop)
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn of_twenty_services_that_fail_at_once_no_more_than_two_are_repaired_at_a_time() {
    with_agent(&[Debian12], |host| {
        host.write("/etc/systemd/system/app@.service", FRAIL)?;
        host.sh(&format!(
            "systemctl daemon-reload; for n in $(seq {APPS}); do systemctl start app@$n; done
             systemctl kill --signal=SEGV 'app@*.service'"
        ))?;
        // The storm guard stops them somewhere, and says so.
        until("runs end and others are refused", within(120.s()), || {
            let finished = steps_of(host, "finished")?;
            let of =
                |outcome: &str| finished.iter().filter(|event| event["step"]["outcome"] == outcome).count();
            Ok(of("repaired") >= 4 && of("repaired") + of("refused") >= APPS)
        })?;
        let (mut under_way, mut most) = (BTreeSet::new(), 0);
        for event in steps(host)? {
            match event["step"]["step"].as_str().unwrap_or_default() {
                "started" => drop(under_way.insert(event["run"].to_string())),
                "finished" => drop(under_way.remove(&event["run"].to_string())),
                _ => {}
            }
            most = most.max(under_way.len());
        }
        ensure!((1..=2).contains(&most), "{most} at a time");
        host.sh("systemctl stop 'app@*.service'; systemctl reset-failed").map(drop)
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn freeze_works_while_the_agent_is_stuck() {
    with_agent(&[Debian12, Debian13], |host| {
        start_frail(host)?;
        let before = host.main_pid("frail")?;
        host.does(&["systemctl", "kill", "--kill-whom=main", "--signal=STOP", "hostmend"])?;
        host.does(&["hostmend", "freeze", "--reason", "the upgrade of the database"])?;
        // Whoever speaks in the agent's name gets nothing done.
        let asked = ask(host, "hostmend", RESTART_FRAIL)?;
        ensure!(
            asked.stdout.contains("refused") && asked.stdout.contains("upgrade of the database"),
            "{asked:?}"
        );
        ensure!(host.main_pid("frail")? == before, "frail was restarted");
        host.does(&["systemctl", "kill", "--kill-whom=main", "--signal=CONT", "hostmend"])?;

        host.kill("frail", "SEGV")?;
        let outcome = outcome(host, "restart-unit", 30)?;
        ensure!(outcome.starts_with("refused") && outcome.contains("upgrade of the database"), "{outcome}");
        host.does(&["hostmend", "unfreeze"])?;
        host.expect_active("frail", within(30.s()))
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn an_agent_that_is_killed_in_the_middle_of_a_run_goes_on_with_it_and_restarts_nothing_twice() {
    with_agent(&[Debian12, Debian13], |host| {
        host.write("/etc/hostmend/scripts/slow.rhai", SLOW)?;
        host.sh("sed -i '0,/restart-unit.rhai/s//slow.rhai/' /etc/hostmend/repairs-runbooks.yaml
                 hostmend check; systemctl restart hostmend")?;
        start_frail(host)?;
        host.kill("frail", "SEGV")?;
        until("the first step is done", within(20.s()), || Ok(!steps_of(host, "step_done")?.is_empty()))?;
        let pid = host.main_pid("frail")?;
        host.expect_restarts(1);
        host.expect_losses();
        host.does(&["systemctl", "kill", "--kill-whom=main", "--signal=KILL", "hostmend"])?;
        let outcome = outcome(host, "restart-unit", 60)?;
        ensure!(outcome.starts_with("repaired"), "{outcome}");
        ensure!(host.main_pid("frail")? == pid, "frail was restarted twice");
        let restarts = actions(host)?.iter().filter(|action| *action == "restart frail.service").count();
        ensure!(restarts == 1, "{:?}", actions(host)?);
        ensure!(steps_of(host, "resumed")?.len() == 1, "{:#?}", steps(host)?);
        host.does(&["hostmend", "audit", "verify"]).map(drop)
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_service_that_a_person_has_stopped_stays_stopped() {
    with_agent(&[Debian12, Debian13], |host| {
        // It ends with an error when it is asked to, so systemd calls it failed.
        let unit = "[Service]\nExecStart=/usr/bin/perl -e '$$SIG{TERM} = sub { exit 3 }; sleep 600'\n";
        host.write("/usr/lib/systemd/system/frail.service", unit)?;
        host.sh("systemctl daemon-reload; systemctl start frail; sleep 1; systemctl stop frail")?;
        let outcome = outcome(host, "restart-unit", 30)?;
        ensure!(outcome.starts_with("refused") && outcome.contains("told to stop"), "{outcome}");
        ensure!(actions(host)?.is_empty(), "{:?}", actions(host)?);
        host.sh("systemctl reset-failed frail").map(drop)
    });
}
