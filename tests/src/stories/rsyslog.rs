//! Programs log to rsyslog, and Debian's logrotate rotates what it writes.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};

use crate::machine::Release::Debian13;
use crate::machine::{Machine, Seconds, package, story, until, within};

/// Lines between two rotations, and how often it is rotated.
const LINES: u64 = 1000;
const ROTATIONS: u64 = 3;

const FILES: [&str; 3] = ["syslog", "mail.log", "cron.log"];

/// Besides the usual file with precise times, one in the old format and one as RFC 5424 has it. Debian's rules rotate both.
const FORMATS: &str = "if $programname == 'numbers' then {
  action(type=\"omfile\" file=\"/var/log/mail.log\" template=\"RSYSLOG_TraditionalFileFormat\")
  action(type=\"omfile\" file=\"/var/log/cron.log\" template=\"RSYSLOG_SyslogProtocol23Format\")
}
";

/// The records of the numbered lines by the name of their file, each with its number.
fn arrived(host: &Machine) -> BTreeMap<String, Vec<(u64, String)>> {
    let mut files: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    for record in host.sink.received().records {
        let word = |mark: &str| Some(record.split_once(mark)?.1.split_whitespace().next()?.to_owned());
        let number = word("line ").and_then(|number| number.parse().ok());
        if let (Some(number), Some(file), true) =
            (number, word("log.file.name="), record.contains(" of numbers"))
        {
            files.entry(file).or_default().push((number, record));
        }
    }
    files
}

/// A program logs these lines.
fn log(host: &Machine, first: u64, last: u64) -> anyhow::Result<()> {
    let lines = format!("seq -f 'line %.0f of numbers' {first} {last}");
    host.sh(&format!("{lines} | logger -t numbers -p user.warning")).map(drop)
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn what_rsyslog_writes_arrives_once_in_each_of_its_formats() {
    story(&[Debian13], |host| {
        host.write("/etc/rsyslog.d/formats.conf", FORMATS)?;
        host.does(&["systemctl", "start", "rsyslog"])?;
        host.install(package())?;
        host.configure("rsyslog")?;
        for rotation in 0..ROTATIONS {
            let (first, last) = (rotation * LINES + 1, (rotation + 1) * LINES);
            log(host, first, first)?;
            // A file that nobody saw under its name is not looked for.
            arrive(host, first)?;
            log(host, first + 1, last)?;
            host.does(&["logrotate", "--force", "--state", "/run/rotated", "/etc/logrotate.d/rsyslog"])?;
        }
        arrive(host, ROTATIONS * LINES)?;
        for (file, mut lines) in arrived(host) {
            lines.sort();
            let numbers = lines.iter().map(|(number, _)| *number);
            ensure!(numbers.eq(1..=ROTATIONS * LINES), "{file}: {} lines", lines.len());
            let (_, record) = lines.first().context("a line")?;
            ensure!(record.contains("syslog.appname=numbers"), "{file}: {record}");
            // Only RFC 5424 keeps the priority.
            ensure!(record.contains("syslog.facility=") == (file == "cron.log"), "{file}: {record}");
        }
        Ok(())
    });
}

/// So many lines of each file arrive.
fn arrive(host: &Machine, lines: u64) -> anyhow::Result<()> {
    let count = |file: &str| arrived(host).get(file).map_or(0, |lines| lines.len() as u64);
    let what = format!("{lines} lines of each file arrive");
    until(&what, within(30.s()), || Ok(FILES.iter().all(|file| count(file) >= lines)))
        .with_context(|| format!("{:?}", FILES.map(count)))
}
