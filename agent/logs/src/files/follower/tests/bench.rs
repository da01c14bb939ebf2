//! What writers and rotation do to a model of a file system, and what of it arrived.

use std::collections::{BTreeMap, BTreeSet};

use telemetry::LogValue;
use tempfile::TempDir;

use super::super::*;
use crate::files::disk::model::{DIRECTORY, Model, ModelFile};

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// So many lines, and perhaps half of another one.
    Write {
        app: usize,
        lines: u8,
        half: bool,
    },
    /// The file gets another name and a new one is created; perhaps the writer notices at once.
    Rotate {
        app: usize,
        reopens: bool,
    },
    Reopen {
        app: usize,
    },
    /// A copy is begun; or gone on with to its end; or, where it is complete, the file is cut.
    Copy {
        app: usize,
    },
    /// The same from the beginning to the end, without a pause.
    CopyTruncate {
        app: usize,
    },
    Truncate {
        app: usize,
    },
    /// The oldest rotated file goes.
    Delete {
        app: usize,
    },
    /// The oldest rotated file that is not packed yet. Of the time of its writing perhaps only the seconds are kept.
    Pack {
        app: usize,
        keeps_seconds: bool,
    },
    Read {
        bytes: usize,
    },
    /// What was read is durable, but the places are not saved.
    Crash {
        bytes: usize,
    },
    Restart,
    /// The kernel does not tell what happened.
    Overflow,
    Wait {
        seconds: i64,
    },
}

pub(super) const APPS: [&str; 2] = ["a.log", "b.log"];

pub(super) struct Bench {
    model: Model,
    writers: Vec<Option<ModelFile>>,
    half: [Option<String>; 2],
    /// The copy that is being made of each file, and whether it is complete.
    copies: [Option<(ModelFile, bool)>; 2],
    /// Which lines each file got.
    of_app: [BTreeSet<u32>; 2],
    dates: bool,
    rotations: u32,
    last_line: u32,
    directory: TempDir,
    options: FilesOptions,
    follower: Option<Follower<Model>>,
    positions: Positions,
    /// How often each line arrived, and how often it may.
    arrived: BTreeMap<u32, u32>,
    may_repeat: BTreeMap<u32, u32>,
    pub(super) may_repeat_all: bool,
    may_miss: BTreeSet<u32>,
    truncated_unread: bool,
    lost: u64,
}

fn is_packed(name: &str) -> bool {
    name.strip_suffix(".gz").is_some()
}

fn numbers(text: &str) -> Vec<u32> {
    text.lines().filter_map(|line| line.strip_prefix("line ")?.get(..6)?.parse().ok()).collect()
}

fn line(number: u32) -> String {
    format!("line {number:06}{}\n", " and more".repeat(number as usize % 9))
}

impl Bench {
    pub(super) fn new(include: &str, dates: bool, knows_births: bool, max_open_files: usize) -> Self {
        let model = Model::new(knows_births);
        // What was rotated before anyone followed it is history.
        for name in APPS {
            model.create(name);
        }
        Self::on(model, include, dates, max_open_files)
    }

    /// What there is was there before anyone followed it.
    pub(super) fn on(model: Model, include: &str, dates: bool, max_open_files: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let positions = Positions::open(&directory.path().join("positions")).unwrap();
        let mut bench = Self {
            model,
            writers: vec![None, None],
            half: [None, None],
            copies: [None, None],
            of_app: [BTreeSet::new(), BTreeSet::new()],
            dates,
            rotations: 0,
            last_line: 0,
            directory,
            options: FilesOptions {
                name: "app".into(),
                include: vec![format!("{DIRECTORY}/{include}")],
                exclude: Vec::new(),
                start: crate::StartAt::Beginning,
                max_line_bytes: 1 << 20,
                record: Arc::default(),
                resource: crate::ResourceTemplate::default(),
                file_path_attribute: false,
                max_open_files,
            },
            follower: None,
            positions,
            arrived: BTreeMap::new(),
            may_repeat: BTreeMap::new(),
            may_repeat_all: false,
            may_miss: BTreeSet::new(),
            truncated_unread: false,
            lost: 0,
        };
        bench.restart();
        bench.read(100, true);
        bench
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.model.now())
    }

    pub(super) fn step(&mut self, step: &Step) {
        self.model.pass(1_000_000);
        match *step {
            Step::Write { app, lines, half } => self.write(app, lines, half),
            Step::Rotate { app, reopens } => self.rotate(app, reopens),
            Step::Reopen { app } => self.reopen(app),
            Step::Copy { app } => self.copy(app),
            Step::CopyTruncate { app } => self.copy_truncate(app),
            Step::Truncate { app } => self.truncate(app),
            Step::Delete { app } => self.delete(app),
            Step::Pack { app, keeps_seconds } => self.pack(app, keeps_seconds),
            Step::Read { bytes } => drop(self.read(bytes, true)),
            Step::Crash { bytes } => {
                for line in self.read(bytes, false) {
                    *self.may_repeat.entry(line).or_default() += 1;
                }
                self.restart();
            }
            Step::Restart => self.restart(),
            Step::Overflow => self.model.forget_changes(),
            Step::Wait { seconds } => {
                self.end_halves();
                self.model.pass(seconds * 1_000_000_000);
            }
        }
    }

    fn append(&mut self, app: usize, text: &str) {
        if self.writers[app].is_none() {
            let name = APPS[app];
            let file = self.model.file(name).unwrap_or_else(|| self.model.create(name));
            self.writers[app] = Some(file);
        }
        let file = self.writers[app].clone().unwrap();
        self.model.append(&file, text.as_bytes());
    }

    fn write(&mut self, app: usize, lines: u8, half: bool) {
        self.end_half(app);
        for _ in 0..lines {
            self.last_line += 1;
            self.of_app[app].insert(self.last_line);
            self.append(app, &line(self.last_line));
        }
        if half {
            self.last_line += 1;
            self.of_app[app].insert(self.last_line);
            let text = line(self.last_line);
            let (begin, end) = text.split_at(8);
            self.append(app, begin);
            self.half[app] = Some(end.to_owned());
        }
    }

    fn end_half(&mut self, app: usize) {
        if let Some(end) = self.half[app].take() {
            self.append(app, &end);
        }
    }

    fn end_halves(&mut self) {
        self.end_half(0);
        self.end_half(1);
    }

    fn reopen(&mut self, app: usize) {
        self.end_half(app);
        self.writers[app] = None;
    }

    /// The rotated files of the app, the oldest first.
    fn rotated(&self, app: usize) -> Vec<String> {
        let prefix = format!("{}{}", APPS[app], if self.dates { '-' } else { '.' });
        let names = self.model.names();
        let mut rotated: Vec<(i64, String)> = names
            .into_iter()
            .filter_map(|name| {
                let number: i64 = name.strip_prefix(&prefix)?.trim_end_matches(".gz").parse().ok()?;
                Some((if self.dates { number } else { -number }, name))
            })
            .collect();
        rotated.sort();
        rotated.into_iter().map(|(_, name)| name).collect()
    }

    /// Makes room for what is rotated, and names it.
    fn next_rotated(&mut self, app: usize) -> String {
        self.rotations += 1;
        if self.dates {
            return format!("{}-2026{:04}", APPS[app], self.rotations);
        }
        for name in self.rotated(app) {
            let ending = if is_packed(&name) { ".gz" } else { "" };
            let stem = name.trim_end_matches(".gz");
            let number: u32 = stem.rsplit('.').next().unwrap().parse().unwrap();
            self.model.rename(&name, &format!("{}.{}{ending}", APPS[app], number + 1));
        }
        format!("{}.1", APPS[app])
    }

    fn rotate(&mut self, app: usize, reopens: bool) {
        if self.model.file(APPS[app]).is_none() {
            return;
        }
        let name = self.next_rotated(app);
        self.model.rename(APPS[app], &name);
        self.model.create(APPS[app]);
        if reopens {
            self.reopen(app);
        }
    }

    fn copy(&mut self, app: usize) {
        self.end_half(app);
        let Some(file) = self.model.file(APPS[app]) else { return };
        match self.copies[app].take() {
            None => {
                let name = self.next_rotated(app);
                let copy = self.model.create(&name);
                self.model.copy(&file, &copy, file.len() / 2);
                self.copies[app] = Some((copy, false));
            }
            Some((copy, false)) => {
                self.model.copy(&file, &copy, usize::MAX);
                self.copies[app] = Some((copy, true));
            }
            Some((copy, true)) => {
                self.forget_unread(app, &file, &numbers(&copy.text()));
                self.model.truncate(&file);
            }
        }
    }

    fn copy_truncate(&mut self, app: usize) {
        while self.copies[app].is_some() {
            self.copy(app);
        }
        for _ in 0..3 {
            self.copy(app);
        }
    }

    fn truncate(&mut self, app: usize) {
        self.end_half(app);
        let Some(file) = self.model.file(APPS[app]).filter(|_| self.copies[app].is_none()) else { return };
        self.forget_unread(app, &file, &[]);
        self.model.truncate(&file);
    }

    fn forget_unread(&mut self, app: usize, file: &ModelFile, copied: &[u32]) {
        // Of a file of which nothing was ever read, nobody can tell that it was cut.
        let is_read = |it: &u32| self.arrived.contains_key(it) && !self.may_repeat.contains_key(it);
        let is_known = self.of_app[app].iter().any(is_read);
        let numbers = numbers(&file.text());
        let is_told = numbers.iter().any(is_read);
        for number in numbers {
            let is_copied = is_known && copied.contains(&number);
            if !self.arrived.contains_key(&number) && !is_copied {
                self.may_miss.insert(number);
                self.truncated_unread |= is_told;
            }
        }
    }

    fn delete(&mut self, app: usize) {
        self.end_halves();
        let Some(name) = self.rotated(app).first().cloned() else { return };
        self.may_miss_all(&name);
        self.model.delete(&name);
        self.reopen(app);
    }

    /// What is deleted before anyone opened it is gone.
    fn may_miss_all(&mut self, name: &str) {
        let Some(file) = self.model.file(name) else { return };
        let mut content = crate::files::content::Content::of(&file).unwrap();
        let mut bytes = vec![0; 1 << 20];
        let read = content.read_at(&mut bytes, 0).unwrap();
        let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
        self.may_miss.extend(numbers(&text).iter().filter(|number| !self.arrived.contains_key(number)));
    }

    fn pack(&mut self, app: usize, keeps_seconds: bool) {
        self.end_halves();
        let writer = self.writers[app].clone();
        if self.copies[app].is_some() {
            return;
        }
        let rotated = self.rotated(app);
        let Some(name) = rotated.iter().find(|name| !is_packed(name)) else { return };
        // logrotate packs after it has told the writer.
        if writer.is_some_and(|writer| writer.text() == self.model.file(name).unwrap().text()) {
            self.reopen(app);
        }
        self.model.pack(name, if keeps_seconds { 1_000_000_000 } else { 1 });
    }

    fn read(&mut self, bytes: usize, settles: bool) -> Vec<u32> {
        let mut out = LogBuffer::default();
        let now = self.now();
        let follower = self.follower.as_mut().unwrap();
        follower.read_ready(now, &mut out, bytes);
        let mut arrived = Vec::new();
        for record in out.records() {
            let LogValue::Text(text) = record.body() else { panic!("{record:?}") };
            let text = String::from_utf8_lossy(text).into_owned();
            let number = numbers(&text).first().copied();
            let number = number.unwrap_or_else(|| panic!("{text:?} is no line"));
            assert_eq!(format!("{text}\n"), line(number));
            *self.arrived.entry(number).or_default() += 1;
            arrived.push(number);
        }
        if settles {
            follower.settle(&mut self.positions);
            self.positions.save().unwrap();
        }
        arrived
    }

    fn restart(&mut self) {
        if let Some(follower) = self.follower.take() {
            self.lost += follower.figures().lost.iter().map(|(_, count)| count).sum::<u64>();
        }
        // Nobody has them open any more.
        for file in self.model.unnamed().into_iter().filter(ModelFile::is_unnamed) {
            let held = self.writers.iter().flatten().any(|writer| writer.text() == file.text());
            if !held || file.is_unnamed() {
                let copies: BTreeSet<u32> = self.packed_lines();
                for number in numbers(&file.text()) {
                    if !self.arrived.contains_key(&number) && !copies.contains(&number) {
                        self.may_miss.insert(number);
                    }
                }
            }
        }
        self.positions = Positions::open(&self.directory.path().join("positions")).unwrap();
        let now = self.now();
        let follower = Follower::open(self.model.clone(), self.options.clone(), &self.positions, now);
        self.follower = Some(follower.unwrap());
    }

    fn packed_lines(&self) -> BTreeSet<u32> {
        let mut lines = BTreeSet::new();
        for name in self.model.names().iter().filter(|name| is_packed(name)) {
            let file = self.model.file(name).unwrap();
            let mut content = crate::files::content::Content::of(&file).unwrap();
            let mut bytes = vec![0; 1 << 20];
            let read = content.read_at(&mut bytes, 0).unwrap();
            lines.extend(numbers(&String::from_utf8_lossy(&bytes[..read])));
        }
        lines
    }

    /// Reads all that is left, and holds what arrived against what was written.
    pub(super) fn judge(mut self) {
        for _ in 0..4 {
            self.end_halves();
            self.model.pass(6_000_000_000);
            for _ in 0..200 {
                if self.read(1 << 20, true).is_empty() {
                    break;
                }
            }
        }
        self.lost += self.follower.as_ref().unwrap().figures().lost.iter().map(|(_, it)| it).sum::<u64>();
        let missing: Vec<u32> =
            (1..=self.last_line).filter(|number| !self.arrived.contains_key(number)).collect();
        let unexplained: Vec<&u32> =
            missing.iter().filter(|number| !self.may_miss.contains(number)).collect();
        assert!(unexplained.is_empty(), "missing {unexplained:?}: {:?}", self.follower.unwrap().listing());
        for (number, times) in &self.arrived {
            let allowed = 1 + self.may_repeat.get(number).copied().unwrap_or_default();
            assert!(
                *times <= allowed || self.may_repeat_all,
                "{number} arrived {times} times, not {allowed}"
            );
        }
        if !missing.is_empty() && self.truncated_unread {
            assert!(self.lost > 0, "{missing:?} are missing, and nothing says so");
        }
    }
}
