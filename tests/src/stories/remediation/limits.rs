//! What takes control groups with memory and processors of their own, and so an emulated machine. It is slow, so what it is
//! given time for says nothing.

use anyhow::ensure;

use super::{actions, install, outcome_of_what_began};
use crate::machine::Release::Debian13;
use crate::machine::{Seconds, emulated_story, within};

/// Needs a megabyte more each second: slow enough for a slow machine to see that it is well again after the restart. It
/// stops at half of its limit, at which the kernel would end it before the script does.
const LEAKY: &str = "[Service]\nMemoryMax=300M\nMemorySwapMax=0\nExecStart=\
                     /usr/bin/perl -e 'while (1) { push @leak, \"x\" x (1 << 20) if @leak < 150; sleep 1 }'\n";

/// Its second process runs away and does not hear TERM.
const BUSY: &str =
    "[Service]\nExecStart=/bin/sh -c '/bin/sh -c \"trap : TERM; while :; do :; done\" & sleep 100000'\n";

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_service_that_leaks_is_restarted_with_the_evidence_kept() {
    emulated_story(&[Debian13], |host| {
        install(host)?;
        host.write("/etc/systemd/system/leaky.service", LEAKY)?;
        host.sh("systemctl daemon-reload; systemctl start leaky")?;
        let before = host.main_pid("leaky")?;
        let outcome = outcome_of_what_began(host, "memory-leak", 600)?;
        ensure!(outcome.starts_with("repaired"), "{outcome}");
        ensure!(host.main_pid("leaky")? != before, "it was not restarted");
        let kept = host.sh("find /var/lib/hostmend -name '*top.txt' -o -name '*journal.txt'")?;
        ensure!(kept.contains("top.txt") && kept.contains("journal.txt"), "kept: {kept}");
        host.does(&["systemctl", "stop", "leaky"]).map(drop)
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_process_that_runs_away_is_throttled_first_and_ended_then_and_its_service_gets_its_processor_back() {
    emulated_story(&[Debian13], |host| {
        install(host)?;
        host.write("/etc/systemd/system/busy.service", BUSY)?;
        host.sh("systemctl daemon-reload; systemctl start busy")?;
        let main = host.main_pid("busy")?;
        let outcome = outcome_of_what_began(host, "runaway-process", 600)?;
        ensure!(outcome.starts_with("repaired"), "{outcome}");
        let done: Vec<String> = actions(host)?
            .iter()
            .map(|action| action.split(" (").next().unwrap_or_default().to_owned())
            .collect();
        ensure!(done.len() == 4, "{done:?}");
        for (action, begins) in done.iter().zip(["limit busy", "send TERM", "send KILL", "limit busy"]) {
            ensure!(action.starts_with(begins), "{done:?}");
        }
        // Not by cpu.max, which is gone where systemd takes the controller away from what needs none.
        let limit = host.does(&["systemctl", "show", "--property=CPUQuotaPerSecUSec", "busy"])?;
        ensure!(limit.trim().ends_with("=infinity"), "it is still throttled: {limit}");
        host.expect_active("busy", within(1.s()))?;
        ensure!(host.main_pid("busy")? == main, "the main process was ended too");
        host.does(&["systemctl", "stop", "busy"]).map(drop)
    });
}
