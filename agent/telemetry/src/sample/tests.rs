use super::*;
use crate::{Instrument, Scope, ValueType};

pub(crate) static UPTIME: MetricSpec = MetricSpec {
    name: "system.uptime",
    unit: "s",
    instrument: Instrument::Gauge,
    value: ValueType::Double,
    attributes: &[],
    scope: Scope::Conventions,
    description: "",
    source: "",
    shows: None,
    by_default: true,
};
pub(crate) static DISK_IO: MetricSpec = MetricSpec {
    name: "system.disk.io",
    unit: "By",
    instrument: Instrument::Counter,
    value: ValueType::Int,
    attributes: &["system.device", "disk.io.direction"],
    scope: Scope::Conventions,
    description: "",
    source: "",
    shows: None,
    by_default: true,
};
pub(crate) static PROCESS: EntitySpec = EntitySpec { name: "process", attributes: &["process.pid"] };

#[test]
fn points_of_the_host_stay_together_whoever_pushes_in_between() {
    let mut buffer = SampleBuffer::default();
    buffer.double(&UPTIME, &[], 1.5);
    buffer.entity(&PROCESS, Timestamp::from_secs(7), &[Value::Int(42)]);
    buffer.int(&DISK_IO, &[Value::Absent, Value::Str("read")], 5);
    buffer.host();
    buffer.int(&DISK_IO, &[Value::Str("sda"), Value::Str("read")], 9);
    assert_eq!(
        buffer.to_text(),
        "system.uptime 1.5\n\
         system.disk.io{system.device=\"sda\",disk.io.direction=\"read\"} 9\n\
         [process{process.pid=42}]\n\
         system.disk.io{disk.io.direction=\"read\"} 5\n"
    );
}

#[test]
fn a_time_of_its_own_holds_for_a_point_until_the_host_or_an_entity_begins() {
    let mut buffer = SampleBuffer::default();
    let fill = |buffer: &mut SampleBuffer| {
        buffer.reset(Timestamp::from_secs(100), Timestamp::EPOCH);
        buffer.double(&UPTIME, &[], 1.0);
        buffer.measured_at(Timestamp::from_secs(90));
        buffer.double(&UPTIME, &[], 2.0);
        buffer.host();
        buffer.double(&UPTIME, &[], 3.0);
        buffer.measured_at(Timestamp::from_secs(95));
        buffer.entity(&PROCESS, Timestamp::from_secs(7), &[Value::Int(42)]);
        buffer.double(&UPTIME, &[], 4.0);
        buffer.measured_at(Timestamp::from_secs(101));
        buffer.double(&UPTIME, &[], 5.0);
        buffer.measured_at(Timestamp::from_secs(80));
        buffer.double(&UPTIME, &[], 6.0);
    };
    fill(&mut buffer);
    fill(&mut buffer);
    assert_eq!(
        buffer.to_text(),
        "system.uptime 1\n\
         system.uptime 2 @ 1970-01-01T00:01:30.000Z\n\
         system.uptime 3\n\
         [process{process.pid=42}]\n\
         system.uptime 4\n\
         system.uptime 5\n\
         system.uptime 6 @ 1970-01-01T00:01:20.000Z\n"
    );
}

#[test]
fn points_of_metrics_that_are_left_out_are_not_taken() {
    let mut buffer = SampleBuffer::default();
    buffer.leave_out(&LeftOut::new([&UPTIME]));
    buffer.double(&UPTIME, &[], 1.5);
    buffer.int(&DISK_IO, &[Value::Str("sda"), Value::Str("read")], 9);
    assert!(!buffer.takes(&UPTIME) && buffer.takes(&DISK_IO));
    assert_eq!(buffer.to_text(), "system.disk.io{system.device=\"sda\",disk.io.direction=\"read\"} 9\n");
    buffer.leave_out(&LeftOut::default());
    assert!(buffer.takes(&UPTIME));
}

#[test]
fn a_series_keeps_its_fingerprint_from_cycle_to_cycle_and_shares_it_with_no_other() {
    let fill = |buffer: &mut SampleBuffer| {
        buffer.reset(Timestamp::from_secs(1), Timestamp::EPOCH);
        buffer.int(&DISK_IO, &[Value::Str("sda"), Value::Str("read")], 9);
        buffer.int(&DISK_IO, &[Value::Str("sda"), Value::Str("write")], 9);
        buffer.entity(&PROCESS, Timestamp::from_secs(7), &[Value::Int(42)]);
        buffer.int(&DISK_IO, &[Value::Str("sda"), Value::Str("read")], 9);
    };
    let prints = |buffer: &SampleBuffer| -> Vec<u64> {
        buffer.entities().flat_map(|e| e.points().map(|p| p.fingerprint)).collect()
    };
    let (mut first, mut second) = (SampleBuffer::default(), SampleBuffer::default());
    fill(&mut first);
    fill(&mut second);
    fill(&mut second);
    assert_eq!(prints(&first), prints(&second));
    let distinct: HashSet<_> = prints(&first).into_iter().collect();
    assert_eq!(distinct.len(), 3);
}
