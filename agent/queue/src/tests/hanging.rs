//! A disk that does not answer for a while: nobody but the writer waits for it.

use std::io::{self, IoSlice};
use std::sync::Condvar;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::*;
use crate::fs::{File, Listed};

const PATIENCE: Duration = Duration::from_secs(20);

/// Opens and closes.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn set(&self, closed: bool) {
        *self.0.0.lock().unwrap() = closed;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |closed| *closed).unwrap());
    }
}

/// A model disk whose syncs hang while the gate is closed.
struct Hanging(Model, Gate);

struct HangingFile(Arc<dyn File>, Gate);

impl FileSystem for Hanging {
    fn list(&self) -> io::Result<Vec<Listed>> {
        self.0.list()
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.0.open(name)
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(HangingFile(self.0.create(name)?, self.1.clone())))
    }
    fn open_for_writing(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.0.open_for_writing(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn sync_directory(&self) -> io::Result<()> {
        self.0.sync_directory()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.0.free_bytes()
    }
}

impl File for HangingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.0.write_at(parts, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync_data()
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_length(length)
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.0.allocate(length)
    }
}

#[test]
fn a_disk_that_hangs_holds_up_neither_those_who_append_nor_those_who_read_and_memory_stays_bounded() {
    let gate = Gate::default();
    let options = Options { max_waiting_bytes: 10_000, ..small() };
    let disk = Hanging(Model::default(), gate.clone());
    let Opened { shared, writer, .. } = recovery::open(Arc::new(disk), options, 4711).unwrap();
    let writer = std::thread::spawn(move || writer.run());
    let (told, outcomes) = sync_channel(1_000);
    let append = |numbers: std::ops::Range<u64>| {
        for number in numbers {
            let told = told.clone();
            let done = Box::new(move |outcome| told.send((number, outcome)).unwrap());
            shared.append(vec![Waiting { entry: entry(number, 1_000), done }]);
        }
    };
    append(0..5);
    for _ in 0..5 {
        outcomes.recv_timeout(PATIENCE).unwrap().1.unwrap();
    }
    let cursor = Cursor::take(&shared, "a").unwrap();

    gate.set(true);
    append(5..100);
    // What was durable before is read, acknowledged and counted meanwhile.
    let read = cursor.read(10, usize::MAX).unwrap();
    assert_eq!(numbers(&read), [0, 1, 2, 3, 4]);
    cursor.acknowledge(read[2].position);
    let figures = shared.figures();
    assert_eq!(figures.cursors[0].queued.records, 2);
    assert!(figures.waiting_bytes <= 10_000, "{figures:?}");
    let busy: Vec<_> = outcomes.try_iter().collect();
    // One group is in the writer's hands, one waits.
    assert!(busy.len() >= 95 - 20, "{}", busy.len());
    assert!(busy.iter().all(|(_, outcome)| matches!(outcome, Err(AppendError::Busy { .. }))));

    gate.set(false);
    for _ in busy.len()..95 {
        let (number, outcome) = outcomes.recv_timeout(PATIENCE).unwrap();
        assert!(outcome.is_ok(), "{number}: {outcome:?}");
    }
    assert_eq!(numbers(&read_all(&cursor)).len(), 95 - busy.len());
    shared.lock().closing = true;
    shared.work.notify_one();
    writer.join().unwrap();
}
