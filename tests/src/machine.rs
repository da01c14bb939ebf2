//! A machine to break: a real Debian with a real systemd, and our OTLP sink beside it.
//!
//! A story gets a machine, does to it what hosts suffer, and says what it expects; when it ends, what must hold after
//! every story is asserted too. A machine is gone with the value, and with this process however it ends. Stories are
//! `#[ignore]`d: `./test --system` runs them, as root.

#![expect(
    clippy::disallowed_methods,
    reason = "machines are processes, and stories say how long things may take"
)]

mod invariants;
mod namespaces;
mod package;
mod sink;
mod units;
mod virtual_machine;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::program::{root, skip};
use namespaces::Namespaces;
pub(crate) use package::package;
pub(crate) use sink::Sink;
use virtual_machine::VirtualMachine;

/// How long a command on a machine may take, unless the story says otherwise.
const COMMAND_WITHIN: Duration = Duration::from_mins(1);

/// The same on an emulated machine, where installing the package takes most of a minute when its host is busy.
const EMULATED_WITHIN: Duration = Duration::from_mins(4);

/// An emulated machine takes both cores of a small host, so it has them alone: written by its story, read by the others.
static CORES: RwLock<()> = RwLock::new(());

/// How long [`until`] waits at least before it asks again. A question that takes longer is asked a fifth of the time at
/// most: on an emulated machine, where a command takes a second of its only processor, nothing else would run.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(20);

/// The collector that the package's configuration names: the one beside the agent.
const COLLECTOR: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4317);

/// Debian's minimal system has no HTTP client.
const ASK_FOR_PAGE: &str = r#"
use IO::Socket::INET;
alarm 2;
my $server = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => shift, Timeout => 1) or exit 1;
print $server "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n";
print scalar <$server>;
"#;

/// What a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// bookworm: systemd 252.
    Debian12,
    /// trixie: systemd 257.
    Debian13,
}

impl Release {
    pub(crate) const ALL: [Self; 2] = [Self::Debian12, Self::Debian13];

    /// As Debian's archive calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Debian12 => "bookworm",
            Self::Debian13 => "trixie",
        }
    }

    /// Where its root file system lies; built where it is missing.
    fn root(self) -> anyhow::Result<PathBuf> {
        let built = command(root().join("tests/machine/root.sh")).arg(self.name()).output()?;
        ensure!(built.status.success(), "building {self:?}: {}", String::from_utf8_lossy(&built.stderr));
        Ok(PathBuf::from(String::from_utf8(built.stdout)?.trim()))
    }
}

/// How a command on a machine ended.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// The exit status; 128 and the signal's number if one ended it.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Where a machine runs.
enum Inside {
    Namespaces(Namespaces),
    Emulator(RefCell<VirtualMachine>),
}

/// A machine that runs.
pub(crate) struct Machine {
    inside: Inside,
    pub(crate) sink: Sink,
    /// The main process of each unit at the time when the story last hurt it.
    hurt: RefCell<BTreeMap<String, u32>>,
    /// Whether a configuration of ours has replaced the package's.
    configured: Cell<bool>,
    restarts_expected: Cell<usize>,
    losses_expected: Cell<bool>,
}

/// Tells a story on a fresh machine of each release, in namespaces: boots, runs `tell`, asserts what must hold after
/// every story. A failure shows the machine's journal.
pub(crate) fn story(releases: &[Release], tell: impl Fn(&Machine) -> anyhow::Result<()>) {
    if let Some(why) = missing(namespaces::NEEDS) {
        return skip("machines", &why);
    }
    let _shared = CORES.read().unwrap_or_else(PoisonError::into_inner);
    for release in releases {
        told(*release, Machine::boot(*release), &tell);
    }
}

/// As [`story`], on an emulated machine, for what needs a kernel of its own: memory limits, power, the clock.
pub(crate) fn emulated_story(releases: &[Release], tell: impl Fn(&Machine) -> anyhow::Result<()>) {
    if let Some(why) = missing(virtual_machine::NEEDS) {
        return skip("emulated machines", &why);
    }
    let _alone = CORES.write().unwrap_or_else(PoisonError::into_inner);
    for release in releases {
        told(*release, Machine::emulate(*release), &tell);
    }
}

fn told(release: Release, machine: anyhow::Result<Machine>, tell: impl Fn(&Machine) -> anyhow::Result<()>) {
    let machine = machine.unwrap_or_else(|error| panic!("booting {release:?}: {error:#}"));
    let told = tell(&machine).and_then(|()| machine.holds_what_must_always_hold());
    if let Err(error) = told {
        panic!("on {release:?}: {error:#}\n{}", machine.last_words());
    }
}

/// What this host lacks for machines that need these programs, if anything.
fn missing(programs: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("they need root: sudo ./test --system".to_owned());
    }
    let places = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&places).collect();
    let missing = programs.iter().find(|program| !places.iter().any(|place| place.join(program).exists()))?;
    Some(format!("{missing} is missing: ./test --install --system"))
}

impl Machine {
    /// Boots in namespaces, with a sink at the address that the package's configuration names.
    pub(crate) fn boot(release: Release) -> anyhow::Result<Self> {
        let inside = Namespaces::boot(&release.root()?)?;
        let sink = inside.within_network(|| Sink::listen(COLLECTOR.port()))??;
        let machine = Self::new(Inside::Namespaces(inside), sink);
        until("systemd is up", Duration::from_secs(20), || {
            let state = machine.run(&["systemctl", "is-system-running"])?.stdout;
            ensure!(state.trim() != "degraded", "units failed at the boot: {}", machine.last_words());
            Ok(state.trim() == "running")
        })?;
        Ok(machine)
    }

    /// Resumes an emulated machine, which reaches the sink at the same address.
    fn emulate(release: Release) -> anyhow::Result<Self> {
        let inside = VirtualMachine::boot(release)?;
        let machine = Self::new(Inside::Emulator(RefCell::new(inside)), Sink::listen(0)?);
        let proxy =
            format!("/lib/systemd/systemd-socket-proxyd {}:{}", VirtualMachine::HOST, machine.sink.port());
        let units = "/etc/systemd/system";
        let socket = format!("[Socket]\nListenStream={COLLECTOR}\n[Install]\nWantedBy=sockets.target\n");
        machine.write(&format!("{units}/collector.socket"), socket)?;
        machine.write(&format!("{units}/collector.service"), format!("[Service]\nExecStart={proxy}\n"))?;
        machine.does(&["systemctl", "enable", "--quiet", "--now", "collector.socket"])?;
        Ok(machine)
    }

    fn new(inside: Inside, sink: Sink) -> Self {
        Self {
            inside,
            sink,
            hurt: RefCell::default(),
            configured: Cell::default(),
            restarts_expected: Cell::default(),
            losses_expected: Cell::default(),
        }
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, command: &[&str]) -> anyhow::Result<Ran> {
        let in_order = [
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL=C.UTF-8",
            "DEBIAN_FRONTEND=noninteractive",
        ];
        let command = [&in_order[..], command].concat();
        match &self.inside {
            Inside::Namespaces(inside) => inside.run(&command, COMMAND_WITHIN),
            Inside::Emulator(inside) => inside.borrow().run(&command, b"", EMULATED_WITHIN),
        }
    }

    /// Runs a command that has to succeed, and gives what it printed to standard output.
    pub(crate) fn does(&self, command: &[&str]) -> anyhow::Result<String> {
        let ran = self.run(command)?;
        ensure!(ran.status == 0, "{command:?} ended with {}: {}{}", ran.status, ran.stdout, ran.stderr);
        Ok(ran.stdout)
    }

    /// Runs a shell script that has to succeed.
    pub(crate) fn sh(&self, script: &str) -> anyhow::Result<String> {
        self.does(&["sh", "-euc", script])
    }

    /// Writes a file on the machine, with its directories.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
        let directory = Path::new(path).parent().and_then(Path::to_str).context("a path in a directory")?;
        self.does(&["mkdir", "-p", directory])?;
        let written = match &self.inside {
            Inside::Namespaces(inside) => inside.write(path, content.as_ref()),
            Inside::Emulator(inside) => inside.borrow().write(path, content.as_ref(), 0o644),
        };
        written.with_context(|| format!("writing {path} on the machine"))
    }

    /// Reads a file of the machine.
    pub(crate) fn read(&self, path: &str) -> anyhow::Result<String> {
        let content = match &self.inside {
            Inside::Namespaces(inside) => inside.read(path),
            Inside::Emulator(inside) => inside.borrow().read(path),
        };
        Ok(String::from_utf8(content.with_context(|| format!("reading {path} on the machine"))?)?)
    }

    /// The power fails, and comes back: what had not reached the disk is lost.
    pub(crate) fn lose_power(&self) -> anyhow::Result<()> {
        let Inside::Emulator(inside) = &self.inside else {
            bail!("only an emulated machine can lose its power")
        };
        self.memory_was_bounded()?;
        let mut inside = inside.borrow_mut();
        inside.lose_power()?;
        inside.power_on()
    }

    /// Where the port 4318 of an emulated machine is reached from here.
    pub(crate) fn otlp(&self) -> anyhow::Result<SocketAddr> {
        let Inside::Emulator(inside) = &self.inside else {
            bail!("only an emulated machine forwards a port")
        };
        Ok((Ipv4Addr::LOCALHOST, inside.borrow().otlp()).into())
    }

    /// The address at which an emulated machine reaches this host's loopback.
    pub(crate) const HOST: &str = VirtualMachine::HOST;

    /// Whether an HTTP server on this port of the machine's loopback answers `GET /` with success.
    pub(crate) fn answers(&self, port: u16) -> anyhow::Result<bool> {
        Ok(self.run(&["perl", "-e", ASK_FOR_PAGE, &port.to_string()])?.stdout.contains(" 200 "))
    }

    fn last_words(&self) -> String {
        let journal = self.run(&["journalctl", "--no-pager", "--output=short-precise", "--lines=60"]);
        let journal = journal.map_or_else(|error| error.to_string(), |ran| ran.stdout);
        format!("the machine's journal:\n{journal}")
    }
}

/// Waits until `holds`; an error after `within`.
pub(crate) fn until(
    what: &str,
    within: Duration,
    mut holds: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        if holds()? {
            return Ok(());
        }
        ensure!(begun.elapsed() <= within, "not within {within:?}: {what}");
        std::thread::park_timeout(BETWEEN_QUESTIONS.max(asked.elapsed() * 4));
    }
}

fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

/// Durations as stories write them: `2.s()`.
pub(crate) trait Seconds {
    fn s(self) -> Duration;
}

impl Seconds for u64 {
    fn s(self) -> Duration {
        Duration::from_secs(self)
    }
}

/// Reads as the sentence: `expect_active("nginx", within(2.s()))`.
pub(crate) fn within(duration: Duration) -> Duration {
    duration
}

#[cfg(test)]
mod tests;
