//! The host's own counters as deltas, for those destinations that want them so.
//!
//! Stands between the delivery loop and the exporters: whoever waits, tries again or keeps dead letters has the request as
//! it was collected, so the same delta is made of it each time. There is one of these for a destination and all that stand
//! in for it, and it outlives a change of their configuration: else what one was told, the next would be told again. Of
//! metrics, one request is under way at a time, since each counts from the one before it.

use telemetry::{Batch, Signal};
use tokio::sync::Mutex;

use crate::delta::Delta;
use crate::sender::exporter::{Accepted, ExportError, Exporter};

#[derive(Default)]
pub(crate) struct Deltas(Mutex<Delta>);

impl Deltas {
    /// Sends `batch` by `exporter`, in the form that it wants.
    pub(crate) async fn export(
        &self,
        exporter: &dyn Exporter,
        batch: &Batch,
    ) -> Result<Accepted, ExportError> {
        if batch.signal != Signal::Metrics || !exporter.wants_deltas() {
            return exporter.export(batch).await;
        }
        let mut delta = self.0.lock().await;
        let Ok(rewritten) = delta.rewrite(&batch.payload) else {
            // Not what we encoded, whatever it is: the destination may judge it.
            return exporter.export(batch).await;
        };
        if rewritten.payload.is_empty() {
            delta.commit();
            return Ok(Accepted::default());
        }
        let items = batch.items.saturating_sub(rewritten.held_back);
        let result = exporter.export(&Batch { payload: rewritten.payload, items, ..*batch }).await;
        match result {
            Ok(_) => delta.commit(),
            Err(_) => delta.rollback(),
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Shared;

    use bytes::Bytes;
    use telemetry::{SampleBuffer, Timestamp, Value};

    use super::*;
    use crate::MetricsEncoder;
    use crate::samples::{SPECS, host_attributes};
    use crate::sender::exporter::BoxFuture;

    /// Refuses the requests whose turn is in `refused`, and keeps the value of every point of the others.
    struct Backend {
        refused: &'static [usize],
        got: Shared<Vec<Option<Vec<i64>>>>,
    }

    impl Exporter for Backend {
        fn name(&self) -> &'static str {
            "backend"
        }

        fn wants_deltas(&self) -> bool {
            true
        }

        fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Accepted, ExportError>> {
            let mut got = self.got.lock().unwrap();
            let is_refused = self.refused.contains(&got.len());
            got.push((!is_refused).then(|| values(&batch.payload)));
            let refused = || ExportError::Refused { destination: "backend".into(), reason: "no".into() };
            let result = if is_refused { Err(refused()) } else { Ok(Accepted::default()) };
            Box::pin(std::future::ready(result))
        }
    }

    fn values(payload: &Bytes) -> Vec<i64> {
        use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
        use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
        use prost::Message as _;
        let request = ExportMetricsServiceRequest::decode(payload.clone()).unwrap();
        let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        let metrics = scopes.flat_map(|scope| scope.metrics);
        let points = metrics.flat_map(|metric| match metric.data.unwrap() {
            metric::Data::Sum(sum) => sum.data_points,
            other => panic!("{other:?}"),
        });
        let value = |value| match value {
            Some(number_data_point::Value::AsInt(value)) => value,
            other => panic!("{other:?}"),
        };
        points.map(|point| value(point.value)).collect()
    }

    fn collection(second: i64, value: i64) -> Batch {
        let mut buffer = SampleBuffer::default();
        buffer.reset(Timestamp::from_secs(second), Timestamp::from_secs(1));
        buffer.int(&SPECS[0], &[Value::Str("sda"), Value::Absent], value);
        MetricsEncoder::new(&host_attributes()).encode(&buffer).remove(0)
    }

    fn backend(refused: &'static [usize]) -> Backend {
        Backend { refused, got: Shared::default() }
    }

    #[tokio::test]
    async fn a_destination_gets_what_came_since_it_last_took_something() {
        let (deltas, backend) = (Deltas::default(), backend(&[1]));
        for (second, value) in [(10, 100), (20, 103), (30, 105), (40, 112)] {
            let _ = deltas.export(&backend, &collection(second, value)).await;
        }
        // The first says only where the counter stood, and is not sent.
        assert_eq!(*backend.got.lock().unwrap(), [Some(vec![3]), None, Some(vec![9])]);
    }

    #[tokio::test]
    async fn what_one_that_stands_in_was_told_is_not_told_again() {
        let (deltas, first, other) = (Deltas::default(), backend(&[1]), backend(&[]));
        for (second, value, to) in [
            (10, 100, &first),
            (20, 103, &first),
            (30, 105, &first),
            (30, 105, &other),
            (40, 112, &other),
            (50, 113, &first),
        ] {
            let _ = deltas.export(to, &collection(second, value)).await;
        }
        assert_eq!(*first.got.lock().unwrap(), [Some(vec![3]), None, Some(vec![1])]);
        assert_eq!(*other.got.lock().unwrap(), [Some(vec![2]), Some(vec![7])]);
    }

    #[tokio::test]
    async fn traces_pass_as_they_are() {
        let backend = backend(&[]);
        let batch = Batch { signal: Signal::Traces, payload: Bytes::new(), items: 0 };
        assert!(Deltas::default().export(&backend, &batch).await.is_ok());
        assert_eq!(backend.got.lock().unwrap().len(), 1);
    }
}
