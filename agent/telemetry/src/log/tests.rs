use super::*;

fn group(source: &str) -> LogGroup {
    LogGroup { source: source.into(), resource: Arc::default(), shared: Arc::default() }
}

const NOW: Timestamp = Timestamp::from_nanos(7);

#[test]
fn a_record_is_read_as_it_was_written() {
    let mut buffer = LogBuffer::default();
    buffer.set_group(&group("app"));
    let mut record = buffer.push(NOW);
    record.set_time(Timestamp::from_nanos(5)).set_severity(17, b"ERR").set_body(LogScalar::Text(b"gone"));
    record.set_trace([1; 16]).set_span([2; 8]).set_flags(1).set_event_name("exit");
    record.attribute(b"code", LogScalar::Int(3));
    let record = buffer.records().next().unwrap();
    assert_eq!((record.time(), record.observed()), (Timestamp::from_nanos(5), NOW));
    assert_eq!((record.severity(), record.severity_text()), (17, &b"ERR"[..]));
    assert_eq!((record.trace(), record.span(), record.flags()), (&[1; 16], &[2; 8], 1));
    assert_eq!((record.body(), record.event_name()), (LogValue::Text(b"gone"), &b"exit"[..]));
    assert_eq!(record.attribute("code"), Some(LogValue::Int(3)));
    assert_eq!(record.attribute("none"), None);
}

#[test]
fn maps_and_lists_hold_what_was_written_between_their_ends() {
    let mut buffer = LogBuffer::default();
    buffer.set_group(&group("app"));
    let mut record = buffer.push(NOW);
    let map = record.begin_map(b"http");
    record.attribute(b"status", LogScalar::Int(200));
    let list = record.begin_list(b"tags");
    record.attribute(b"", LogScalar::Text(b"a")).attribute(b"", LogScalar::Text(b"b"));
    record.end(list);
    record.end(map);
    record.attribute(b"after", LogScalar::Bool(true));
    let record = buffer.records().next().unwrap();
    let keys: Vec<&[u8]> = record.attributes().map(|(key, _)| key).collect();
    assert_eq!(keys, [&b"http"[..], b"after"]);
    let Some(LogValue::Map(http)) = record.attribute("http") else { panic!("a map") };
    let within: Vec<(&[u8], LogValue<'_>)> = http.collect();
    assert_eq!(within[0], (&b"status"[..], LogValue::Int(200)));
    let LogValue::List(tags) = within[1].1.clone() else { panic!("a list") };
    assert_eq!(
        tags.map(|(_, value)| value).collect::<Vec<_>>(),
        [LogValue::Text(b"a"), LogValue::Text(b"b")]
    );
    assert_eq!(within.len(), 2);
}

#[test]
fn a_key_that_is_taken_is_known() {
    let mut buffer = LogBuffer::default();
    buffer.set_group(&group("app"));
    buffer.push(NOW).attribute(b"before", LogScalar::Empty);
    let mut record = buffer.push(NOW);
    let map = record.begin_map(b"map");
    record.attribute(b"within", LogScalar::Empty);
    assert!(record.has(Some(map), b"within") && !record.has(Some(map), b"map"));
    record.end(map);
    record.attribute(b"after", LogScalar::Empty);
    assert!(record.has(None, b"map") && record.has(None, b"after"));
    assert!(!record.has(None, b"within") && !record.has(None, b"before"));
}

#[test]
fn what_is_no_text_is_kept_byte_for_byte() {
    let mut buffer = LogBuffer::default();
    buffer.set_group(&group("app"));
    buffer.push(NOW).set_body(LogScalar::Text(b"a\xff")).attribute(b"\xffkey", LogScalar::Text(b"\xfe"));
    let record = buffer.records().next().unwrap();
    assert_eq!(record.body(), LogValue::Bytes(b"a\xff"));
    assert_eq!(record.attribute("\u{fffd}key"), Some(LogValue::Bytes(b"\xfe")));
}

#[test]
fn records_know_their_group_and_can_be_taken_back() {
    let mut buffer = LogBuffer::default();
    let (first, second) = (group("one"), group("two"));
    buffer.set_group(&first);
    buffer.push(NOW);
    buffer.set_group(&first);
    buffer.push(NOW).attribute(b"k", LogScalar::Empty);
    buffer.set_group(&second);
    buffer.push(NOW);
    let sources = |buffer: &LogBuffer| -> Vec<String> {
        buffer.records().map(|record| record.group().source.to_string()).collect()
    };
    assert_eq!(sources(&buffer), ["one", "one", "two"]);
    let size = buffer.size_bytes();
    buffer.push(NOW).set_body(LogScalar::Text(b"left out")).attribute(b"k", LogScalar::Int(1));
    buffer.truncate(3);
    assert_eq!(buffer.size_bytes(), size);
    buffer.truncate(1);
    assert_eq!(sources(&buffer), ["one"]);
    assert!(buffer.fields.is_empty());
    buffer.clear();
    assert!(buffer.is_empty());
}
