//! What befalls a journal, and the kernel's log: what journald kept arrives, and what it did not is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::logs::arrived;
use crate::machine::Release::{Debian12, Debian13};
use crate::machine::{Machine, Seconds, emulated_story, package, story, until, within};

/// Says numbered lines from what `/run/from` holds to what `/run/to` does.
const NUMBERS: &str = "[Service]
ExecStart=/bin/sh -c 'for i in $(seq $(cat /run/from) $(cat /run/to)); do echo line $i of journal; done'
";

/// All of the machine's journal files.
const JOURNAL: &str = "/var/log/journal/*";

/// What entries of others may lie between ours.
const OTHERS: u64 = 200;

/// A machine with an agent that follows what the unit `numbers` says.
fn followed(host: &Machine) -> anyhow::Result<()> {
    host.install(package())?;
    host.write("/etc/systemd/system/numbers.service", NUMBERS)?;
    // A journal on disk, as a host has it.
    host.sh("systemctl daemon-reload; mkdir -p /var/log/journal; journalctl --flush")?;
    host.configure("logs")
}

/// Has the unit say these numbers, and journald take them.
fn said(host: &Machine, from: u64, to: u64) -> anyhow::Result<()> {
    host.sh(&format!(
        "echo {from} > /run/from; echo {to} > /run/to; systemctl start --wait numbers; journalctl --sync"
    ))
    .map(drop)
}

/// Waits until all of these have arrived.
fn arrive(host: &Machine, from: u64, to: u64, within: Duration) -> anyhow::Result<()> {
    let missing = || {
        let arrived = arrived(host);
        (from..=to).filter(|number| !arrived.contains_key(number)).count()
    };
    until("what the journal has arrives", within, || Ok(missing() == 0))
        .with_context(|| format!("{} of the lines {from} to {to} are missing", missing()))
}

fn nothing_came_twice(host: &Machine) -> anyhow::Result<()> {
    let again: BTreeMap<u64, u32> = arrived(host).into_iter().filter(|(_, times)| *times > 1).collect();
    ensure!(again.is_empty(), "{} lines came again: {:?}", again.len(), again.iter().next());
    Ok(())
}

/// What the agent says is lost of its journal, for this reason.
fn lost(host: &Machine, reason: &str) -> anyhow::Result<u64> {
    let status: serde_json::Value = serde_json::from_str(&host.does(&["hostmend", "status", "--json"])?)?;
    let sources = status["logs"]["sources"].as_array().context("log sources")?;
    let journal = sources.iter().find(|source| source["kind"] == "journal").context("a journal")?;
    Ok(journal["lost"][reason].as_u64().unwrap_or_default())
}

/// The part of a processor that the agent takes.
fn processor(host: &Machine) -> anyhow::Result<f64> {
    const SECONDS: u32 = 5;
    let ticks = |text: &str| -> u64 { text.split(' ').filter_map(|field| field.parse::<u64>().ok()).sum() };
    let pid = host.main_pid("hostmend")?;
    let read = format!("cut -d ' ' -f 14,15 /proc/{pid}/stat");
    let before = ticks(host.sh(&read)?.trim());
    host.sh(&format!("sleep {SECONDS}"))?;
    let per_second: f64 = host.does(&["getconf", "CLK_TCK"])?.trim().parse()?;
    Ok((ticks(host.sh(&read)?.trim()) - before) as f64 / per_second / f64::from(SECONDS))
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn what_journald_keeps_arrives_once_across_rotation_and_its_death() {
    story(&[Debian12, Debian13], |host| {
        followed(host)?;
        said(host, 1, 3_000)?;
        host.does(&["journalctl", "--rotate"])?;
        host.kill("systemd-journald", "KILL")?;
        host.expect_active("systemd-journald", within(5.s()))?;
        said(host, 3_001, 6_000)?;
        arrive(host, 3_001, 6_000, within(5.s()))?;
        let kept = host.sh("journalctl --output cat --unit numbers | grep -c '^line '")?;
        let kept: usize = kept.trim().parse()?;
        let count = || arrived(host).values().map(|times| *times as usize).sum::<usize>();
        until("all that the journal has arrives", within(20.s()), || Ok(count() >= kept))
            .with_context(|| format!("{} of {kept}", count()))?;
        ensure!(count() == kept, "{} arrived, the journal has {kept}", count());
        Ok(())
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn what_was_vacuumed_before_it_was_read_is_counted_and_the_rest_arrives() {
    story(&[Debian12, Debian13], |host| {
        followed(host)?;
        said(host, 1, 500)?;
        arrive(host, 1, 500, within(20.s()))?;
        host.hang("hostmend")?;
        for first in [501, 1_001, 1_501] {
            said(host, first, first + 499)?;
            host.sh("journalctl --rotate")?;
        }
        host.sh("journalctl --vacuum-files=1")?;
        // With them goes what the agent said of the end of its first life.
        host.expect_losses();
        said(host, 2_001, 2_500)?;
        host.sh("systemctl kill --signal=CONT hostmend")?;
        arrive(host, 2_001, 2_500, within(20.s()))?;
        nothing_came_twice(host)?;
        let missing = 2_500 - arrived(host).len() as u64;
        ensure!(missing > 0, "nothing was vacuumed");
        ensure!(!host.journal("hostmend")?.contains("reading logs"), "what is vacuumed is told as damaged");
        until("what is lost is counted", within(10.s()), || {
            let lost = lost(host, "rotated_away")?;
            Ok((missing..missing + OTHERS).contains(&lost))
        })
        .with_context(|| format!("{missing} are missing, {:?} are counted", lost(host, "rotated_away")))?;
        let busy = processor(host)?;
        ensure!(busy <= 0.1, "{:.0} % of a processor afterwards", busy * 100.0);
        Ok(())
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn an_agent_whose_place_is_gone_goes_on_with_what_is_new_and_replays_nothing() {
    story(&[Debian12, Debian13], |host| {
        followed(host)?;
        for first in [1, 1_001] {
            said(host, first, first + 999)?;
            host.sh("journalctl --rotate")?;
        }
        said(host, 2_001, 2_500)?;
        arrive(host, 1, 2_500, within(20.s()))?;
        host.does(&["systemctl", "stop", "hostmend"])?;
        host.sh("journalctl --rotate")?;
        // With it goes what the agent said of its end.
        host.expect_losses();
        // The newest of those that are not written any more holds the place.
        host.sh(&format!("rm $(ls -t {JOURNAL}/system@*.journal | head -n 1)"))?;
        said(host, 2_501, 3_000)?;
        host.does(&["systemctl", "start", "hostmend"])?;
        arrive(host, 2_501, 3_000, within(20.s()))?;
        nothing_came_twice(host)
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn every_byte_of_an_entry_arrives_also_what_is_no_text_and_what_is_long() {
    story(&[Debian12, Debian13], |host| {
        followed(host)?;
        host.configure_with("logs", |text| text.replace("units: [numbers.service], ", ""))?;
        let long = "y".repeat(6_000);
        host.write("/root/entry", format!("MESSAGE=hard entry\nLONG={long}\n"))?;
        host.sh("printf 'RAW=x\\377\\376y\\n' >> /root/entry; logger --journald=/root/entry")?;
        // journald makes several entries of a line that is longer than LineMax=.
        host.sh("head -c 200000 /dev/zero | tr '\\0' z | systemd-cat --identifier=long")?;
        host.does(&["journalctl", "--sync"])?;
        let of_long = |record: &String| record.bytes().take_while(|byte| *byte == b'z').count();
        until("all of the long line arrives", within(20.s()), || {
            Ok(host.sink.received().records.iter().map(of_long).sum::<usize>() == 200_000)
        })?;
        let records = host.sink.received().records;
        let hard = records.iter().find(|record| record.starts_with("hard entry")).context("the entry")?;
        ensure!(hard.contains(&long), "a long field was cut: {hard}");
        ensure!(hard.contains(&format!("{:?}", b"x\xff\xfey")), "bytes were changed: {hard}");
        Ok(())
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_damaged_journal_file_costs_what_is_damaged_and_that_is_counted() {
    story(&[Debian12, Debian13], |host| {
        followed(host)?;
        said(host, 1, 100)?;
        arrive(host, 1, 100, within(20.s()))?;
        host.does(&["systemctl", "stop", "hostmend"])?;
        host.sh("journalctl --rotate")?;
        said(host, 101, 2_000)?;
        host.sh("journalctl --rotate")?;
        said(host, 2_001, 2_500)?;
        // In the midst of what was written, which ends where the last object does.
        let damage = "
            file=$(ls -t JOURNAL/system@*.journal | head -n 1)
            end=$(od -An -t u8 -j 136 -N 8 $file)
            for part in 3 4 5 6; do
                head -c 512 /dev/zero | tr '\\0' '\\377' | dd of=$file bs=1 seek=$((end * part / 8)) conv=notrunc status=none
            done";
        host.sh(&damage.replace("JOURNAL", JOURNAL))?;
        host.does(&["systemctl", "start", "hostmend"])?;
        arrive(host, 2_001, 2_500, within(20.s()))?;
        nothing_came_twice(host)?;
        let missing = 2_500 - arrived(host).len() as u64;
        ensure!(missing > 0, "nothing was damaged");
        until("what is damaged is counted", within(10.s()), || {
            Ok(lost(host, "damaged")? + lost(host, "unreadable_fields")? >= missing)
        })
        .with_context(|| format!("{missing} are missing, {:?} damaged", lost(host, "damaged")))
    });
}

/// Takes more memory than it may.
const GREEDY: &str = "systemd-run --wait --quiet --unit=greedy --property=MemoryMax=30M --property=MemorySwapMax=0 \
                      perl -e 'print length(q(y) x (80 << 20))' || true";

#[test]
#[ignore = "boots machines: ./test --system"]
fn what_the_kernel_says_arrives_and_a_kill_for_want_of_memory_is_an_event() {
    emulated_story(&[Debian13], |host| {
        host.install(package())?;
        host.write(
            "/etc/hostmend/hostmend.yaml",
            "collect: { interval: 1s, budget: { cpu: 400% } }\nlogs: { kernel: {} }\n\
             executor: { socket: /run/hostmend/executor.sock }\n\
             destinations: [{ name: collector, endpoint: 'http://127.0.0.1:4317' }]\n",
        )?;
        host.sh("install -D -m 644 /usr/share/doc/hostmend/examples/kernel-log.conf \
             /etc/systemd/system/hostmend.service.d/kernel-log.conf
             systemctl daemon-reload; systemctl restart hostmend; echo line 1 of the kernel > /dev/kmsg")?;
        let arrives = |what: &str, has: &dyn Fn(&str) -> bool| {
            until(what, within(120.s()), || Ok(host.sink.received().records.iter().any(|record| has(record))))
        };
        arrives("a line of the kernel's log", &|record| record.starts_with("line 1 of the kernel"))?;
        // Those of before the agent was there, too.
        arrives("the kernel's first words", &|record| record.starts_with("Linux version "))?;
        host.sh(GREEDY)?;
        arrives("the kill", &|record| {
            record.contains(" event=kernel.oom_kill") && record.contains("process.command=perl")
        })
    });
}
