//! Incidents on disk: one line of JSON each, and a draft of the post-mortem.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use incidents::Incident;

/// Drafts kept; the oldest go first. A person has long read or copied what is older.
const MAX_DRAFTS: usize = 500;

/// The size at which `incidents.jsonl` becomes `incidents.jsonl.old`, in place of the one before: some thousand
/// incidents each.
const MAX_RECORD_BYTES: u64 = 16 << 20;

/// Where incidents that are over are written.
#[derive(Clone, Debug)]
pub(crate) struct IncidentFiles {
    directory: PathBuf,
    host: String,
}

impl IncidentFiles {
    /// Below `state`, for a host that people call `host`.
    pub(crate) fn open(state: &Path, host: &str) -> anyhow::Result<Self> {
        let directory = state.join("postmortems");
        std::fs::create_dir_all(&directory).with_context(|| format!("making {}", directory.display()))?;
        Ok(Self { directory: state.to_owned(), host: host.to_owned() })
    }

    /// Appends the incident to `incidents.jsonl`, writes its draft and returns the draft's path.
    pub(crate) fn write(&self, incident: &Incident) -> anyhow::Result<PathBuf> {
        let record = self.directory.join("incidents.jsonl");
        if record.metadata().is_ok_and(|metadata| metadata.len() >= MAX_RECORD_BYTES) {
            let old = record.with_extension("jsonl.old");
            std::fs::rename(&record, &old).with_context(|| format!("renaming {}", record.display()))?;
        }
        let mut line = serde_json::to_vec(incident).context("encoding an incident")?;
        line.push(b'\n');
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&record)
            .and_then(|mut file| file.write_all(&line).and_then(|()| file.sync_data()))
            .with_context(|| format!("writing {}", record.display()))?;
        let name = format!("{}-{}.md", incident.id, safe(incident.alert_name()));
        let draft = self.directory.join("postmortems").join(name);
        std::fs::write(&draft, incidents::draft(incident, &self.host))
            .with_context(|| format!("writing {}", draft.display()))?;
        remove_oldest(&self.directory.join("postmortems"), MAX_DRAFTS)?;
        Ok(draft)
    }
}

/// Removes what exceeds `keep` drafts. Their names begin with the time, so the first by name are the oldest.
fn remove_oldest(directory: &Path, keep: usize) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))?;
    let mut names: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    names.sort();
    for path in names.iter().take(names.len().saturating_sub(keep)) {
        std::fs::remove_file(path).with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

/// A name from a rule as part of a file name: nothing that could leave the directory.
fn safe(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    name.chars().take(64).map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_drafts_make_room() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["20261121T090000Z-2-A.md", "20261121T080000Z-1-A.md", "20261122T080000Z-3-A.md"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        remove_oldest(directory.path(), 2).unwrap();
        let left: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.len() == 2 && !left.contains(&"20261121T080000Z-1-A.md".into()), "{left:?}");
    }

    #[test]
    fn an_alert_name_cannot_leave_the_directory() {
        assert_eq!(safe("../../etc/passwd"), "______etc_passwd");
        assert_eq!(safe("WebDown"), "WebDown");
        assert_eq!(safe(&"x".repeat(500)).len(), 64);
    }
}
