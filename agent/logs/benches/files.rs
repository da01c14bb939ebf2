//! From a file to records in a buffer: read, split, given to the recorder. 500,000 lines of 200 bytes, 100 MB, in memory where
//! `/dev/shm` is there.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use logs::{FilesOptions, FilesSource, LogSource as _, Positions, Ready, ResourceTemplate, StartAt};
use telemetry::{LogBuffer, Timestamp};

const LINES: usize = 500_000;
const LINE_BYTES: usize = 200;
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn options(directory: &Path) -> FilesOptions {
    FilesOptions {
        name: "bench".into(),
        include: vec![directory.join("*.log").display().to_string()],
        exclude: Vec::new(),
        start: StartAt::Beginning,
        max_line_bytes: 1 << 20,
        record: std::sync::Arc::default(),
        resource: ResourceTemplate::default(),
        file_path_attribute: false,
        max_open_files: 64,
    }
}

fn read_all(source: &mut FilesSource, out: &mut LogBuffer, positions: &mut Positions) -> usize {
    let mut lines = 0;
    loop {
        out.clear();
        let ready = source.read_ready(NOW, out, 1 << 20).expect("a file in memory can be read");
        source.settle(positions);
        lines += out.len();
        black_box(&out);
        if ready == Ready::CaughtUp {
            return lines;
        }
    }
}

fn files(criterion: &mut Criterion) {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
        .expect("a directory");
    let line = format!("{}\n", "x".repeat(LINE_BYTES - 1));
    fs::write(directory.path().join("a.log"), line.repeat(LINES)).expect("room for 100 MB");
    let places = directory.path().join("positions");
    let mut group = criterion.benchmark_group("files");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(LINES as u64));
    let mut out = LogBuffer::default();
    group.bench_function("read", |bencher| {
        bencher.iter_batched(
            || {
                let positions = Positions::open(&places).expect("an empty file");
                let source = FilesSource::open(options(directory.path()), &positions, NOW);
                (source.expect("a glob"), positions)
            },
            |(mut source, mut positions)| {
                assert_eq!(read_all(&mut source, &mut out, &mut positions), LINES);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, files);
criterion_main!(benches);
