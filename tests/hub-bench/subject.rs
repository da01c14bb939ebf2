//! A program under test: started with a directory of its own, between an address and a sink.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use load::{Program, Protocol, Sink, target};
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
    pub(crate) program: Program,
    directory: TempDir,
}

impl Subject {
    /// Starts it and waits until it listens; none where it was not built.
    pub(crate) fn start(kind: Kind, options: Options) -> anyhow::Result<Option<Self>> {
        let program = match kind {
            Kind::Agent => load::agent()?,
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
        let log = directory.path().join("log");
        let configuration = configuration.to_str().context("a path in UTF-8")?;
        let arguments: Vec<&str> = arguments.into_iter().chain([configuration]).collect();
        let program = Program::start(&program, &arguments, &log)
            .with_context(|| format!("starting {}", program.display()))?;
        let away = options.destination_is_away.then_some(away);
        let subject = Self { kind, sink, away, grpc, http, program, directory };
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
