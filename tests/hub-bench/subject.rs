//! A program under test: started with a directory of its own, between an address and a sink.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use load::{Protocol, Sink};
use tempfile::TempDir;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ours, which answers when what it took is synced.
    Agent,
    /// With a queue on disk as it comes: written, not synced.
    Collector,
    /// With `fsync: true`.
    CollectorSynced,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Agent, Self::Collector, Self::CollectorSynced];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Agent => "hostmend",
            Self::Collector => "Collector, file_storage",
            Self::CollectorSynced => "Collector, file_storage with fsync",
        }
    }
}

/// What a run needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Nobody listens where it sends to, until `destination_returns`.
    pub(crate) destination_is_away: bool,
}

/// A program that runs.
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) sink: Sink,
    away: Option<u16>,
    grpc: u16,
    http: u16,
    child: Child,
    directory: TempDir,
}

impl Subject {
    /// Starts it and waits until it listens; none where it was not built.
    pub(crate) fn start(kind: Kind, options: Options) -> anyhow::Result<Option<Self>> {
        let program = match kind {
            Kind::Agent => agent()?,
            _ => collector(),
        };
        if !program.exists() {
            println!("({} is not there: tests/collector/build.sh)", program.display());
            return Ok(None);
        }
        // On a disk: where temporary files are kept in memory, syncing would cost nothing.
        let parent = std::env::var_os("HUB_BENCH_DIRECTORY").map_or_else(std::env::temp_dir, PathBuf::from);
        let directory = TempDir::new_in(parent)?;
        let sink = Sink::listen(0)?;
        let (grpc, http, away) = (free_port()?, free_port()?, free_port()?);
        let to = if options.destination_is_away { away } else { sink.address().port() };
        let (text, arguments) = if kind == Kind::Agent {
            (agent_configuration(grpc, http, to), vec!["run", "--config"])
        } else {
            let storage = directory.path().join("storage");
            std::fs::create_dir(&storage)?;
            let is_synced = kind == Kind::CollectorSynced;
            (collector_configuration(grpc, http, to, &storage, is_synced), vec!["--config"])
        };
        let configuration = directory.path().join("configuration.yaml");
        std::fs::write(&configuration, text)?;
        let log = std::fs::File::create(directory.path().join("log"))?;
        let child = Command::new(&program)
            .args(arguments)
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let away = options.destination_is_away.then_some(away);
        let subject = Self { kind, sink, away, grpc, http, child, directory };
        subject.listens()?;
        Ok(Some(subject))
    }

    fn listens(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        for port in [self.grpc, self.http] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
                ensure!(began.elapsed() < Duration::from_secs(20), "it does not listen:\n{log}");
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    pub(crate) fn address(&self, protocol: Protocol) -> SocketAddr {
        let port = match protocol {
            Protocol::Grpc => self.grpc,
            Protocol::Http => self.http,
        };
        ([127, 0, 0, 1], port).into()
    }

    /// Has the sink listen where the program sends to.
    pub(crate) fn destination_returns(&mut self) -> anyhow::Result<()> {
        if let Some(port) = self.away.take() {
            self.sink = Sink::listen(port)?;
        }
        Ok(())
    }

    /// What it has used of processors since it started, with its children that have ended, in seconds.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // proc_pid_stat(5): the name may hold spaces and parentheses, so the last `)` ends it.
        let (_, fields) = stat.rsplit_once(')').context("a name in parentheses")?;
        let ticks = fields.split_whitespace().skip(11).take(4).map(str::parse::<u64>);
        let ticks = ticks.sum::<Result<u64, _>>()?;
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        self.status("VmRSS:")
    }

    pub(crate) fn peak_kib(&self) -> anyhow::Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a line of status")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root")
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The agent, built for release.
fn agent() -> anyhow::Result<PathBuf> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--package", "daemon"])
        .current_dir(root())
        .status()?;
    ensure!(built.success(), "the agent does not build");
    Ok(target().join("release/hostmend"))
}

fn collector() -> PathBuf {
    target().join("otelcol/otelcol")
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Taps are on by default, and so is the splice of resource attributes.
fn agent_configuration(grpc: u16, http: u16, to: u16) -> String {
    format!(
        "state_directory: state\nqueue: {{ max_bytes: 4294967296 }}\nreceive:\n  listeners:\n    - name: apps\n      grpc: 127.0.0.1:{grpc}\n      \
         http: 127.0.0.1:{http}\ndestinations:\n  - {{ name: away, endpoint: \"http://127.0.0.1:{to}\", \
         compression: none }}\n"
    )
}

fn collector_configuration(grpc: u16, http: u16, to: u16, storage: &Path, is_synced: bool) -> String {
    let storage = storage.display();
    format!(
        "extensions:\n  file_storage: {{ directory: \"{storage}\", fsync: {is_synced} }}\n\
         receivers:\n  otlp:\n    protocols:\n      grpc: {{ endpoint: 127.0.0.1:{grpc}, max_recv_msg_size_mib: 16 }}\n      \
         http: {{ endpoint: 127.0.0.1:{http} }}\n\
         exporters:\n  otlp:\n    endpoint: 127.0.0.1:{to}\n    compression: none\n    tls: {{ insecure: true }}\n    \
         sending_queue: {{ storage: file_storage, queue_size: 1000000, num_consumers: 4 }}\n    \
         retry_on_failure: {{ max_interval: 1s, max_elapsed_time: 0 }}\n\
         service:\n  extensions: [file_storage]\n  pipelines:\n    \
         traces: {{ receivers: [otlp], exporters: [otlp] }}\n    \
         metrics: {{ receivers: [otlp], exporters: [otlp] }}\n    \
         logs: {{ receivers: [otlp], exporters: [otlp] }}\n  \
         telemetry: {{ logs: {{ level: error }}, metrics: {{ level: none }} }}\n"
    )
}
