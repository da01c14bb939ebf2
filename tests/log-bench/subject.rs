//! A program under test: started with a directory of its own, between the files in `logs` there and a sink.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use load::{Program, Sink, target};
use tempfile::TempDir;

use crate::lines::Watched;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ours, whose places follow what is synced.
    Agent,
    /// With places and a queue on disk as they come: written, not synced.
    Collector,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Agent, Self::Collector];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Agent => "hostmend",
            Self::Collector => "Collector, filelog",
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) compression: &'static str,
    pub(crate) is_http: bool,
    /// Whether lines are JSON and become attributes.
    pub(crate) is_parsed: bool,
}

/// A program that runs.
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) watched: Arc<Watched>,
    pub(crate) program: Program,
    _sink: Sink,
    directory: TempDir,
}

impl Subject {
    /// Starts it; none where it was not built.
    pub(crate) fn start(
        kind: Kind,
        case: &Case,
        agent: &Path,
        directory: TempDir,
    ) -> anyhow::Result<Option<Self>> {
        let program = match kind {
            Kind::Agent => agent.to_owned(),
            Kind::Collector => target().join("logcol/logcol"),
        };
        if !program.exists() {
            println!("({} is not there: tests/log-bench/collector/build.sh)", program.display());
            return Ok(None);
        }
        let watched = Arc::<Watched>::default();
        let watching = Arc::clone(&watched);
        let sink = Sink::watch(Box::new(move |_, request| watching.take(request)))?;
        let to = sink.address().port();
        let (text, arguments) = match kind {
            Kind::Agent => (agent_configuration(directory.path(), to, case), vec!["run", "--config"]),
            Kind::Collector => {
                std::fs::create_dir(directory.path().join("storage"))?;
                (collector_configuration(directory.path(), to, case), vec!["--config"])
            }
        };
        let configuration = directory.path().join("configuration.yaml");
        std::fs::write(&configuration, text)?;
        let configuration = configuration.to_str().context("a path in UTF-8")?;
        let arguments: Vec<&str> = arguments.into_iter().chain([configuration]).collect();
        let program = Program::start(&program, &arguments, &said(directory.path()))
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Some(Self { kind, watched, program, _sink: sink, directory }))
    }

    /// What it wrote.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(said(self.directory.path())).unwrap_or_default()
    }
}

fn said(directory: &Path) -> PathBuf {
    directory.join("said")
}

/// Lines that were there before it began are read as well; what is masked by default is masked.
fn agent_configuration(directory: &Path, to: u16, case: &Case) -> String {
    let format = if case.is_parsed { "json" } else { "plain" };
    let protocol = if case.is_http { "http/protobuf" } else { "grpc" };
    format!(
        "state_directory: state\nqueue: {{ max_bytes: 4294967296 }}\ncollect: {{ interval: 60s }}\n\
         logs:\n  files:\n    - {{ name: bench, include: [\"{}/logs/*.log\"], start: beginning, format: {format} }}\n\
         destinations:\n  - {{ name: sink, protocol: {protocol}, endpoint: \"http://127.0.0.1:{to}\", compression: {} }}\n",
        directory.display(),
        case.compression
    )
}

/// As it comes: up to 100 lines, or what came in 100 ms, make a batch. Of JSON the message becomes the body, as with us.
fn collector_configuration(directory: &Path, to: u16, case: &Case) -> String {
    let directory = directory.display();
    let operators = if case.is_parsed {
        ", operators: [{ type: json_parser }, { type: move, from: attributes.msg, to: body }]"
    } else {
        ""
    };
    let exporter = if case.is_http { "otlphttp" } else { "otlp" };
    let scheme = if case.is_http { "http://" } else { "" };
    format!(
        "extensions:\n  file_storage: {{ directory: \"{directory}/storage\" }}\n\
         receivers:\n  filelog: {{ include: [\"{directory}/logs/*.log\"], start_at: beginning, storage: file_storage{operators} }}\n\
         exporters:\n  {exporter}:\n    endpoint: {scheme}127.0.0.1:{to}\n    compression: {}\n    tls: {{ insecure: true }}\n    \
         sending_queue: {{ storage: file_storage, queue_size: 1000000, num_consumers: 4, block_on_overflow: true }}\n\
         service:\n  extensions: [file_storage]\n  pipelines:\n    logs: {{ receivers: [filelog], exporters: [{exporter}] }}\n  \
         telemetry: {{ logs: {{ level: error }}, metrics: {{ level: none }} }}\n",
        case.compression
    )
}
