//! A machine in namespaces: systemd as their first process, started by `tests/machine/namespaces.sh`.
//!
//! The supervisor lives for as long as it can read from us, so the machine ends with this process, however that ends.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Ran, command};
use crate::program::root;

/// What the host has to have for it.
pub(super) const NEEDS: &[&str] = &["unshare", "nsenter", "setpriv", "mmdebstrap", "dpkg-deb"];

pub(super) struct Namespaces {
    supervisor: Child,
    /// The machine's systemd, as this host numbers it.
    init: u32,
    /// Its control group on this host.
    group: PathBuf,
}

impl Namespaces {
    /// Boots over the root file system at `over`, which stays as it is.
    pub(super) fn boot(over: &Path) -> anyhow::Result<Self> {
        let console = tempfile::NamedTempFile::new()?;
        let mut supervisor = command(root().join("tests/machine/namespaces.sh"))
            .arg(over)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(console.reopen()?)
            .spawn()
            .context("starting namespaces.sh")?;
        let mut line = String::new();
        BufReader::new(supervisor.stdout.take().context("its output is a pipe")?).read_line(&mut line)?;
        let said = || format!("no machine: {}", std::fs::read_to_string(console.path()).unwrap_or_default());
        let mut words = line.split_whitespace();
        let init = words.next().with_context(said)?.parse()?;
        let group = PathBuf::from(words.next().with_context(said)?);
        Ok(Self { supervisor, init, group })
    }

    /// Writes a file on the machine.
    pub(super) fn write(&self, path: &str, content: &[u8]) -> anyhow::Result<()> {
        Ok(std::fs::write(self.path(path), content)?)
    }

    /// Reads a file of the machine.
    pub(super) fn read(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        Ok(std::fs::read(self.path(path))?)
    }

    /// A path of the machine, as this host can open it.
    fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.init)).join(path.trim_start_matches('/'))
    }

    /// Runs a command in the machine; killed after `within`.
    pub(super) fn run(&self, what: &[&str], within: Duration) -> anyhow::Result<Ran> {
        let join = "echo $$ > \"$0/cgroup.procs\"; exec nsenter -t \"$@\"";
        let output = command("sh")
            .args(["-c", join])
            .arg(self.group.join("harness"))
            .args([&self.init.to_string(), "-m", "-u", "-i", "-n", "-p", "-C", "--"])
            .args(["timeout", "-s", "KILL", &within.as_secs().to_string()])
            .args(what)
            .stdin(Stdio::null())
            .output()
            .context("starting nsenter")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let status = output.status.code().unwrap_or(128 + 9);
        Ok(Ran { status, stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// Runs `act` on a thread in the machine's network; sockets that it opens stay there.
    pub(super) fn within_network<T: Send>(&self, act: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        let network = std::fs::File::open(format!("/proc/{}/ns/net", self.init))?;
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
                anyhow::Ok(act())
            });
            inside.join().map_err(|_| anyhow::anyhow!("a thread in the machine's network panicked"))?
        })
    }

    #[cfg(test)]
    pub(super) fn supervisor(&mut self) -> &mut Child {
        &mut self.supervisor
    }

    #[cfg(test)]
    pub(super) fn traces(&self) -> [PathBuf; 2] {
        // A zombie has no namespaces any more.
        [PathBuf::from(format!("/proc/{}/ns/pid", self.init)), self.group.clone()]
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let ended = self.supervisor.wait().context("waiting for namespaces.sh");
        let gone = ended.and_then(|_| {
            ensure!(!self.group.exists(), "{} is left behind", self.group.display());
            Ok(())
        });
        if let Err(error) = gone
            && !std::thread::panicking()
        {
            panic!("{error:#}");
        }
    }
}
