//! Notices series that have ended.

use std::collections::HashSet;

use crate::{Number, PointView, SampleBuffer, Value};

/// Adds to `current` a last point, [`Number::Gone`], for every series that `previous` had a value of and `current`
/// has not. Both the wire and the rules learn from it that the series has ended.
pub fn mark_departed(previous: &SampleBuffer, current: &mut SampleBuffer) {
    mark_departed_beside(previous, current, &[]);
}

/// Like [`mark_departed`], for a collection in several buffers: what one of `beside` has of the series goes on.
pub fn mark_departed_beside(previous: &SampleBuffer, current: &mut SampleBuffer, beside: &[SampleBuffer]) {
    if fingerprints(previous).eq(fingerprints(current)) {
        return;
    }
    // One that is marked already is not marked again.
    let present: HashSet<u64, foldhash::fast::RandomState> =
        points(current).map(|point| point.fingerprint).chain(beside.iter().flat_map(fingerprints)).collect();
    for entity in previous.entities() {
        let mut begun = false;
        for point in entity.points() {
            if point.number == Number::Gone || present.contains(&point.fingerprint) {
                continue;
            }
            if !begun {
                begun = true;
                begin(current, &entity.raw_values(), entity);
            }
            current.gone(point.metric, &point.raw_values());
        }
    }
}

fn begin(current: &mut SampleBuffer, attributes: &[Value<'_>], entity: crate::EntityView<'_>) {
    if std::ptr::eq(entity.spec, &raw const crate::HOST) {
        current.host();
    } else {
        current.entity(entity.spec, entity.start, attributes);
    }
}

fn fingerprints(buffer: &SampleBuffer) -> impl Iterator<Item = u64> {
    points(buffer).filter(|point| point.number != Number::Gone).map(|point| point.fingerprint)
}

fn points(buffer: &SampleBuffer) -> impl Iterator<Item = PointView<'_>> {
    buffer.entities().flat_map(|entity| entity.points())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::sample::tests::{DISK_IO, PROCESS, UPTIME};

    fn cycle(pids: &[i64]) -> SampleBuffer {
        let mut buffer = SampleBuffer::default();
        buffer.double(&UPTIME, &[], 1.0);
        for pid in pids {
            buffer.entity(&PROCESS, Timestamp::from_secs(*pid), &[Value::Int(*pid)]);
            buffer.int(&DISK_IO, &[Value::Absent, Value::Str("read")], 1);
        }
        buffer
    }

    #[test]
    fn a_series_that_ends_is_marked_once() {
        let first = cycle(&[7, 8]);
        let mut second = cycle(&[8]);
        mark_departed(&first, &mut second);
        assert!(
            second
                .to_text()
                .ends_with("[process{process.pid=7}]\nsystem.disk.io{disk.io.direction=\"read\"} gone\n"),
            "{}",
            second.to_text()
        );
        let mut third = cycle(&[8]);
        mark_departed(&second, &mut third);
        assert!(!third.to_text().contains("gone"));
    }

    #[test]
    fn a_series_that_moves_to_a_buffer_beside_has_not_ended_and_an_end_is_marked_once() {
        let first = cycle(&[7, 8]);
        let beside = [cycle(&[8])];
        let mut second = cycle(&[]);
        for _ in 0..2 {
            mark_departed_beside(&first, &mut second, &beside);
        }
        let text = second.to_text();
        assert!(text.matches("gone").count() == 1 && text.contains("[process{process.pid=7}]"), "{text}");
    }

    #[test]
    fn a_steady_host_has_no_departures() {
        let first = cycle(&[7]);
        let mut second = cycle(&[7]);
        mark_departed(&first, &mut second);
        assert_eq!(second.to_text(), first.to_text());
    }

    #[test]
    fn an_entity_that_begins_anew_has_not_ended() {
        let began = |start| {
            let mut buffer = SampleBuffer::default();
            buffer.entity(&PROCESS, Timestamp::from_secs(start), &[Value::Int(42)]);
            buffer.int(&DISK_IO, &[Value::Absent, Value::Str("read")], 1);
            buffer
        };
        let (first, mut second) = (began(7), began(9));
        mark_departed(&first, &mut second);
        assert!(!second.to_text().contains("gone"), "{}", second.to_text());
    }

    #[test]
    fn a_host_series_that_ends_stays_with_the_host() {
        let first = cycle(&[]);
        let mut second = SampleBuffer::default();
        mark_departed(&first, &mut second);
        assert_eq!(second.to_text(), "system.uptime gone\n");
    }
}
