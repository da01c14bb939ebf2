//! An emulated machine: a kernel of its own, for what namespaces cannot show, such as memory limits, a slow network, a
//! clock that jumps and a loss of power.
//!
//! It resumes from a state saved right after a boot, which takes a second where the boot takes ten. So machines of one
//! image begin alike: with the same machine id, boot id and process numbers; clock and random numbers are set right.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::{Ran, Release, command};
use crate::program::{free_port, root};
use channel::Channel;

mod channel;

/// What the host has to have for it.
pub(super) const NEEDS: &[&str] =
    &["qemu-system-x86_64", "mmdebstrap", "mke2fs", "setpriv", "perl", "dpkg-deb"];

/// How long a machine may take until its agent answers; seconds on an idle host.
const UP_WITHIN: Duration = Duration::from_mins(2);

/// Names the directories of machines, followed by the process that holds them.
const LAYER: &str = "hostmend-vm-";

pub(crate) struct VirtualMachine {
    image: PathBuf,
    /// What this machine wrote over the image, and its sockets.
    layer: PathBuf,
    /// `tests/machine/vm.sh`, which ends the machine when it cannot read from us any more.
    supervisor: Option<Child>,
    channel: Mutex<Channel>,
    otlp: u16,
}

impl VirtualMachine {
    /// The address at which the machine reaches a port of this host's loopback.
    pub(crate) const HOST: &str = "10.0.2.2";

    /// Resumes a fresh machine; builds what it starts from where that is missing, which takes a minute.
    pub(crate) fn boot(release: Release) -> anyhow::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let image = image(release)?;
        sweep();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let layer = directory().join(format!("{LAYER}{}-{number}", std::process::id()));
        std::fs::create_dir(&layer).with_context(|| format!("making {}", layer.display()))?;
        std::fs::copy(image.join("empty.qcow2"), layer.join("disk.qcow2"))?;
        let channel = Mutex::new(Channel::closed()?);
        let mut machine = Self { image, layer, supervisor: None, channel, otlp: free_port() };
        machine.start("resume")?;
        Ok(machine)
    }

    /// The port of this host's loopback that leads to port 4318 of the machine.
    pub(super) fn otlp(&self) -> u16 {
        self.otlp
    }

    /// Runs a command to its end or until it is killed, with all that it left in its session, after `within`. One
    /// runs at a time; what is to run beside it, `systemd-run` starts.
    pub(crate) fn run(&self, what: &[&str], input: &[u8], within: Duration) -> anyhow::Result<Ran> {
        self.ask(|channel| channel.run(what, input, within)).with_context(|| format!("running {what:?}"))
    }

    /// Writes a file on the machine. A program that runs there is replaced.
    pub(super) fn write(&self, path: &str, content: &[u8], mode: u32) -> anyhow::Result<()> {
        self.ask(|channel| channel.push(content, path, mode))
    }

    /// Reads a file of the machine.
    pub(super) fn read(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        self.ask(|channel| channel.get(path))
    }

    /// The power fails: the machine is gone at once; its disk holds what was flushed, and perhaps more.
    pub(crate) fn lose_power(&mut self) -> anyhow::Result<()> {
        self.end(true)
    }

    /// Boots what reached the disk, and waits until the system runs.
    pub(crate) fn power_on(&mut self) -> anyhow::Result<()> {
        ensure!(self.supervisor.is_none(), "the machine has not lost its power");
        self.start("boot")?;
        let state = self.run(&["systemctl", "is-system-running", "--wait"], b"", UP_WITHIN)?;
        ensure!(
            ["running", "degraded"].contains(&state.stdout.trim()),
            "the machine did not boot: {state:?}"
        );
        Ok(())
    }

    fn start(&mut self, mode: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        let supervisor = command(root().join("tests/machine/vm.sh"))
            .arg(mode)
            .args([&self.image, &self.layer])
            .arg(self.otlp.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.layer.join("log"))?)
            .spawn()
            .context("starting vm.sh")?;
        self.supervisor = Some(supervisor);
        let connected =
            Channel::connect(&self.layer.join("agent"), begun + UP_WITHIN).and_then(|mut channel| {
                channel.set_clock(begun + UP_WITHIN)?;
                Ok(channel)
            });
        let channel =
            connected.with_context(|| format!("the machine did not come up: {}", self.last_words()))?;
        self.channel = Mutex::new(channel);
        Ok(())
    }

    fn ask<T>(&self, ask: impl FnOnce(&mut Channel) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&mut channel)
    }

    /// What qemu and the machine's kernel said.
    fn last_words(&self) -> String {
        let read = |name| std::fs::read(self.layer.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("log"), read("console")].concat()).into_owned()
    }

    fn end(&mut self, keep_the_disk: bool) -> anyhow::Result<()> {
        let Some(mut supervisor) = self.supervisor.take() else { return Ok(()) };
        if let Some(mut input) = supervisor.stdin.take()
            && keep_the_disk
        {
            input.write_all(b"keep\n")?;
        }
        supervisor.wait().context("waiting for vm.sh")?;
        Ok(())
    }
}

impl Drop for VirtualMachine {
    fn drop(&mut self) {
        let ended = self.end(false);
        // The supervisor removes it, unless the machine had lost its power.
        let _ = std::fs::remove_dir_all(&self.layer);
        if let Err(error) = ended
            && !std::thread::panicking()
        {
            panic!("{error:#}");
        }
    }
}

/// Where the files lie that machines of this release start from.
fn image(release: Release) -> anyhow::Result<PathBuf> {
    static BUILT: [OnceLock<PathBuf>; 2] = [const { OnceLock::new() }; 2];
    let [bookworm, trixie] = &BUILT;
    let built = match release {
        Release::Debian12 => bookworm,
        Release::Debian13 => trixie,
    };
    if let Some(image) = built.get() {
        return Ok(image.clone());
    }
    let built_now = command(root().join("tests/machine/vm-image.sh")).arg(release.name()).output()?;
    if !built_now.status.success() {
        bail!("building {release:?}: {}", String::from_utf8_lossy(&built_now.stderr));
    }
    let image = String::from_utf8(built_now.stdout)?;
    Ok(built.get_or_init(|| PathBuf::from(image.trim())).clone())
}

/// Where machines write: memory, where there is such a place.
fn directory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Removes what machines left whose process and supervisor were both killed.
fn sweep() {
    let Ok(entries) = std::fs::read_dir(directory()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(LAYER)?.split('-').next());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            // Another test may be removing it as well.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests;
