//! The bytes of a file, unpacked where it is a packed copy.

use std::io::{self, Read};

use super::disk::Handle;

/// How much is unpacked at once, in bytes.
const UNPACK_BYTES: usize = 64 * 1024;

/// The largest window that a zstd frame may ask for: 8 MiB, that of level 19. What was packed for more is not read.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Gzip,
    Zstd,
    /// One that cannot be read here.
    Other(&'static str),
}

/// What the first bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Magic {
    Text,
    Packed(Packing),
    /// There are too few bytes to know.
    Unclear,
}

const MAGIC: [(&[u8], Packing); 6] = [
    (b"\x1f\x8b", Packing::Gzip),
    (b"\x28\xb5\x2f\xfd", Packing::Zstd),
    (b"\xfd7zXZ\0", Packing::Other("xz")),
    (b"BZh", Packing::Other("bzip2")),
    (b"\x04\x22\x4d\x18", Packing::Other("lz4")),
    (b"\x1f\x9d", Packing::Other("compress")),
];

impl Magic {
    /// Judges the first bytes, `head`, of a file.
    pub(crate) fn of(head: &[u8]) -> Self {
        for (magic, packing) in MAGIC {
            // A line of text may begin with `BZh`; after it, bzip2 has a digit and the digits of pi.
            let is_bzip2 = || head.get(4..6).is_none_or(|rest| rest == b"1A");
            if head.starts_with(magic) && (packing != Packing::Other("bzip2") || is_bzip2()) {
                return Self::Packed(packing);
            }
            if magic.starts_with(head) {
                return Self::Unclear;
            }
        }
        Self::Text
    }
}

impl Packing {
    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Other(name) => name,
        }
    }
}

/// What can be read at any offset; backwards in a packed copy costs unpacking it anew.
pub(crate) enum Content<H> {
    Plain(H),
    Packed(Unpacking<H>),
}

impl<H: Handle> Content<H> {
    /// The content of `file`, unpacked if its first bytes say that it is packed.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is packed in a way that cannot be read here.
    pub(crate) fn of(file: &H) -> io::Result<Self> {
        let mut head = [0; 8];
        let read = file.read_at(&mut head, 0)?;
        Ok(match Magic::of(head.get(..read).unwrap_or_default()) {
            Magic::Packed(packing) => Self::Packed(Unpacking::new(file.clone(), packing)?),
            Magic::Text | Magic::Unclear => Self::Plain(file.clone()),
        })
    }

    /// Reads at `at` as much as there is and fits.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is damaged; `UnexpectedEof` where a packed copy ends too early.
    pub(crate) fn read_at(&mut self, into: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read_at(into, at),
            Self::Packed(unpacking) => unpacking.read_at(into, at),
        }
    }

    pub(crate) const fn is_packed(&self) -> bool {
        matches!(self, Self::Packed(_))
    }
}

/// A packed copy that is unpacked from its beginning on, with the bytes that were asked for last.
pub(crate) struct Unpacking<H> {
    file: H,
    packing: Packing,
    decoder: Box<dyn Read + Send>,
    /// What has been unpacked and may be asked for again.
    kept: Vec<u8>,
    /// Where `kept` begins.
    kept_at: u64,
    is_at_end: bool,
}

impl<H: Handle> Unpacking<H> {
    fn new(file: H, packing: Packing) -> io::Result<Self> {
        let decoder = decoder(&file, packing)?;
        Ok(Self { file, packing, decoder, kept: Vec::new(), kept_at: 0, is_at_end: false })
    }

    fn read_at(&mut self, into: &mut [u8], at: u64) -> io::Result<usize> {
        if at < self.kept_at {
            *self = Self::new(self.file.clone(), self.packing)?;
        }
        loop {
            let passed = ((at - self.kept_at) as usize).min(self.kept.len());
            self.kept.drain(..passed);
            self.kept_at += passed as u64;
            if self.is_at_end || self.kept_at == at && self.kept.len() >= into.len() {
                break;
            }
            let len = self.kept.len();
            self.kept.resize(len + UNPACK_BYTES, 0);
            let room = self.kept.get_mut(len..).unwrap_or_default();
            let read = self.decoder.read(room);
            self.kept.truncate(len + read.as_ref().map_or(0, |read| *read));
            self.is_at_end = read? == 0;
        }
        let read = if self.kept_at == at { self.kept.len().min(into.len()) } else { 0 };
        if let (Some(into), Some(kept)) = (into.get_mut(..read), self.kept.get(..read)) {
            into.copy_from_slice(kept);
        }
        Ok(read)
    }
}

fn decoder<H: Handle>(file: &H, packing: Packing) -> io::Result<Box<dyn Read + Send>> {
    let reader = Reader { file: file.clone(), at: 0 };
    match packing {
        Packing::Gzip => Ok(Box::new(flate2::read::MultiGzDecoder::new(reader))),
        Packing::Zstd => {
            let mut decoder = zstd::Decoder::new(reader)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Ok(Box::new(decoder))
        }
        Packing::Other(name) => {
            Err(io::Error::new(io::ErrorKind::Unsupported, format!("it is packed with {name}")))
        }
    }
}

struct Reader<H> {
    file: H,
    at: u64,
}

impl<H: Handle> Read for Reader<H> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use super::*;
    use crate::files::disk::Facts;

    impl Handle for Arc<Vec<u8>> {
        fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
            let rest = self.get(at as usize..).unwrap_or_default();
            let read = rest.len().min(into.len());
            into[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        }

        fn facts(&self) -> io::Result<Facts> {
            unimplemented!("nothing asks")
        }
    }

    #[test]
    fn packed_copies_are_known_by_their_first_bytes() {
        let rows: [(&[u8], Magic); 9] = [
            (b"", Magic::Unclear),
            (b"\x1f", Magic::Unclear),
            (b"\x1f\x8b\x08", Magic::Packed(Packing::Gzip)),
            (b"\x28\xb5\x2f\xfd\x04", Magic::Packed(Packing::Zstd)),
            (b"\xfd7zXZ\0\0", Magic::Packed(Packing::Other("xz"))),
            (b"BZh91AY&SY", Magic::Packed(Packing::Other("bzip2"))),
            (b"BZhere is a line", Magic::Text),
            (b"\x04\x22\x4d\x18d", Magic::Packed(Packing::Other("lz4"))),
            (b"Nov 22 08:00", Magic::Text),
        ];
        for (head, expected) in rows {
            assert_eq!(Magic::of(head), expected, "{head:?}");
        }
    }

    #[test]
    fn packed_copies_are_read_at_any_offset() {
        let text: Vec<u8> = (0..400_000_u32).flat_map(|at| format!("{at}\n").into_bytes()).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let zstd = zstd::encode_all(&text[..], 1).unwrap();
        for packed in [gzip.finish().unwrap(), zstd] {
            let mut content = Content::of(&Arc::new(packed)).unwrap();
            assert!(content.is_packed());
            let mut into = vec![0; 100_000];
            for at in [0, 50_000, 1_000_000, 1_000_100, 2_600_000, 7] {
                let read = content.read_at(&mut into, at).unwrap();
                let rest = &text[at as usize..];
                assert_eq!(&into[..read], &rest[..rest.len().min(into.len())], "at {at}");
            }
            assert_eq!(content.read_at(&mut into, 9_000_000).unwrap(), 0);
        }
    }

    #[test]
    fn a_packed_copy_that_ends_too_early_is_an_error() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"a line\n").unwrap();
        let packed = gzip.finish().unwrap();
        let mut content = Content::of(&Arc::new(packed[..packed.len() - 5].to_vec())).unwrap();
        let error = content.read_at(&mut [0; 100], 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
