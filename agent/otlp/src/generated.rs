//! Requests for tests: any message of the protocol's tree, written from the tables, and what a full decoder makes of it.
//!
//! Driven by bytes, so that proptest shrinks a request by shrinking them.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use prost::{DecodeError, Message as _};
use telemetry::Signal;

use crate::proto::{self, FieldSpec, Kind, Label, Message};
use crate::wire::{bytes_field, fixed32_field, fixed64_field, varint, varint_field};

/// What a generator may write beyond what senders do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Singular fields once, one field of a `oneof`, repeated fields in one run, numbers packed.
    Orderly,
    /// Whatever protobuf allows: fields twice, in any order, unpacked numbers, fields that nobody knows.
    Wild,
    /// The same, but only what JSON can say.
    Speakable,
}

pub(crate) fn signals() -> impl Strategy<Value = Signal> {
    proptest::sample::select(Signal::ALL.to_vec())
}

/// An encoded request of the signal.
pub(crate) fn requests(signal: Signal, manner: Manner) -> impl Strategy<Value = Vec<u8>> {
    // Half of the requests are rich in records, half in odd envelopes.
    let drive = proptest::collection::vec(any::<u8>(), 0..1500);
    drive.prop_map(move |bytes| {
        let mut out = Vec::new();
        Drive { bytes: bytes.into_iter(), manner }.message(&mut out, proto::request(signal), 0);
        out
    })
}

pub(crate) fn any_request(manner: Manner) -> impl Strategy<Value = (Signal, Vec<u8>)> {
    signals().prop_flat_map(move |signal| requests(signal, manner).prop_map(move |bytes| (signal, bytes)))
}

/// The request decoded by prost and encoded again: equal when two requests say the same.
pub(crate) fn decoded(signal: Signal, payload: &[u8]) -> Result<Vec<u8>, DecodeError> {
    match signal {
        Signal::Metrics => ExportMetricsServiceRequest::decode(payload).map(|it| it.encode_to_vec()),
        Signal::Traces => ExportTraceServiceRequest::decode(payload).map(|it| it.encode_to_vec()),
        Signal::Logs => ExportLogsServiceRequest::decode(payload).map(|it| it.encode_to_vec()),
    }
}

/// Damages a request a little: random bytes rarely get past the first field.
pub(crate) fn damaged(
    request: impl Strategy<Value = (Signal, Vec<u8>)>,
) -> impl Strategy<Value = (Signal, Vec<u8>)> {
    let damage = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4);
    (request, damage, any::<proptest::sample::Index>(), any::<bool>()).prop_map(
        |((signal, mut bytes), damage, cut, is_cut)| {
            if !bytes.is_empty() {
                for (at, byte) in damage {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                if is_cut {
                    bytes.truncate(cut.index(bytes.len()));
                }
            }
            (signal, bytes)
        },
    )
}

const TEXTS: [&str; 8] =
    ["", "host.name", "a", "é☃\u{1f600}", "\"quoted\"\\\n\u{0}\u{7f}\u{2028}", "service.name", "k", "x y"];

fn is_table_index(spec: &FieldSpec) -> bool {
    matches!(spec.kind, Kind::TableIndex)
}

struct Drive {
    bytes: std::vec::IntoIter<u8>,
    manner: Manner,
}

impl Drive {
    /// 0 once the bytes have run out, which ends every message.
    fn byte(&mut self) -> u8 {
        self.bytes.next().unwrap_or(0)
    }

    fn number(&mut self) -> u64 {
        match self.byte() % 8 {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => 1 << 63,
            4 => u64::from(u32::MAX) + 1,
            5 => u64::from(self.byte()),
            _ => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }

    fn message(&mut self, out: &mut Vec<u8>, message: &Message, depth: usize) {
        let count = usize::from(self.byte());
        if depth > 30 {
            return;
        }
        match self.manner {
            Manner::Wild | Manner::Speakable => {
                for _ in 0..count % 12 {
                    let spec = message.fields.get(usize::from(self.byte()) % (message.fields.len() + 1));
                    match spec {
                        None => self.unknown(out),
                        Some(spec) if self.manner == Manner::Speakable && is_table_index(spec) => {}
                        Some(spec) => self.field(out, spec, depth),
                    }
                }
            }
            Manner::Orderly => {
                let mut has_one = false;
                for spec in message.fields {
                    let times = match spec.label {
                        Label::Repeated => self.byte() % 5,
                        Label::OneOf if has_one => 0,
                        _ => self.byte() % 2,
                    };
                    let times = if is_table_index(spec) { 0 } else { times };
                    has_one |= spec.label == Label::OneOf && times > 0;
                    (0..times).for_each(|_| self.field(out, spec, depth));
                }
            }
        }
    }

    fn unknown(&mut self, out: &mut Vec<u8>) {
        let number = 20 + u32::from(self.byte()) * 40;
        match self.byte() % 4 {
            0 => varint_field(out, number, u64::from(self.byte())),
            1 => fixed64_field(out, number, 77),
            2 => fixed32_field(out, number, 78),
            _ => bytes_field(out, number, b"new"),
        }
    }

    fn field(&mut self, out: &mut Vec<u8>, spec: &FieldSpec, depth: usize) {
        let number = spec.number;
        match spec.kind {
            Kind::Message(inner) => {
                let mut content = Vec::new();
                self.message(&mut content, inner, depth + 1);
                bytes_field(out, number, &content);
            }
            Kind::Text => {
                let text = TEXTS[usize::from(self.byte()) % TEXTS.len()];
                bytes_field(out, number, text.as_bytes());
            }
            Kind::Bytes | Kind::Id => {
                let length = [0, 1, 2, 3, 8, 16][usize::from(self.byte()) % 6];
                let bytes: Vec<u8> = (0..length).map(|_| self.byte()).collect();
                bytes_field(out, number, &bytes);
            }
            kind if spec.label == Label::Repeated
                && (self.manner == Manner::Orderly || self.byte().is_multiple_of(2)) =>
            {
                let mut packed = Vec::new();
                for _ in 0..self.byte() % 4 {
                    match kind {
                        Kind::Uint64 => varint(&mut packed, self.number()),
                        Kind::Double => packed.extend(self.double().to_le_bytes()),
                        _ => packed.extend(self.number().to_le_bytes()),
                    }
                }
                bytes_field(out, number, &packed);
            }
            Kind::Double => fixed64_field(out, number, self.double()),
            Kind::Fixed64 | Kind::Sfixed64 => fixed64_field(out, number, self.number()),
            Kind::Fixed32 => fixed32_field(out, number, self.number() as u32),
            Kind::Bool => varint_field(out, number, u64::from(self.byte() % 2)),
            Kind::Int64 | Kind::Uint64 => varint_field(out, number, self.number()),
            Kind::Uint32 | Kind::Sint32 => varint_field(out, number, u64::from(self.number() as u32)),
            Kind::Enum | Kind::TableIndex => {
                varint_field(out, number, i64::from(self.number() as i32) as u64);
            }
        }
    }

    fn double(&mut self) -> u64 {
        let value = match self.byte() % 8 {
            0 => 0.0,
            1 => -0.0,
            2 => f64::INFINITY,
            3 => f64::NEG_INFINITY,
            4 => f64::NAN,
            5 => f64::from(self.byte()) / 10.0,
            6 => f64::MIN_POSITIVE / 8.0,
            _ => f64::from_bits(self.number()),
        };
        // JSON knows one NaN only.
        if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
    }
}
