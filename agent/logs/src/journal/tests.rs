//! Real journal files, with `journalctl` as the oracle: `tests/journals` holds both, see `ORIGIN` there.

mod damage;
mod following;
mod records;
mod writer;

use std::path::{Path, PathBuf};

use super::*;

const NOW: Timestamp = Timestamp::from_nanos(1_800_000_000_000_000_000);

const FIXTURES: [&str; 6] = ["plain", "lz4", "xz", "keyed-zstd", "keyed-compact-zstd", "keyed-compact-lz4"];

fn fixture(name: &str) -> Vec<u8> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals").join(name).with_added_extension("zst");
    zstd::stream::decode_all(std::fs::File::open(&path).unwrap()).unwrap()
}

/// A directory with one journal in it.
fn directory_of(journal: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("system.journal"), journal).unwrap();
    directory
}

/// One entry as text: its cursor, then its fields, sorted.
type Told = (String, Vec<(Vec<u8>, Vec<u8>)>);

fn told(entry: &JournalEntry<'_>) -> Told {
    let mut fields: Vec<_> = entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    fields.sort();
    (entry.place().to_string(), fields)
}

fn read_all(directories: &[&Path]) -> (Vec<Told>, JournalReader) {
    let directories = directories.iter().map(|path| path.to_path_buf()).collect();
    let mut reader = JournalReader::open(directories, StartAt::Beginning, 16 << 20);
    reader.refresh(NOW, true);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry() {
        entries.push(told(&entry));
    }
    (entries, reader)
}

/// The entries of `journalctl -o export`, by systemd's `JOURNAL_EXPORT_FORMATS`.
fn parse_export(mut text: &[u8]) -> Vec<Told> {
    let mut entries = Vec::new();
    let mut entry = (String::new(), Vec::new());
    while !text.is_empty() {
        let end = text.iter().position(|byte| *byte == b'\n').unwrap();
        let line = &text[..end];
        text = &text[end + 1..];
        if line.is_empty() {
            entry.1.sort();
            entries.push(std::mem::take(&mut entry));
            continue;
        }
        let (name, value) = if let Some(at) = line.iter().position(|byte| *byte == b'=') {
            (&line[..at], line[at + 1..].to_vec())
        } else {
            let length = u64::from_le_bytes(text[..8].try_into().unwrap()) as usize;
            let value = text[8..8 + length].to_vec();
            text = &text[8 + length + 1..];
            (line, value)
        };
        match name {
            b"__CURSOR" => entry.0 = String::from_utf8(value).unwrap(),
            // Of the entry, not of its fields; the cursor has them.
            _ if name.starts_with(b"__") => {}
            _ => entry.1.push((name.to_vec(), value)),
        }
    }
    entries
}

#[expect(clippy::disallowed_methods, reason = "the oracle is another program")]
fn journalctl(arguments: &[&str]) -> Option<Vec<Told>> {
    let mut command = std::process::Command::new("journalctl");
    let output = command.args(["--quiet", "--all", "--output=export"]).args(arguments).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(parse_export(&output.stdout))
}

fn assert_same(ours: &[Told], theirs: &[Told], what: &str) {
    for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert_eq!(ours, theirs, "entry {at} of {what}");
    }
    assert_eq!(ours.len(), theirs.len(), "{what}");
}

/// `_BOOT_ID` is said once by the entry and may be a field besides: `journalctl` prints what the entry says.
fn without_boot(entries: Vec<Told>) -> Vec<Told> {
    let without = |(cursor, fields): Told| {
        (cursor, fields.into_iter().filter(|(name, _)| name != b"_BOOT_ID").collect())
    };
    entries.into_iter().map(without).collect()
}

#[test]
fn every_kind_of_file_is_read_as_journalctl_reads_it() {
    for name in FIXTURES {
        let directory = directory_of(&fixture(&format!("{name}.journal")));
        let (entries, mut reader) = read_all(&[directory.path()]);
        let expected = parse_export(&fixture(&format!("{name}.export")));
        assert_same(&without_boot(entries), &without_boot(expected), name);
        assert!(reader.take_problem().is_none() && reader.losses() == reader::Losses::default());
    }
}

#[test]
fn the_files_of_this_host_are_read_as_journalctl_reads_them() {
    let roots = ["/var/log/journal", "/run/log/journal"].map(PathBuf::from);
    let machines = roots.iter().filter_map(|root| std::fs::read_dir(root).ok()).flatten().flatten();
    for directory in machines.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let Some(expected) = journalctl(&[&format!("--directory={}", directory.display())]) else { return };
        // What comes meanwhile is in one of them only.
        let (entries, _) = read_all(&[&directory]);
        let count = entries.len().min(expected.len());
        assert_same(&without_boot(entries)[..count], &without_boot(expected)[..count], "this host");
    }
}
