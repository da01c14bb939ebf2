//! Load for the agent, and what counts it at the other end.
//!
//! Every span, log record and point carries a number, so that one that never arrived leaves a hole and one that arrived
//! twice is seen. Requests are encoded once and only renumbered, which costs little beside what is measured. Talks to
//! whatever speaks OTLP, and shares no code with the agent's receiver and sender.

#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "load has a rate, how long an answer takes is measured, and what is measured is started"
)]

mod client;
mod drive;
mod numbers;
mod program;
mod sink;
mod template;

pub use client::{Answer, Client, Protocol};
pub use drive::{Batch, Fate, Load, Outcome, drive};
pub use numbers::{Signal, numbers};
pub use program::{Program, agent, target};
pub use sink::{Arrived, Mood, Sink, Stream, Watcher};
pub use template::Template;
