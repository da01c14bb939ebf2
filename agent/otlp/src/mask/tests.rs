use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::MetricsEncoder;
use crate::samples::{host_attributes, small_host};

fn replace() -> MaskAction {
    MaskAction::Replace("***".to_owned())
}

fn all_builtins() -> Vec<Builtin> {
    Builtin::ALL.map(|(_, builtin)| builtin).to_vec()
}

fn rule(keys: &[&str], values: &[&str], builtins: &[Builtin], action: MaskAction) -> MaskRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    MaskRule::new(&owned(keys), &owned(values), builtins, action).unwrap()
}

fn masking(keys: &[&str], values: &[&str], action: MaskAction) -> Masking {
    Masking::new(vec![rule(keys, values, &[], action)]).unwrap()
}

fn builtin(builtins: &[Builtin]) -> Masking {
    Masking::new(vec![rule(&[], &[], builtins, replace())]).unwrap()
}

fn holding(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn text(text: &str) -> AnyValue {
    holding(Value::StringValue(text.to_owned()))
}

fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn logs(body: Option<AnyValue>, attributes: Vec<KeyValue>) -> Bytes {
    let record = LogRecord { body, attributes, ..LogRecord::default() };
    let scope = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
    let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec().into()
}

fn record(payload: &Bytes) -> LogRecord {
    let request = ExportLogsServiceRequest::decode(payload.clone()).unwrap();
    request.resource_logs[0].scope_logs[0].log_records[0].clone()
}

/// A body as it is kept.
fn kept(masking: &Masking, body: &str) -> String {
    let payload = masking.apply(Signal::Logs, logs(Some(text(body)), Vec::new())).unwrap();
    match record(&payload).body.map(|body| body.value) {
        Some(Some(Value::StringValue(text))) => text,
        None => "left out".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn attributes_are_found_by_their_keys() {
    let secret_keys = builtin(&[Builtin::SecretKeys]);
    for (key, is_secret) in [
        ("password", true),
        ("db.password", true),
        ("user.password.hash", true),
        ("DB_PASSWD", true),
        ("http.request.header.authorization", true),
        ("http.request.header.x-api-key", true),
        ("http.response.header.set-cookie", true),
        ("session_token", true),
        ("oauth.client_secret", true),
        ("aws.secret_access_key", true),
        ("apikey", true),
        ("gen_ai.usage.input_tokens", false),
        ("gen_ai.token.type", false),
        ("session.id", false),
        ("passwordless", false),
        ("http.route", false),
        ("key", false),
    ] {
        let payload = logs(None, vec![pair(key, holding(Value::IntValue(7)))]);
        let kept = record(&secret_keys.apply(Signal::Logs, payload).unwrap()).attributes;
        let expected = if is_secret { text("***") } else { holding(Value::IntValue(7)) };
        assert_eq!(kept, [pair(key, expected)], "{key}");
    }
    let globs = masking(&["user.*", "a?c", "x.y"], &[], replace());
    for (key, is_masked) in [
        ("user.email", true),
        ("User.Name", true),
        ("user", false),
        ("abc", true),
        ("ac", false),
        ("xzy", false),
    ] {
        let kept = record(&globs.apply(Signal::Logs, logs(None, vec![pair(key, text("v"))])).unwrap());
        assert_eq!(kept.attributes == [pair(key, text("***"))], is_masked, "{key}");
    }
}

#[test]
fn secrets_in_texts_are_found_by_what_they_look_like() {
    let all = builtin(&all_builtins());
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N";
    for (body, expected) in [
        ("Authorization: Bearer abcdef123456.-_~+/==", "Authorization: Bearer ***"),
        ("authorization=basic dXNlcjpwYXNz", "authorization=basic ***"),
        (&format!("got {jwt} from x"), "got *** from x"),
        ("key AKIAIOSFODNN7EXAMPLE used", "key *** used"),
        ("GET https://bob:hunter2@example.com/a", "GET https://bob:***@example.com/a"),
        ("login password=hunter2&user=bob", "login password=***&user=bob"),
        ("{\"db_password\": \"hunter2\", \"a\": 1}", "{\"db_password\": \"***\", \"a\": 1}"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nrest", "***\nrest"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", "***"),
        ("paid with 4111 1111 1111 1111.", "paid with ***."),
        ("card=5500-0000-0000-0004;", "card=***;"),
        ("amex 340000000000009", "amex ***"),
        // A wrong check digit, a time in nanoseconds, a longer number.
        ("paid with 4111 1111 1111 1112.", "paid with 4111 1111 1111 1112."),
        ("at 1700000000123456789", "at 1700000000123456789"),
        ("id 41111111111111110000000000", "id 41111111111111110000000000"),
        ("the bearer of bad news", "the bearer of bad news"),
        ("used 17 tokens: all", "used 17 tokens: all"),
        ("", ""),
    ] {
        assert_eq!(kept(&all, body), expected);
        assert_eq!(kept(&all, expected), expected, "what is masked stays as it is");
    }
}

#[test]
fn what_is_found_is_replaced_or_hashed_or_dropped() {
    let hash = |key: &str| MaskAction::Hash { key: key.as_bytes().to_vec() };
    let card = &["[0-9]{4}"];
    assert_eq!(kept(&masking(&[], card, replace()), "a 1234 b 5678"), "a *** b ***");
    assert_eq!(kept(&masking(&[], &["a (?P<mask>[0-9]+)"], replace()), "a 1234 b 5678"), "a *** b 5678");
    assert_eq!(kept(&masking(&[], card, MaskAction::Drop), "a 1234"), "left out");
    let (one, same, other) = (
        kept(&masking(&[], card, hash("k")), "1234"),
        kept(&masking(&["x"], card, hash("k")), "1234"),
        kept(&masking(&[], card, hash("l")), "1234"),
    );
    assert!(one == same && one != other && one.len() == 16, "{one} {other}");
    let by_key = masking(&["x"], &[], hash("k"));
    let payload = logs(None, vec![pair("x", text("1234"))]);
    assert_eq!(record(&by_key.apply(Signal::Logs, payload).unwrap()).attributes, [pair("x", text(&one))]);
    let attributes = vec![pair("x", text("a")), pair("y", text("b 1234")), pair("z", text("c"))];
    let dropping = masking(&["x"], card, MaskAction::Drop);
    let payload = dropping.apply(Signal::Logs, logs(None, attributes)).unwrap();
    assert_eq!(record(&payload).attributes, [pair("z", text("c"))]);
}

#[test]
fn lists_and_maps_are_looked_into() {
    let list = |values: Vec<AnyValue>| holding(Value::ArrayValue(ArrayValue { values }));
    let map = |values: Vec<KeyValue>| holding(Value::KvlistValue(KeyValueList { values }));
    let body = |secret: &str, token: AnyValue| {
        map(vec![pair("a", list(vec![text("x"), text(secret)])), pair("b", map(vec![pair("token", token)]))])
    };
    let masking = Masking::new(vec![rule(&["token"], &["s[0-9]+"], &[], replace())]).unwrap();
    let payload = logs(Some(body("s1", holding(Value::BoolValue(true)))), Vec::new());
    let kept = record(&masking.apply(Signal::Logs, payload).unwrap());
    assert_eq!(kept.body, Some(body("***", text("***"))));
    let bytes = holding(Value::BytesValue(b"\xff s12".to_vec()));
    let kept = record(&masking.apply(Signal::Logs, logs(Some(bytes), Vec::new())).unwrap());
    assert_eq!(kept.body, Some(holding(Value::BytesValue(b"\xff ***".to_vec()))));
    let deep = (0..DEPTH).fold(text("s1"), |inner, _| list(vec![inner]));
    assert!(masking.apply(Signal::Logs, logs(Some(deep), Vec::new())).is_err());
}

fn traces(value: &str) -> Bytes {
    let attributes = || vec![pair("a", text(value))];
    let span = Span {
        name: value.to_owned(),
        attributes: attributes(),
        events: vec![Event { attributes: attributes(), ..Event::default() }],
        links: vec![Link { attributes: attributes(), ..Link::default() }],
        ..Span::default()
    };
    let scope = InstrumentationScope { attributes: attributes(), ..InstrumentationScope::default() };
    let scope = ScopeSpans { scope: Some(scope), spans: vec![span], ..ScopeSpans::default() };
    let resource = Resource { attributes: attributes(), ..Resource::default() };
    let resource =
        ResourceSpans { resource: Some(resource), scope_spans: vec![scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec().into()
}

#[test]
fn attributes_are_masked_wherever_they_lie_and_names_are_left() {
    let masking = masking(&[], &["^s[0-9]+$"], replace());
    let kept = masking.apply(Signal::Traces, traces("s1")).unwrap();
    let mut expected = ExportTraceServiceRequest::decode(traces("***")).unwrap();
    expected.resource_spans[0].scope_spans[0].spans[0].name = "s1".to_owned();
    assert_eq!(ExportTraceServiceRequest::decode(kept).unwrap(), expected);
}

#[test]
fn points_lose_their_secrets_too() {
    let payload = MetricsEncoder::new(&host_attributes()).encode(&small_host(2)).remove(0).payload;
    let masking = masking(&["system.device", "host.name"], &["^nginx$"], replace());
    let kept = masking.apply(Signal::Metrics, payload.clone()).unwrap();
    let before = format!("{:?}", ExportMetricsServiceRequest::decode(payload).unwrap());
    let after = format!("{:?}", ExportMetricsServiceRequest::decode(kept).unwrap());
    let expected =
        ["\"sda\"", "\"web-01\"", "\"nginx\""].iter().fold(before, |text, one| text.replace(one, "\"***\""));
    assert_eq!(after, expected);
}

#[test]
fn a_request_without_a_finding_is_the_same_bytes_and_not_a_copy() {
    let payload = traces("nothing here");
    let at = payload.as_ptr();
    for masking in [builtin(&all_builtins()), Masking::default(), masking(&["b"], &["zzz"], MaskAction::Drop)]
    {
        let kept = masking.apply(Signal::Traces, payload.clone()).unwrap();
        assert_eq!((kept.as_ptr(), kept.len()), (at, payload.len()));
    }
}

#[test]
fn fields_that_nobody_knows_are_kept() {
    let mut key_value = pair("password", text("x")).encode_to_vec();
    bytes_field(&mut key_value, 900, b"new");
    let mut record = Vec::new();
    bytes_field(&mut record, 901, b"newer");
    bytes_field(&mut record, 6, &key_value);
    bytes_field(&mut record, 902, b"newest");
    let payload = [2, 2, 1].iter().fold(record, |inner, number| {
        let mut outer = Vec::new();
        bytes_field(&mut outer, *number, &inner);
        outer
    });
    let kept = builtin(&[Builtin::SecretKeys]).apply(Signal::Logs, payload.into()).unwrap();
    for (new, text) in [(900, "new"), (901, "newer"), (902, "newest")] {
        let mut field = Vec::new();
        bytes_field(&mut field, new, text.as_bytes());
        assert!(kept.windows(field.len()).any(|window| window == field), "{text}");
    }
    assert!(kept.windows(3).any(|window| window == b"***") && !kept.contains(&b'x'));
}

#[test]
fn rules_that_do_the_same_are_equal() {
    let one = || masking(&["a*"], &["b"], replace());
    assert_eq!(one(), one());
    for other in [
        masking(&["a?"], &["b"], replace()),
        masking(&["a*"], &["c"], replace()),
        masking(&["a*"], &["b"], MaskAction::Drop),
        Masking::default(),
    ] {
        assert_ne!(one(), other);
    }
}

#[test]
fn patterns_that_cannot_be_used_are_refused() {
    for (pattern, told) in [
        ("(", "\"(\" is no regular expression that can be used: unclosed group"),
        ("a*", "\"a*\" finds something in an empty text, and so everywhere"),
    ] {
        let error = MaskRule::new(&[], &[pattern.to_owned()], &[], replace()).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.text()), (told, pattern));
    }
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        "[a-c ]{0,6}".prop_map(|value| text(&value)),
        Just(text("secret s7 here")),
        any::<i64>().prop_map(|value| holding(Value::IntValue(value))),
        proptest::collection::vec(any::<u8>(), 0..5).prop_map(|value| holding(Value::BytesValue(value))),
        Just(AnyValue::default()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let pairs = proptest::collection::vec(("[a-d]", inner.clone()), 0..3);
        prop_oneof![
            proptest::collection::vec(inner, 0..3)
                .prop_map(|values| holding(Value::ArrayValue(ArrayValue { values }))),
            pairs.prop_map(|pairs| {
                let values = pairs.into_iter().map(|(key, value)| pair(&key, value)).collect();
                holding(Value::KvlistValue(KeyValueList { values }))
            }),
        ]
    })
}

/// What masking is to do, on decoded values: the key `d`, and `s7` in texts.
fn expected(value: AnyValue) -> AnyValue {
    let masked = |bytes: Vec<u8>| String::from_utf8(bytes).map(|text| text.replace("s7", "***"));
    AnyValue {
        value: value.value.map(|value| match value {
            Value::StringValue(text) => Value::StringValue(text.replace("s7", "***")),
            Value::BytesValue(bytes) => {
                Value::BytesValue(masked(bytes.clone()).map_or(bytes, String::into_bytes))
            }
            Value::ArrayValue(list) => {
                Value::ArrayValue(ArrayValue { values: list.values.into_iter().map(expected).collect() })
            }
            Value::KvlistValue(map) => Value::KvlistValue(KeyValueList {
                values: map.values.into_iter().map(expected_pair).collect(),
            }),
            other => other,
        }),
    }
}

fn expected_pair(mut pair: KeyValue) -> KeyValue {
    pair.value = if pair.key == "d" { Some(text("***")) } else { pair.value.map(expected) };
    pair
}

proptest! {
    #[test]
    fn masking_bytes_is_masking_what_they_say(
        body in proptest::option::of(any_value()),
        attributes in proptest::collection::vec(("[a-d]", any_value()), 0..5),
    ) {
        let attributes: Vec<KeyValue> = attributes.into_iter().map(|(key, value)| pair(&key, value)).collect();
        let payload = logs(body.clone(), attributes.clone());
        let masking = masking(&["d"], &["s7"], replace());
        let kept = masking.apply(Signal::Logs, payload.clone()).unwrap();
        let found = record(&kept);
        prop_assert_eq!(found.body, body.map(expected));
        prop_assert_eq!(found.attributes, attributes.into_iter().map(expected_pair).collect::<Vec<_>>());
        prop_assert_eq!(masking.apply(Signal::Logs, kept.clone()).unwrap(), kept);
    }

    #[test]
    fn whatever_the_bytes_it_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let masking = builtin(&all_builtins());
        for signal in Signal::ALL {
            let _ = masking.apply(signal, bytes.clone().into());
        }
    }
}

#[test]
fn a_request_of_nothing_but_secrets_does_not_become_many_times_as_large() {
    let masking = masking(&["token"], &[], MaskAction::Replace("*".repeat(1000)));
    let secrets = |count| logs(None, vec![pair("token", text("")); count]);
    assert!(masking.apply(Signal::Logs, secrets(10_000)).unwrap().len() > 10_000_000);
    let error = masking.apply(Signal::Logs, secrets(20_000)).unwrap_err();
    assert!(error.to_string().contains("masking makes too much of it"), "{error}");
}
