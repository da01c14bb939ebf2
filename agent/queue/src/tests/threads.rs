//! The queue as its users have it: with its thread, on a real directory.

use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::error::OpenError;
use crate::queue::Queue;

const PATIENCE: Duration = Duration::from_secs(20);

fn options() -> Options {
    Options { max_bytes: 1 << 30, recent_bytes: 1 << 20, ..small() }
}

#[test]
fn many_append_while_one_reads_and_nothing_waits_for_the_next_record() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = Queue::open(&directory.path().join("logs"), options()).unwrap();
    let cursor = queue.cursor("a").unwrap();
    let mut read = Vec::new();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let queue = &queue;
            scope.spawn(move || {
                for number in 0..100 {
                    queue.append_blocking(entry(thread * 1000 + number, 500)).unwrap();
                }
            });
        }
        while read.len() < 800 {
            assert!(cursor.wait(PATIENCE), "{} records came", read.len());
            let records = cursor.read(50, 1 << 20).unwrap();
            cursor.acknowledge(records.last().unwrap().position);
            read.extend(records);
        }
    });
    assert!(read.iter().map(|record| record.seq).eq(0..800));
    for thread in 0..8 {
        let of_one = numbers(&read).into_iter().filter(|number| number / 1000 == thread);
        assert!(of_one.eq(thread * 1000..thread * 1000 + 100), "one thread's records keep their order");
    }
    assert!(queue.figures().counters.commits < 800, "records are committed together");
}

#[test]
fn a_waker_is_called_once_the_record_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = Queue::open(directory.path(), options()).unwrap();
    let cursor = Arc::new(queue.cursor("a").unwrap());
    let (told, seen) = mpsc::sync_channel(10);
    let reader = Arc::downgrade(&cursor);
    cursor.on_progress(move || {
        let records = reader.upgrade().unwrap().read(10, 1 << 20).unwrap();
        told.send(records.len()).unwrap();
    });
    for number in 0..5 {
        queue.append_blocking(entry(number, 100)).unwrap();
        assert_eq!(seen.recv_timeout(PATIENCE), Ok(1));
    }
}

#[test]
fn closing_commits_what_waits_and_answers_everybody() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = Queue::open(directory.path(), options()).unwrap();
    let (told, results) = mpsc::sync_channel(100);
    for number in 0..100 {
        let told = told.clone();
        queue.append(entry(number, 100), move |result| told.send(result).unwrap());
    }
    let cursor = queue.cursor("a").unwrap();
    queue.close();
    drop(told);
    assert_eq!(results.iter().map(Result::unwrap).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert_eq!(read_all(&cursor).len(), 100);
    assert!(!cursor.wait(PATIENCE), "nothing more will come, so nobody waits for it");
}

#[test]
fn a_callback_that_panics_does_not_stop_the_queue() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = Queue::open(directory.path(), options()).unwrap();
    queue.append(entry(0, 100), |_| panic!("on purpose"));
    let results: Vec<_> = (1..20).map(|number| queue.append_blocking(entry(number, 100))).collect();
    assert!(results.last().unwrap().is_ok());
    let read = numbers(&read_all(&queue.cursor("a").unwrap()));
    assert!(read.is_sorted() && read.first() == Some(&0) && read.last() == Some(&19), "{read:?}");
}

#[test]
fn a_directory_has_one_owner_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = Queue::open(directory.path(), options()).unwrap();
    let error = Queue::open(directory.path(), options()).err().unwrap();
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(error.to_string().contains("is in use by another process: stop that one"), "{error}");
    assert!(crate::is_in_use(directory.path()).unwrap());
    queue.close();
    assert!(!crate::is_in_use(directory.path()).unwrap());
    assert!(Queue::open(directory.path(), options()).is_ok());
}

#[test]
fn only_the_owner_may_look_into_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue/metrics");
    let (queue, _) = Queue::open(&path, Options { reserve: true, ..options() }).unwrap();
    drop(queue.cursor("a").unwrap());
    queue.append_blocking(entry(1, 100)).unwrap();
    queue.close();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o700);
    let files: Vec<_> = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap()).collect();
    assert_eq!(files.len(), 4, "lock, position, reserve, segment: {files:?}");
    assert!(files.iter().all(|file| mode(&file.path()) == 0o600));
}

#[test]
fn names_that_lead_elsewhere_and_cursors_in_use_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = Queue::open(directory.path(), options()).unwrap();
    assert!(queue.cursor("../a").is_err());
    let cursor = queue.cursor("a").unwrap();
    assert_eq!(queue.cursor("a").err().unwrap().to_string(), "the cursor a is in use");
    drop(cursor);
    assert!(queue.cursor("a").is_ok());
    queue.remove_cursor("a");
    assert_eq!(queue.cursor_names(), Vec::<String>::new());
}

#[test]
fn the_command_line_sees_what_is_there_and_what_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = Queue::open(directory.path(), options()).unwrap();
    let cursor = queue.cursor("a").unwrap();
    for number in 0..6 {
        queue.append_blocking(entry(number, 20_000)).unwrap();
    }
    cursor.acknowledge(cursor.read(2, usize::MAX).unwrap()[1].position);
    queue.close();
    let inspection = crate::inspect(directory.path()).unwrap();
    let held: Vec<_> = inspection.segments.iter().map(|segment| segment.held).collect();
    assert_eq!(held, [Some(records(3, 20_000)), None]);
    assert_eq!(inspection.positions[0].saved.unwrap().delivered, records(2, 20_000));

    assert!(crate::fsck(directory.path()).unwrap().iter().all(crate::SegmentCheck::is_whole));
    let file = directory.path().join(&inspection.segments[0].file);
    let mut content = std::fs::read(&file).unwrap();
    content[30_000] ^= 1;
    std::fs::write(&file, content).unwrap();
    let checks = crate::fsck(directory.path()).unwrap();
    assert_eq!((checks[0].damaged_payloads, checks[0].missing.records), (1, 1));
    assert!(checks[1].is_whole());

    let newest = directory.path().join(&inspection.segments[1].file);
    std::fs::OpenOptions::new().append(true).open(&newest).unwrap().set_len(60_000).unwrap();
    assert_eq!(crate::fsck(directory.path()).unwrap()[1].good, records(2, 20_000));
    assert_eq!(crate::repair(directory.path()).unwrap().torn_tails, 1);
    let mut exported = Vec::new();
    crate::export(directory.path(), |_, entry| {
        exported.push(number(&entry.payload));
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(exported, [0, 2, 3, 4]);
}
