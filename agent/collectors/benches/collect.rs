//! What one cycle costs on this host with 1,000 more processes: all collectors, the processes alone, the rest alone.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use collectors::{COLLECTORS, Collection, HostRoot, Options};
use criterion::{Criterion, criterion_group, criterion_main};
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

fn cycles(criterion: &mut Criterion) {
    let _sleepers = Sleepers::spawn(1000);
    let mut out = SampleBuffer::default();
    let sets: [(&str, fn(&str) -> bool); 3] =
        [("all", |_| true), ("processes", |name| name == "processes"), ("host", |name| name != "processes")];
    for (name, enabled) in sets {
        let mut collection = Collection::open(HostRoot::at("/"), Options::default(), &enabled)
            .expect("this host can be collected");
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                collection.collect(Timestamp::EPOCH, &mut || Duration::ZERO, &mut out);
                out.len()
            });
        });
    }
    let host = HostRoot::at("/");
    for spec in COLLECTORS {
        let Ok(mut collector) = (spec.open)(&host, &Options::default()) else { continue };
        criterion.bench_function(&format!("alone/{}", spec.name), |bencher| {
            bencher.iter(|| {
                out.reset(Timestamp::EPOCH, Timestamp::EPOCH);
                collector.collect(&host, &mut out).expect("the source is readable")
            });
        });
    }
}

criterion_group!(benches, cycles);
criterion_main!(benches);
