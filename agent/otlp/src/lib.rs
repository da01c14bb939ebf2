//! The wire: what hostmend collected becomes OTLP here, leaves here and, from others, arrives here.
//!
//! The only crate that knows protobuf and gRPC. It encodes ([`MetricsEncoder`], [`to_json`]), sends ([`Sender`]),
//! receives ([`Receiver`]) and looks into requests without decoding them ([`count_items`], [`MetricsSummary`], [`view`]).

#![forbid(unsafe_code)]

mod codec;
mod count;
mod encode;
mod json;
mod receiver;
mod scope;
mod sender;
mod summary;
pub mod view;
mod wire;

#[cfg(test)]
mod samples;

pub use count::count_items;
pub use encode::MetricsEncoder;
pub use json::to_json;
pub use receiver::{
    AddressError, Answer, DEFAULT_SOCKET_MODE, ListenAddress, Listener, ListenerFigures, OriginOfListener,
    PreparedListeners, Received, Receiver, ReceiverError, ReceiverFigures, ReceiverLimits, Refusal, Reply,
    ServerTls, Sink, User,
};
pub use sender::{
    Compression, Destination, DestinationError, DestinationFigures, DestinationOptions, NotAccepted,
    Protocol, QueueLimits, QueueOptions, Secret, SecretError, Sender, SenderFigures, SignalFigures,
    StartError, Temporality, TlsError, TlsOptions,
};
pub use summary::MetricsSummary;
pub use wire::Malformed;
