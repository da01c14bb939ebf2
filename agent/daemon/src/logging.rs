//! What the program says about itself, on standard error and over OTLP.

use std::io::IsTerminal;

use anyhow::Context;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use telemetry::OneLine;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::{Compact, DefaultFields, Format, Writer};
use tracing_subscriber::fmt::{self, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Crates that carry our own records away. What they say is not sent by themselves: it would never end.
const CARRIERS: [&str; 8] = ["otlp", "queue", "h2", "hyper", "tonic", "tower", "rustls", "opentelemetry"];

/// Starts logging. `records` also gets every event from `info` on that does not come from the way out itself.
///
/// # Errors
///
/// `filter` is no filter, or logging was started before.
pub(crate) fn start(filter: &str, records: Option<&SdkLoggerProvider>) -> anyhow::Result<()> {
    let filter: EnvFilter = filter.parse().context("reading the log filter")?;
    let bridge =
        records.map(|provider| OpenTelemetryTracingBridge::new(provider).with_filter(filter_fn(is_sent)));
    let console = console(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(console.with_filter(filter))
        .with(bridge)
        .try_init()
        .context("starting to log twice")
}

/// Whether an event becomes a record of our own.
fn is_sent(metadata: &Metadata<'_>) -> bool {
    let origin = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO && !CARRIERS.iter().any(|carrier| origin.starts_with(carrier))
}

fn console(colours: bool) -> fmt::Layer<Registry, Fields, Format<Compact>> {
    let format = fmt::format().compact().with_target(false);
    fmt::Layer::new().fmt_fields(Fields(DefaultFields::new())).event_format(format).with_ansi(colours)
}

/// Prints the message and the fields of an event on one line: what others are called, a process or a label of an alert,
/// must not look like an event of its own.
struct Fields(DefaultFields);

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> std::fmt::Result {
        let mut text = String::new();
        self.0.format_fields(Writer::new(&mut text), fields)?;
        write!(writer, "{}", OneLine(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whatever_is_logged_stays_one_line() {
        let written = Written::default();
        let log = written.clone();
        let console = console(false).with_writer(move || log.clone());
        let forged = "web\n2026-01-01T00:00:00Z  INFO performed";
        let failed = std::io::Error::other(forged);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(console), || {
            tracing::warn!(alert = %forged, error = &failed as &dyn std::error::Error, "about {forged}");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!((text.lines().count(), text.matches("web\\n2026").count()), (1, 3), "{text}");
    }

    #[test]
    fn what_the_way_out_says_is_not_sent_by_itself() {
        #[derive(Clone, Default)]
        struct Sent(Arc<Mutex<Vec<String>>>);
        impl<S: tracing::Subscriber> Layer<S> for Sent {
            fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
                self.0.lock().unwrap().push(event.metadata().target().to_owned());
            }
        }
        let sent = Sent::default();
        let layer = sent.clone().with_filter(filter_fn(is_sent));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for _ in 0..1_000 {
                tracing::warn!(target: "otlp::sender::delivery", "delivery waits and is tried again");
                tracing::error!(target: "queue::commit", "no room");
                tracing::info!(target: "h2::client", "");
                tracing::info!(target: "hyper_util::client", "");
                tracing::info!(target: "tonic::transport", "");
                tracing::info!(target: "rustls::conn", "");
                tracing::error!(target: "opentelemetry_sdk", "a span was dropped");
            }
            tracing::debug!(target: "hostmend::agent", "detail");
            tracing::info!(target: "hostmend::agent", "running");
        });
        assert_eq!(*sent.0.lock().unwrap(), ["hostmend::agent"]);
    }
}
