//! What takes a machine with a kernel of its own. Emulated it is slow, so what it is given time for says nothing.

use anyhow::ensure;

use crate::machine::Release::Debian13;
use crate::machine::{Seconds, emulated_story, package, within};

#[test]
#[ignore = "boots machines: ./test --system"]
fn after_a_loss_of_power_the_agent_starts_without_help_and_remembers_its_runs() {
    emulated_story(&[Debian13], |host| {
        host.start("nginx")?;
        host.install(package())?;
        host.configure("nginx")?;
        // An operator's host was set up long ago. What the agent wrote since, it has to have synced itself.
        host.does(&["sync"])?;
        host.kill("nginx", "KILL")?;
        host.expect_said("hostmend", "repaired: ", within(180.s()))?;
        let runs = host.read("/var/lib/hostmend/runs.jsonl")?;
        host.expect_losses();
        host.lose_power()?;
        host.expect_active("hostmend", within(60.s()))?;
        let remembered = host.read("/var/lib/hostmend/runs.jsonl")?;
        ensure!(remembered.starts_with(&runs), "of\n{runs}only this is left:\n{remembered}");
        // Nothing starts nginx at the boot but the agent.
        host.expect_active("nginx", within(180.s()))
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn the_agent_stays_within_the_memory_that_its_unit_grants() {
    emulated_story(&[Debian13], |host| {
        host.install(package())?;
        host.configure("everything")?;
        host.expect_collections(10, within(60.s()))?;
        let limit: u64 = host.show("hostmend", "MemoryMax")?.parse()?;
        let peak: u64 =
            host.read("/sys/fs/cgroup/system.slice/hostmend.service/memory.peak")?.trim().parse()?;
        ensure!(peak < limit / 2, "{peak} of {limit} bytes");
        Ok(())
    });
}
