//! A directory in memory that fails as disks fail.
//!
//! What was written or renamed survives a [`Model::crash`] for certain only if it was synced. Of the rest each write is
//! kept, lost or torn at any byte, and each change of the directory is kept or lost, all independently of their order.
//! After a failed sync what was to be synced is read back as if all were well, and is never made durable by a later one.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::{File, FileSystem, Listed};

mod file;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

#[derive(Clone, Default)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
    allocated: u64,
}

#[derive(Clone)]
struct Pending {
    change: Change,
    /// A sync of it has failed.
    doomed: bool,
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

enum Entry {
    Created(String, usize),
    Renamed(String, String, usize),
    Removed(String),
}

/// What is to fail.
#[derive(Default)]
struct Faults {
    writes: u32,
    syncs: u32,
    directory_syncs: u32,
    removes: u32,
    reads: u32,
    /// Operations until nothing works any more.
    until_dead: Option<u64>,
    /// Bytes that fit on the disk.
    capacity: Option<u64>,
    /// Something failed although the disk was alive.
    struck: bool,
}

#[derive(Default)]
struct Inner {
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    changes: Vec<Entry>,
    inodes: Vec<Inode>,
    faults: Faults,
}

#[derive(Clone, Default)]
pub(crate) struct Model(Arc<Mutex<Inner>>);

struct Opened(Arc<Mutex<Inner>>, usize);

/// A generator of numbers, for what a crash keeps.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(offset, bytes) => {
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                content.resize(content.len().max(end), 0);
                content[start..end].copy_from_slice(bytes);
            }
            Self::Length(length) => content.resize(*length as usize, 0),
        }
    }

    /// What a crash leaves of it.
    fn survive(mut self, chance: &mut Chance) -> Option<Self> {
        match chance.below(3) {
            0 => None,
            1 => Some(self),
            _ => {
                if let Self::Write(_, bytes) = &mut self {
                    bytes.truncate(chance.below(bytes.len() as u64 + 1) as usize);
                }
                Some(self)
            }
        }
    }
}

impl Inner {
    fn strike(&mut self, counter: impl FnOnce(&mut Faults) -> &mut u32) -> io::Result<()> {
        let counter = counter(&mut self.faults);
        if *counter == 0 {
            return Ok(());
        }
        *counter -= 1;
        self.faults.struck = true;
        Err(io::Error::from_raw_os_error(EIO))
    }

    fn alive(&mut self) -> io::Result<()> {
        match &mut self.faults.until_dead {
            Some(0) => Err(io::Error::from_raw_os_error(EIO)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        let size =
            |inode: &usize| (self.inodes[*inode].current.len() as u64).max(self.inodes[*inode].allocated);
        self.names.values().map(size).sum()
    }

    fn found(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Model {
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    /// Cuts the power and turns it on again. All faults but the size of the disk are over.
    pub(crate) fn crash(&self, seed: u64) {
        let mut chance = Chance(seed);
        self.with(|inner| {
            for inode in &mut inner.inodes {
                for pending in std::mem::take(&mut inode.pending) {
                    if let Some(change) = pending.change.survive(&mut chance) {
                        change.apply(&mut inode.durable);
                    }
                }
                inode.current.clone_from(&inode.durable);
            }
            for change in std::mem::take(&mut inner.changes) {
                if chance.below(2) == 0 {
                    apply_entry(&mut inner.durable_names, &change);
                }
            }
            inner.names.clone_from(&inner.durable_names);
        });
        self.heal();
    }

    /// Ends all faults but the size of the disk.
    pub(crate) fn heal(&self) {
        self.with(|inner| inner.faults = Faults { capacity: inner.faults.capacity, ..Faults::default() });
    }

    pub(crate) fn fail_writes(&self, count: u32) {
        self.with(|inner| inner.faults.writes = count);
    }

    pub(crate) fn fail_syncs(&self, count: u32) {
        self.with(|inner| inner.faults.syncs = count);
    }

    pub(crate) fn fail_directory_syncs(&self, count: u32) {
        self.with(|inner| inner.faults.directory_syncs = count);
    }

    pub(crate) fn fail_removes(&self, count: u32) {
        self.with(|inner| inner.faults.removes = count);
    }

    pub(crate) fn fail_reads(&self, count: u32) {
        self.with(|inner| inner.faults.reads = count);
    }

    /// After so many operations nothing works until the next crash.
    pub(crate) fn die_after(&self, operations: u64) {
        self.with(|inner| inner.faults.until_dead = Some(operations));
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.with(|inner| inner.faults.until_dead == Some(0))
    }

    /// Whether anything failed although the disk was alive, since it was healed.
    pub(crate) fn was_struck(&self) -> bool {
        self.with(|inner| inner.faults.struck)
    }

    /// Leaves room for so many bytes more; none for without limit.
    pub(crate) fn leave_room(&self, bytes: Option<u64>) {
        self.with(|inner| inner.faults.capacity = bytes.map(|bytes| inner.used() + bytes));
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.with(|inner| inner.names.keys().cloned().collect())
    }

    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        self.with(|inner| inner.inodes[inner.names[name]].current.clone())
    }

    /// Changes a file behind the queue's back, for good.
    pub(crate) fn put(&self, name: &str, content: Vec<u8>) {
        self.with(|inner| {
            let inode = Inode { durable: content.clone(), current: content, ..Inode::default() };
            inner.inodes.push(inode);
            inner.names.insert(name.to_owned(), inner.inodes.len() - 1);
            inner.durable_names.insert(name.to_owned(), inner.inodes.len() - 1);
        });
    }

    pub(crate) fn delete(&self, name: &str) {
        self.with(|inner| {
            inner.names.remove(name);
            inner.durable_names.remove(name);
        });
    }
}

fn apply_entry(names: &mut BTreeMap<String, usize>, entry: &Entry) {
    match entry {
        Entry::Created(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        Entry::Renamed(from, to, inode) => {
            names.remove(from);
            names.insert(to.clone(), *inode);
        }
        Entry::Removed(name) => {
            names.remove(name);
        }
    }
}

impl FileSystem for Model {
    fn list(&self) -> io::Result<Vec<Listed>> {
        self.with(|inner| {
            let size = |inode: usize| inner.inodes[inode].current.len() as u64;
            let listed =
                inner.names.iter().map(|(name, inode)| Listed { name: name.clone(), size: size(*inode) });
            Ok(listed.collect())
        })
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.with(|inner| {
            if inner.faults.until_dead == Some(0) {
                return Err(io::Error::from_raw_os_error(EIO));
            }
            let file: Arc<dyn File> = Arc::new(Opened(Arc::clone(&self.0), inner.found(name)?));
            Ok(file)
        })
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.with(|inner| {
            inner.alive()?;
            if inner.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            inner.inodes.push(Inode::default());
            let inode = inner.inodes.len() - 1;
            inner.names.insert(name.to_owned(), inode);
            inner.changes.push(Entry::Created(name.to_owned(), inode));
            let file: Arc<dyn File> = Arc::new(Opened(Arc::clone(&self.0), inode));
            Ok(file)
        })
    }

    fn open_for_writing(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|inner| {
            inner.alive()?;
            let change = Entry::Renamed(from.to_owned(), to.to_owned(), inner.found(from)?);
            apply_entry(&mut inner.names, &change);
            inner.changes.push(change);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.with(|inner| {
            inner.alive()?;
            inner.found(name)?;
            inner.strike(|faults| &mut faults.removes)?;
            inner.names.remove(name);
            inner.changes.push(Entry::Removed(name.to_owned()));
            Ok(())
        })
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.with(|inner| {
            inner.alive()?;
            inner.strike(|faults| &mut faults.directory_syncs)?;
            for change in std::mem::take(&mut inner.changes) {
                apply_entry(&mut inner.durable_names, &change);
            }
            Ok(())
        })
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.with(|inner| {
            Ok(inner.faults.capacity.map_or(1 << 50, |capacity| capacity.saturating_sub(inner.used())))
        })
    }
}
