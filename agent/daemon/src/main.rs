//! hostmend: lets a Linux host repair itself.

#![forbid(unsafe_code)]

mod agent;
mod alerts_command;
mod approve_command;
mod audit_command;
mod check;
mod cli;
mod clock;
mod collect;
mod config;
mod demo;
mod executor_process;
mod exit;
mod explain_command;
mod files_command;
mod freeze_command;
mod list;
mod local_client;
mod logging;
mod moment;
mod print;
mod query_command;
mod queue_command;
mod reload_command;
mod replay_command;
mod run_report;
mod runs_command;
mod sections;
mod self_telemetry;
mod silence_command;
mod status;
mod status_command;
mod taps;
mod test_command;
mod top;
mod top_command;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, SCRIPT_RUNNER};
use crate::exit::Exit;

fn main() -> ExitCode {
    // It lasts for a moment, in which a repair waits for it; to read the command line takes as long again.
    let is_script_runner = std::env::args_os().skip(1).eq([SCRIPT_RUNNER]);
    let done = if is_script_runner {
        remediation::serve().map(|()| Exit::Done).map_err(anyhow::Error::from)
    } else {
        run(&Cli::parse())
    };
    done.unwrap_or_else(|error| {
        print::error(&error);
        Exit::Failed
    })
    .into()
}

fn run(cli: &Cli) -> anyhow::Result<Exit> {
    let log = cli.log.as_deref();
    match &cli.command {
        Command::Demo(args) => demo::run(args, log.unwrap_or("error")),
        Command::Run(args) => agent::run(&args.config, log),
        Command::Executor(args) => executor_process::run(args, log.unwrap_or("info")),
        Command::Collect(args) => collect::run(args, log.unwrap_or("warn")),
        Command::Check(args) => check::run(args),
        Command::Test(args) => test_command::run(args),
        Command::Status(args) => status_command::run(args),
        Command::Query(args) => query_command::run(args),
        Command::Alerts(args) => alerts_command::run(args),
        Command::Runs(args) => runs_command::run(args),
        Command::Explain(args) => explain_command::explain(args),
        Command::Plan(args) => explain_command::plan(args),
        Command::Approve(args) => approve_command::run(args),
        Command::Freeze(args) => freeze_command::freeze(args),
        Command::Unfreeze(args) => freeze_command::unfreeze(args),
        Command::Audit { action } => audit_command::run(action),
        Command::Files(args) => files_command::run(args),
        Command::Top(args) => top_command::run(args),
        Command::Reload(args) => reload_command::run(args),
        Command::Silence { action } => silence_command::run(action),
        Command::Replay(args) => replay_command::run(args),
        Command::Queue(args) => queue_command::run(args),
        Command::List { what } => list::run(what),
        Command::DemoVictim(args) => demo::victim::serve(args),
    }
}
