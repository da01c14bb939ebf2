use std::sync::LazyLock;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use proptest::prelude::*;
use prost::Message as _;
use regex::bytes::RegexSet;
use regex_syntax::ParserBuilder;
use telemetry::Signal;

use super::*;
use crate::mask::{Builtin, MaskAction, MaskRule, Masking};

fn filter(patterns: &[&str]) -> Prefilter {
    let parsed = patterns.iter().map(|pattern| ParserBuilder::new().utf8(false).build().parse(pattern).ok());
    Prefilter::new(parsed.map(|hir| (Finds::Texts, hir)))
}

const PATTERNS: [&str; 5] = [
    "(?i)secret",
    r"(?-u)://[^/\s:@]*:[^/\s@]+@",
    r"\b[0-9]{4}-[0-9]{4}\b",
    "(?:xox|gh)[a-z]",
    "\u{e4}\u{f6}",
];

static FILTERS: LazyLock<Vec<(Prefilter, RegexSet)>> = LazyLock::new(|| {
    [&PATTERNS[..], &PATTERNS[..1], &PATTERNS[1..3], &["[a-z]+", "secret"]]
        .map(|patterns| (filter(patterns), RegexSet::new(patterns).unwrap()))
        .into()
});

proptest! {
    // Expressions take their time where nothing is optimised.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_part_in_which_something_is_found_is_suspected(
        parts in proptest::collection::vec(("[ -~]{0,40}", 0..8_usize, 0..3_usize), 0..100),
        fill in 0..5000_usize,
    ) {
        let found = ["", "seCRet", "://a:b@c", "1234-5678", "xoxa", "\u{e4}\u{f6}", "secre", "12345678"];
        let mut bytes = vec![b' '; fill];
        let mut ends = vec![fill];
        for (text, which, copies) in &parts {
            bytes.extend_from_slice(text.as_bytes());
            bytes.extend_from_slice(found[*which].repeat(*copies).as_bytes());
            ends.push(bytes.len());
        }
        for (filter, expressions) in FILTERS.iter() {
            let mut suspects = Suspects::new(filter, &bytes);
            let mut begin = 0;
            for end in &ends {
                let part = &bytes[begin..*end];
                begin = *end;
                let is_found = expressions.is_match(part);
                prop_assert!(!is_found || suspects.are_in(part), "{}", String::from_utf8_lossy(part));
            }
        }
    }
}

#[test]
fn what_holds_nothing_of_it_is_not_suspected() {
    let filter = filter(&PATTERNS);
    let line =
        b"GET /api/v1/orders 200 https://shop.example.com 22/Nov/2026:10:15:00 192.0.2.17 ".repeat(200);
    assert!(!Suspects::new(&filter, &line).are_in(&line));
    let mut with_one = line.clone();
    with_one.extend_from_slice(b"Secret");
    let mut suspects = Suspects::new(&filter, &with_one);
    let (before, after) = with_one.split_at(line.len());
    assert!(suspects.are_in(&with_one) && !suspects.are_in(before) && suspects.are_in(after));
}

fn holding(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

/// Texts with and without secrets, whole and cut off, in words of any case.
fn any_text() -> impl Strategy<Value = String> {
    let planted = prop_oneof![
        Just("{\"PassWord\":\"hunter2\"}"),
        Just("authorization: BEARER 0123456789abcdef"),
        Just("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"),
        Just("AKIAIOSFODNN7EXAMPLE"),
        Just("https://bob:hunter2@example.com/"),
        Just("-----BEGIN RSA PRIVATE KEY-----\nMIIE"),
        Just("4111 1111 1111 1111"),
        Just("order-4711"),
        Just("passw"),
        Just("ord=word_token = abcdef"),
        Just("api-key='x1y2z3'"),
        Just("\u{17f}ecret \u{212a}"),
    ];
    prop_oneof![
        "[ -~]{0,60}",
        ("[ -~]{0,20}", planted, "[ -~]{0,20}")
            .prop_map(|(before, planted, after)| before + planted + &after),
    ]
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        4 => any_text().prop_map(|text| holding(Value::StringValue(text))),
        1 => any_text().prop_map(|text| holding(Value::BytesValue(text.into_bytes()))),
        1 => any::<i64>().prop_map(|number| holding(Value::IntValue(number))),
        1 => Just(AnyValue::default()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3)
                .prop_map(|values| holding(Value::ArrayValue(ArrayValue { values }))),
            proptest::collection::vec(any_pair(inner), 0..3)
                .prop_map(|values| holding(Value::KvlistValue(KeyValueList { values }))),
        ]
    })
}

fn any_pair(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = KeyValue> {
    const KEYS: [&str; 8] =
        ["a", "", "db.Password", "SESSION_TOKEN", "x-api-key", "set-cookie", "user.email", "tok"];
    (proptest::sample::select(&KEYS), value).prop_map(|(key, value)| KeyValue {
        key: key.to_owned(),
        value: Some(value),
        ..KeyValue::default()
    })
}

fn any_record() -> impl Strategy<Value = LogRecord> {
    let attributes = proptest::collection::vec(any_pair(any_value()), 0..4);
    (proptest::option::of(any_value()), attributes, "[A-Z]{0,9}").prop_map(|(body, attributes, word)| {
        LogRecord { body, attributes, severity_text: word, ..LogRecord::default() }
    })
}

fn rule(keys: &[&str], values: &[&str], builtins: &[Builtin], action: MaskAction) -> MaskRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    MaskRule::new(&owned(keys), &owned(values), builtins, action).unwrap()
}

static MASKINGS: LazyLock<Vec<Masking>> = LazyLock::new(|| {
    let replace = || MaskAction::Replace("[masked]".to_owned());
    let all = Builtin::ALL.map(|(_, builtin)| builtin);
    [
        vec![rule(&[], &[], &[Builtin::SecretKeys, Builtin::Tokens, Builtin::PrivateKeys], replace())],
        vec![
            rule(&[], &[], &all, MaskAction::Drop),
            rule(&["user.*"], &["(?i)order-[0-9]+"], &[], replace()),
        ],
        vec![rule(&["to?"], &["(?i)k", "a[b-z]"], &[Builtin::CardNumbers], replace())],
        vec![rule(&["*"], &[], &[], replace())],
        vec![rule(&[], &["[x-z]{2}", "[0-9]{4}"], &[], replace())],
    ]
    .map(|rules| Masking::new(rules).unwrap())
    .into()
});

proptest! {
    // Expressions take their time where nothing is optimised.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_masked_is_what_a_walk_over_everything_masks(
        records in proptest::collection::vec(any_record(), 0..12),
    ) {
        let scope = ScopeLogs { log_records: records, ..ScopeLogs::default() };
        let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
        let payload = ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec();
        for masking in MASKINGS.iter() {
            let walk = Masking { prefilter: Prefilter { is_blind: true, ..Prefilter::default() }, ..masking.clone() };
            prop_assert_eq!(
                masking.apply(Signal::Logs, payload.clone().into()),
                walk.apply(Signal::Logs, payload.clone().into())
            );
        }
    }
}

#[test]
fn only_what_can_be_anything_is_looked_for_everywhere() {
    let blind: Vec<_> = MASKINGS.iter().map(|masking| masking.prefilter.is_blind).collect();
    assert_eq!(blind, [false, false, false, true, true]);
}
