use super::*;

fn refused(settings: RecordSettings) -> RecordOptionsError {
    RecordOptions::new(settings).expect_err("these settings are wrong")
}

#[test]
fn what_is_wrong_is_said_with_its_setting() {
    let plain = RecordSettings::default;
    let rows: [(RecordSettings, RecordSetting, &str); 10] = [
        (
            RecordSettings { format: LineFormat::Pattern("(?<a>x".into()), ..plain() },
            RecordSetting::Format,
            "the pattern is no regular expression: unclosed group",
        ),
        (
            RecordSettings { format: LineFormat::Pattern("x(y)".into()), ..plain() },
            RecordSetting::Format,
            "no named group",
        ),
        (
            RecordSettings { inner: Some(LineFormat::Json), ..plain() },
            RecordSetting::Inner,
            "have an inner format",
        ),
        (
            RecordSettings { format: LineFormat::Cri, inner: Some(LineFormat::Docker), ..plain() },
            RecordSetting::Inner,
            "it is none of these",
        ),
        (
            RecordSettings { multiline: Some(Multiline::Start("[".into())), ..plain() },
            RecordSetting::Multiline,
            "unclosed character class",
        ),
        (
            RecordSettings { multiline: Some(Multiline::Start(r"\w{9000}".into())), ..plain() },
            RecordSetting::Multiline,
            "make it simpler",
        ),
        (
            RecordSettings { zone: Some("Europe/Bärlin".into()), ..plain() },
            RecordSetting::Zone,
            "is no time zone that this host knows",
        ),
        (
            RecordSettings { time_format: Some("%Y-%Q".into()), ..plain() },
            RecordSetting::TimeFormat,
            "cannot read a time",
        ),
        (
            RecordSettings { severities: vec![("W".into(), 25)], ..plain() },
            RecordSetting::Severities,
            "severities are 1 to 24",
        ),
        (RecordSettings { sample: Some(0.0), ..plain() }, RecordSetting::Sample, "above 0 and up to 1"),
    ];
    for (settings, setting, says) in rows {
        let error = refused(settings);
        assert_eq!(error.setting(), setting, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_wrong_pattern_is_pointed_at() {
    let settings = RecordSettings { format: LineFormat::Pattern("ab(c".into()), ..RecordSettings::default() };
    let RecordOptionsError::Syntax { place, .. } = refused(settings) else { panic!("a syntax error") };
    assert_eq!(place, 2..3);
}

#[test]
fn the_same_settings_are_the_same_options() {
    let settings = || RecordSettings { format: LineFormat::Json, ..RecordSettings::default() };
    assert_eq!(RecordOptions::new(settings()), RecordOptions::new(settings()));
    assert_ne!(RecordOptions::new(settings()).unwrap(), RecordOptions::default());
    assert_eq!(RecordOptions::new(RecordSettings::default()).unwrap(), RecordOptions::default());
}
