//! What happens to journals while they are followed.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;

use telemetry::LogValue;

use super::writer::Writer;
use super::*;

struct Host {
    directory: tempfile::TempDir,
    positions: Positions,
    source: Option<JournalSource>,
    now: Timestamp,
    start: StartAt,
    /// What went wrong, in words.
    problems: Vec<String>,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("journal")).unwrap();
        let positions = Positions::open(&directory.path().join("positions")).unwrap();
        Self { directory, positions, source: None, now: NOW, start: StartAt::Beginning, problems: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("journal").join(name)
    }

    fn options(&self) -> JournalOptions {
        JournalOptions {
            name: "journal".into(),
            directories: vec![self.path(""), self.directory.path().join("volatile")],
            units: Vec::new(),
            exclude_units: Vec::new(),
            priority: 7,
            start: self.start,
            max_field_bytes: 1 << 20,
        }
    }

    /// Ends without settling anything more.
    fn restart(&mut self) {
        self.source = None;
    }

    /// Reads all that is there and settles it: the messages.
    fn read(&mut self) -> Vec<String> {
        let read = self.read_unsettled();
        self.source.as_mut().unwrap().settle(&mut self.positions);
        self.positions.save().unwrap();
        read
    }

    fn read_unsettled(&mut self) -> Vec<String> {
        let options = self.options();
        let source =
            self.source.get_or_insert_with(|| JournalSource::open(options, &self.positions).unwrap());
        self.now = self.now.plus(SWEEP);
        let mut out = LogBuffer::default();
        loop {
            match source.read_ready(self.now, &mut out, 1 << 20) {
                Ok(Ready::CaughtUp) => break,
                Ok(Ready::More) => {}
                Err(error) => self.problems.push(error.to_string()),
            }
        }
        let text = |value| match value {
            LogValue::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        out.records().map(|record| text(record.body())).collect()
    }

    fn lost(&self, reason: &str) -> u64 {
        let lost = self.source.as_ref().unwrap().figures().lost;
        lost.iter().find(|(name, _)| *name == reason).unwrap().1
    }
}

const NOTHING: [&str; 0] = [];

fn message(seqnum: u64) -> String {
    format!("MESSAGE=number {seqnum}")
}

/// Appends the entries with these numbers.
fn append(writer: &mut Writer, seqnums: std::ops::RangeInclusive<u64>) -> &mut Writer {
    for seqnum in seqnums {
        writer.append(seqnum, &[&message(seqnum), "PRIORITY=6", "_SYSTEMD_UNIT=web.service"]);
    }
    writer
}

fn numbers(seqnums: std::ops::RangeInclusive<u64>) -> Vec<String> {
    seqnums.map(|seqnum| format!("number {seqnum}")).collect()
}

#[test]
fn what_is_appended_is_read_once_also_after_a_restart() {
    for is_compact in [false, true] {
        let mut host = Host::new();
        let path = host.path("system.journal");
        let mut writer = Writer::new(1, 1, is_compact);
        append(&mut writer, 1..=3).save(&path);
        assert_eq!(host.read(), numbers(1..=3));
        assert_eq!(host.read(), NOTHING);
        append(&mut writer, 4..=40).save(&path);
        assert_eq!(host.read(), numbers(4..=40));
        host.restart();
        append(&mut writer, 41..=41).save(&path);
        assert_eq!(host.read(), numbers(41..=41));
    }
}

#[test]
fn what_was_not_made_durable_is_read_again() {
    let mut host = Host::new();
    let path = host.path("system.journal");
    let mut writer = Writer::new(1, 1, true);
    append(&mut writer, 1..=3).save(&path);
    host.read();
    append(&mut writer, 4..=6).save(&path);
    assert_eq!(host.read_unsettled(), numbers(4..=6));
    host.restart();
    assert_eq!(host.read(), numbers(4..=6));
}

#[test]
fn a_first_start_at_the_end_passes_over_what_is_there_and_reads_files_that_come() {
    let mut host = Host::new();
    host.start = StartAt::End;
    let mut writer = Writer::new(1, 1, true);
    append(&mut writer, 1..=9).save(&host.path("system.journal"));
    assert_eq!(host.read(), NOTHING);
    host.restart();
    append(&mut writer, 10..=11).save(&host.path("system.journal"));
    append(&mut Writer::new(2, 2, true), 12..=13).save(&host.path("user-1000.journal"));
    assert_eq!(host.read(), numbers(10..=13));
    assert_eq!(host.lost("rotated_away"), 0);
}

#[test]
fn a_rotated_file_is_read_to_its_end_and_the_next_one_from_its_beginning() {
    for restarts in [false, true] {
        let mut host = Host::new();
        let (live, archived) = (host.path("system.journal"), host.path("system@1-1-1.journal"));
        let mut writer = Writer::new(1, 1, true);
        append(&mut writer, 1..=3).save(&live);
        assert_eq!(host.read(), numbers(1..=3));
        if restarts {
            host.restart();
        }
        append(&mut writer, 4..=6).set_state(2).save(&live);
        fs::rename(&live, &archived).unwrap();
        append(&mut Writer::new(2, 1, true), 7..=9).save(&live);
        assert_eq!(host.read(), numbers(4..=9));
        assert_eq!(host.source.as_ref().unwrap().figures().files, 1, "what is archived and read is let go");
        assert_eq!(host.lost("rotated_away"), 0);
    }
}

#[test]
fn a_file_that_is_removed_while_it_is_read_is_read_to_its_end() {
    let mut host = Host::new();
    let path = host.path("system@1-1-1.journal");
    let mut writer = Writer::new(1, 1, true);
    append(&mut writer, 1..=3).save(&path);
    assert_eq!(host.read(), numbers(1..=3));
    append(&mut writer, 4..=6).set_state(2).save(&path);
    fs::remove_file(&path).unwrap();
    assert_eq!(host.read(), numbers(4..=6));
    assert_eq!(host.source.as_ref().unwrap().figures().files, 0);
}

#[test]
fn a_file_that_journald_empties_while_it_is_held_is_counted_and_no_damage() {
    // Archived, and known to have more; live, and never seen again.
    for is_known in [false, true] {
        let mut host = Host::new();
        let (live, archived) = (host.path("system.journal"), host.path("system@1-1-1.journal"));
        let mut writer = Writer::new(1, 1, true);
        append(&mut writer, 1..=3).save(&live);
        assert_eq!(host.read(), numbers(1..=3));
        append(&mut writer, 4..=6).set_state(2).save(&live);
        if is_known {
            host.source.as_mut().unwrap().reader.refresh(host.now, false);
        }
        fs::rename(&live, &archived).unwrap();
        let held = OpenOptions::new().write(true).open(&archived).unwrap();
        fs::remove_file(&archived).unwrap();
        held.write_all_at(&vec![0; writer.bytes.len()], 0).unwrap();
        append(&mut Writer::new(2, 1, true), 7..=9).save(&live);
        assert_eq!(host.read(), numbers(7..=9));
        host.read();
        assert_eq!((host.lost("rotated_away"), host.lost("damaged")), (3, 0), "{is_known}");
        assert_eq!(host.problems, NOTHING);
        assert_eq!(host.source.as_ref().unwrap().figures().files, 1);
    }
}

#[test]
fn entries_that_were_vacuumed_before_they_were_read_are_counted() {
    let mut host = Host::new();
    let path = host.path("system.journal");
    let mut writer = Writer::new(1, 1, true);
    append(&mut writer, 1..=3).save(&path);
    host.read();
    host.restart();
    // 4 to 9 were in files of which nobody will hear again.
    fs::remove_file(&path).unwrap();
    append(&mut Writer::new(2, 1, true), 10..=12).save(&path);
    assert_eq!(host.read(), numbers(10..=12));
    host.read();
    assert_eq!(host.lost("rotated_away"), 6);
    host.read();
    assert_eq!(host.lost("rotated_away"), 6);
}

#[test]
fn a_journal_that_was_removed_meanwhile_is_neither_missed_nor_replayed() {
    let mut host = Host::new();
    let path = host.path("system.journal");
    append(&mut Writer::new(1, 1, true), 1..=50).save(&path);
    host.read();
    host.restart();
    fs::remove_file(&path).unwrap();
    // Of the same boot, in a sequence that begins anew; its first entries are copies of what was read.
    append(&mut Writer::new(2, 2, true), 48..=53).save(&path);
    assert_eq!(host.read(), numbers(51..=53));
}

#[test]
fn a_journal_that_begins_anew_while_it_is_followed_is_read_whole() {
    let mut host = Host::new();
    let path = host.path("system.journal");
    append(&mut Writer::new(1, 1, true), 1..=50).save(&path);
    host.read();
    fs::rename(&path, host.path("system@5-5.journal~")).unwrap();
    let mut anew = Writer::new(2, 2, true);
    anew.boot = 2;
    append(&mut anew, 1..=3).save(&path);
    assert_eq!(host.read(), numbers(1..=3));
    assert_eq!(host.source.as_ref().unwrap().figures().files, 1, "what is damaged is not written any more");
}

#[test]
fn files_of_one_sequence_are_read_in_the_order_of_their_numbers() {
    let mut host = Host::new();
    let (mut system, mut user) = (Writer::new(1, 1, true), Writer::new(2, 1, false));
    for seqnum in 1..=60 {
        let writer = if seqnum % 7 < 3 { &mut system } else { &mut user };
        append(writer, seqnum..=seqnum);
    }
    system.save(&host.path("system.journal"));
    user.save(&host.path("user-1000.journal"));
    assert_eq!(host.read(), numbers(1..=60));
    assert_eq!(host.lost("rotated_away"), 0);
}

#[test]
fn an_entry_that_shows_later_than_the_next_one_is_not_missed() {
    for restarts in [false, true] {
        let mut host = Host::new();
        let (mut system, mut user) = (Writer::new(1, 1, true), Writer::new(2, 1, true));
        append(&mut system, 1..=1).save(&host.path("system.journal"));
        append(&mut user, 2..=2).save(&host.path("user-1000.journal"));
        assert_eq!(host.read(), numbers(1..=2));
        append(&mut system, 4..=4).save(&host.path("system.journal"));
        assert_eq!(host.read(), numbers(4..=4));
        if restarts {
            host.restart();
        }
        append(&mut user, 3..=3).save(&host.path("user-1000.journal"));
        assert_eq!(host.read(), numbers(3..=3));
        host.read();
        host.read();
        assert_eq!(host.lost("rotated_away"), 0);
    }
}

#[test]
fn an_entry_that_is_not_all_there_yet_is_waited_for() {
    let mut host = Host::new();
    let path = host.path("system.journal");
    let mut writer = Writer::new(1, 1, true);
    append(&mut writer, 1..=3).save(&path);
    host.read();
    let mut torn = append(&mut writer, 4..=4).clone();
    let entry = torn.bytes.len() - 80;
    torn.bytes[entry..].fill(0);
    torn.save(&path);
    assert_eq!(host.read(), NOTHING);
    let source = host.source.as_ref().unwrap();
    assert_eq!(source.next_look(host.now), Some(LOOK_AGAIN));
    writer.save(&path);
    assert_eq!(host.read(), numbers(4..=4));
    assert_eq!((host.lost("damaged"), host.problems.len()), (0, 0));
}

#[test]
fn what_is_no_journal_is_told_once_and_harms_nothing() {
    let mut host = Host::new();
    append(&mut Writer::new(1, 1, true), 1..=3).save(&host.path("system.journal"));
    fs::write(host.path("garbage.journal"), [7; 4096]).unwrap();
    fs::write(host.path("empty.journal"), "").unwrap();
    fs::write(host.path("notes.txt"), "LPKSHHRH").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", host.path("link.journal")).unwrap();
    let fifo = rustix::fs::CWD;
    rustix::fs::mkfifoat(fifo, host.path("fifo.journal"), rustix::fs::Mode::RUSR).unwrap();
    assert_eq!(host.read(), numbers(1..=3));
    host.read();
    fs::write(host.path("garbage.journal"), [8; 4096]).unwrap();
    host.read();
    assert_eq!(host.problems.len(), 3, "{:?}", host.problems);
    // It was being made.
    append(&mut Writer::new(2, 1, true), 4..=5).save(&host.path("garbage.journal"));
    assert_eq!(host.read(), numbers(4..=5));
}

#[test]
fn nothing_to_read_is_no_work() {
    let mut host = Host::new();
    append(&mut Writer::new(1, 1, true), 1..=3).save(&host.path("system.journal"));
    host.read();
    let source = host.source.as_mut().unwrap();
    assert_eq!(source.next_look(host.now), Some(WHILE_FLOWING));
    let mut out = LogBuffer::default();
    assert_eq!(source.read_ready(host.now, &mut out, 1 << 20).unwrap(), Ready::CaughtUp);
    assert_eq!(source.next_look(host.now), Some(SWEEP));
    assert!(out.is_empty());
}

#[test]
fn a_writer_is_noticed_at_once() {
    let mut host = Host::new();
    let path = host.path("system.journal");
    let mut writer = Writer::new(1, 1, true);
    append(&mut writer, 1..=3).save(&path);
    host.read();
    let source = host.source.as_mut().unwrap();
    assert_eq!(source.watch.take(), watch::Changes::default());
    append(&mut writer, 4..=4).save(&path);
    assert_eq!(source.watch.take(), watch::Changes { files: false, entries: true });
    fs::rename(&path, path.with_extension("journal~")).unwrap();
    assert!(source.watch.take().files);
}

#[test]
fn a_directory_that_comes_later_is_found() {
    let mut host = Host::new();
    fs::remove_dir(host.path("")).unwrap();
    assert_eq!(host.read(), NOTHING);
    fs::create_dir(host.path("")).unwrap();
    append(&mut Writer::new(1, 1, true), 1..=3).save(&host.path("system.journal"));
    assert_eq!(host.read(), numbers(1..=3));
}

#[test]
fn what_is_copied_from_the_volatile_journal_is_read_once() {
    let mut host = Host::new();
    let volatile = host.directory.path().join("volatile");
    fs::create_dir(&volatile).unwrap();
    append(&mut Writer::new(1, 1, true), 1..=30).save(&volatile.join("system.journal"));
    assert_eq!(host.read(), numbers(1..=30));
    // Received at the same moments, with the same contents, in another sequence.
    append(&mut Writer::new(2, 2, true), 1..=33).save(&host.path("system.journal"));
    assert_eq!(host.read(), numbers(31..=33));
}

#[test]
fn more_files_than_are_held_open_are_all_read() {
    let mut host = Host::new();
    for file in 0..200_u64 {
        let mut writer = Writer::new(file as u8, 1, true);
        append(&mut writer, file * 2 + 1..=file * 2 + 2).set_state(2);
        writer.save(&host.path(&format!("system@{file}.journal")));
    }
    let mut read = host.read();
    read.extend(host.read());
    assert_eq!(read, numbers(1..=400));
    assert_eq!(host.lost("rotated_away"), 0);
}

#[test]
fn a_batch_ends_at_its_limit_and_goes_on_in_the_next() {
    let host = Host::new();
    append(&mut Writer::new(1, 1, true), 1..=5000).save(&host.path("system.journal"));
    let options = host.options();
    let mut source = JournalSource::open(options, &host.positions).unwrap();
    let (mut out, mut records, mut calls) = (LogBuffer::default(), 0, 0);
    loop {
        let ready = source.read_ready(NOW, &mut out, 64 << 10).unwrap();
        assert!(out.size_bytes() < 66 << 10);
        (records, calls) = (records + out.len(), calls + 1);
        out.clear();
        if ready == Ready::CaughtUp {
            break;
        }
        assert_eq!(source.next_look(NOW), Some(Duration::ZERO));
    }
    assert!(records == 5000 && calls > 5, "{records} in {calls}");
}
