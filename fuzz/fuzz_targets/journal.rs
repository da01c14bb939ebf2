//! Whatever stands in a journal file or comes from the kernel's log, reading it ends, and takes no more memory than its
//! limits say.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use logs::{JournalReader, KernelOptions, KernelSource, LogSource as _, Positions, StartAt};
use telemetry::{LogBuffer, Timestamp};

static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("fuzz-journal-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for temporary files");
    directory
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let path = DIRECTORY.join("system.journal");
    std::fs::write(&path, input).expect("a disk with room");
    let now = Timestamp::from_secs(1_800_000_000);
    let mut reader = JournalReader::open(vec![DIRECTORY.clone()], StartAt::Beginning, 1 << 16);
    let mut entries = 0;
    for _ in 0..3 {
        reader.refresh(now, true);
        while let Some(entry) = reader.next_entry() {
            assert!(entry.fields().map(|(_, value)| value.len()).sum::<usize>() <= 1 << 18);
            entries += 1;
        }
        while reader.take_problem().is_some() {}
    }
    assert!(entries * 64 <= input.len(), "each entry has a place of its own");
    let positions = Positions::open(&DIRECTORY.join("positions")).expect("there is none");
    let options = KernelOptions {
        name: "kernel".into(),
        path: path.clone(),
        boot_id_path: path,
        monotonic: || Duration::from_secs(1),
    };
    // What is no text is no id of a boot.
    let Ok(mut kernel) = KernelSource::open(options, &positions) else { return };
    let mut out = LogBuffer::default();
    let _ = kernel.read_ready(now, &mut out, 1 << 20);
});
