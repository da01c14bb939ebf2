//! Applications write, logrotate and journald move what was written, and every line arrives.
//!
//! Each line bears a number. What is on disk at the end must have arrived, once; so a line that logrotate itself loses,
//! as its manual says of `copytruncate`, is nobody's but logrotate's.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};

use crate::machine::Release::{Debian12, Debian13};
use crate::machine::{Machine, Seconds, package, story, until, within};

/// Writes numbered lines to a file, so many a second, and opens it anew when it is told to by HUP.
const WRITER: &str = r#"
my ($path, $rate, $count) = @ARGV;
my ($number, $again, $out) = (0, 1);
$SIG{HUP} = sub { $again = 1 };
while ($number < $count) {
    if ($again) { $again = 0; open($out, '>>', $path) or die "$path: $!"; }
    my $text = '';
    for (1 .. $rate / 50) {
        last if $number == $count;
        $number++;
        $text .= "line $number of app: " . 'x' x (50 + $number % 100) . "\n";
    }
    my $done = 0;
    while ($done < length $text) { $done += syswrite($out, $text, length($text) - $done, $done) // 0; }
    select(undef, undef, undef, 0.02);
}
sleep 1000;
"#;

const UNIT: &str =
    "[Service]\nExecStart=/usr/bin/perl /usr/local/bin/writer.pl /var/log/app/app.log RATE COUNT\n";

/// A machine whose application writes, with an agent that follows it.
fn with_writer(host: &Machine, rate: u64, count: u64) -> anyhow::Result<()> {
    host.install(package())?;
    host.sh("mkdir -p /var/log/app; touch /var/log/app/app.log")?;
    host.configure("logs")?;
    host.write("/usr/local/bin/writer.pl", WRITER)?;
    let unit = UNIT.replace("RATE", &rate.to_string()).replace("COUNT", &count.to_string());
    host.write("/etc/systemd/system/writer.service", unit)?;
    host.sh("systemctl daemon-reload; systemctl start writer").map(drop)
}

pub(super) fn number(line: &str) -> Option<u64> {
    line.split_once("line ")?.1.split(' ').next()?.parse().ok()
}

/// How often each number arrived.
pub(super) fn arrived(host: &Machine) -> BTreeMap<u64, u32> {
    let mut numbers = BTreeMap::new();
    for number in host.sink.received().records.iter().filter_map(|record| number(record)) {
        *numbers.entry(number).or_default() += 1;
    }
    numbers
}

/// The numbers in these of the application's files.
fn on_disk(host: &Machine, files: &str) -> anyhow::Result<BTreeSet<u64>> {
    let each = "case $file in *.gz) zcat $file ;; *) cat $file ;; esac";
    let text = host.sh(&format!("cd /var/log/app; for file in {files}; do {each}; done"))?;
    Ok(text.lines().filter_map(number).collect())
}

fn written(host: &Machine, last: u64) -> anyhow::Result<bool> {
    Ok(host.sh("tail -qn 1 /var/log/app/*[!z] | sort -k 2n | tail -n 1")?.contains(&format!("line {last} ")))
}

/// All that is in these files arrived, and no more than so many lines twice.
fn everything_arrived(host: &Machine, files: &str, repeated: u64) -> anyhow::Result<()> {
    let there = on_disk(host, files)?;
    until("every line on disk arrives", within(20.s()), || {
        let arrived = arrived(host);
        Ok(there.iter().all(|number| arrived.contains_key(number)))
    })
    .with_context(|| {
        let arrived = arrived(host);
        let missing: Vec<&u64> = there.iter().filter(|number| !arrived.contains_key(number)).collect();
        format!(
            "{} of {} missing: {:?}",
            missing.len(),
            there.len(),
            missing.iter().take(20).collect::<Vec<_>>()
        )
    })?;
    let again: u64 = arrived(host).values().map(|times| u64::from(times - 1)).sum();
    ensure!(again <= repeated, "{again} lines arrived twice");
    Ok(())
}

/// Rotates again and again, with a pause in seconds, while the application writes 5,000 lines a second; then all that is in
/// these files must have arrived, once.
fn rotated(directives: &str, rotations: u32, pause: &str, files: &str) {
    story(&[Debian13], |host| {
        with_writer(host, 5_000, 60_000)?;
        let rules =
            format!("/var/log/app/app.log {{\n su root root\n rotate 1000\n size 1\n{directives}\n}}\n");
        host.write("/etc/app-logrotate", rules)?;
        for _ in 0..rotations {
            host.sh(&format!("sleep {pause}; {ROTATE}"))?;
        }
        until("all is written", within(60.s()), || written(host, 60_000))?;
        everything_arrived(host, files, 0)
    });
}

/// Once something has been written since the last time, or nothing more is.
const ROTATE: &str = "for try in 1 2 3 4 5; do [ -s /var/log/app/app.log ] || sleep 0.1; done
[ -e /var/log/app/app.log ] || exit 0
logrotate --force --state /run/app-logrotate /etc/app-logrotate";

const REOPEN: &str = " postrotate\n systemctl kill --signal=HUP writer\n endscript\n";

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_file_that_is_renamed_and_made_anew_loses_no_line() {
    rotated(&format!(" create 0644 root root\n{REOPEN}"), 50, "0", "*");
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_file_that_is_compressed_at_the_next_rotation_loses_no_line() {
    rotated(&format!(" create 0644 root root\n compress\n delaycompress\n{REOPEN}"), 40, "0", "*");
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_file_that_bears_the_date_loses_no_line() {
    // A name holds the second.
    let directives = format!(" nocreate\n dateext\n dateformat -%Y%m%d-%s\n extension .log\n{REOPEN}");
    rotated(&directives, 8, "1.1", "*");
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_file_that_is_copied_and_cut_loses_no_line_that_was_copied() {
    rotated(" copytruncate", 40, "0", "*");
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn what_was_rotated_and_compressed_while_the_agent_was_down_arrives_once() {
    story(&[Debian12, Debian13], |host| {
        with_writer(host, 1_000, 20_000)?;
        let rules = format!(
            "/var/log/app/app.log {{\n su root root\n rotate 1000\n size 1\n create 0644 root root\n compress\n{REOPEN}}}\n"
        );
        host.write("/etc/app-logrotate", rules)?;
        until("lines arrive", within(20.s()), || Ok(arrived(host).len() > 1_000))?;
        host.does(&["systemctl", "stop", "hostmend"])?;
        for _ in 0..2 {
            host.sh(ROTATE)?;
        }
        host.does(&["systemctl", "start", "hostmend"])?;
        until("all is written", within(60.s()), || written(host, 20_000))?;
        everything_arrived(host, "*", 0)
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn a_killed_agent_repeats_a_batch_at_most_and_skips_no_line() {
    story(&[Debian13], |host| {
        with_writer(host, 5_000, 60_000)?;
        host.expect_losses();
        host.expect_restarts(3);
        for _ in 0..3 {
            let before = arrived(host).len();
            until("lines arrive", within(20.s()), || Ok(arrived(host).len() > before))?;
            host.kill("hostmend", "KILL")?;
            host.expect_active("hostmend", within(20.s()))?;
        }
        until("all is written", within(60.s()), || written(host, 60_000))?;
        // A batch is a mebibyte at most, which is some 10,000 of these lines.
        everything_arrived(host, "*", 3 * 10_000)
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn requests_that_nginx_served_arrive_as_what_they_were() {
    story(&[Debian13], |host| {
        host.install(package())?;
        host.does(&["systemctl", "enable", "--quiet", "--now", "nginx"])?;
        host.configure("logs")?;
        ensure!(host.answers(80)?);
        until("the request arrives", within(10.s()), || {
            let records = host.sink.received().records;
            Ok(records.iter().any(|record| {
                record.contains("http.request.method=GET") && record.contains("log.file.name=access.log")
            }))
        })
        .with_context(|| format!("{:#?}", host.sink.received().records))
    });
}
