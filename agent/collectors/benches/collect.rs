//! What one cycle costs on this host with 1,000 more processes, in CPU time: all collectors, all but the processes,
//! and each alone. CPU time, because it is what the agent takes from the host, and because other work on the machine
//! disturbs it less than the time on the wall.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use collectors::{COLLECTORS, Collection, HostRoot, Options};
use criterion::{Criterion, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use telemetry::{SampleBuffer, Timestamp};

/// Processes that sleep until they are dropped.
struct Sleepers(Vec<Child>);

impl Sleepers {
    #[expect(clippy::disallowed_methods, reason = "the bench needs processes to look at")]
    fn spawn(count: usize) -> Self {
        let sleeper =
            |_| Command::new("sleep").arg("3600").stdin(Stdio::null()).spawn().expect("sleep is installed");
        Self((0..count).map(sleeper).collect())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

fn bench(criterion: &mut Criterion, name: &str, enabled: impl Fn(&str) -> bool) {
    let mut out = SampleBuffer::default();
    let mut collection = Collection::open(HostRoot::at("/"), Options::default(), &enabled)
        .expect("this host can be collected");
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|cycles| {
            let before = cpu_time();
            for _ in 0..cycles {
                collection.collect(Timestamp::EPOCH, &mut || Duration::ZERO, &mut out);
            }
            cpu_time().saturating_sub(before)
        });
    });
}

fn cycles(criterion: &mut Criterion) {
    let _sleepers = Sleepers::spawn(1000);
    bench(criterion, "all", |_| true);
    bench(criterion, "host", |name| name != "processes");
    for spec in COLLECTORS {
        bench(criterion, &format!("alone/{}", spec.name), |name| name == spec.name);
    }
}

criterion_group!(benches, cycles);
criterion_main!(benches);
