//! The queue against disks that fail, as a whole: what each module promises alone is tested beside it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::cursor::{Cursor, Record};
use crate::error::AppendError;
use crate::figures::{CursorFigures, Figures, Opening};
use crate::fs::FileSystem;
use crate::fs::model::Model;
use crate::options::Options;
use crate::record::Entry;
use crate::recovery::{self, Opened};
use crate::shared::Waiting;
use crate::totals::Totals;

mod crashes;
mod damage;
mod hanging;
mod killed;
mod limits;
mod random;
mod threads;

const SECOND: i64 = 1_000_000_000;
const SEGMENT: u64 = 64 * 1024;

fn small() -> Options {
    Options {
        segment_bytes: SEGMENT,
        max_bytes: 1 << 40,
        min_free_bytes: 0,
        reserve: false,
        ..Options::default()
    }
}

/// An entry that holds its number, three items, and is filled up to `bytes`.
fn entry(number: u64, bytes: usize) -> Entry {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(bytes.max(8), number as u8);
    Entry { class: 1, items: 3, received: number as i64 * SECOND, payload: payload.into() }
}

fn number(payload: &Bytes) -> u64 {
    u64::from_le_bytes(*payload.first_chunk().unwrap())
}

fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| number(&record.payload)).collect()
}

/// A queue on a model disk, whose writer works when it is told to.
struct Bench {
    disk: Model,
    options: Options,
    opened: Opened,
    /// Where the cursors were before limits were applied.
    restored: Vec<(String, u64)>,
}

impl Bench {
    fn new(options: Options) -> Self {
        Self::on(Model::default(), options)
    }

    fn on(disk: Model, options: Options) -> Self {
        Self::try_on(disk, options).unwrap()
    }

    fn try_on(disk: Model, options: Options) -> std::io::Result<Self> {
        let fs: Arc<dyn FileSystem> = Arc::new(disk.clone());
        let mut opened = recovery::open(fs, options.clone(), 4711)?;
        let restored = |(name, progress): (&String, &crate::progress::Progress)| {
            (name.clone(), progress.acknowledged.seq)
        };
        let restored = opened.shared.lock().cursors.iter().map(restored).collect();
        opened.writer.fill_reserve();
        opened.writer.save_positions();
        opened.writer.reclaim();
        opened.writer.enforce_bytes();
        Ok(Self { disk, options, opened, restored })
    }

    /// Ends the process, and cuts the power if there is a seed.
    fn again(self, crash: Option<u64>) -> Self {
        let Self { disk, options, opened, .. } = self;
        drop(opened);
        if let Some(seed) = crash {
            disk.crash(seed);
        }
        Self::on(disk, options)
    }

    fn opening(&self) -> &Opening {
        &self.opened.opening
    }

    fn cursor(&self, name: &str) -> Cursor {
        Cursor::take(&self.opened.shared, name).unwrap()
    }

    fn work(&mut self) {
        self.opened.writer.round_at_once();
    }

    fn maintain(&mut self, now: i64) {
        self.opened.shared.lock().maintain = Some(now);
        self.work();
    }

    /// Appends together, and says what became of each.
    fn append(&mut self, entries: impl IntoIterator<Item = Entry>) -> Vec<Result<u64, AppendError>> {
        let results = Arc::new(Mutex::new(Vec::new()));
        let mut count = 0;
        for (index, entry) in entries.into_iter().enumerate() {
            let results = Arc::clone(&results);
            let done = Box::new(move |result| results.lock().unwrap().push((index, result)));
            self.opened.shared.append(vec![Waiting { entry, done }]);
            count += 1;
        }
        self.work();
        let mut results = std::mem::take(&mut *results.lock().unwrap());
        assert_eq!(results.len(), count, "everyone is told");
        results.sort_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn append_numbers(
        &mut self,
        numbers: std::ops::Range<u64>,
        bytes: usize,
    ) -> Vec<Result<u64, AppendError>> {
        self.append(numbers.map(|number| entry(number, bytes)))
    }

    fn figures(&self) -> Figures {
        self.opened.shared.figures()
    }

    fn figures_of(&self, cursor: &str) -> CursorFigures {
        let figures = self.figures().cursors.into_iter().find(|figures| figures.name == cursor).unwrap();
        assert_eq!(figures.accepted, figures.delivered + figures.queued + figures.lost.total());
        figures
    }

    fn segments(&self) -> Vec<String> {
        self.disk.names().into_iter().filter(|name| name.ends_with(".segment")).collect()
    }
}

fn read_all(cursor: &Cursor) -> Vec<Record> {
    let mut all = Vec::new();
    loop {
        let records = cursor.read(usize::MAX, 1 << 20).unwrap();
        if records.is_empty() {
            return all;
        }
        all.extend(records);
    }
}

fn records(count: u64, bytes: u64) -> Totals {
    Totals { records: count, items: count * 3, bytes: count * bytes }
}
