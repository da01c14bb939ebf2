//! What the commands about rules and alerts take: query, alerts, silence, replay.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use telemetry::Timestamp;

use super::{AgentArgs, duration};
use crate::moment::rfc_3339;

#[derive(Args, Debug)]
pub(crate) struct QueryArgs {
    /// The expression.
    pub(crate) expression: String,

    #[command(flatten)]
    pub(crate) agent: AgentArgs,

    /// When to evaluate it, or the end of the range: RFC 3339, seconds since the epoch, or how long ago, as in 5m.
    /// Default: now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) at: Option<Moment>,

    /// Evaluate it over so long a time.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) range: Option<Duration>,

    /// How far apart. Default: as the width of the terminal allows.
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "range")]
    pub(crate) step: Option<Duration>,

    /// Print what Prometheus' API says.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A time, or how long ago it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A time.
    At(Timestamp),
    /// Before now.
    Ago(Duration),
}

#[derive(Args, Debug)]
pub(crate) struct AlertsArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,

    /// The rules in place of the alerts: how they fare, and which of them match nothing.
    #[arg(long)]
    pub(crate) rules: bool,

    /// Print what Prometheus' API says.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SilenceAction {
    /// Silence the alerts that meet all matchers. They go on to fire here, and runbooks go on to answer them.
    Add(AddSilenceArgs),
    /// What is silenced, and what was within the last day.
    List(ListSilencesArgs),
    /// End silences.
    Expire(ExpireSilenceArgs),
}

#[derive(Args, Debug)]
pub(crate) struct AddSilenceArgs {
    /// Conditions on labels, as in Alertmanager: alertname=DiskFull, path=~"/srv/.*", severity!=page.
    #[arg(value_name = "MATCHER", required = true)]
    pub(crate) matchers: Vec<String>,

    /// For how long.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) lasts: Duration,

    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: String,

    /// Who; without it, the user who asks.
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,

    /// Have no runbook answer the alerts either.
    #[arg(long)]
    pub(crate) repairs: bool,

    /// Print it for a program.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) agent: AgentArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ListSilencesArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,

    /// Print it for a program.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ExpireSilenceArgs {
    /// Their ids, as `hostmend silence list` has them.
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,

    #[command(flatten)]
    pub(crate) agent: AgentArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,

    /// The rule files.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) rules: Vec<PathBuf>,

    /// How far back to begin.
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = duration)]
    pub(crate) since: Duration,

    /// How often groups are evaluated that do not say so.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) interval: Duration,

    /// The state directory of an agent that does not run; without it, the running agent is asked.
    #[arg(long, value_name = "DIR", conflicts_with = "socket")]
    pub(crate) data: Option<PathBuf>,

    /// Print it for a program.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.abs() < 9e9
    {
        return Ok(Moment::At(Timestamp::from_millis((seconds * 1_000.0).round() as i64)));
    }
    if let Ok(ago) = telemetry::parse_duration(text) {
        return Ok(Moment::Ago(ago));
    }
    rfc_3339(text).map(Moment::At).ok_or_else(|| {
        format!(
            "{text:?} is no time; write it as in 2026-11-21T08:05:00Z, 1795248300, or 5m for five minutes ago"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_three_ways() {
        for (text, expected) in [
            ("1970-01-01T00:01:00.5Z", Some(Moment::At(Timestamp::from_millis(60_500)))),
            ("60.5", Some(Moment::At(Timestamp::from_millis(60_500)))),
            ("1h30m", Some(Moment::Ago(Duration::from_mins(90)))),
            ("0", Some(Moment::At(Timestamp::EPOCH))),
            ("yesterday", None),
            ("1e300", None),
        ] {
            assert_eq!(moment(text).ok(), expected, "{text}");
        }
    }
}
