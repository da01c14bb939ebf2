//! Where the number of an item lies in a request: the span id of spans and log records, the value of points.
//!
//! Each is eight bytes of fixed width, so a request is renumbered in place. The upper bits name the stream, which is one
//! sender that waits for each answer before it goes on: within it, order can be judged.

/// What a request holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// Data points.
    Metrics,
    /// Spans.
    Traces,
    /// Log records.
    Logs,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Metrics, Self::Traces, Self::Logs];

    /// The path over HTTP.
    pub fn path(self) -> &'static str {
        match self {
            Self::Metrics => "/v1/metrics",
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
        }
    }

    /// The path over gRPC.
    pub fn method(self) -> &'static str {
        match self {
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }

    /// The fields that lead from the request to the number.
    fn places(self) -> &'static [&'static [u64]] {
        match self {
            // Gauges and sums.
            Self::Metrics => &[&[1, 2, 2, 5, 1, 6], &[1, 2, 2, 7, 1, 6]],
            Self::Traces => &[&[1, 2, 2, 2]],
            Self::Logs => &[&[1, 2, 2, 10]],
        }
    }
}

/// Bits of a number that count within its stream.
const WITHIN_STREAM: u32 = 40;

/// The number of the item `at` of a stream. Counted from 1, since a span id is not zero.
pub(crate) fn number(stream: u32, at: u64) -> u64 {
    u64::from(stream) << WITHIN_STREAM | (at + 1)
}

/// The stream of a number, and its place there; none for a number that is not of ours.
pub(crate) fn stream_and_place(number: u64) -> Option<(u32, u64)> {
    let place = (number & ((1 << WITHIN_STREAM) - 1)).checked_sub(1)?;
    Some((u32::try_from(number >> WITHIN_STREAM).ok()?, place))
}

/// The numbers in a request, in their order. Empty where the bytes are no such request.
pub fn numbers(signal: Signal, request: &[u8]) -> Vec<u64> {
    let at = |offset: usize| request.get(offset..offset + 8)?.try_into().ok().map(u64::from_le_bytes);
    offsets(signal, request).into_iter().filter_map(at).collect()
}

/// Where the numbers begin, in bytes.
pub(crate) fn offsets(signal: Signal, request: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    for path in signal.places() {
        walk(request, 0, path, &mut found);
    }
    found
}

fn walk(message: &[u8], begins: usize, path: &[u64], found: &mut Vec<usize>) {
    let Some((wanted, deeper)) = path.split_first() else { return };
    let mut at = 0;
    while let Some(field) = field(message, &mut at) {
        if field.number != *wanted {
            continue;
        }
        let begin = begins + field.begin;
        if deeper.is_empty() {
            if field.end - field.begin == 8 {
                found.push(begin);
            }
        } else if let Some(inner) = message.get(field.begin..field.end) {
            walk(inner, begin, deeper, found);
        }
    }
}

/// A field, and where its content lies in its message.
struct Field {
    number: u64,
    begin: usize,
    end: usize,
}

fn field(message: &[u8], at: &mut usize) -> Option<Field> {
    let key = varint(message, at)?;
    let begin;
    let length = match key & 7 {
        0 => {
            begin = *at;
            varint(message, at)?;
            *at - begin
        }
        1 => {
            begin = *at;
            8
        }
        2 => {
            let length = usize::try_from(varint(message, at)?).ok()?;
            begin = *at;
            length
        }
        5 => {
            begin = *at;
            4
        }
        _ => return None,
    };
    let end = begin.checked_add(length).filter(|end| *end <= message.len())?;
    *at = end;
    Some(Field { number: key >> 3, begin, end })
}

fn varint(message: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *message.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
