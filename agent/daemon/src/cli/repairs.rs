//! What the commands about repairs take: runs, freeze, unfreeze, audit.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::judgement::moment;
use super::{AgentArgs, Moment, duration};

#[derive(Args, Debug)]
pub(crate) struct RunsArgs {
    /// One run, step by step.
    pub(crate) run: Option<String>,

    /// Only runs of this runbook.
    #[arg(long, value_name = "NAME", conflicts_with = "run")]
    pub(crate) runbook: Option<String>,

    /// Only runs from then on: RFC 3339, seconds since the epoch, or how long ago, as in 2h.
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "run")]
    pub(crate) since: Option<Moment>,

    /// How many, the latest first.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, conflicts_with = "run")]
    pub(crate) at_most: usize,

    /// How each runbook has done in place of the runs: its stage, its share of verified repairs, what the next stage would mean.
    /// With --data, the runbooks are those of the configuration.
    #[arg(long, conflicts_with_all = ["run", "runbook", "since"])]
    pub(crate) standing: bool,

    /// With RUN: each guard that let it pass, in place of one line for all of them.
    #[arg(long, requires = "run")]
    pub(crate) all: bool,

    /// The state directory of an agent that does not run; without it, the running agent is asked.
    #[arg(long, value_name = "DIR", conflicts_with = "socket")]
    pub(crate) data: Option<PathBuf>,

    /// Print it for a program.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) agent: AgentArgs,
}

#[derive(Args, Debug)]
pub(crate) struct FreezeArgs {
    /// Why, for those who find repairs frozen.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,

    /// For how long; without it, until `hostmend unfreeze`.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) lasts: Option<Duration>,

    /// The executor's policy, beside which root leaves word for the executor too. Without it, the configuration's and
    /// /etc/hostmend/policy.yaml.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) agent: AgentArgs,
}

#[derive(Args, Debug)]
pub(crate) struct UnfreezeArgs {
    /// Let go on only what held itself back: the target over which runbooks were in conflict, as in "unit nginx.service", or a
    /// runbook that went back to an earlier stage.
    pub(crate) target: Option<String>,

    /// The executor's policy, beside which root left word for the executor too. Without it, the configuration's and
    /// /etc/hostmend/policy.yaml.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) agent: AgentArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AlertArgs {
    /// The alert: its name, or name{label="value"}.
    pub(crate) alert: String,

    /// Print it for a program.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) agent: AgentArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ApproveArgs {
    /// The run that waits, as `hostmend status` and `hostmend runs` name it.
    pub(crate) run: String,

    /// Deny it.
    #[arg(long)]
    pub(crate) deny: bool,

    /// Why, for the record.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) comment: String,

    /// Print it for a program.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) agent: AgentArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditAction {
    /// Check that the run journal is whole: no line was changed, taken out or put in. Needs no running agent.
    Verify(AuditArgs),
}

#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    /// A hash that was seen earlier, as the attribute `hostmend.audit.hash` of a log record about the end of a run: one line
    /// must still have it. May be given several times.
    #[arg(long, value_name = "HASH")]
    pub(crate) expect: Vec<String>,

    /// The state directory; without it, the configuration's.
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,

    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = super::DEFAULT_CONFIGURATION)]
    pub(crate) config: PathBuf,

    /// Print it for a program.
    #[arg(long)]
    pub(crate) json: bool,
}
