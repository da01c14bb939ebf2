//! The configuration: what the files say, turned into what the program may rely on.
//!
//! `run` and `check` both load it here, so what check accepts, run starts with. Every problem of every file is
//! collected; the files are read as sshd reads its keys where something will act on them.

mod coherence;
mod collect;
mod destination;
mod drop_ins;
mod exporter_variables;
mod file;
mod history;
mod judgement;
mod logs;
mod masking;
mod named_processes;
mod node_exporter;
mod notify;
mod origins;
mod reach;
mod receive;
mod remediation;
mod resource;
mod secret;
mod section;
mod taps;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use collectors::{Budget, Intervals, Options, PressureThresholds};
use documents::{Document, Format, OpenError, Problem, Review, Severity, Trust, yaml};
use otlp::{Destination, Masking, QueueLimits};
use probes::HttpProbe;
use series::Limits;
use telemetry::{Stage, with_causes};

pub(crate) use collect::Names;
pub(crate) use judgement::{Judgement, Repairs};
pub(crate) use logs::{LogSourceConfig, Logs};
pub(crate) use notify::Notify;
pub(crate) use origins::AlertOrigins;
pub(crate) use receive::ReceiveConfig;
pub(crate) use resource::{Identity, find};

use crate::cli::DEFAULT_CONFIGURATION;
use crate::print;
use crate::self_telemetry::environment::{Settings, Variables};
use crate::taps::TapOptions;
use coherence::Whole;
use file::{AgentFile, WhereaboutsFile};
use origins::Sources;

/// How many processes are reported by CPU and as many by memory when the configuration does not say: what fits a
/// screen, and with the host's own series stays near 1,500 series.
const DEFAULT_PROCESSES_TOP: usize = 20;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// Everything the agent is told.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// The file that it was read from.
    pub(crate) file: PathBuf,
    pub(crate) state_directory: Option<PathBuf>,
    pub(crate) api: ApiPlaces,
    pub(crate) collect: Collect,
    pub(crate) probes: Vec<(HttpProbe, Duration)>,
    pub(crate) identity: Identity,
    pub(crate) own_telemetry: Settings,
    /// Nothing listens without it.
    pub(crate) receive: Option<ReceiveConfig>,
    pub(crate) masking: Masking,
    pub(crate) logs: Logs,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) queue: QueueLimits,
    pub(crate) series: Limits,
    /// How often series are written to the state directory.
    pub(crate) snapshot_interval: Duration,
    pub(crate) taps: TapOptions,
    pub(crate) judgement: Judgement,
    pub(crate) repairs: Repairs,
    pub(crate) notify: Notify,
    /// Where the executor listens, if it is a process of its own.
    pub(crate) executor: Option<PathBuf>,
}

impl Config {
    /// How much there is of everything, so that an empty setup does not look like a full one.
    pub(crate) fn size(&self) -> String {
        let acting = self.repairs.runbooks.iter().filter(|runbook| runbook.stage == Stage::Auto).count();
        let policy = &self.repairs.policy;
        format!(
            "{} listeners, {} log sources, {} destinations, {} watches, {} probes, {} rules, {} runbooks ({acting} of them act), {} policy entries",
            self.receive.as_ref().map_or(0, |receive| receive.listeners.len()),
            self.logs.sources.len(),
            self.destinations.len(),
            self.collect.options.watches.len(),
            self.probes.len(),
            self.judgement.groups.iter().map(|group| group.rules().len()).sum::<usize>(),
            self.repairs.runbooks.len(),
            policy.len(),
        )
    }
}

/// Where the local API listens, as far as the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ApiPlaces {
    pub(crate) socket: Option<PathBuf>,
    pub(crate) listen: Option<SocketAddr>,
}

/// What is collected.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Collect {
    pub(crate) names: Names,
    pub(crate) intervals: Intervals,
    pub(crate) disabled: BTreeSet<String>,
    /// Pressure beyond these is looked at and judged at once.
    pub(crate) pressure: PressureThresholds,
    pub(crate) budget: Budget,
    pub(crate) options: Options,
    pub(crate) node_exporter: NodeExporter,
    /// Where others lay down metrics as files.
    pub(crate) textfile: Option<PathBuf>,
}

/// What becomes of the metrics that bear `node_exporter`'s names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeExporter {
    /// Whether whoever scrapes gets them.
    pub(crate) served: bool,
    /// The label `job`.
    pub(crate) job: String,
    /// The label `instance`; by default the host's name and a port.
    pub(crate) instance: Option<String>,
    /// The metrics of which rules see no series.
    pub(crate) left_out: Vec<&'static str>,
}

impl Collect {
    /// Whether the collector of this name runs.
    pub(crate) fn wants(&self, name: &str) -> bool {
        !self.disabled.contains(name)
    }
}

impl Default for Collect {
    fn default() -> Self {
        Self {
            names: Names::default(),
            intervals: Intervals::every(DEFAULT_INTERVAL),
            disabled: BTreeSet::new(),
            pressure: PressureThresholds::default(),
            budget: Budget::default(),
            options: Options { processes_top: Some(DEFAULT_PROCESSES_TOP), ..Options::default() },
            node_exporter: NodeExporter::default(),
            textfile: None,
        }
    }
}

/// What loading found.
pub(crate) struct Loaded {
    /// The configuration, unless there was an error.
    pub(crate) config: Option<Config>,
    /// All problems, warnings included.
    pub(crate) problems: Vec<Problem>,
    /// What each alert depends on.
    pub(crate) origins: Vec<AlertOrigins>,
    /// How many files were read.
    pub(crate) files: usize,
}

/// Loads the configuration file at `path` and everything it names. `variables` say what the file does not.
pub(crate) fn load(path: &Path, trust: Trust, variables: &Variables) -> Loaded {
    let mut load =
        Load { trust, problems: Vec::new(), files: 0, documents: BTreeMap::new(), origins: Vec::new() };
    let config = load.config(path, variables);
    let failed = load.problems.iter().any(|problem| problem.severity == Severity::Error);
    let (problems, origins, files) = (load.problems, load.origins, load.files);
    Loaded { config: config.filter(|_| !failed), problems, origins, files }
}

/// Loads the configuration for use; prints its problems to standard error. `None` when there are errors.
pub(crate) fn load_or_report(path: &Path) -> std::io::Result<Option<Config>> {
    let loaded = load(path, Trust::invoking_user(), &variables());
    print::err(&documents::render(&loaded.problems, Format::Text))?;
    Ok(loaded.config)
}

/// The variables that the process was given and that stand for something in the file: those of OpenTelemetry, proxies,
/// and where systemd keeps credentials.
pub(crate) fn variables() -> Variables {
    let all = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let named = all.filter(|(name, _)| {
        name.starts_with("OTEL_")
            || name.to_ascii_uppercase().ends_with("_PROXY")
            || name == "CREDENTIALS_DIRECTORY"
    });
    named.map(|(name, value)| (name, value.to_string_lossy().into_owned())).collect()
}

/// Where a running agent can be asked.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts {
    pub(crate) socket: Option<PathBuf>,
    pub(crate) state_directory: Option<PathBuf>,
    /// The policy that it names.
    pub(crate) policy: Option<PathBuf>,
}

/// What the configuration file says of it, whatever else is wrong there: nothing, if it is no YAML at all.
pub(crate) fn where_the_agent_listens(path: &Path) -> Whereabouts {
    let file = Document::open(path, Trust::Anyone).ok();
    let Some(file) = file.and_then(|document| yaml::parse::<WhereaboutsFile>(&document).ok()) else {
        return Whereabouts::default();
    };
    let base = Base::of(path);
    Whereabouts {
        socket: file.api.socket.map(|socket| base.path(&socket.value)),
        state_directory: file.state_directory.map(|directory| base.path(&directory.value)),
        policy: file.policy.map(|policy| base.path(&policy.value)),
    }
}

/// The state of one loading.
struct Load {
    trust: Trust,
    problems: Vec<Problem>,
    files: usize,
    /// Rule files by path.
    documents: BTreeMap<PathBuf, Document>,
    origins: Vec<AlertOrigins>,
}

impl Load {
    fn config(&mut self, path: &Path, variables: &Variables) -> Option<Config> {
        let document = self.open(path)?;
        let file: AgentFile = match yaml::parse(&document) {
            Ok(file) => file,
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        let base = Base::of(path);
        let mut review = Review::new(&document);
        let state_directory = file.state_directory.as_ref().map(|value| base.path(&value.value));
        let api = section::api(&file.api, &base, &mut review);
        let mut collect = collect::collect(&file.collect, &base, &mut review);
        let probes = section::probes(&file.probes, &mut review);
        let own_telemetry = resource::own_telemetry(&file.own_telemetry, variables, &mut review);
        let identity = resource::identity(&file.resource, &own_telemetry, &mut review);
        let receive = file.receive.as_ref().map(|section| receive::receive(section, &base, &mut review));
        if let Some(receive) = &receive {
            receive::refuse_loops(receive, &file.destinations, &mut review);
            receive::refuse_address_of_api(receive, &file.api, &mut review);
        }
        let mask_rules = masking::rules(&file.masking, &base, &mut review);
        let masking = masking::masking(mask_rules.clone(), &file.masking, &mut review);
        let logs = logs::logs(&file.logs, mask_rules, &base, &mut review);
        let surroundings = Surroundings { base: &base, variables };
        let mut destinations = destination::all(&file.destinations, &surroundings, &mut review);
        if file.destinations.is_empty() {
            destinations = exporter_variables::destinations(&surroundings, receive.as_ref(), &mut review);
        }
        let queue = destination::queue(&file.queue, &mut review);
        let (series, snapshot_interval) = section::series(&file.series, &mut review);
        let budgets = receive.as_ref().map(|receive| receive.max_series.clone()).unwrap_or_default();
        let taps = taps::taps(&file.taps, logs.for_taps(), budgets, &mut review);
        taps::unknown_sources(&file.taps, &taps, receive.as_ref(), &mut review);
        let mut judgement = self.judgement(&file, &base, &mut review);
        let notify = notify::notify(&file.notify, &identity, &surroundings, &mut review);
        judgement.speak_as(&notify.options.externals);
        notify::warn_of_silence(&file.notify, &notify, judgement.has_alerts(), &mut review);
        let repairs = self.repairs(&file, &base, &mut review);
        let named = (&judgement, &repairs);
        node_exporter::node_exporter(&file.node_exporter, named, &mut collect, &mut review);
        collect.options.named_processes = named_processes::named_processes(&judgement, &repairs);
        let executor = file.executor.as_ref().map(|section| base.path(&section.socket.value));
        self.problems.extend(review.into_problems());
        if executor.is_some() {
            self.problems.extend(drop_ins::missing(&repairs.policy, Path::new("/")));
        }
        let sources = Sources {
            groups: &judgement.groups,
            receive: receive.as_ref(),
            taps: &taps,
            textfiles: collect.textfile.is_some(),
        };
        self.origins = sources.of_alerts();
        let listeners = receive.iter().flat_map(|receive| &receive.listeners);
        self.problems.extend(coherence::check(&Whole {
            collect: &collect,
            probes: &probes,
            judgement: &judgement,
            repairs: &repairs,
            own_process: executor.is_some(),
            textfiles: collect.textfile.is_some(),
            listeners: listeners.map(|listener| listener.name.as_str()).collect(),
            origins: &self.origins,
            log_rules: &taps.log_rules,
            access_logs: taps.access.is_some() && taps.sources.values().any(|source| source.access),
            sources: taps.sources.keys().map(String::as_str).collect(),
            documents: &self.documents,
        }));
        self.problems.extend(history::check(&judgement.groups, &self.documents, &series));
        Some(Config {
            file: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            state_directory,
            api,
            collect,
            probes,
            identity,
            own_telemetry,
            masking,
            logs,
            receive,
            destinations,
            queue,
            series,
            snapshot_interval,
            taps,
            judgement,
            repairs,
            notify,
            executor,
        })
    }

    /// Opens a file; a problem is kept and gives `None`.
    fn open(&mut self, path: &Path) -> Option<Document> {
        match Document::open(path, self.trust) {
            Ok(document) => {
                self.files += 1;
                Some(document)
            }
            Err(error) => {
                self.problems.push(about_open(path, &error));
                None
            }
        }
    }
}

/// The problem of a file that could not be opened.
pub(crate) fn about_open(path: &Path, error: &OpenError) -> Problem {
    let problem = Problem::about(path, with_causes(error));
    match error {
        OpenError::Read { source, .. }
            if source.kind() == ErrorKind::NotFound && path == Path::new(DEFAULT_CONFIGURATION) =>
        {
            problem.with_hint("name another with --config; config/hostmend.yaml is one to start from")
        }
        _ => problem,
    }
}

/// What the words of the file mean depends on.
struct Surroundings<'a> {
    base: &'a Base,
    variables: &'a Variables,
}

impl Surroundings<'_> {
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

/// The directory that relative paths start from: that of the configuration file.
struct Base(PathBuf);

impl Base {
    fn of(file: &Path) -> Self {
        // A bare file name has the empty path as its parent, which `absolute` refuses.
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        Self(absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned))
    }

    fn path(&self, text: &str) -> PathBuf {
        self.0.join(text)
    }
}

#[cfg(test)]
mod tests;
