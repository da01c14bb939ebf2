use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn source(positions: &Positions) -> (tempfile::TempDir, KernelSource) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("kmsg"), "").unwrap();
    std::fs::write(directory.path().join("boot_id"), "4cb5c8b1-5a2d-4b6f-9b37-5e0d2e6a4f10\n").unwrap();
    let options = KernelOptions {
        name: "kernel".into(),
        path: directory.path().join("kmsg"),
        boot_id_path: directory.path().join("boot_id"),
        monotonic: || Duration::from_secs(1000),
    };
    let source = KernelSource::open(options, positions).unwrap();
    (directory, source)
}

fn positions() -> (tempfile::TempDir, Positions) {
    let directory = tempfile::tempdir().unwrap();
    let positions = Positions::open(&directory.path().join("positions")).unwrap();
    (directory, positions)
}

/// What records, given as the kernel gives them, become.
fn read(source: &mut KernelSource, records: &[&str]) -> LogBuffer {
    let mut out = LogBuffer::default();
    for record in records {
        source.take(record.as_bytes(), NOW, &mut out);
    }
    source.flush(NOW, &mut out);
    out
}

fn bodies(buffer: &LogBuffer) -> Vec<String> {
    buffer.records().map(|record| format!("{:?}", record.body())).map(|it| it.replace("Text", "")).collect()
}

fn text(buffer: &LogBuffer, at: usize) -> String {
    match buffer.records().nth(at).unwrap().body() {
        telemetry::LogValue::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_has_its_time_its_severity_and_its_device() {
    let (_kept, positions) = positions();
    let (_directory, mut source) = source(&positions);
    let out = read(&mut source, &["4,7,999000000,-;e1000e: eth0 is slow\n SUBSYSTEM=net\n DEVICE=n2\n"]);
    let record = out.records().next().unwrap();
    assert_eq!((record.time(), record.observed()), (NOW.minus(Duration::from_secs(1)), NOW));
    assert_eq!((record.severity(), record.severity_text()), (13, &b"warning"[..]));
    assert_eq!(record.attribute("DEVICE"), Some(telemetry::LogValue::Text(b"n2")));
    assert_eq!(record.event_name(), b"");
}

#[test]
fn a_kill_for_lack_of_memory_is_an_event_with_its_process_and_cgroup() {
    let (_kept, positions) = positions();
    let (_directory, mut source) = source(&positions);
    let out = read(
        &mut source,
        &[
            "6,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/web.service,task=web,pid=42,uid=0",
            "3,2,2,-;Memory cgroup out of memory: Killed process 42 (web) total-vm:10kB, anon-rss:5kB, file-rss:0kB",
            "3,3,3,-;Out of memory: Killed process 43 (other) total-vm:10kB, anon-rss:5kB, file-rss:0kB",
        ],
    );
    let kill = out.records().nth(1).unwrap();
    assert_eq!(kill.event_name(), b"kernel.oom_kill");
    assert_eq!(kill.attribute("process.pid"), Some(telemetry::LogValue::Int(42)));
    assert_eq!(kill.attribute("process.linux.cgroup"), Some(telemetry::LogValue::Text(b"/a/web.service")));
    assert_eq!(out.records().nth(2).unwrap().attribute("process.linux.cgroup"), None);
}

#[test]
fn what_programs_write_into_the_log_is_no_event() {
    let (_kept, positions) = positions();
    let (_directory, mut source) = source(&positions);
    let out =
        read(&mut source, &["11,1,1,-;Out of memory: Killed process 42 (web) total-vm:10kB, anon-rss:5kB"]);
    let record = out.records().next().unwrap();
    assert_eq!(record.event_name(), b"");
    assert_eq!(record.attribute("syslog.facility"), Some(telemetry::LogValue::Int(1)));
}

#[test]
fn a_line_in_pieces_is_one_record() {
    let (_kept, positions) = positions();
    let (_directory, mut source) = source(&positions);
    let out = read(&mut source, &["6,1,1,-;ACPI: (supports", "6,2,2,c; S0", "6,3,3,c; S5)", "6,5,4,c;late"]);
    assert_eq!((out.len(), text(&out, 0).as_str()), (2, "ACPI: (supports S0 S5)"), "{:?}", bodies(&out));
    assert_eq!(source.figures().lost, [("overwritten", 1)]);
}

#[test]
fn what_was_overwritten_before_it_was_read_is_counted() {
    let (_kept, positions) = positions();
    let (_directory, mut source) = source(&positions);
    // What was gone before the first look is not known to have been wanted.
    read(&mut source, &["6,100,1,-;a", "6,101,1,-;b", "6,201,1,-;c", "no record", "6,203,1,-;d"]);
    let figures = source.figures();
    assert_eq!((figures.lost, figures.records, figures.unparsed), (vec![("overwritten", 100)], 4, 1));
}

#[test]
fn a_restart_goes_on_and_a_reboot_begins_anew() {
    let (_kept, mut positions) = positions();
    let (directory, mut first) = source(&positions);
    read(&mut first, &["6,1,1,-;a", "6,2,1,-;b"]);
    first.settle(&mut positions);
    let mut second = KernelSource::open(first.options.clone(), &positions).unwrap();
    assert_eq!(read(&mut second, &["6,1,1,-;a", "6,2,1,-;b", "6,3,1,-;c"]).len(), 1);
    std::fs::write(directory.path().join("boot_id"), "00000000-5a2d-4b6f-9b37-5e0d2e6a4f10\n").unwrap();
    let mut third = KernelSource::open(first.options.clone(), &positions).unwrap();
    assert_eq!(read(&mut third, &["6,1,1,-;x"]).len(), 1);
}

#[test]
fn the_log_of_this_host_is_read_once() {
    let (_kept, mut positions) = positions();
    let options = KernelOptions {
        name: "kernel".into(),
        path: "/dev/kmsg".into(),
        boot_id_path: "/proc/sys/kernel/random/boot_id".into(),
        monotonic: || Duration::from_secs(1),
    };
    // Not everybody may read it.
    let Ok(mut source) = KernelSource::open(options.clone(), &positions) else { return };
    let mut out = LogBuffer::default();
    while source.read_ready(NOW, &mut out, 64 << 20).unwrap() == Ready::More {}
    let figures = source.figures();
    assert_eq!((figures.records, figures.unparsed), (out.len() as u64, 0));
    source.settle(&mut positions);
    let mut again = LogBuffer::default();
    KernelSource::open(options, &positions).unwrap().read_ready(NOW, &mut again, 64 << 20).unwrap();
    assert!(again.len() < out.len().max(16), "{} of {}", again.len(), out.len());
}
