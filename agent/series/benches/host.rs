//! Series like those of a host: of 100, 57 do not change and 30 are whole numbers, as in a scrape of `node_exporter`.

use std::fmt;

use series::{Figures, Limits, Store};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region};
use telemetry::{EntitySpec, Instrument, MetricSpec, SampleBuffer, Scope, Timestamp, Value, ValueType};

const STEP: i64 = 10;
const CYCLES: i64 = 720;

const fn spec(name: &'static str, unit: &'static str, instrument: Instrument) -> MetricSpec {
    MetricSpec {
        name,
        unit,
        instrument,
        value: ValueType::Double,
        attributes: &["cpu.mode", "system.device"],
        scope: Scope::Conventions,
        description: "",
        source: "",
        shows: None,
        by_default: true,
    }
}

static METRICS: [MetricSpec; 5] = [
    spec("process.cpu.time", "s", Instrument::Counter),
    spec("process.memory.usage", "By", Instrument::UpDownCounter),
    spec("process.disk.io", "By", Instrument::Counter),
    spec("process.unix.file_descriptor.count", "{file_descriptor}", Instrument::UpDownCounter),
    spec("process.thread.count", "{thread}", Instrument::UpDownCounter),
];
static PROCESS: EntitySpec =
    EntitySpec { name: "process", attributes: &["process.pid", "process.executable.name"] };
const MODES: [&str; 5] = ["idle", "iowait", "nice", "system", "user"];

pub(crate) struct Host {
    series: usize,
    seed: u64,
    buffer: SampleBuffer,
    values: Vec<f64>,
}

impl Host {
    pub(crate) fn new(series: usize) -> Self {
        Self { series, seed: 1, buffer: SampleBuffer::default(), values: vec![1_000.0; series] }
    }

    fn noise(&mut self, most: u64) -> f64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.seed >> 33) % most) as f64
    }

    /// What the collection `cycle` sees: 25 series of each process.
    pub(crate) fn collect(&mut self, cycle: i64) -> &SampleBuffer {
        for number in 0..self.series {
            let step = match number % 100 {
                0..57 => 0.0,
                57..72 => self.noise(2_000),
                72..87 => (self.noise(9) - 4.0) * 4096.0,
                87..95 => self.noise(300) / 100.0,
                _ => self.noise(1 << 30) / 7.0,
            };
            if let Some(value) = self.values.get_mut(number) {
                *value += step;
                if number % 100 >= 87 {
                    *value = (*value * 100.0).round() / 100.0;
                }
            }
        }
        self.buffer.reset(Timestamp::from_secs(1_700_000_000 + cycle * STEP), Timestamp::EPOCH);
        for (process, values) in self.values.chunks(25).enumerate() {
            let executable = if process % 4 == 0 { "nginx" } else { "postgres" };
            let values_of = [Value::Int(1_000 + process as i64), Value::Str(executable)];
            self.buffer.entity(&PROCESS, Timestamp::EPOCH, &values_of);
            let kinds = METRICS.iter().flat_map(|metric| MODES.iter().map(move |mode| (metric, mode)));
            for ((metric, mode), value) in kinds.zip(values) {
                self.buffer.double(metric, &[Value::Str(mode), Value::Str("sda")], *value);
            }
        }
        &self.buffer
    }
}

/// A store with two hours of so many series.
pub(crate) fn filled(series: usize) -> (Store, Host) {
    let mut host = Host::new(series);
    let mut store = Store::new(Limits::default());
    for cycle in 0..CYCLES {
        store.append(host.collect(cycle));
    }
    (store, host)
}

pub(crate) struct Weight {
    pub(crate) bytes: usize,
    figures: Figures,
}

/// The memory that two hours of so many series take.
pub(crate) fn measure(series: usize) -> Weight {
    let before = Region::new(&INSTRUMENTED_SYSTEM);
    let (store, host) = filled(series);
    drop(host);
    let change = before.change();
    let figures = store.figures();
    assert_eq!(figures.series, series);
    Weight { bytes: change.bytes_allocated - change.bytes_deallocated, figures }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { series, samples, ring_bytes, chunk_bytes } = self.figures;
        let each = |bytes: u64| bytes / series as u64;
        write!(
            f,
            "{series} series: {:.2} MB, {} bytes a series (ring {}, chunks {}, names and the rest {}), {:.2} bytes a sample",
            self.bytes as f64 / 1e6,
            each(self.bytes as u64),
            each(ring_bytes),
            each(chunk_bytes),
            each((self.bytes as u64).saturating_sub(ring_bytes + chunk_bytes)),
            self.bytes as f64 / samples as f64,
        )
    }
}
