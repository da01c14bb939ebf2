//! What takes a machine with a kernel of its own. Emulated it is slow, so what it is given time for says nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, ensure};
use load::{Load, Outcome, Protocol, Signal, Sink, Template};

use crate::machine::Release::Debian13;
use crate::machine::{Machine, Seconds, emulated_story, package, until, within};

#[test]
#[ignore = "boots machines: ./test --system"]
fn after_a_loss_of_power_the_agent_starts_without_help_and_remembers_its_runs() {
    emulated_story(&[Debian13], |host| {
        host.does(&["systemctl", "enable", "--quiet", "--now", "nginx"])?;
        host.install(package())?;
        host.configure("nginx")?;
        // An operator's host was set up long ago. What the agent wrote since, it has to have synced itself.
        host.does(&["sync"])?;
        host.kill("nginx", "KILL")?;
        host.expect_said("hostmend", "repaired: ", within(300.s()))?;
        let runs = host.read("/var/lib/hostmend/runs/000001.jsonl")?;
        host.expect_losses();
        host.lose_power()?;
        host.expect_active("hostmend", within(60.s()))?;
        let remembered = host.read("/var/lib/hostmend/runs/000001.jsonl")?;
        ensure!(remembered.starts_with(&runs), "of\n{runs}only this is left:\n{remembered}");
        host.expect_active("nginx", within(60.s()))?;
        host.kill("nginx", "KILL")?;
        host.expect_active("nginx", within(300.s()))
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

/// Losses of power, one after the other.
const LOSSES: u32 = 10;
/// Log records in a request.
const ITEMS: u64 = 20;
/// From the start of the program to its readiness: five seconds, on a machine that takes ten times as long.
const STARTED_WITHIN: Duration = Duration::from_secs(50);

#[test]
#[ignore = "boots machines: ./test --system"]
fn of_what_was_answered_ok_ten_losses_of_power_cost_nothing() {
    emulated_story(&[Debian13], |host| {
        let sink = Sink::listen(0)?;
        host.install(package())?;
        host.configure("quick")?;
        let (to, port) = (Machine::HOST, sink.address().port());
        host.sh(&format!(
            "cat >> /etc/hostmend/hostmend.yaml <<'END'\n  - {{ name: numbered, endpoint: \"http://{to}:{port}\", \
             compression: none, signals: [logs] }}\nreceive: {{ listeners: [{{ name: apps, http: '0.0.0.0:4318' }}] }}\nEND\n\
             systemctl restart hostmend; sync"
        ))?;
        host.expect_losses();
        let mut outcomes = vec![];
        for _ in 0..LOSSES {
            outcomes.push(power_is_lost_under_load(host)?);
            host.expect_active("hostmend", within(60.s()))?;
            let took = time_to_start(host)?;
            ensure!(took <= STARTED_WITHIN, "the agent took {took:?} to start");
        }
        until("everything that was accepted arrives", within(120.s()), || {
            let arrived = sink.arrived();
            Ok(outcomes.iter().all(|outcome| arrived.missing(Signal::Logs, ITEMS, outcome) == 0))
        })?;
        // After a boot the collector may have been asked too early, and is asked again after half a minute.
        let collections = host.sink.received().collections;
        host.expect_collections(collections + 1, within(120.s()))
    });
}

/// Sends until some requests were accepted, and fails the power while more are under way.
fn power_is_lost_under_load(host: &Machine) -> anyhow::Result<Outcome> {
    let template = Template::new(Signal::Logs, ITEMS);
    let load = Load { streams: 2, ..Load::new(host.otlp()?, Protocol::Http, template, u64::MAX) };
    let stop = Arc::clone(&load.stop);
    let sending = std::thread::spawn(move || load::drive(&load));
    std::thread::park_timeout(3.s());
    let lost = host.lose_power();
    stop.store(true, Ordering::Relaxed);
    let outcome = sending.join().ok().context("the load ends")?;
    lost?;
    ensure!(outcome.count(load::Fate::Accepted) > 0, "nothing was accepted: {:?}", outcome.said);
    Ok(outcome)
}

/// As systemd measured it.
fn time_to_start(host: &Machine) -> anyhow::Result<Duration> {
    let stamp = |property| anyhow::Ok(host.show("hostmend", property)?.parse::<u64>()?);
    let (begun, active) =
        (stamp("ExecMainStartTimestampMonotonic")?, stamp("ActiveEnterTimestampMonotonic")?);
    Ok(Duration::from_micros(active.saturating_sub(begun)))
}
