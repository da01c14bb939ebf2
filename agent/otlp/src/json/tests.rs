use super::*;
use crate::samples::{AT, BOOT, PROCESS, SPECS, buffers, host_attributes};
use proptest::prelude::*;
use telemetry::Timestamp;

fn parse(samples: &SampleBuffer) -> Json {
    let line = to_json(&host_attributes(), samples).expect("there are samples");
    assert!(!line.contains('\n'));
    serde_json::from_str(&line).unwrap()
}

#[test]
fn numbers_of_64_bits_are_texts_and_enums_are_numbers() {
    let mut samples = SampleBuffer::default();
    samples.reset(AT, BOOT);
    samples.int(&SPECS[0], &[Value::Absent, Value::Str("read")], i64::MAX);
    let sum = &parse(&samples)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"];
    assert_eq!(
        *sum,
        json!({
            "aggregationTemporality": 2,
            "isMonotonic": true,
            "dataPoints": [{
                "startTimeUnixNano": "1700000000000000000",
                "timeUnixNano": "1700000060000000000",
                "asInt": "9223372036854775807",
                "attributes": [{ "key": "disk.io.direction", "value": { "stringValue": "read" } }],
            }],
        })
    );
}

#[test]
fn a_point_has_the_time_at_which_it_was_measured_and_does_not_start_after_it() {
    let mut samples = SampleBuffer::default();
    samples.reset(AT, BOOT);
    samples.measured_at(Timestamp::from_secs(1_699_999_999));
    samples.int(&SPECS[0], &[Value::Absent, Value::Str("read")], 1);
    let sum = &parse(&samples)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"];
    let point = &sum["dataPoints"][0];
    assert_eq!(point["timeUnixNano"], "1699999999000000000");
    assert_eq!(point["startTimeUnixNano"], "1699999999000000000");
}

#[test]
fn what_json_cannot_say_as_a_number_is_spelt_as_protobuf_spells_it() {
    for (value, spelt) in [(f64::NAN, "NaN"), (f64::INFINITY, "Infinity"), (f64::NEG_INFINITY, "-Infinity")] {
        let mut samples = SampleBuffer::default();
        samples.reset(AT, BOOT);
        samples.double(&SPECS[2], &[], value);
        let gauge = &parse(&samples)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["gauge"];
        assert_eq!(gauge["dataPoints"][0]["asDouble"], spelt);
    }
}

#[test]
fn a_series_that_ended_has_a_flag_and_no_value() {
    let mut samples = SampleBuffer::default();
    samples.reset(AT, BOOT);
    samples.entity(&PROCESS, Timestamp::from_secs(1), &[Value::Int(7), Value::Absent, Value::Absent]);
    samples.gone(&SPECS[5], &[]);
    let resource = &parse(&samples)["resourceMetrics"][0];
    assert_eq!(
        resource["resource"]["attributes"][1],
        json!({"key": "process.pid", "value": {"intValue": "7"}})
    );
    let point = &resource["scopeMetrics"][0]["metrics"][0]["sum"]["dataPoints"][0];
    assert_eq!(point["flags"], 1);
    assert!(point.get("asInt").is_none());
}

#[test]
fn without_samples_there_is_no_line() {
    assert_eq!(to_json(&host_attributes(), &SampleBuffer::default()), None);
}

proptest! {
    #[test]
    fn the_line_holds_as_many_points_as_the_buffer(samples in buffers()) {
        let points = to_json(&host_attributes(), &samples).map_or(0, |line| line.matches("\"timeUnixNano\"").count());
        prop_assert_eq!(points, samples.len());
    }
}
