//! The command line.

mod judgement;
mod repairs;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use telemetry::Signal;
use tracing_subscriber::EnvFilter;

use crate::test_command::TestArgs;
pub(crate) use judgement::{
    AddSilenceArgs, AlertsArgs, ExpireSilenceArgs, ListSilencesArgs, Moment, QueryArgs, ReplayArgs,
    SilenceAction,
};
pub(crate) use repairs::{
    AlertArgs, ApproveArgs, AuditAction, AuditArgs, FreezeArgs, RunsArgs, UnfreezeArgs,
};

/// Where the configuration lies on an installed host.
pub(crate) const DEFAULT_CONFIGURATION: &str = "/etc/hostmend/hostmend.yaml";

/// The hidden command that one script runs in, under limits, speaking with the agent over standard input and output. It is none
/// of the commands below: it has to start soon.
pub(crate) const SCRIPT_RUNNER: &str = "script-runner";

/// Lets a Linux host repair itself: sees what it does, ships it over OTLP, judges it by Prometheus rules, repairs
/// the cause by a script, verifies the repair, and drafts the post-mortem.
#[derive(Debug, Parser)]
#[command(name = "hostmend", version, max_term_width = 110, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the configuration or a checked file has errors; \
                        4 a test failed; 5 refused by a guard or the policy.\n\
                        New here? `hostmend demo` shows the whole loop on this machine, as any user, in a minute."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// What to log: a level (error, warn, info, debug, trace) or `tracing` directives.
    /// Default: info; for the demo, error.
    #[arg(long, global = true, env = "HOSTMEND_LOG", value_name = "FILTER", value_parser = filter)]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The guided tour: breaks a small service of its own three ways and repairs it.
    Demo(DemoArgs),
    /// The agent: collect, ship, judge, repair, until SIGTERM or Ctrl-C.
    Run(ConfigArgs),
    /// The privileged half: performs the actions that policy.yaml allows, for the agent's user and nobody else.
    Executor(ExecutorArgs),
    /// Print what one collection would send.
    Collect(CollectArgs),
    /// Report every problem in configuration, rules, runbooks, policy and scripts.
    Check(CheckArgs),
    /// Run tests of PromQL and of rules: promqltest files and promtool's rule tests, unchanged.
    Test(TestArgs),
    /// How the running agent fares: what came in, what is owed to whom, what was lost and why, what fires.
    Status(StatusArgs),
    /// Which files the running agent follows as logs, how far behind it is, and why a path is not followed.
    Files(StatusArgs),
    /// Evaluate a PromQL expression over what the running agent keeps: a table, or with --range a chart of each series.
    Query(QueryArgs),
    /// The alerts of the running agent that are pending or fire, or the rules that raise them.
    Alerts(AlertsArgs),
    /// Where the host is short of something, and who uses it: a live view of what the running agent sees.
    Top(TopArgs),
    /// Have the running agent read its configuration anew; what is wrong leaves the old one in force.
    Reload(ReloadArgs),
    /// Keep the running agent from telling others of alerts, for a while.
    Silence {
        /// What to do.
        #[command(subcommand)]
        action: SilenceAction,
    },
    /// What was repaired, what was not and why; or one run, step by step.
    Runs(RunsArgs),
    /// Why an alert is answered or not: which runbooks answer it, and what each guard says, with values.
    Explain(AlertArgs),
    /// What would be done about an alert now: its script is run on paper, and nothing is changed.
    Plan(AlertArgs),
    /// Let a run go on that waits for a person, or deny it; exit code 5 if a guard refuses it now.
    Approve(ApproveArgs),
    /// Stop all repairs at once: no run starts, and no action is performed. As root, also if the agent hangs.
    Freeze(FreezeArgs),
    /// Let repairs go on.
    Unfreeze(UnfreezeArgs),
    /// The record of what was done: whether anybody has changed it.
    Audit {
        /// What to do.
        #[command(subcommand)]
        action: AuditAction,
    },
    /// How often rules would have fired over the samples that the agent has kept, before they are put in force.
    Replay(ReplayArgs),
    /// Look at the telemetry that waits on disk, also while the agent runs; send again what was refused.
    Queue(QueueArgs),
    /// Reference lists, printed from the tables that the program runs on.
    List {
        /// What to list.
        #[command(subcommand)]
        what: Listing,
    },
    /// The service that the demo breaks.
    #[command(hide = true)]
    DemoVictim(VictimArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIGURATION)]
    pub(crate) config: PathBuf,
}

/// Which running agent is meant.
#[derive(Args, Debug)]
pub(crate) struct AgentArgs {
    /// The configuration file of the agent.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIGURATION)]
    pub(crate) config: PathBuf,

    /// The socket of the agent; without it, where its configuration says.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,

    /// Print it for a program.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,

    /// How often to draw; what is drawn changes as often as the agent collects.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub(crate) interval: Duration,

    /// By what groups and processes are sorted; the keys c, m and i change it.
    #[arg(long, value_enum, default_value_t = TopOrder::Cpu)]
    pub(crate) sort: TopOrder,

    /// Print one view and stop.
    #[arg(long)]
    pub(crate) once: bool,

    /// Print it once, for a program.
    #[arg(long, conflicts_with = "once")]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopOrder {
    /// CPU time.
    #[default]
    Cpu,
    /// Resident memory.
    Memory,
    /// Bytes read from and written to disks.
    Io,
}

#[derive(Args, Debug)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,

    /// Wait for the result and print it; exit code 3 if the files have errors, 1 if they cannot be put in force.
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ExecutorArgs {
    /// What may be done. It is read anew before each action.
    #[arg(long, value_name = "FILE", default_value = "/etc/hostmend/policy.yaml")]
    pub(crate) policy: PathBuf,

    /// The user that the agent runs as, by name or number. Nobody else is listened to.
    #[arg(long, value_name = "USER", default_value = "hostmend")]
    pub(crate) agent_user: String,

    /// After how long without a connection to end; the socket unit starts it again. Default: 1m; with --socket, never.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) idle_exit: Option<Duration>,

    /// Listen here, for use without systemd; otherwise the socket unit hands the socket over.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Where the demo's own OTLP server listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) otlp_listen: std::net::SocketAddr,
}

#[derive(Args, Debug)]
pub(crate) struct CollectArgs {
    /// Collect once and stop.
    #[arg(long, required = true)]
    pub(crate) once: bool,

    /// How to print it.
    #[arg(long, value_enum, default_value_t = CollectFormat::Table)]
    pub(crate) format: CollectFormat,

    /// The configuration file; without it, every collector that is on by default.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The root directory of another host, mounted here.
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) root: Option<PathBuf>,

    /// The root was written by agent/collectors/fixtures/capture: its files answer system calls too.
    #[arg(long, requires = "root", hide = true)]
    pub(crate) captured: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CollectFormat {
    /// For people.
    Table,
    /// OTLP as JSON, one request per line.
    OtlpJson,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Files to check: configuration, rules, runbooks, policy (YAML) or scripts (.rhai). Without any, the
    /// configuration and everything it names.
    pub(crate) files: Vec<PathBuf>,

    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIGURATION)]
    pub(crate) config: PathBuf,

    /// How to print problems.
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people: the lines, with the problem underlined.
    Text,
    /// One JSON object per line.
    Json,
    /// GitHub workflow commands.
    Github,
}

#[derive(Args, Debug)]
pub(crate) struct QueueArgs {
    /// What to look at, or to do.
    pub(crate) look: QueueLook,

    /// The directory that holds the queues; without it, `queue` in the configuration's state directory.
    #[arg(value_name = "DIR", conflicts_with = "config")]
    pub(crate) directory: Option<PathBuf>,

    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIGURATION)]
    pub(crate) config: PathBuf,

    /// For inspect and fsck: print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,

    /// For replay: only what this destination refused.
    #[arg(long, value_name = "NAME")]
    pub(crate) destination: Option<String>,

    /// For replay: only this signal.
    #[arg(long)]
    pub(crate) signal: Option<SignalName>,

    /// For replay: the socket of the running agent; without it, where its configuration says.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

/// A signal, as a word.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SignalName {
    /// Points.
    Metrics,
    /// Spans.
    Traces,
    /// Records.
    Logs,
}

impl From<SignalName> for Signal {
    fn from(name: SignalName) -> Self {
        match name {
            SignalName::Metrics => Self::Metrics,
            SignalName::Traces => Self::Traces,
            SignalName::Logs => Self::Logs,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum QueueLook {
    /// What there is, and how far each destination has come.
    Inspect,
    /// Read everything, and say what is damaged; exit code 3 if anything is.
    Fsck,
    /// Print every record that can be read as a line of JSON, with the OTLP request in base64; dead letters last.
    Export,
    /// Send the dead letters again: the running agent at once, or the next one at its start.
    Replay,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Listing {
    /// Every metric: kind, unit, number type, attributes, whether it is on, who makes it, from what.
    Metrics(MetricsArgs),
    /// Every collector.
    Collectors,
    /// Every function that a remediation script can call.
    Functions(FunctionsArgs),
    /// Every PromQL function.
    PromqlFunctions,
    /// Everything that the local API answers.
    Api,
}

#[derive(Args, Debug)]
pub(crate) struct FunctionsArgs {
    /// How to print them.
    #[arg(long, value_enum, default_value_t = MetricsFormat::Text)]
    pub(crate) format: MetricsFormat,

    /// Print them for a program.
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct MetricsArgs {
    /// Only metrics with this in their name, as OpenTelemetry or as Prometheus spells it.
    pub(crate) name: Option<String>,

    /// Only those of one collector, or of the agent's other parts: schedule, probes, agent, taps.
    #[arg(long, value_name = "NAME")]
    pub(crate) collector: Option<String>,

    /// Print them for a program.
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,

    /// How to print them.
    #[arg(long, value_enum, default_value_t = MetricsFormat::Text)]
    pub(crate) format: MetricsFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum MetricsFormat {
    /// For people.
    Text,
    /// One JSON array.
    Json,
    /// The page of docs/ that lists them.
    Markdown,
}

#[derive(Args, Debug)]
pub(crate) struct VictimArgs {
    /// The address to serve on.
    #[arg(long)]
    pub(crate) listen: std::net::SocketAddr,
    /// The file to write the process id to.
    #[arg(long)]
    pub(crate) pid_file: PathBuf,
    /// The process that starts it, and without which it ends.
    #[arg(long)]
    pub(crate) parent: i32,
    /// How long to live at most, so that nothing stays behind whatever happens.
    #[arg(long, value_parser = duration)]
    pub(crate) live_at_most: Duration,
}

fn filter(text: &str) -> Result<String, String> {
    let hint = "write a level such as info, or a list such as warn,otlp=debug";
    text.parse::<EnvFilter>().map(|_| text.to_owned()).map_err(|error| format!("{error}; {hint}"))
}

fn duration(text: &str) -> Result<Duration, telemetry::DurationError> {
    telemetry::parse_duration(text)
}
