//! How fast records become durable and are read again, beside plain writes and syncs of the same sizes on the same disk.
//!
//! Set `QUEUE_BENCH_DIRECTORY` to a directory on the disk to measure; the default is the one for temporary files.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot work has nothing to tell")]
#![expect(clippy::print_stdout, reason = "criterion measures time only; what memory it takes is printed")]

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use queue::{Cursor, Entry, Options, Queue};
use tempfile::TempDir;

const SIZES: [usize; 2] = [16 * 1024, 450 * 1024];
const APPENDERS: [usize; 2] = [1, 64];

fn directory() -> TempDir {
    let parent = std::env::var_os("QUEUE_BENCH_DIRECTORY").map_or_else(std::env::temp_dir, PathBuf::from);
    TempDir::new_in(parent).unwrap()
}

fn options() -> Options {
    Options { min_free_bytes: 0, ..Options::default() }
}

fn entry(bytes: usize) -> Entry {
    Entry { class: 0, items: 100, received: 0, payload: vec![7; bytes].into() }
}

/// Lets `appenders` threads append `count` records in all.
fn append(queue: &Queue, entry: &Entry, appenders: usize, count: u64) {
    std::thread::scope(|scope| {
        for appender in 0..appenders as u64 {
            let share = (count + appender) / appenders as u64;
            scope.spawn(move || {
                for _ in 0..share {
                    queue.append_blocking(entry.clone()).unwrap();
                }
            });
        }
    });
}

/// Keeps `depth` records in flight by callbacks, as an asynchronous receiver does.
fn append_by_callback(queue: &Queue, entry: &Entry, depth: usize, count: u64) {
    let in_flight = Arc::new((Mutex::new(0), Condvar::new()));
    for _ in 0..count {
        let room = in_flight.1.wait_while(in_flight.0.lock().unwrap(), |count| *count >= depth);
        *room.unwrap() += 1;
        let answered = Arc::clone(&in_flight);
        queue.append(entry.clone(), move |result| {
            result.unwrap();
            *answered.0.lock().unwrap() -= 1;
            answered.1.notify_one();
        });
    }
    drop(in_flight.1.wait_while(in_flight.0.lock().unwrap(), |count| *count > 0).unwrap());
}

/// Passes everything over, so that the backlog does not grow from one measurement to the next.
fn drain(cursor: &Cursor) {
    loop {
        let records = cursor.read(usize::MAX, 1 << 20).unwrap();
        let Some(last) = records.last() else { return };
        cursor.acknowledge(last.position);
    }
}

#[expect(clippy::disallowed_methods, reason = "criterion asks for the time that a number of rounds took")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn appends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    group.sample_size(10).measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_secs(1));
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let label = format!("{} KiB", size / 1024);
        let entry = entry(size);
        for per_sync in APPENDERS {
            group.bench_function(
                BenchmarkId::new(format!("plain, sync per {per_sync}"), &label),
                |bencher| {
                    let directory = directory();
                    bencher.iter_custom(|count| {
                        let mut file = File::create(directory.path().join("plain")).unwrap();
                        timed(|| {
                            for number in 1..=count {
                                file.write_all(&entry.payload).unwrap();
                                if number % per_sync as u64 == 0 || number == count {
                                    file.sync_data().unwrap();
                                }
                            }
                        })
                    });
                },
            );
        }
        for appenders in APPENDERS {
            group.bench_function(BenchmarkId::new(format!("{appenders} appenders"), &label), |bencher| {
                let directory = directory();
                let (queue, _) = Queue::open(directory.path(), options()).unwrap();
                let cursor = queue.cursor("a").unwrap();
                bencher.iter_custom(|count| {
                    drain(&cursor);
                    timed(|| append(&queue, &entry, appenders, count))
                });
            });
        }
        group.bench_function(BenchmarkId::new("64 in flight by callback", &label), |bencher| {
            let directory = directory();
            let (queue, _) = Queue::open(directory.path(), options()).unwrap();
            let cursor = queue.cursor("a").unwrap();
            bencher.iter_custom(|count| {
                drain(&cursor);
                timed(|| append_by_callback(&queue, &entry, 64, count))
            });
        });
    }
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    group.sample_size(10);
    for size in SIZES {
        let directory = directory();
        let (queue, _) = Queue::open(directory.path(), options()).unwrap();
        let count = (64 << 20) / size as u64;
        append(&queue, &entry(size), 64, count);
        group.throughput(Throughput::Bytes(count * size as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{} KiB", size / 1024)), |bencher| {
            bencher.iter(|| {
                // Nothing is acknowledged, so each cursor begins at the same place.
                let cursor = queue.cursor("a").unwrap();
                let mut read = 0;
                while read < count {
                    read += cursor.read(usize::MAX, 1 << 20).unwrap().len() as u64;
                }
            });
        });
    }
    group.finish();
}

/// The figures of `/proc/self/status` that tell what is resident: anonymous memory, without cached files.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

/// Prints what a gigabyte of backlog costs in memory and at opening.
fn backlog(_: &mut Criterion) {
    let directory = directory();
    let (queue, _) = Queue::open(directory.path(), options()).unwrap();
    let cursor = queue.cursor("a").unwrap();
    let entry = entry(16 * 1024);
    append(&queue, &entry, 64, 2000);
    let before = resident_kib();
    append(&queue, &entry, 64, 60_000);
    let full = resident_kib();
    for _ in 0..1000 {
        let last = cursor.read(4, 1 << 20).unwrap().pop().unwrap();
        cursor.acknowledge(last.position);
    }
    let queued = queue.figures().cursors.remove(0).queued;
    let read = resident_kib();
    drop(cursor);
    queue.close();
    let mut opening = None;
    let took = timed(|| opening = Some(Queue::open(directory.path(), options()).unwrap()));
    println!(
        "backlog of {} MB: resident {before} KiB before, {full} KiB with it, {read} KiB reading; opened in {took:?}",
        queued.bytes / 1_000_000
    );
}

criterion_group!(benches, appends, reads, backlog);
criterion_main!(benches);
