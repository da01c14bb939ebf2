//! What a collection costs the store, and what its memory is, for 1,000, 5,000 and 20,000 series.
//!
//! Times are those of the processor: what else runs on the machine does not count.

mod host;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use series::{Matcher, Scratch, SeriesId};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// How long this thread has run, in nanoseconds.
fn processor_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    (time.tv_sec * 1_000_000_000 + time.tv_nsec) as u64
}

fn bench(criterion: &mut Criterion) {
    #[expect(clippy::print_stdout, reason = "how memory grows belongs to the time that it costs")]
    for series in [1_000, 5_000, 20_000] {
        println!("{}", host::measure(series));
    }
    for series in [1_000, 5_000, 20_000] {
        let (mut store, mut host) = host::filled(series);
        let mut cycle = 720;
        criterion.bench_function(&format!("append {series} samples"), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut spent = 0;
                for _ in 0..rounds {
                    let buffer = host.collect(cycle);
                    cycle += 1;
                    let start = processor_time();
                    black_box(store.append(buffer));
                    spent += processor_time() - start;
                }
                Duration::from_nanos(spent)
            });
        });
        if series == 5_000 {
            let ids = store.select(&[Matcher::equal("__name__", "process.cpu.time")]);
            let mut scratch = Scratch::default();
            let all = ids.first().map(|id| store.samples(*id, i64::MIN, i64::MAX, &mut scratch));
            let to = *all.and_then(|all| all.times.last()).expect("the store is full");
            for (what, window) in [("at hand", 900_000), ("from chunks", 7_000_000)] {
                criterion.bench_function(&format!("read {} windows {what}", ids.len()), |bencher| {
                    bencher.iter_custom(|rounds| {
                        let start = processor_time();
                        for _ in 0..rounds {
                            let between = store.between(to - window, to);
                            let count = |id: &SeriesId| between.samples(*id, &mut scratch).values.len();
                            black_box(ids.iter().map(count).sum::<usize>());
                        }
                        Duration::from_nanos(processor_time() - start)
                    });
                });
            }
        }
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
