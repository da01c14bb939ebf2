//! What a log record costs on its way to the wire: 1,000 lines of about 200 bytes, half of them of an access log and half JSON,
//! without masking, with the masking that logs have by default where nothing is found, and where one line in a hundred has
//! a secret; and the same masking of a request that was received.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use otlp::{Builtin, LogsEncoder, MaskAction, MaskRule, Masking};
use telemetry::{Attributes, LogBuffer, LogGroup, LogScalar, Signal, Timestamp};

const RECORDS: u64 = 1_000;

fn line(number: u64, query: &str) -> String {
    if number.is_multiple_of(2) {
        format!(
            "192.0.2.{} - - [22/Nov/2026:10:15:{:02} +0000] \"GET /api/v1/orders/{number}?page=2{query} HTTP/1.1\" 200 {} \
             \"https://shop.example.com/orders\" \"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\"",
            number % 250,
            number % 60,
            number * 37 % 9_000,
        )
    } else {
        format!(
            "{{\"time\":\"2026-11-22T10:15:{:02}.123Z\",\"level\":\"info\",\"logger\":\"com.example.shop.OrderService\",\
             \"msg\":\"order {number} was shipped\",\"duration_ms\":{},\"customer\":\"c-{number}\",\"query\":\"page=2{query}\"}}",
            number % 60,
            number * 7 % 500,
        )
    }
}

fn buffer(one_secret_in: u64) -> LogBuffer {
    let shared: Attributes = vec![("log.file.name".to_owned(), "access.log".into())];
    let resource: Attributes = vec![("service.name".to_owned(), "nginx".into())];
    let group = LogGroup { source: "nginx".into(), resource: Arc::new(resource), shared: Arc::new(shared) };
    let mut buffer = LogBuffer::default();
    buffer.set_group(&group);
    for number in 0..RECORDS {
        let has_secret = one_secret_in > 0 && number.is_multiple_of(one_secret_in);
        let line = line(number, if has_secret { "&password=hunter2" } else { "" });
        let observed = Timestamp::from_nanos(1_700_000_000_000_000_000 + number as i64);
        buffer.push(observed).set_body(LogScalar::Text(line.as_bytes()));
    }
    buffer
}

fn masking(builtins: &[Builtin]) -> Masking {
    let action = MaskAction::Replace("[masked]".to_owned());
    let rule = MaskRule::new(&[], &[], builtins, action).expect("builtin patterns are right");
    Masking::new(vec![rule]).expect("builtin patterns are right")
}

fn encode(criterion: &mut Criterion) {
    let host: Attributes = ["host.id", "host.name", "host.arch", "os.type", "service.version"]
        .map(|key| (key.to_owned(), "fdbf79e8af94cb7f9e8df36789187052".into()))
        .to_vec();
    let (plain, secrets) = (buffer(0), buffer(100));
    let by_default = masking(&[Builtin::SecretKeys, Builtin::Tokens, Builtin::PrivateKeys]);
    let all = masking(&Builtin::ALL.map(|(_, builtin)| builtin));
    let mut encoder = LogsEncoder::new(&host);
    let mut group = criterion.benchmark_group("logs");
    group.measurement_time(Duration::from_secs(3)).throughput(Throughput::Elements(RECORDS));
    for (name, buffer, masking) in [
        ("not masked", &plain, &Masking::default()),
        ("default masking, nothing found", &plain, &by_default),
        ("default masking, a secret in 1 %", &secrets, &by_default),
        ("all builtins, nothing found", &plain, &all),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| encoder.encode(black_box(buffer), masking)));
    }
    let received = encoder.encode(&plain, &Masking::default()).remove(0).payload;
    group.bench_function("received, default masking, nothing found", |bencher| {
        bencher.iter(|| by_default.apply(Signal::Logs, black_box(received.clone())));
    });
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
