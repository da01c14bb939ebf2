//! What one cycle costs, in CPU time: with 100, 1,000 and 5,000 more processes on this host, all collectors together and
//! each alone, and how often a steady cycle allocates. CPU time, because it is what the agent takes from the host, and
//! because other work on the machine disturbs it less than the time on the wall.

use std::alloc::System;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use collectors::{COLLECTORS, Collection, HostRoot, Options};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use telemetry::{SampleBuffer, Timestamp};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Processes that sleep until they are dropped: children of one shell, in a group of their own. The shell ends them also
/// when this program was ended, and its standard input with it.
struct Sleepers(Child);

impl Sleepers {
    #[expect(clippy::disallowed_methods, reason = "the bench needs processes to look at")]
    fn spawn(count: usize) -> Self {
        use std::os::unix::process::CommandExt as _;
        let script = format!(
            "i=0; while [ $i -lt {count} ]; do sleep 3600 & i=$((i+1)); done; echo; read line; kill -KILL 0"
        );
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let mut started = [0];
        let mut output = shell.stdout.take().expect("it was asked for");
        std::io::Read::read_exact(&mut output, &mut started).expect("the shell says when all have started");
        // A moment for the last of them to become `sleep`.
        std::thread::sleep(Duration::from_millis(500));
        Self(shell)
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.0.id().cast_signed()).expect("no process has the number 0");
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.0.wait();
    }
}

fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

/// Cycles ten seconds apart, as far as the collectors can tell.
struct Cycles {
    collection: Collection,
    out: SampleBuffer,
    at: Timestamp,
}

impl Cycles {
    fn open(enabled: impl Fn(&str) -> bool) -> Self {
        let options = Options { processes_top: Some(20), ..Options::default() };
        let collection =
            Collection::open(HostRoot::at("/"), options, &enabled).expect("this host can be collected");
        Self { collection, out: SampleBuffer::default(), at: Timestamp::from_secs(1_800_000_000) }
    }

    fn run(&mut self, cycles: u64) {
        for _ in 0..cycles {
            self.at = self.at.plus(Duration::from_secs(10));
            self.collection.collect(self.at, &mut || Duration::ZERO, &mut self.out);
        }
    }

    /// How often and how much a cycle allocates on average, once all is known.
    fn allocations(&mut self) -> (usize, usize) {
        const CYCLES: usize = 60;
        self.run(12);
        let region = Region::new(ALLOCATOR);
        self.run(CYCLES as u64);
        let made = region.change();
        ((made.allocations + made.reallocations) / CYCLES, made.bytes_allocated / CYCLES)
    }
}

#[expect(clippy::print_stderr, reason = "what it counts is for whoever runs it")]
fn bench(criterion: &mut Criterion, (group, what): (&str, &str), enabled: impl Fn(&str) -> bool) {
    let mut cycles = Cycles::open(enabled);
    let (allocations, bytes) = cycles.allocations();
    eprintln!(
        "{group}/{what}: {} points, {allocations} allocations of {bytes} bytes in a cycle",
        cycles.out.len()
    );
    criterion.bench_with_input(BenchmarkId::new(group, what), &(), |bencher, ()| {
        bencher.iter_custom(|count| {
            let before = cpu_time();
            cycles.run(count);
            cpu_time().saturating_sub(before)
        });
    });
}

fn cycles(criterion: &mut Criterion) {
    for count in [100, 1000, 5000] {
        let _sleepers = Sleepers::spawn(count);
        let (is_usual, count) = (count == 1000, count.to_string());
        bench(criterion, ("all", &count), |_| true);
        bench(criterion, ("processes", &count), |name| name == "processes");
        if is_usual {
            bench(criterion, ("host", &count), |name| name != "processes");
            for spec in COLLECTORS {
                bench(criterion, ("alone", spec.name), |name| name == spec.name);
            }
        }
    }
}

criterion_group!(benches, cycles);
criterion_main!(benches);
