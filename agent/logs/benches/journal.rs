//! How fast a journal becomes records.
//!
//! The journal is written by `systemd-journal-remote`, where there is one: 100,000 entries of 24 fields, as a service's lines
//! look on a Debian host, most fields shared with other entries, 16 units.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot work has nothing to tell")]
#![expect(clippy::print_stdout, reason = "that nothing was measured is told")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logs::{JournalOptions, JournalReader, JournalSource, LogSource as _, Positions, Ready, StartAt};
use telemetry::{LogBuffer, Timestamp};

const WRITER: &str = "/usr/lib/systemd/systemd-journal-remote";
const ENTRIES: u64 = 100_000;
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Entries in systemd's `JOURNAL_EXPORT_FORMATS`.
fn export(out: &mut impl std::io::Write) -> std::io::Result<()> {
    for at in 0..ENTRIES {
        let (unit, pid) = (at % 16, 400 + at % 16 * 3);
        let micros = 1_763_000_000_000_000 + at * 200;
        write!(
            out,
            "__REALTIME_TIMESTAMP={micros}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID=0123456789abcdef0123456789abcdef\n\
             _TRANSPORT=stdout\nPRIORITY={}\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=app{unit}\n_PID={pid}\n_UID=33\n_GID=33\n\
             _COMM=app{unit}\n_EXE=/usr/bin/app{unit}\n_CMDLINE=/usr/bin/app{unit} --serve\n_CAP_EFFECTIVE=0\n\
             _SELINUX_CONTEXT=unconfined\n_SYSTEMD_CGROUP=/system.slice/app{unit}.service\n\
             _SYSTEMD_UNIT=app{unit}.service\n_SYSTEMD_SLICE=system.slice\n\
             _SYSTEMD_INVOCATION_ID=00112233445566778899aabbccddee{unit:02x}\n_STREAM_ID=ffeeddccbbaa998877665544332211{unit:02x}\n\
             _MACHINE_ID=aabbccddeeff00112233445566778899\n_HOSTNAME=host\n_RUNTIME_SCOPE=system\n\
             _SOURCE_REALTIME_TIMESTAMP={}\n\
             MESSAGE=request {at} of client 10.0.{}.{} answered with 200 in {} ms\n\n",
            5_000_000 + at * 200,
            3 + at % 5,
            micros - 30,
            at % 250,
            at % 199,
            at * 7 % 113,
        )?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "systemd writes what is to be read")]
fn written(directory: &Path, is_compact: bool) -> Option<()> {
    let mut child = Command::new(WRITER)
        .arg(format!("--output={}", directory.join("system.journal").display()))
        .arg("-")
        .env("SYSTEMD_JOURNAL_COMPACT", if is_compact { "1" } else { "0" })
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = std::io::BufWriter::new(child.stdin.take()?);
    export(&mut stdin).and_then(|()| stdin.flush()).ok()?;
    drop(stdin);
    child.wait().ok()?.success().then_some(())
}

fn options(directory: &Path) -> JournalOptions {
    JournalOptions {
        name: "journal".into(),
        directories: vec![directory.to_owned()],
        units: Vec::new(),
        exclude_units: Vec::new(),
        priority: 7,
        start: StartAt::Beginning,
        max_field_bytes: 1 << 20,
    }
}

fn records(directory: &Path, positions: &Positions, out: &mut LogBuffer) -> usize {
    let mut source = JournalSource::open(options(directory), positions).unwrap();
    let mut records = 0;
    loop {
        let ready = source.read_ready(NOW, out, 1 << 20).unwrap();
        records += out.len();
        out.clear();
        if ready == Ready::CaughtUp {
            return records;
        }
    }
}

fn entries(directory: &Path) -> usize {
    let mut reader = JournalReader::open(vec![directory.to_owned()], StartAt::Beginning, 1 << 20);
    reader.refresh(NOW, true);
    let (mut count, mut bytes) = (0, 0);
    while let Some(entry) = reader.next_entry() {
        count += 1;
        bytes += entry.fields().map(|(_, value)| value.len()).sum::<usize>();
    }
    assert!(bytes > 0);
    count
}

fn journal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Elements(ENTRIES)).sample_size(10).measurement_time(Duration::from_secs(5));
    for (name, is_compact) in [("compact", true), ("regular", false)] {
        let directory = tempfile::tempdir().unwrap();
        if written(directory.path(), is_compact).is_none() {
            println!("{WRITER} is not there: nothing is measured");
            return;
        }
        let positions = Positions::open(&directory.path().join("positions")).unwrap();
        let mut out = LogBuffer::default();
        assert_eq!(records(directory.path(), &positions, &mut out) as u64, ENTRIES);
        group.bench_function(BenchmarkId::new("records", name), |bencher| {
            bencher.iter(|| records(directory.path(), &positions, &mut out));
        });
        group.bench_function(BenchmarkId::new("entries", name), |bencher| {
            bencher.iter(|| entries(directory.path()));
        });
    }
    group.finish();
}

criterion_group!(benches, journal);
criterion_main!(benches);
