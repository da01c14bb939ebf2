//! The demo's files: configuration, rules, runbooks, policy and scripts in a directory of their own.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::Context;
use tempfile::TempDir;

const FILES: [(&str, &str); 7] = [
    ("hostmend.yaml", include_str!("files/hostmend.yaml")),
    ("rules.yaml", include_str!("files/rules.yaml")),
    ("runbooks.yaml", include_str!("files/runbooks.yaml")),
    ("policy.yaml", include_str!("files/policy.yaml")),
    ("scripts/restart-process.rhai", include_str!("../../../../remediation-scripts/restart-process.rhai")),
    (
        "scripts/restart-hung-process.rhai",
        include_str!("../../../../remediation-scripts/restart-hung-process.rhai"),
    ),
    ("scripts/free-spool.rhai", include_str!("../../../../remediation-scripts/free-spool.rhai")),
];

/// A directory with everything in it that the demo's agent reads.
pub(super) struct StageSet {
    directory: TempDir,
    /// Where the victim serves.
    pub(super) victim: SocketAddr,
}

impl StageSet {
    /// Writes all files; telemetry goes to `otlp`.
    pub(super) fn build(otlp: SocketAddr) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("hostmend-demo-")
            .tempdir()
            .context("making a temporary directory")?;
        let program = std::env::current_exe().context("finding this program's path")?;
        let victim = free_address()?;
        for part in ["scripts", "spool"] {
            std::fs::create_dir(directory.path().join(part)).with_context(|| format!("making {part}"))?;
        }
        for (name, text) in FILES {
            let text = if name.starts_with("scripts/") {
                text.to_owned()
            } else {
                text.replace("{directory}", &directory.path().to_string_lossy())
                    .replace("{program}", &program.to_string_lossy())
                    .replace("{parent}", &std::process::id().to_string())
                    .replace("{victim}", &victim.to_string())
                    .replace("{otlp}", &otlp.to_string())
            };
            std::fs::write(directory.path().join(name), text).with_context(|| format!("writing {name}"))?;
        }
        Ok(Self { directory, victim })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Keeps the directory after the demo, for the sake of the drafts, but for the spool's megabytes.
    pub(super) fn keep(self) {
        let directory = self.directory.keep();
        // What cannot be removed does no harm.
        let _ = std::fs::remove_dir_all(directory.join("spool"));
    }
}

/// An address that was free a moment ago. The victim needs the same one after each restart.
fn free_address() -> anyhow::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .context("finding a free port for the victim")
}
