use proptest::prelude::*;

use super::*;
use crate::generated::{Manner, any_request, damaged, decoded};
use crate::wire::{bytes_field, varint_field};

/// A log record's body that lies in `levels` arrays or lists.
fn nested_body(levels: usize, in_lists: bool) -> Vec<u8> {
    let mut any_value = Vec::new();
    bytes_field(&mut any_value, 1, b"deep");
    for _ in 0..levels {
        let wrap = |number, content: &[u8]| {
            let mut out = Vec::new();
            bytes_field(&mut out, number, content);
            out
        };
        any_value =
            if in_lists { wrap(6, &wrap(1, &wrap(2, &any_value))) } else { wrap(5, &wrap(1, &any_value)) };
    }
    [5, 2, 2, 1].iter().fold(any_value, |inner, number| {
        let mut out = Vec::new();
        bytes_field(&mut out, *number, &inner);
        out
    })
}

#[test]
fn values_may_lie_as_deep_as_other_decoders_go_and_no_deeper() {
    for in_lists in [false, true] {
        for levels in 0..60 {
            let payload = nested_body(levels, in_lists);
            let checked = check_strictly(Signal::Logs, &payload);
            assert_eq!(
                checked.is_ok(),
                decoded(Signal::Logs, &payload).is_ok(),
                "{levels} levels: {checked:?}"
            );
        }
        let error = check_strictly(Signal::Logs, &nested_body(10_000, in_lists)).unwrap_err().to_string();
        assert!(error.ends_with("messages lie too deep in each other"), "{error}");
    }
}

#[test]
fn the_error_names_the_record_and_the_field() {
    let attribute = |text: &[u8]| {
        let mut value = Vec::new();
        bytes_field(&mut value, 1, text);
        let mut key_value = Vec::new();
        bytes_field(&mut key_value, 1, b"k");
        bytes_field(&mut key_value, 2, &value);
        key_value
    };
    let mut record = Vec::new();
    bytes_field(&mut record, 6, &attribute(b"good"));
    let good_record = record.clone();
    bytes_field(&mut record, 6, &attribute(b"b\xffd"));
    let mut scope = Vec::new();
    bytes_field(&mut scope, 2, &good_record);
    bytes_field(&mut scope, 2, &record);
    bytes_field(&mut scope, 2, &good_record);
    let mut resource = Vec::new();
    bytes_field(&mut resource, 2, &scope);
    let mut payload = Vec::new();
    bytes_field(&mut payload, 1, &resource);
    assert_eq!(
        check_strictly(Signal::Logs, &payload).unwrap_err().to_string(),
        "not an OTLP message: resourceLogs[0].scopeLogs[0].logRecords[1].attributes[1].value.stringValue: \
         a text is not UTF-8"
    );
    // The frame is whole, so that the records are counted all the same.
    assert_eq!(count_items(Signal::Logs, &payload), Ok(3));
}

#[test]
fn a_field_of_another_type_is_refused() {
    // Span.name as a number, Span.kind as a text, Span.start_time_unix_nano as a varint, Span.events as a number.
    for write in [
        |out: &mut Vec<u8>| varint_field(out, 5, 1),
        |out: &mut Vec<u8>| bytes_field(out, 6, b"1"),
        |out: &mut Vec<u8>| varint_field(out, 7, 1),
        |out: &mut Vec<u8>| varint_field(out, 11, 1),
    ] {
        let mut span = Vec::new();
        write(&mut span);
        let payload = [2, 2, 1].iter().fold(span, |inner, number| {
            let mut out = Vec::new();
            bytes_field(&mut out, *number, &inner);
            out
        });
        let error = check_strictly(Signal::Traces, &payload).unwrap_err().to_string();
        assert!(error.ends_with("another type than the protocol gives it"), "{error}");
        assert_eq!(count_items(Signal::Traces, &payload), Ok(1));
    }
}

proptest! {
    #[test]
    fn every_whole_request_passes_and_counts_the_same((signal, payload) in any_request(Manner::Wild)) {
        prop_assert_eq!(check_strictly(signal, &payload).ok(), count_items(signal, &payload).ok());
        prop_assert!(check_strictly(signal, &payload).is_ok());
        prop_assert!(decoded(signal, &payload).is_ok());
    }

    #[test]
    fn what_passes_decodes_and_what_decodes_passes((signal, payload) in damaged(any_request(Manner::Wild))) {
        match (check_strictly(signal, &payload), decoded(signal, &payload)) {
            (Ok(_), decoded) => prop_assert!(decoded.is_ok(), "{:?}", decoded),
            // Groups in fields that nobody knows are skipped by decoders.
            (Err(error), decoded) => prop_assert!(
                decoded.is_err() || error.to_string().contains("a wire type that proto3 does not use"),
                "{}", error
            ),
        }
    }

    #[test]
    fn no_bytes_make_the_walk_panic(bytes: Vec<u8>) {
        for signal in Signal::ALL {
            let _ = check_strictly(signal, &bytes);
        }
    }
}
