//! The whole program, in one test binary: its commands, its agent against a real OpenTelemetry Collector, its demo,
//! and what must stay true of the repository.

#![forbid(unsafe_code)]
#![cfg(test)]

mod agent;
mod checking;
mod collecting;
mod collector;
mod control;
mod demo;
mod events;
mod example;
mod executor_process;
mod hub;
mod intervals;
mod logs;
mod machine;
mod notifying;
mod packaging;
mod program;
mod prometheus_api;
mod promql_oracle;
mod promql_parser;
mod repairing;
mod restarting;
mod sandbox;
mod scripts;
mod stories;
mod supervision;
mod taps;
mod testing;
mod tidy;
