//! hostmend: lets a Linux host repair itself.

#![forbid(unsafe_code)]

mod agent;
mod check;
mod cli;
mod clock;
mod collect;
mod config;
mod demo;
mod executor_process;
mod exit;
mod list;
mod local_client;
mod logging;
mod print;
mod queue_command;
mod reload_command;
mod sections;
mod self_telemetry;
mod status;
mod status_command;
mod taps;
mod top;
mod top_command;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::exit::Exit;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let log = cli.log.as_deref();
    let done = match &cli.command {
        Command::Demo(args) => demo::run(args, log.unwrap_or("error")),
        Command::Run(args) => agent::run(&args.config, log),
        Command::Executor(args) => executor_process::run(args, log.unwrap_or("info")),
        Command::Collect(args) => collect::run(args, log.unwrap_or("warn")),
        Command::Check(args) => check::run(args),
        Command::Status(args) => status_command::run(args),
        Command::Top(args) => top_command::run(args),
        Command::Reload(args) => reload_command::run(args),
        Command::Queue(args) => queue_command::run(args),
        Command::List { what } => list::run(what),
        Command::ScriptRunner => remediation::serve().map(|()| Exit::Done).map_err(anyhow::Error::from),
        Command::DemoVictim(args) => demo::victim::serve(args),
    };
    done.unwrap_or_else(|error| {
        print::error(&error);
        Exit::Failed
    })
    .into()
}
