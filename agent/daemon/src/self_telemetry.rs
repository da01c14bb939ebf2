//! The agent's own traces and log records, on the same way out as everything else.
//!
//! The OpenTelemetry SDK makes and batches them; its exporter believes that it speaks HTTP, but the client it was given
//! hands the encoded request to our sender. So they share the destinations, the queue and the counting, but take no more
//! than their share. What the way out itself has to say is kept from it by the filter in [`crate::logging`].

mod alert_events;
pub(crate) mod environment;
mod handover;
mod share;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::{KeyValue, StringValue, Value};
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchConfigBuilder as LogBatch, BatchLogProcessor, SdkLoggerProvider};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder as SpanBatch, BatchSpanProcessor, Sampler, SdkTracerProvider,
};
use otlp::Sender;
use telemetry::{AttributeValue, Signal};

pub(crate) use alert_events::AlertEvents;
use environment::Settings;
use handover::Handover;
pub(crate) use share::Shares;

/// The exporter's patience with the handover, which never waits. Given so that no variable is read for it.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(10);

/// Providers for the agent's own traces and logs.
pub(crate) struct SelfTelemetry {
    /// Makes spans that nobody keeps, where no traces are wanted.
    pub(crate) traces: SdkTracerProvider,
    /// Absent where no records are wanted.
    pub(crate) logs: Option<SdkLoggerProvider>,
    /// What the signals may take of the way out.
    pub(crate) shares: Arc<Shares>,
}

impl SelfTelemetry {
    /// Telemetry with these resource attributes, handed to `sender`.
    pub(crate) fn new(
        settings: &Settings,
        attributes: &[(String, AttributeValue)],
        sender: &Arc<Sender>,
    ) -> anyhow::Result<Self> {
        let resource = Resource::builder_empty().with_attributes(key_values(attributes)).build();
        let shares = Arc::<Shares>::default();
        let handover = |signal| Handover { signal, sender: Arc::clone(sender), shares: Arc::clone(&shares) };
        let traces = SdkTracerProvider::builder().with_resource(resource.clone());
        let traces = if settings.traces {
            traces
                .with_sampler(settings.sampler.clone())
                .with_span_limits(settings.limits)
                .with_span_processor(spans(settings, handover(Signal::Traces))?)
        } else {
            traces.with_sampler(Sampler::AlwaysOff)
        };
        let logs = settings.logs.then(|| {
            let processor = records(settings, handover(Signal::Logs))?;
            let provider = SdkLoggerProvider::builder().with_resource(resource);
            Ok::<_, ExporterBuildError>(provider.with_log_processor(processor).build())
        });
        Ok(Self { traces: traces.build(), logs: logs.transpose()?, shares })
    }

    /// Hands over what still waits, and ends.
    pub(crate) fn stop(self, within: Duration) {
        let traces = self.traces.shutdown_with_timeout(within);
        let logs = self.logs.map_or(Ok(()), |logs| logs.shutdown_with_timeout(within));
        for result in [traces, logs] {
            if let Err(error) = result {
                tracing::debug!(%error, "own telemetry was not handed over in full");
            }
        }
    }
}

fn key_values(attributes: &[(String, AttributeValue)]) -> impl Iterator<Item = KeyValue> {
    attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), of_the_sdk(value)))
}

fn of_the_sdk(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Text(text) => text.clone().into(),
        AttributeValue::Int(number) => (*number).into(),
        AttributeValue::Texts(texts) => {
            Value::Array(texts.iter().map(|text| text.clone().into()).collect::<Vec<StringValue>>().into())
        }
    }
}

// Everything that the SDK would otherwise take from a variable is given to its builders.
fn spans(settings: &Settings, handover: Handover) -> Result<BatchSpanProcessor, ExporterBuildError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(handover)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint("http://sender/v1/traces")
        .with_timeout(HANDED_OVER_WITHIN)
        .build()?;
    let batch = SpanBatch::default()
        .with_scheduled_delay(settings.spans.delay)
        .with_max_queue_size(settings.spans.waiting)
        .with_max_export_batch_size(settings.spans.in_a_batch);
    Ok(BatchSpanProcessor::builder(exporter).with_batch_config(batch.build()).build())
}

fn record_exporter(handover: Handover) -> Result<LogExporter, ExporterBuildError> {
    LogExporter::builder()
        .with_http()
        .with_http_client(handover)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint("http://sender/v1/logs")
        .with_timeout(HANDED_OVER_WITHIN)
        .build()
}

fn records(settings: &Settings, handover: Handover) -> Result<BatchLogProcessor, ExporterBuildError> {
    let exporter = record_exporter(handover)?;
    let batch = LogBatch::default()
        .with_scheduled_delay(settings.records.delay)
        .with_max_queue_size(settings.records.waiting)
        .with_max_export_batch_size(settings.records.in_a_batch);
    Ok(BatchLogProcessor::builder(exporter).with_batch_config(batch.build()).build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::logs::{LogRecord, Logger, LoggerProvider};
    use opentelemetry::trace::{Tracer, TracerProvider};
    use otlp::{Destination, DestinationOptions, Protocol, Receiver};
    use std::sync::Mutex;

    #[test]
    fn own_spans_and_records_leave_by_the_sender_and_are_counted_there() {
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&arrived);
        let at = "127.0.0.1:0".parse().unwrap();
        let receiver = Receiver::bind(at, move |batch| {
            keep.lock().unwrap().push((batch.signal, batch.items, batch.payload));
        })
        .unwrap();
        let endpoint = format!("http://{}", receiver.local_address());
        let destination = Destination::new(DestinationOptions::new("test", endpoint, Protocol::Grpc));
        let sender = Arc::new(
            Sender::start(vec![destination.unwrap()], None, Duration::from_secs(10), || ()).unwrap(),
        );
        let resource = [("service.name".to_owned(), "hostmend".into())];
        let telemetry = SelfTelemetry::new(&Settings::default(), &resource, &sender).unwrap();

        telemetry.traces.tracer("test").in_span("work", |_| {});
        let logger = telemetry.logs.as_ref().unwrap().logger("test");
        let mut record = logger.create_log_record();
        record.set_body("done".into());
        logger.emit(record);
        telemetry.stop(Duration::from_secs(10));
        let figures = sender.flush_and_stop(Duration::from_secs(10));

        let mut arrived = arrived.lock().unwrap().clone();
        arrived.sort_unstable_by_key(|(signal, ..)| *signal);
        let counted: Vec<_> = arrived.iter().map(|(signal, items, _)| (*signal, *items)).collect();
        assert_eq!(counted, [(Signal::Traces, 1), (Signal::Logs, 1)]);
        // logs.proto: it must be set.
        let logs = otlp::to_json(Signal::Logs, &arrived[1].2).unwrap();
        assert!(logs.contains("\"observedTimeUnixNano\":\"1"), "{logs}");
        let delivered = |signal| figures.destinations[0].signal(signal).delivered;
        assert_eq!((delivered(Signal::Traces), delivered(Signal::Logs)), (1, 1));
    }

    #[test]
    fn a_storm_of_own_records_at_a_destination_that_fails_stays_within_its_share() {
        // Nobody listens where a listener has just gone.
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let options = DestinationOptions::new("gone", format!("http://{gone}"), Protocol::Grpc);
        let destination = Destination::new(options);
        let sender = Arc::new(
            Sender::start(vec![destination.unwrap()], None, Duration::from_secs(10), || ()).unwrap(),
        );
        let telemetry = SelfTelemetry::new(&Settings::default(), &[], &sender).unwrap();
        let logger = telemetry.logs.as_ref().unwrap().logger("test");
        for _ in 0..20 {
            for _ in 0..500 {
                let mut record = logger.create_log_record();
                record.set_body("x".repeat(1_000).into());
                logger.emit(record);
            }
            telemetry.logs.as_ref().unwrap().force_flush().unwrap();
        }
        let figures = sender.figures().destinations[0].signal(Signal::Logs);
        let dropped = telemetry.shares.dropped(Signal::Logs);
        assert_eq!(figures.accepted + dropped, 10_000);
        assert!((500..2_000).contains(&figures.accepted), "{figures:?}");
    }

    #[test]
    fn what_is_switched_off_is_not_made() {
        let sender = Arc::new(Sender::start(Vec::new(), None, Duration::from_secs(10), || ()).unwrap());
        let settings = Settings { traces: false, logs: false, ..Settings::default() };
        let telemetry = SelfTelemetry::new(&settings, &[], &sender).unwrap();
        assert!(telemetry.logs.is_none());
        telemetry.traces.tracer("test").in_span("work", |context| {
            use opentelemetry::trace::TraceContextExt;
            assert!(!context.span().is_recording());
        });
        telemetry.stop(Duration::from_secs(1));
    }
}
