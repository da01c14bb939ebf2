//! Rotations without a pause: generations of a hundred lines come and go between two looks of the agent.

use std::process::Command;

use super::*;

/// Lines of a generation: a fiftieth of a second.
const GENERATION: u64 = 100;
const WRITES_FOR: Duration = Duration::from_secs(3);

/// Moves the rotated files on by one, as logrotate does, the oldest first.
fn shift(logs: &Path) {
    let mut rotated: Vec<(u32, String)> = std::fs::read_dir(logs)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let number = name.strip_prefix("app.log.")?.trim_end_matches(".gz").parse().ok()?;
            Some((number, name))
        })
        .collect();
    rotated.sort_unstable();
    for (number, name) in rotated.into_iter().rev() {
        let ending = name.strip_suffix(".gz").map_or("", |_| ".gz");
        let to = logs.join(format!("app.log.{}{ending}", number + 1));
        std::fs::rename(logs.join(name), to).unwrap();
    }
}

fn copy_and_cut(path: &Path) {
    let logs = path.parent().unwrap();
    shift(logs);
    std::fs::copy(path, logs.join("app.log.1")).unwrap();
    File::options().write(true).open(path).unwrap().set_len(0).unwrap();
}

fn rename(path: &Path) {
    let logs = path.parent().unwrap();
    shift(logs);
    std::fs::rename(path, logs.join("app.log.1")).unwrap();
}

fn rename_and_pack_the_one_before(path: &Path) {
    let before = path.parent().unwrap().join("app.log.1");
    if before.exists() {
        let packed = Command::new("gzip").arg(&before).status().unwrap();
        assert!(packed.success());
    }
    rename(path);
}

/// Rotates every so many lines, without a pause; all lines arrive, and none twice.
fn without_a_pause(include: &str, rotate: impl Fn(&Path) + Send + 'static) {
    let sink = listening();
    let mut bench = Bench::new(sink.address().port(), "");
    let text = std::fs::read_to_string(bench.configuration()).unwrap();
    std::fs::write(bench.configuration(), text.replace("app.log*", include)).unwrap();
    std::fs::write(bench.logs().join("app.log"), "").unwrap();
    bench.start();
    let writer = Writer::start(bench.logs().join("app.log"), GENERATION, rotate);
    std::thread::park_timeout(WRITES_FOR);
    let written = writer.end();
    assert!(written > 10 * GENERATION, "{written}");
    assert_eq!(all_arrive(&sink, written, &bench), 0, "lines came again");
    bench.end(Kill::TERM);
}

#[test]
fn renamed_without_a_pause_a_file_loses_no_line() {
    without_a_pause("app.log*", rename);
}

#[test]
fn renamed_and_packed_without_a_pause_a_file_loses_no_line() {
    without_a_pause("app.log*", rename_and_pack_the_one_before);
}

#[test]
fn renamed_and_packed_to_where_no_glob_leads_a_file_loses_no_line() {
    without_a_pause("app.log", rename_and_pack_the_one_before);
}

#[test]
fn copied_and_cut_without_a_pause_a_file_loses_no_line() {
    without_a_pause("app.log*", copy_and_cut);
}

#[test]
fn copied_to_where_no_glob_leads_and_cut_without_a_pause_a_file_loses_no_line() {
    without_a_pause("app.log", copy_and_cut);
}
