//! The wire: what hostmend collected becomes OTLP here, leaves here and, from others, arrives here.
//!
//! The only crate that knows protobuf and gRPC. It encodes ([`MetricsEncoder`], [`to_json`]) and looks into requests without decoding them ([`count_items`], [`MetricsSummary`]).

#![forbid(unsafe_code)]

mod count;
mod encode;
mod json;
mod scope;
mod summary;
mod wire;

#[cfg(test)]
mod samples;

pub use count::count_items;
pub use encode::{BATCH_LIMIT, MetricsEncoder};
pub use json::to_json;
pub use summary::MetricsSummary;
pub use wire::Malformed;
