//! Incidents on disk: one line of JSON each, and a draft of the post-mortem.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use incidents::Incident;

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
        Ok(draft)
    }
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
    fn an_alert_name_cannot_leave_the_directory() {
        assert_eq!(safe("../../etc/passwd"), "______etc_passwd");
        assert_eq!(safe("WebDown"), "WebDown");
        assert_eq!(safe(&"x".repeat(500)).len(), 64);
    }
}
