//! On real files.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::SystemTime;

use telemetry::LogValue;
use tempfile::TempDir;

use super::*;
use crate::StartAt;

/// A source over a directory, with its places.
pub(super) struct Bench {
    pub(super) directory: TempDir,
    pub(super) positions: Positions,
    pub(super) source: FilesSource,
    pub(super) now: Timestamp,
}

pub(super) fn options(directory: &Path, include: &str) -> FilesOptions {
    FilesOptions {
        name: "app".into(),
        include: include.split(' ').map(|glob| directory.join(glob).display().to_string()).collect(),
        exclude: Vec::new(),
        start: StartAt::End,
        max_line_bytes: 1 << 20,
        record: std::sync::Arc::default(),
        resource: ResourceTemplate::default(),
        file_path_attribute: false,
        max_open_files: 64,
    }
}

impl Bench {
    fn new(include: &str) -> Self {
        Self::with(include, |_| {}, |_| {})
    }

    fn with(include: &str, prepare: impl Fn(&Path), set: impl Fn(&mut FilesOptions)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        prepare(directory.path());
        let mut options = options(directory.path(), include);
        set(&mut options);
        let positions = Positions::open(&directory.path().join(".positions")).unwrap();
        // Files bear the machine's time: whatever is written is written after this.
        let now = Timestamp::from_secs(1_700_000_000);
        let source = FilesSource::open(options, &positions, now).unwrap();
        Self { directory, positions, source, now }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    /// All that is there now, made durable.
    fn read(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut out = LogBuffer::default();
            let ready = self.source.read_ready(self.now, &mut out, 1 << 20).unwrap();
            lines.extend(out.records().map(|record| match record.body() {
                LogValue::Text(text) | LogValue::Bytes(text) => String::from_utf8_lossy(text).into_owned(),
                other => format!("{other:?}"),
            }));
            self.source.settle(&mut self.positions);
            self.positions.save().unwrap();
            if ready == Ready::CaughtUp {
                return lines;
            }
        }
    }

    fn restart(&mut self, include: &str) {
        let options = options(self.directory.path(), include);
        self.source = FilesSource::open(options, &self.positions, self.now).unwrap();
    }

    fn state_of(&self, name: &str) -> String {
        let path = self.path(name);
        let file = self.source.listing().into_iter().find(|file| file.path == path);
        file.map_or_else(|| "unknown".to_owned(), |file| file.state.to_string())
    }
}

#[test]
fn what_comes_after_the_first_start_is_read_at_once() {
    let prepare = |directory: &Path| fs::write(directory.join("a.log"), "old\nhalf").unwrap();
    let mut bench = Bench::with("*.log", prepare, |_| {});
    assert_eq!(bench.read(), [""; 0]);
    bench.append("a.log", " a line\nnew\n");
    assert_eq!(bench.read(), ["half a line", "new"]);
    bench.append("b.log", "all\nof it\n");
    assert_eq!(bench.read(), ["all", "of it"]);
    bench.append("other.txt", "not meant\n");
    assert_eq!(bench.read(), [""; 0]);
}

#[test]
fn the_first_start_may_begin_at_the_beginning() {
    let prepare = |directory: &Path| fs::write(directory.join("a.log"), "old\n").unwrap();
    let mut bench = Bench::with("*.log", prepare, |options| options.start = StartAt::Beginning);
    assert_eq!(bench.read(), ["old"]);
}

#[test]
fn a_file_that_is_renamed_is_read_to_its_end() {
    let mut bench = Bench::new("*.log");
    bench.append("a.log", "1\n");
    assert_eq!(bench.read(), ["1"]);
    let mut writer = OpenOptions::new().append(true).open(bench.path("a.log")).unwrap();
    writer.write_all(b"2\n").unwrap();
    fs::rename(bench.path("a.log"), bench.path("a.log.1")).unwrap();
    bench.append("a.log", "4\n");
    writer.write_all(b"3\n").unwrap();
    assert_eq!(bench.read(), ["2", "3", "4"]);
    assert_eq!((bench.state_of("a.log"), bench.state_of("a.log.1")), ("following".into(), "rotated".into()));
    writer.write_all(b"late\n").unwrap();
    assert_eq!(bench.read(), ["late"]);
}

#[test]
fn a_deleted_file_is_read_to_its_end_and_released_once_that_is_durable() {
    let mut bench = Bench::new("*.log");
    bench.append("a.log", "1\n");
    assert_eq!(bench.read(), ["1"]);
    bench.append("a.log", "2\nend");
    fs::remove_file(bench.path("a.log")).unwrap();
    assert_eq!(bench.read(), ["2"]);
    assert_eq!(bench.source.follower.listing()[0].state, FileState::Deleted);
    bench.wait(6);
    assert_eq!(bench.read(), ["end"]);
    assert_eq!(bench.source.listing(), []);
    assert_eq!(bench.positions.keys("files/app/").count(), 0);
}

#[test]
fn a_truncated_file_is_begun_again_though_it_has_grown_beyond_the_place() {
    let mut bench = Bench::new("*.log");
    bench.append("a.log", "one\ntwo\n");
    assert_eq!(bench.read(), ["one", "two"]);
    File::create(bench.path("a.log")).unwrap();
    bench.append("a.log", "three\nfour\nfive\n");
    assert_eq!(bench.read(), ["three", "four", "five"]);
    assert_eq!(bench.source.figures().lost, [("truncated", 1)]);
}

#[test]
fn what_a_copy_holds_is_not_lost_by_the_truncation() {
    for include in ["a.log", "a.log*"] {
        let mut bench = Bench::new(include);
        bench.append("a.log", "one\ntwo\n");
        assert_eq!(bench.read(), ["one", "two"]);
        bench.append("a.log", "unread\n");
        fs::copy(bench.path("a.log"), bench.path("a.log.1")).unwrap();
        File::create(bench.path("a.log")).unwrap();
        bench.append("a.log", "three\n");
        assert_eq!(bench.read(), ["unread", "three"], "{include}");
        bench.wait(20);
        assert_eq!(bench.read(), [""; 0], "{include}");
        assert_eq!(bench.source.figures().lost, [("copied_and_truncated", 1)]);
    }
}

#[test]
fn what_was_written_between_two_cuts_is_read_from_its_copy_though_no_glob_names_it() {
    for include in ["a.log", "a.log*"] {
        let mut bench = Bench::new(include);
        bench.append("a.log", "one\n");
        assert_eq!(bench.read(), ["one"]);
        fs::copy(bench.path("a.log"), bench.path("a.log.1")).unwrap();
        File::create(bench.path("a.log")).unwrap();
        assert_eq!(bench.read(), [""; 0]);
        bench.append("a.log", "two\n");
        fs::rename(bench.path("a.log.1"), bench.path("a.log.2")).unwrap();
        fs::copy(bench.path("a.log"), bench.path("a.log.1")).unwrap();
        File::create(bench.path("a.log")).unwrap();
        bench.append("a.log", "three\n");
        assert_eq!(bench.read(), ["two", "three"], "{include}");
        bench.wait(20);
        assert_eq!(bench.read(), [""; 0], "{include}");
    }
}

#[test]
fn what_a_packed_copy_holds_is_not_lost_by_the_cut() {
    let mut bench = Bench::new("a.log");
    bench.append("a.log", "one\n");
    assert_eq!(bench.read(), ["one"]);
    bench.append("a.log", "unread\n");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&fs::read(bench.path("a.log")).unwrap()).unwrap();
    fs::write(bench.path("a.log.1.gz"), gzip.finish().unwrap()).unwrap();
    File::create(bench.path("a.log")).unwrap();
    bench.append("a.log", "three\n");
    assert_eq!(bench.read(), ["unread", "three"]);
}

#[test]
fn a_copy_of_what_was_read_is_not_read() {
    let mut bench = Bench::new("a.log*");
    bench.append("a.log", "one\ntwo\n");
    assert_eq!(bench.read(), ["one", "two"]);
    fs::copy(bench.path("a.log"), bench.path("a.log.1")).unwrap();
    assert_eq!(bench.read(), [""; 0]);
    assert!(bench.state_of("a.log.1").contains("copy"));
    File::create(bench.path("a.log")).unwrap();
    bench.append("a.log", "three\n");
    assert_eq!(bench.read(), ["three"]);
}

#[test]
fn packed_copies_from_before_are_not_read() {
    let mut bench = Bench::new("a.log*");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"line\n").unwrap();
    fs::write(bench.path("a.log.1.gz"), gzip.finish().unwrap()).unwrap();
    let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    File::options().write(true).open(bench.path("a.log.1.gz")).unwrap().set_modified(before).unwrap();
    bench.append("a.log", "one\n");
    assert_eq!(bench.read(), ["one"]);
    assert_eq!(bench.state_of("a.log.1.gz"), "not followed: it is packed with gzip");
    bench.wait(6);
    assert_eq!(bench.read(), [""; 0]);
}

#[test]
fn nothing_is_missed_of_two_rotations_while_the_agent_was_down() {
    let mut bench = Bench::new("a.log");
    bench.append("a.log", "1\n2\n");
    assert_eq!(bench.read(), ["1", "2"]);
    bench.append("a.log", "3\n");
    let pack = |from: &Path, to: &Path, zstd: bool| {
        let text = fs::read(from).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        fs::write(to, if zstd { zstd::encode_all(&text[..], 1).unwrap() } else { gzip }).unwrap();
        fs::remove_file(from).unwrap();
    };
    pack(&bench.path("a.log"), &bench.path("a.log.3.gz"), false);
    bench.append("a.log", "4\n5\n");
    pack(&bench.path("a.log"), &bench.path("a.log.2.zst"), true);
    fs::write(bench.path("a.log.1"), "6\n").unwrap();
    bench.append("a.log", "7\n");
    for expected in [&["3", "4", "5", "6", "7"][..], &[]] {
        bench.restart("a.log");
        assert_eq!(bench.read(), expected);
        bench.wait(20);
        assert_eq!(bench.read(), [""; 0]);
    }
    assert_eq!(bench.source.figures().lost, []);
}

#[test]
fn a_place_that_is_nowhere_is_counted() {
    let mut bench = Bench::new("a.log");
    bench.append("a.log", "1\n2\n");
    assert_eq!(bench.read(), ["1", "2"]);
    fs::remove_file(bench.path("a.log")).unwrap();
    bench.append("a.log", "7\n");
    bench.restart("a.log");
    assert_eq!(bench.read(), ["7"]);
    assert_eq!(bench.source.figures().lost, [("rotated_away", 1)]);
}

#[test]
fn half_a_line_is_one_record_over_a_restart() {
    let mut bench = Bench::new("*.log");
    bench.append("a.log", "one\nha");
    assert_eq!(bench.read(), ["one"]);
    bench.wait(60);
    assert_eq!(bench.read(), [""; 0]);
    bench.restart("*.log");
    bench.append("a.log", "lf\n");
    assert_eq!(bench.read(), ["half"]);
}

#[test]
fn what_waits_for_more_is_ended_though_nothing_comes() {
    let set = |options: &mut FilesOptions| {
        let settings = crate::RecordSettings {
            multiline: Some(crate::Multiline::Indented),
            dedup: Some(Duration::from_secs(10)),
            ..crate::RecordSettings::default()
        };
        options.record = std::sync::Arc::new(crate::RecordOptions::new(settings).unwrap());
    };
    let mut bench = Bench::with("*.log", |_| {}, set);
    bench.append("a.log", "one\n more\nagain\nagain\nagain\n");
    assert_eq!(bench.read(), ["one\n more", "again"]);
    bench.wait(1);
    assert_eq!(bench.read(), [""; 0]);
    bench.wait(10);
    assert_eq!(bench.read(), ["repeated 2 times: again"]);
    assert_eq!(bench.source.figures().left_out, 2);
}

#[test]
fn two_files_with_the_same_beginning_are_both_read_whole() {
    let mut bench = Bench::new("*.log");
    let beginning = "the same line\n".repeat(200);
    for name in ["a.log", "b.log"] {
        bench.append(name, &beginning);
        bench.append(name, &format!("end of {name}\n"));
    }
    let lines = bench.read();
    assert_eq!(lines.len(), 402);
    assert!(lines.contains(&"end of a.log".to_owned()) && lines.contains(&"end of b.log".to_owned()));
}

#[test]
fn what_is_no_regular_file_is_not_read_and_says_why() {
    let mut bench = Bench::with(
        "*.log",
        |directory| {
            rustix::fs::mkfifoat(rustix::fs::CWD, directory.join("fifo.log"), 0o600.into()).unwrap();
            fs::create_dir(directory.join("directory.log")).unwrap();
            symlink("/dev/zero", directory.join("zero.log")).unwrap();
            symlink("nowhere", directory.join("dangling.log")).unwrap();
        },
        |_| {},
    );
    assert_eq!(bench.read(), [""; 0]);
    assert_eq!(bench.state_of("fifo.log"), "not followed: it is a FIFO");
    assert_eq!(bench.state_of("zero.log"), "not followed: it is a device");
    assert_eq!(bench.state_of("dangling.log"), "unknown");
    bench.append("a.log", "line\n");
    assert_eq!(bench.read(), ["line"]);
}

#[test]
fn links_are_followed_to_files_of_their_owner() {
    let mut bench = Bench::new("*.log");
    bench.append("target", "line\n");
    symlink(bench.path("target"), bench.path("a.log")).unwrap();
    assert_eq!(bench.read(), ["line"]);
    bench.append("target", "more\n");
    bench.wait(6);
    assert_eq!(bench.read(), ["more"]);
}

#[test]
fn directories_below_a_wildcard_that_are_links_are_not_entered() {
    let mut bench = Bench::with(
        "in/*/*.log",
        |directory| {
            fs::create_dir_all(directory.join("in/real")).unwrap();
            fs::create_dir_all(directory.join("out")).unwrap();
            fs::write(directory.join("out/a.log"), "secret\n").unwrap();
            symlink(directory.join("out"), directory.join("in/link")).unwrap();
        },
        |options| options.start = StartAt::Beginning,
    );
    bench.append("in/real/b.log", "line\n");
    assert_eq!(bench.read(), ["line"]);
    assert_eq!(bench.source.listing().len(), 1);
}

#[test]
fn directories_that_come_later_are_followed() {
    let mut bench = Bench::new("**/*.log");
    fs::create_dir_all(bench.path("x/y")).unwrap();
    assert_eq!(bench.read(), [""; 0]);
    bench.append("x/y/a.log", "line\n");
    assert_eq!(bench.read(), ["line"]);
    fs::remove_dir_all(bench.path("x")).unwrap();
    bench.wait(6);
    assert_eq!(bench.read(), [""; 0]);
    bench.wait(6);
    assert_eq!(bench.read(), [""; 0]);
    assert_eq!(bench.source.listing(), []);
}

#[test]
fn many_files_are_read_with_few_descriptors() {
    let mut bench = Bench::with("*.log", |_| {}, |options| options.max_open_files = 8);
    for round in 0..3 {
        for file in 0..200 {
            bench.append(&format!("{file}.log"), &format!("{round} of {file}\n"));
        }
        let mut lines = bench.read();
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 200, "round {round}");
        let open = fs::read_dir("/proc/self/fd").unwrap().count();
        assert!(open < 100, "{open}");
    }
}

#[test]
fn records_bear_the_name_that_the_file_had_and_what_its_path_says() {
    let mut bench = Bench::with(
        "*.log",
        |_| {},
        |options| {
            options.file_path_attribute = true;
            options.resource = ResourceTemplate {
                path: Some(regex::Regex::new("/([^/]+)\\.log$").unwrap()),
                attributes: vec![("service.name".to_owned(), "${path.1}".to_owned())],
            };
        },
    );
    bench.append("shop.log", "line\n");
    let mut out = LogBuffer::default();
    bench.source.read_ready(bench.now, &mut out, 1 << 20).unwrap();
    let group = out.records().next().unwrap().group();
    let text = |value: &telemetry::AttributeValue| value.as_text().unwrap().to_owned();
    assert_eq!(group.resource.iter().map(|(_, value)| text(value)).collect::<Vec<_>>(), ["shop"]);
    let shared: Vec<_> = group.shared.iter().map(|(key, value)| (key.as_str(), text(value))).collect();
    let path = bench.path("shop.log").display().to_string();
    assert_eq!(shared, [("log.file.name", "shop.log".to_owned()), ("log.file.path", path)]);
}
