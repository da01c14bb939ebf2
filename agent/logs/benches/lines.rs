//! Nanoseconds of a processor for a line, from the bytes of a file to a record in the buffer.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot begin ends")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, criterion_group, criterion_main};
use logs::{LineFormat, Multiline, RecordOptions, RecordSettings, Recorder};
use rustix::time::{ClockId, clock_gettime};
use telemetry::{LogBuffer, LogGroup, Timestamp};

/// The time that this thread had a processor, so that what else the machine does is not measured.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    fn end(&self, start: Duration) -> Duration {
        self.start().saturating_sub(start)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, time: &Duration) -> f64 {
        time.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

const PLAIN: &str =
    "2026-11-22 08:00:00,123 INFO [main] c.e.shop.Orders - order 4711 of customer 12 was taken in 13 ms";
const JSON: &str = r#"{"time":"2026-11-22T08:00:00.123456Z","level":"info","msg":"order was taken","service":"shop","order":4711,"customer":12,"duration":0.013,"route":"/orders/{id}","cached":false,"trace_id":"0af7651916cd43dd8448eb211c80319c"}"#;
const ESCAPES: &str = r#"{"time":"2026-11-22T08:00:00.123456Z","level":"error","msg":"could not read \"a\":\n\tno such file","stack":"Error: x\n    at f (a.js:1:1)\n    at g (b.js:2:2)","user":{"id":7,"roles":["a","b"]}}"#;
const LOGFMT: &str = r#"ts=2026-11-22T08:00:00.123Z level=info caller=main.go:541 msg="order was taken" service=shop order=4711 customer=12 duration=0.013 cached=false"#;
const ACCESS: &str = r#"192.0.2.17 - - [22/Nov/2026:08:00:00 +0000] "GET /orders/4711?full=1 HTTP/1.1" 200 5316 "https://example.org/orders" "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0" 0.013"#;
const SYSLOG: &str =
    "<38>Nov 22 08:00:00 web-1 sshd[4711]: Accepted publickey for ann from 192.0.2.17 port 50022 ssh2";
const CRI: &str = r"2026-11-22T08:00:00.123456789Z stdout F order 4711 of customer 12 was taken in 13 ms";

fn lines(criterion: &mut Criterion<CpuTime>) {
    let settings = RecordSettings::default;
    let of = |format| RecordSettings { format, ..settings() };
    let rows = [
        ("plain", PLAIN, settings()),
        ("json, 10 fields", JSON, of(LineFormat::Json)),
        ("json, escapes and a map", ESCAPES, of(LineFormat::Json)),
        ("json, no json", PLAIN, of(LineFormat::Json)),
        ("logfmt", LOGFMT, of(LineFormat::Logfmt)),
        ("access", ACCESS, of(LineFormat::Access)),
        ("syslog", SYSLOG, of(LineFormat::Syslog)),
        ("cri", CRI, of(LineFormat::Cri)),
        (
            "pattern",
            PLAIN,
            of(LineFormat::Pattern(
                r"^(?<time>\S+ \S+) (?<level>\w+) \[(?<thread.name>\w+)\] (?<logger>\S+) - (?<message>.*)$"
                    .into(),
            )),
        ),
        (
            "json, time spelled and in a zone",
            r#"{"time":"2026-11-22 08:00:00.123","level":"info","msg":"order was taken"}"#,
            RecordSettings {
                time_format: Some("%Y-%m-%d %H:%M:%S%.f".into()),
                zone: Some("Europe/Berlin".into()),
                ..of(LineFormat::Json)
            },
        ),
        ("stack traces", PLAIN, RecordSettings { multiline: Some(Multiline::StackTraces), ..settings() }),
        ("dedup", PLAIN, RecordSettings { dedup: Some(Duration::from_secs(10)), ..settings() }),
    ];
    let mut group = criterion.benchmark_group("lines");
    group.sample_size(50);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    for (name, line, settings) in rows {
        let stream = LogGroup { source: "app".into(), resource: Arc::default(), shared: Arc::default() };
        let mut recorder = Recorder::new(&Arc::new(RecordOptions::new(settings).unwrap()), stream);
        let mut out = LogBuffer::default();
        let now = Timestamp::from_secs(1_795_334_400);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                if out.size_bytes() > 1 << 20 {
                    out.clear();
                }
                recorder.line(black_box(line.as_bytes()), 1, false, now, &mut out);
            });
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = Criterion::default().with_measurement(CpuTime); targets = lines);
criterion_main!(benches);
