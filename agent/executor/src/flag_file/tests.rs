use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;

use super::*;

const FLAGS: &str = r#"{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "flags": {
    "checkout": {
      "state": "ENABLED",
      "variants": { "on": true, "off": false },
      "defaultVariant": "on",
      "targeting": { "if": [{ "ends_with": [{ "var": "email" }, "@example.com"] }, "on", "off"] },
      "metadata": { "hostmend.remediable": true, "owner": "shop \"two\"" }
    },
    "plain": {"metadata":{"hostmend.remediable":true},"state":"ENABLED","variants":{"a":1.50,"b":12345678901234567890123}},
    "precious": { "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "on" },
    "asleep": { "state": "DISABLED", "variants": { "on": true }, "metadata": { "hostmend.remediable": true } }
  }
}
"#;

fn said(text: &str, flag: &str) -> Value {
    serde_json::from_str::<Value>(text).unwrap()["flags"][flag].clone()
}

#[test]
fn targeting_is_moved_aside_so_that_everybody_gets_the_variant() {
    let set = set(FLAGS, "checkout", "off").unwrap().unwrap();
    let flag = said(&set.text, "checkout");
    assert_eq!(flag["defaultVariant"], "off");
    assert_eq!(flag["targeting"], serde_json::json!({}));
    let saved: Value =
        serde_json::from_str(flag["metadata"]["hostmend.saved_targeting"].as_str().unwrap()).unwrap();
    assert_eq!(saved, said(FLAGS, "checkout")["targeting"]);
    assert_eq!(flag["metadata"]["owner"], "shop \"two\"");
    assert!(set.state_before.targeted && set.state_before.variant.as_deref() == Some("on"));
    let kept = FLAGS.split("\"plain\"").nth(1).unwrap();
    assert!(set.text.ends_with(kept), "the other flags stay byte for byte");
    let back = put_back(&set.text, "checkout", &set.before, "off").unwrap();
    assert_eq!(back, FLAGS);
}

#[test]
fn a_flag_without_a_default_gets_one_and_loses_it_again() {
    let set = set(FLAGS, "plain", "b").unwrap().unwrap();
    assert_eq!(said(&set.text, "plain")["defaultVariant"], "b");
    assert_eq!(put_back(&set.text, "plain", &set.before, "b").unwrap(), FLAGS);
}

#[test]
fn what_everybody_gets_already_is_not_set_again() {
    let once = set(FLAGS, "checkout", "off").unwrap().unwrap();
    assert!(set(&once.text, "checkout", "off").unwrap().is_none());
}

#[test]
fn a_flag_that_does_not_allow_it_is_not_set() {
    for (flag, variant, expected) in [
        ("precious", "off", "\"hostmend.remediable\": true in its metadata would allow it"),
        ("asleep", "on", "is DISABLED, so the program decides"),
        ("checkout", "maybe", "has no variant \"maybe\"; there are off, on"),
        ("chekout", "off", "it holds no flag \"chekout\"; there are asleep, checkout, plain, precious"),
    ] {
        let error = set(FLAGS, flag, variant).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    for text in ["", "[]", "{\"flags\": 1}", "{\"flags\": {\"checkout\": {}}}", "flags:\n  checkout: {}\n"] {
        assert!(set(text, "checkout", "off").unwrap_err().to_string().starts_with("it does not hold flags"));
    }
}

#[test]
fn what_somebody_has_chosen_since_is_left_alone() {
    let first = set(FLAGS, "checkout", "off").unwrap().unwrap();
    let second = set(&first.text, "checkout", "on").unwrap().unwrap();
    let error = put_back(&second.text, "checkout", &first.before, "off").unwrap_err().to_string();
    assert_eq!(error, "flag \"checkout\" is no longer \"off\", so it is left as it is");
    let targeted = first.text.replacen("\"targeting\": {}", "\"targeting\": {\"var\": \"x\"}", 1);
    assert!(put_back(&targeted, "checkout", &first.before, "off").is_err());
    let back = put_back(&second.text, "checkout", &second.before, "on").unwrap();
    assert_eq!(put_back(&back, "checkout", &first.before, "off").unwrap(), FLAGS);
}

#[test]
fn the_file_keeps_its_mode_and_a_link_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.json");
    std::fs::write(&path, FLAGS).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o664)).unwrap();
    let file = FlagFile::open(&path).unwrap();
    let text = set(file.text(), "checkout", "off").unwrap().unwrap().text;
    file.replace(&text).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o664);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    let link = directory.path().join("link.json");
    symlink(&path, &link).unwrap();
    let error = FlagFile::open(&link).unwrap_err().to_string();
    assert!(error.ends_with("is a symbolic link; name the file it leads to"), "{error}");
}

/// A value as others write it: with white space wherever it may stand, and in an order of its own.
fn written(value: &Value, blank: &mut dyn FnMut() -> &'static str) -> String {
    let Value::Object(members) = value else { return value.to_string() };
    let mut text = format!("{{{}", blank());
    for (at, (key, value)) in members.iter().rev().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let (a, b, c) = (blank(), blank(), blank());
        let _ = write!(text, "{comma}{a}{}{b}:{c}{}", quoted(key), written(value, blank));
    }
    text + blank() + "}"
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\\[\\]{},:\"\\\\ ]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z{}\"]{0,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn setting_and_putting_back_gives_the_same_text(
        targeting in proptest::option::of(values()),
        default in proptest::option::of(prop_oneof![Just(Value::Null), Just(Value::from("a"))]),
        more in values(),
        spaces in proptest::collection::vec(proptest::sample::select(&["", " ", "\n  ", "\t\r\n"][..]), 1..20),
    ) {
        let mut flag = serde_json::json!({
            "state": "ENABLED", "variants": { "a": more, "b": more }, "metadata": { "hostmend.remediable": true, "x": more },
        });
        if let Some(targeting) = targeting { flag["targeting"] = targeting; }
        if let Some(default) = default { flag["defaultVariant"] = default; }
        let whole = serde_json::json!({ "flags": { "x": more, "f": flag, "z": more }, "metadata": more });
        let mut spaces = spaces.iter().copied().cycle();
        let text = written(&whole, &mut || spaces.next().unwrap());
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), whole);
        let done = set(&text, "f", "b").unwrap().unwrap();
        let state = FlagState::read(&done.text, "f").unwrap();
        prop_assert_eq!((state.variant.as_deref(), state.targeted), (Some("b"), false));
        for other in ["x", "z"] { prop_assert_eq!(said(&done.text, other), said(&text, other)); }
        prop_assert_eq!(put_back(&done.text, "f", &done.before, "b").unwrap(), text);
    }

    #[test]
    fn no_text_is_too_odd(text in any::<String>(), cut in 0_usize..1200, flag in any::<String>()) {
        let _ = set(&text, &flag, "off");
        let cut = FLAGS.get(..cut).unwrap_or(FLAGS);
        let _ = set(cut, "checkout", "off");
    }
}

#[test]
fn a_file_is_replaced_even_if_its_directory_cannot_be_synced() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("flags.json");
    std::fs::write(&path, "{}").unwrap();
    let directory = crate::beneath::not_to_be_synced(root.path());
    let file = FlagFile { directory, ..FlagFile::open(&path).unwrap() };
    file.replace("{ }").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{ }");
}
