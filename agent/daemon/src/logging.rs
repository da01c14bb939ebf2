//! What the program says about itself, on standard error and over OTLP.

use std::io::IsTerminal;

use anyhow::Context;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Crates that carry our own records away. What they say is not sent by themselves: it would never end.
const CARRIERS: [&str; 6] = ["otlp", "h2", "hyper", "tonic", "tower", "opentelemetry"];

/// Starts logging. `records` also gets every event from `info` on that does not come from the way out itself.
///
/// # Errors
///
/// `filter` is no filter, or logging was started before.
pub(crate) fn start(filter: &str, records: Option<&SdkLoggerProvider>) -> anyhow::Result<()> {
    let filter: EnvFilter = filter.parse().context("reading the log filter")?;
    let bridge = records.map(|provider| {
        OpenTelemetryTracingBridge::new(provider).with_filter(filter_fn(|metadata| {
            let origin = metadata.target().split("::").next().unwrap_or_default();
            *metadata.level() <= Level::INFO && !CARRIERS.iter().any(|carrier| origin.starts_with(carrier))
        }))
    });
    let colours = std::io::stderr().is_terminal();
    let console = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .compact();
    tracing_subscriber::registry()
        .with(console.with_filter(filter))
        .with(bridge)
        .try_init()
        .context("starting to log twice")
}
