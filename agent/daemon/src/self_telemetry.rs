//! The agent's own traces and log records, on the same way out as everything else.
//!
//! The OpenTelemetry SDK makes and batches them; its exporter believes that it speaks HTTP, but the client it was given
//! hands the encoded request to our sender. So they share the destinations, the queue and the counting.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{LogExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchConfigBuilder as LogBatch, BatchLogProcessor, SdkLoggerProvider};
use opentelemetry_sdk::trace::{BatchConfigBuilder as SpanBatch, BatchSpanProcessor, SdkTracerProvider};
use otlp::Sender;
use telemetry::{Batch, Signal};

use crate::clock;

/// How long spans and records wait for company. A run is over in seconds, and whoever watches wants to see it.
const BATCH_DELAY: Duration = Duration::from_secs(1);

/// Spans or records that may wait; the SDK drops and reports what comes beyond. A run makes about twenty.
const MAX_WAITING: usize = 2_048;

/// Providers for the agent's own traces and logs.
pub(crate) struct SelfTelemetry {
    pub(crate) traces: SdkTracerProvider,
    pub(crate) logs: SdkLoggerProvider,
}

impl SelfTelemetry {
    /// Telemetry with these resource attributes, handed to `sender`.
    pub(crate) fn new(attributes: &[(String, String)], sender: &Arc<Sender>) -> anyhow::Result<Self> {
        let attributes = attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let resource = Resource::builder_empty().with_attributes(attributes).build();
        let spans = SpanExporter::builder()
            .with_http()
            .with_http_client(Handover { signal: Signal::Traces, sender: Arc::clone(sender) })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint("http://sender/v1/traces")
            .build()?;
        let records = LogExporter::builder()
            .with_http()
            .with_http_client(Handover { signal: Signal::Logs, sender: Arc::clone(sender) })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint("http://sender/v1/logs")
            .build()?;
        let span_batch =
            SpanBatch::default().with_scheduled_delay(BATCH_DELAY).with_max_queue_size(MAX_WAITING).build();
        let record_batch =
            LogBatch::default().with_scheduled_delay(BATCH_DELAY).with_max_queue_size(MAX_WAITING).build();
        let spans = BatchSpanProcessor::builder(spans).with_batch_config(span_batch).build();
        let records = BatchLogProcessor::builder(records).with_batch_config(record_batch).build();
        Ok(Self {
            traces: SdkTracerProvider::builder()
                .with_resource(resource.clone())
                .with_span_processor(spans)
                .build(),
            logs: SdkLoggerProvider::builder().with_resource(resource).with_log_processor(records).build(),
        })
    }

    /// Hands over what still waits, and ends.
    pub(crate) fn stop(self, within: Duration) {
        for result in [self.traces.shutdown_with_timeout(within), self.logs.shutdown_with_timeout(within)] {
            if let Err(error) = result {
                tracing::debug!(%error, "own telemetry was not handed over in full");
            }
        }
    }
}

/// Takes an encoded request from the SDK and gives it to the sender.
#[derive(Debug)]
struct Handover {
    signal: Signal,
    sender: Arc<Sender>,
}

#[async_trait::async_trait]
impl HttpClient for Handover {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let payload = request.into_body();
        let items = otlp::count_items(self.signal, &payload)?;
        self.sender.offer(&Batch { signal: self.signal, payload, items }, clock::now());
        Ok(Response::new(Bytes::new()))
    }
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
        let receiver =
            Receiver::bind(at, move |batch| keep.lock().unwrap().push((batch.signal, batch.items))).unwrap();
        let endpoint = format!("http://{}", receiver.local_address());
        let destination = Destination::new(DestinationOptions::new("test", endpoint, Protocol::Grpc));
        let sender = Arc::new(
            Sender::start(vec![destination.unwrap()], None, Duration::from_secs(10), || ()).unwrap(),
        );
        let resource = [("service.name".to_owned(), "hostmend".to_owned())];
        let telemetry = SelfTelemetry::new(&resource, &sender).unwrap();

        telemetry.traces.tracer("test").in_span("work", |_| {});
        let logger = telemetry.logs.logger("test");
        let mut record = logger.create_log_record();
        record.set_body("done".into());
        logger.emit(record);
        telemetry.stop(Duration::from_secs(10));
        let figures = sender.flush_and_stop(Duration::from_secs(10));

        let mut arrived = arrived.lock().unwrap().clone();
        arrived.sort_unstable();
        assert_eq!(arrived, [(Signal::Traces, 1), (Signal::Logs, 1)]);
        let delivered = |signal| figures.destinations[0].signal(signal).delivered;
        assert_eq!((delivered(Signal::Traces), delivered(Signal::Logs)), (1, 1));
    }
}
