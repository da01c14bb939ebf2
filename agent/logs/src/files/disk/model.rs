//! A file system in memory, for tests: it renames, truncates, deletes and uses inodes again as they say.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Change, Disk, Facts, FileId, Handle, Kind, Want};

/// The one directory.
pub(crate) const DIRECTORY: &str = "/log";

#[derive(Debug)]
struct Node {
    id: FileId,
    content: Vec<u8>,
    modified: i64,
    names: u32,
}

/// A file, open or not: kept by its names and by who has it open.
#[derive(Clone, Debug)]
pub(crate) struct ModelFile(Arc<Mutex<Node>>);

#[derive(Debug, Default)]
struct World {
    names: BTreeMap<String, ModelFile>,
    /// Files without names: their inodes are used again once nobody has them open.
    unnamed: Vec<ModelFile>,
    last_inode: u64,
    /// In nanoseconds.
    clock: i64,
    /// Whether files know when they were created.
    knows_births: bool,
    changes: Vec<(bool, String)>,
}

/// The file system; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model(Arc<Mutex<World>>);

impl ModelFile {
    fn node(&self) -> MutexGuard<'_, Node> {
        self.0.lock().unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.node().content).into_owned()
    }

    pub(crate) fn len(&self) -> usize {
        self.node().content.len()
    }

    pub(crate) fn is_unnamed(&self) -> bool {
        self.node().names == 0
    }
}

impl Model {
    pub(crate) fn new(knows_births: bool) -> Self {
        let model = Self::default();
        (model.world().clock, model.world().knows_births) = (1_800_000_000_000_000_000, knows_births);
        model
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(crate) fn now(&self) -> i64 {
        self.world().clock
    }

    pub(crate) fn pass(&self, nanos: i64) {
        self.world().clock += nanos;
    }

    /// The changes so far are never told.
    pub(crate) fn forget_changes(&self) {
        self.world().changes.clear();
    }

    pub(crate) fn file(&self, name: &str) -> Option<ModelFile> {
        self.world().names.get(name).cloned()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.world().names.keys().cloned().collect()
    }

    /// All files that exist, also those that are merely open.
    pub(crate) fn unnamed(&self) -> Vec<ModelFile> {
        self.world().unnamed.clone()
    }

    pub(crate) fn create(&self, name: &str) -> ModelFile {
        let mut world = self.world();
        let free = world.unnamed.iter().position(|file| Arc::strong_count(&file.0) == 1);
        let inode = match free {
            Some(at) => world.unnamed.remove(at).node().id.inode,
            None => world.last_inode + 1,
        };
        world.last_inode = world.last_inode.max(inode);
        let born = if world.knows_births { world.clock } else { 0 };
        let node = Node {
            id: FileId { device: 1, inode, born },
            content: Vec::new(),
            modified: world.clock,
            names: 1,
        };
        let file = ModelFile(Arc::new(Mutex::new(node)));
        world.names.insert(name.to_owned(), file.clone());
        world.changes.push((false, name.to_owned()));
        file
    }

    pub(crate) fn append(&self, file: &ModelFile, bytes: &[u8]) {
        let mut world = self.world();
        file.node().content.extend_from_slice(bytes);
        file.node().modified = world.clock;
        let name = world.names.iter().find(|(_, other)| Arc::ptr_eq(&other.0, &file.0));
        if let Some(name) = name.map(|(name, _)| name.clone()) {
            world.changes.push((true, name));
        }
    }

    pub(crate) fn truncate(&self, file: &ModelFile) {
        file.node().content.clear();
        self.append(file, b"");
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        self.delete(to);
        let mut world = self.world();
        let Some(file) = world.names.remove(from) else { return };
        world.names.insert(to.to_owned(), file);
        world.changes.extend([(false, from.to_owned()), (false, to.to_owned())]);
    }

    pub(crate) fn delete(&self, name: &str) {
        let mut world = self.world();
        let Some(file) = world.names.remove(name) else { return };
        file.node().names = 0;
        world.unnamed.push(file);
        world.changes.push((false, name.to_owned()));
    }

    /// Goes on with a copy of `from`, up to `len` bytes at most.
    pub(crate) fn copy(&self, from: &ModelFile, to: &ModelFile, len: usize) {
        let done = to.node().content.len();
        let content = from.node().content.clone();
        let rest = content.get(done..len.min(content.len())).unwrap_or_default();
        self.append(to, rest);
    }

    /// Packs the file as gzip does: the copy keeps when it was written, in whole `unit`s of nanoseconds.
    pub(crate) fn pack(&self, name: &str, unit: i64) {
        let Some(file) = self.file(name) else { return };
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&file.node().content).unwrap();
        let packed = self.create(&format!("{name}.gz"));
        self.append(&packed, &gzip.finish().unwrap());
        let modified = file.node().modified;
        packed.node().modified = modified - modified % unit;
        self.delete(name);
    }
}

impl Handle for ModelFile {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let node = self.node();
        let rest = node.content.get(at as usize..).unwrap_or_default();
        let read = rest.len().min(into.len());
        into[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn facts(&self) -> io::Result<Facts> {
        let node = self.node();
        Ok(Facts {
            id: node.id,
            kind: Kind::File,
            size: node.content.len() as u64,
            modified: node.modified,
            names: node.names,
            owner: 0,
            link_owner: None,
        })
    }
}

impl Disk for Model {
    type File = ModelFile;

    fn scan(
        &mut self,
        directory: &Path,
        want: &mut Want<'_>,
        found: &mut Vec<(OsString, Facts)>,
    ) -> io::Result<()> {
        assert_eq!(directory, Path::new(DIRECTORY));
        for (name, file) in &self.world().names {
            let facts = file.facts()?;
            if want(OsStr::new(name), facts.id.inode, false) {
                found.push((name.into(), facts));
            }
        }
        Ok(())
    }

    fn look(&mut self, _: &Path, name: &OsStr) -> io::Result<Facts> {
        self.file(name.to_str().unwrap()).ok_or(io::ErrorKind::NotFound)?.facts()
    }

    fn open(&mut self, _: &Path, name: &OsStr) -> io::Result<(ModelFile, Facts)> {
        let file = self.file(name.to_str().unwrap()).ok_or(io::ErrorKind::NotFound)?;
        let facts = file.facts()?;
        Ok((file, facts))
    }

    fn watch(&mut self, _: &Path) {}

    fn changes(&mut self, each: &mut dyn FnMut(Change<'_>)) {
        let changes = std::mem::take(&mut self.world().changes);
        for (is_written, name) in &changes {
            let (directory, name) = (Path::new(DIRECTORY), OsStr::new(name));
            each(if *is_written { Change::Written(directory, name) } else { Change::Named(directory, name) });
        }
    }
}
