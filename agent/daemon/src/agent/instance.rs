//! Which agent this is: `service.instance.id`, made at random and kept in the state directory.
//!
//! Not made of the machine-id, which every copy of a machine's image has. A copy of an image with this file in it is
//! told by the host's id, for which it was made, and gets an id of its own.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use collectors::HostRoot;
use telemetry::Attributes;

use crate::config::{Identity, find};

/// Two lines: the instance's id, and the id of the host that it was made on.
const FILE: &str = "instance-id";

/// The attributes of everything that this host makes itself, and those of what the agent says of itself alone.
///
/// # Errors
///
/// The state directory does not take the file.
pub(super) fn resources(
    identity: &Identity,
    host: &HostRoot,
    state: &Path,
) -> anyhow::Result<(Attributes, Attributes)> {
    let found = identity.own(host, None);
    let host_id = find(&found, "host.id").or_else(|| find(&found, "host.name")).unwrap_or("");
    let kept = keep(&state.join(FILE), host_id)
        .with_context(|| format!("keeping the agent's id in {}", state.join(FILE).display()))?;
    let own = identity.own(host, Some(kept));
    let of_the_agent = identity.of_the_agent(&own, host);
    Ok((own, of_the_agent))
}

fn keep(path: &Path, host_id: &str) -> io::Result<String> {
    let kept = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        // What is no text is written anew.
        Err(error) if error.kind() == ErrorKind::InvalidData => String::new(),
        other => other?,
    };
    let mut lines = kept.lines();
    let (id, made_on) = (lines.next().unwrap_or(""), lines.next());
    if is_uuid(id) && made_on == Some(host_id) {
        return Ok(id.to_owned());
    }
    let id = collectors::new_instance_id();
    // Renamed into its place, so that a full disk or a crash leaves the old one or the new one.
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    write!(file, "{id}\n{host_id}\n")?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    Ok(id)
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_the_same_after_a_restart_and_another_on_another_host() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let first = keep(&path, "host-a").unwrap();
        assert!(is_uuid(&first));
        assert_eq!(keep(&path, "host-a").unwrap(), first);
        let copied = keep(&path, "host-b").unwrap();
        assert_ne!(copied, first);
        assert_eq!(keep(&path, "host-b").unwrap(), copied);
    }

    #[test]
    fn a_damaged_file_is_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        for damage in [&b""[..], b"no id\nhost-a\n", b"\xff\xfe", b"00000000-0000-0000-0000-000000000000"] {
            fs::write(&path, damage).unwrap();
            let id = keep(&path, "host-a").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{id}\nhost-a\n"));
        }
    }
}
