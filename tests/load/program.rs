//! A program that is measured: started, asked what it takes, and ended.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program that runs until it is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
}

impl Program {
    /// Starts `program`; what it says goes to the file `log`.
    ///
    /// # Errors
    ///
    /// It cannot be started, or the file not be made.
    pub fn start(program: &Path, arguments: &[&str], log: &Path) -> io::Result<Self> {
        let log = std::fs::File::create(log)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Self { child: command.spawn()? })
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has used of processors since it started, with its children that have ended, in seconds.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn cpu(&self) -> io::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // proc_pid_stat(5): the name may hold spaces and parentheses, so the last `)` ends it.
        let (_, fields) = stat.rsplit_once(')').ok_or(io::ErrorKind::InvalidData)?;
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// What is resident of it, in KiB.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn resident_kib(&self) -> io::Result<u64> {
        self.status("VmRSS:")
    }

    /// What was resident of it at most, in KiB.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn peak_kib(&self) -> io::Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kib.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where Cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Builds the agent for release and says where it is.
///
/// # Errors
///
/// It does not build.
pub fn agent() -> io::Result<PathBuf> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--package", "daemon"])
        .current_dir(root())
        .status()?;
    if built.success() {
        Ok(target().join("release/hostmend"))
    } else {
        Err(io::Error::other("the agent does not build"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root")
}
