//! The wire: what hostmend collected becomes OTLP here, leaves here and, from others, arrives here.
//!
//! The only crate that knows protobuf, gRPC and OTLP/JSON. It encodes ([`MetricsEncoder`], [`LogsEncoder`]), sends ([`Sender`]),
//! receives ([`Receiver`]), looks into requests without decoding them ([`count_items`], [`check_strictly`],
//! [`MetricsSummary`], [`view`]), changes them as bytes ([`Splice`], [`split()`], [`concatenate`]) and turns them into
//! OTLP/JSON and back ([`to_json`], [`to_protobuf`]).

#![forbid(unsafe_code)]

mod count;
mod delta;
mod encode;
mod exposition;
mod json;
mod logs;
mod mask;
mod paths;
mod proto;
mod receiver;
mod scope;
mod sender;
mod splice;
mod split;
mod strict;
mod summary;
pub mod tap;
pub mod view;
mod wire;

#[cfg(test)]
mod generated;
#[cfg(test)]
mod samples;

pub use count::count_items;
pub use encode::MetricsEncoder;
pub use exposition::FamilyEncoder;
pub use json::{JsonError, to_json, to_protobuf};
pub use logs::LogsEncoder;
pub use mask::{Builtin, MaskAction, MaskError, MaskRule, Masking};
pub use receiver::{
    AddressError, Answer, DEFAULT_SOCKET_MODE, ListenAddress, Listener, ListenerFigures, OriginOfListener,
    PreparedListeners, Received, Receiver, ReceiverError, ReceiverFigures, ReceiverLimits, Refusal, Reply,
    ServerTls, Sink,
};
pub use sender::{
    Backoff, Compression, DeadLetter, DeadLetterQueue, Destination, DestinationError, DestinationFigures,
    DestinationOptions, NewDestinations, NotAccepted, PostError, PostTarget, Posted, Poster, Protocol,
    QueueLimits, QueueOptions, ReconfigureError, Replay, Secret, SecretError, Sender, SenderFigures,
    SignalFigures, StartError, Temporality, TlsError, TlsOptions, proxy_from_environment, random,
};
pub use splice::Splice;
pub use split::{concatenate, split};
pub use strict::{FieldError, check_strictly};
pub use summary::MetricsSummary;
pub use wire::Malformed;
