//! The wire: OTLP encoders, the sender with its delivery loop, the receiver.
