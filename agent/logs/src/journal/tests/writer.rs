//! Writes journal files as journald does, as far as readers see it.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const HEADER: usize = 256;

/// A journal file in memory.
#[derive(Clone)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
    is_compact: bool,
    known: HashMap<Vec<u8>, usize>,
    /// Offset, room and use of the last entry array.
    array: Option<(usize, usize, usize)>,
    pub(super) boot: u8,
}

impl Writer {
    pub(super) fn new(file: u8, sequence: u8, is_compact: bool) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[..8].copy_from_slice(b"LPKSHHRH");
        bytes[12] = if is_compact { 16 } else { 0 };
        bytes[16] = 1;
        bytes[24..40].fill(file);
        bytes[72..88].fill(sequence);
        bytes[88..96].copy_from_slice(&(HEADER as u64).to_le_bytes());
        Self { bytes, is_compact, known: HashMap::new(), array: None, boot: 1 }
    }

    fn put(&mut self, at: usize, number: u64) {
        self.bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }

    fn get(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }

    pub(super) fn set_state(&mut self, state: u8) -> &mut Self {
        self.bytes[16] = state;
        self
    }

    fn object(&mut self, kind: u8, rest: &[u8]) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
        self.bytes.extend_from_slice(&(16 + rest.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(rest);
        self.put(136, at as u64);
        at
    }

    fn data(&mut self, payload: &[u8]) -> usize {
        let known = self.known.get(payload).copied();
        let at = known.unwrap_or_else(|| {
            let mut rest = vec![0; if self.is_compact { 56 } else { 48 }];
            rest.extend_from_slice(payload);
            self.object(1, &rest)
        });
        self.known.insert(payload.to_vec(), at);
        let count = self.get(at + 56);
        self.put(at + 56, count + 1);
        at
    }

    fn item(&self, number: usize) -> Vec<u8> {
        if self.is_compact {
            (number as u32).to_le_bytes().to_vec()
        } else {
            (number as u64).to_le_bytes().to_vec()
        }
    }

    /// Appends an entry, received `seqnum` milliseconds after the boot.
    pub(super) fn append(&mut self, seqnum: u64, fields: &[&str]) -> &mut Self {
        let offset = self.entry(seqnum, fields);
        self.link(offset);
        self
    }

    /// An entry to which nothing leads yet.
    pub(super) fn entry(&mut self, seqnum: u64, fields: &[&str]) -> usize {
        let data: Vec<usize> = fields.iter().map(|field| self.data(field.as_bytes())).collect();
        let (realtime, monotonic) = (1_763_000_000_000_000 + seqnum * 1000, seqnum * 1000);
        let mut rest: Vec<u8> =
            [seqnum, realtime, monotonic].iter().flat_map(|it| it.to_le_bytes()).collect();
        rest.extend_from_slice(&[self.boot; 16]);
        rest.extend_from_slice(&(seqnum ^ 0xabcd).to_le_bytes());
        for at in data {
            rest.extend(self.item(at));
            if !self.is_compact {
                rest.extend_from_slice(&[0; 8]);
            }
        }
        let offset = self.object(3, &rest);
        self.put(160, seqnum);
        if self.get(168) == 0 {
            self.put(168, seqnum);
            self.put(184, realtime);
        }
        offset
    }

    pub(super) fn link(&mut self, offset: usize) {
        let size = self.item(0).len();
        let (array, used) = match self.array {
            Some((array, room, used)) if used < room => (array, used),
            before => {
                let room = before.map_or(4, |(_, room, _)| room * 2);
                let new = self.object(6, &vec![0; 8 + room * size]);
                self.put(before.map_or(176, |(array, ..)| array + 16), new as u64);
                self.array = Some((new, room, 0));
                (new, 0)
            }
        };
        let item = self.item(offset);
        let at = array + 24 + used * size;
        self.bytes[at..at + size].copy_from_slice(&item);
        if let Some(array) = &mut self.array {
            array.2 += 1;
        }
        let count = self.get(152);
        self.put(152, count + 1);
    }

    /// Writes it where it is, as a writer does that has it open.
    pub(super) fn save(&mut self, path: &Path) -> &mut Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(path).unwrap();
        file.write_all_at(&self.bytes, 0).unwrap();
        self
    }
}
