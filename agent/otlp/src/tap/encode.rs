//! Span metrics as OTLP: cumulative sums and histograms with the time of their first span as start.
//!
//! Written straight to the wire, in a scope of its own, with the names of the Collector's spanmetrics connector.

use bytes::Bytes;
use telemetry::{AttributeValue, Batch, Signal, Timestamp};

use super::{Calls, SpanMetrics};
use crate::encode::{CUMULATIVE, nanos};
use crate::scope::VERSION;
use crate::wire::{attribute_field, bytes_field, fixed64_field, message_field, text_field, varint_field};

/// The most bytes of one request; the same as of what is collected.
const BATCH_LIMIT: usize = 4 * 1024 * 1024 - 64 * 1024;

/// The scope under which span metrics are sent.
const SCOPE: &str = "hostmend/span-metrics";

/// Encodes the span metrics of one origin under the resource of the host.
#[derive(Debug)]
pub struct SpanMetricsEncoder {
    resource: Vec<u8>,
    origin: String,
}

impl SpanMetricsEncoder {
    /// An encoder for what came from `origin`, on the host with these resource attributes.
    pub fn new(host_attributes: &[(String, AttributeValue)], origin: &str) -> Self {
        let mut resource = Vec::new();
        for (key, value) in host_attributes {
            attribute_field(&mut resource, 1, key, value);
        }
        Self { resource, origin: origin.to_owned() }
    }

    /// Requests that carry `calls` as they are at `now`: none when there are none, mostly one.
    pub fn encode(&self, metrics: &SpanMetrics, now: Timestamp) -> Vec<Batch> {
        let bounds: Vec<u8> = metrics.bounds().flat_map(f64::to_le_bytes).collect();
        let (mut sums, mut distributions, mut items) = (Vec::new(), Vec::new(), 0);
        let mut batches = Vec::new();
        for calls in metrics.calls() {
            message_field(&mut sums, 1, 2, |out| self.sum(out, calls, now));
            message_field(&mut distributions, 1, 2, |out| self.distribution(out, calls, &bounds, now));
            items += 2;
            if sums.len() + distributions.len() > BATCH_LIMIT {
                batches.push(self.request(&sums, &distributions, items));
                (sums, distributions, items) = (Vec::new(), Vec::new(), 0);
            }
        }
        if items > 0 {
            batches.push(self.request(&sums, &distributions, items));
        }
        batches
    }

    fn request(&self, sums: &[u8], distributions: &[u8], items: u64) -> Batch {
        let mut out = Vec::with_capacity(sums.len() + distributions.len() + self.resource.len() + 256);
        message_field(&mut out, 1, 3, |out| {
            bytes_field(out, 1, &self.resource);
            message_field(out, 2, 3, |out| {
                message_field(out, 1, 1, |out| {
                    text_field(out, 1, SCOPE);
                    text_field(out, 2, VERSION);
                });
                message_field(out, 2, 3, |out| {
                    text_field(out, 1, "traces.span.metrics.calls");
                    message_field(out, 7, 3, |out| {
                        out.extend_from_slice(sums);
                        varint_field(out, 2, CUMULATIVE);
                        varint_field(out, 3, 1);
                    });
                });
                message_field(out, 2, 3, |out| {
                    text_field(out, 1, "traces.span.metrics.duration");
                    text_field(out, 3, "ms");
                    message_field(out, 9, 3, |out| {
                        out.extend_from_slice(distributions);
                        varint_field(out, 2, CUMULATIVE);
                    });
                });
            });
        });
        Batch { signal: Signal::Metrics, payload: Bytes::from(out), items }
    }

    fn sum(&self, out: &mut Vec<u8>, calls: &Calls, now: Timestamp) {
        times(out, calls, now);
        fixed64_field(out, 6, calls.count);
        self.attributes(out, 7, calls);
    }

    fn distribution(&self, out: &mut Vec<u8>, calls: &Calls, bounds: &[u8], now: Timestamp) {
        times(out, calls, now);
        fixed64_field(out, 4, calls.count);
        fixed64_field(out, 5, calls.sum().to_bits());
        let counts: Vec<u8> = calls.buckets.iter().flat_map(|count| count.to_le_bytes()).collect();
        bytes_field(out, 6, &counts);
        bytes_field(out, 7, bounds);
        self.attributes(out, 9, calls);
    }

    fn attributes(&self, out: &mut Vec<u8>, field: u32, calls: &Calls) {
        attribute(out, field, "hostmend.origin", &self.origin);
        if calls.overflow {
            message_field(out, field, 1, |out| {
                text_field(out, 1, "otel.metric.overflow");
                message_field(out, 2, 1, |out| varint_field(out, 2, 1));
            });
            return;
        }
        attribute(out, field, "service.name", &calls.service);
        attribute(out, field, "span.name", &calls.name);
        attribute(out, field, "span.kind", calls.kind.as_str());
        attribute(out, field, "status.code", calls.status.as_str());
    }
}

fn times(out: &mut Vec<u8>, calls: &Calls, now: Timestamp) {
    // After a step of the clock a start may lie after the point, which must not end before it starts.
    fixed64_field(out, 2, nanos(calls.since.min(now)));
    fixed64_field(out, 3, nanos(now));
}

fn attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &str) {
    message_field(out, field, 1, |out| {
        text_field(out, 1, key);
        message_field(out, 2, 1, |out| bytes_field(out, 1, value.as_bytes()));
    });
}
