use super::*;

fn rule(settings: &RecordSettings) -> TimeRule {
    TimeRule::new(settings).unwrap()
}

fn berlin() -> RecordSettings {
    RecordSettings { zone: Some("Europe/Berlin".into()), ..RecordSettings::default() }
}

fn moment(text: &str) -> Timestamp {
    Timestamp::from_nanos(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond() as i64)
}

const NOW: &str = "2026-11-22T08:00:00Z";

#[test]
fn usual_times_are_read() {
    let rows = [
        ("2026-11-22T08:00:00Z", "2026-11-22T08:00:00Z"),
        ("2026-11-22T08:00:00.1Z", "2026-11-22T08:00:00.1Z"),
        ("2026-11-22T08:00:00.123456789+01:00", "2026-11-22T07:00:00.123456789Z"),
        ("2026-11-22T08:00:00.1234567891Z", "2026-11-22T08:00:00.123456789Z"),
        ("2026-11-22t08:00:00z", "2026-11-22T08:00:00Z"),
        ("2026-11-22 08:00:00,123", "2026-11-22T08:00:00.123Z"),
        ("2026-11-22 08:00:00 -0530", "2026-11-22T13:30:00Z"),
        ("2026-11-22 08:00:00.5 UTC", "2026-11-22T08:00:00.5Z"),
        ("2026-11-22 08:00:00+02", "2026-11-22T06:00:00Z"),
        ("2026/11/22 08:00:00", "2026-11-22T08:00:00Z"),
        ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
        ("22/Nov/2026:08:00:00 +0100", "2026-11-22T07:00:00Z"),
        ("Sun Nov 22 08:00:00.123456 2026", "2026-11-22T08:00:00.123456Z"),
        ("Nov 22 07:59:59", "2026-11-22T07:59:59Z"),
        ("Nov  2 07:59:59", "2026-11-02T07:59:59Z"),
        ("Nov 22 2025 07:59:59", "2025-11-22T07:59:59Z"),
        ("1795334400", "2026-11-22T08:00:00Z"),
        ("1795334400.123456789", "2026-11-22T08:00:00.123456789Z"),
        ("1795334400123", "2026-11-22T08:00:00.123Z"),
        ("1795334400123.5", "2026-11-22T08:00:00.1235Z"),
        ("1795334400123456", "2026-11-22T08:00:00.123456Z"),
        ("1795334400123456789", "2026-11-22T08:00:00.123456789Z"),
        ("1.7953344e9", "2026-11-22T08:00:00Z"),
    ];
    for (text, is) in rows {
        let read = rule(&RecordSettings::default()).read(text.as_bytes(), moment(NOW));
        assert_eq!(read, Some(moment(is)), "{text}");
    }
}

#[test]
fn what_is_no_time_is_none() {
    let rows = [
        "",
        "-",
        "soon",
        "2026-13-22T08:00:00Z",
        "2026-02-29T08:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T08:00:00Z and more",
        "2026-11-22",
        "9999-11-22T08:00:00Z",
        "99999999999999999999",
        "1e300",
        "Nov 31 07:59:59",
        "12:30",
        "13",
        "-1",
        "4711.5",
        "10.0.0.1",
    ];
    for text in rows {
        assert_eq!(rule(&RecordSettings::default()).read(text.as_bytes(), moment(NOW)), None, "{text}");
    }
}

#[test]
fn a_time_without_year_is_the_last_one() {
    let rows = [
        ("Dec 31 23:59:59", "2027-01-01T00:00:05Z", "2026-12-31T23:59:59Z"),
        ("Jan  1 00:00:05", "2026-12-31T23:59:59Z", "2027-01-01T00:00:05Z"),
        ("Nov 25 00:00:00", "2026-11-22T08:00:00Z", "2025-11-25T00:00:00Z"),
        ("Feb 29 12:00:00", "2026-11-22T08:00:00Z", "2024-02-29T12:00:00Z"),
    ];
    for (text, now, is) in rows {
        let read = rule(&RecordSettings::default()).read(text.as_bytes(), moment(now));
        assert_eq!(read, Some(moment(is)), "{text}");
    }
}

#[test]
fn a_time_without_zone_is_of_the_configured_one() {
    let rows = [
        ("2026-07-01 12:00:00", NOW, "2026-07-01T10:00:00Z"),
        ("2026-11-22 08:00:00", NOW, "2026-11-22T07:00:00Z"),
        // The clock went from 2:00 to 3:00.
        ("2026-03-29 02:30:00", NOW, "2026-03-29T01:30:00Z"),
        // It went from 3:00 to 2:00: once these came twice, they are the second.
        ("2026-10-25 02:30:00", NOW, "2026-10-25T01:30:00Z"),
        ("2026-10-25 02:30:00", "2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z"),
        ("2026-10-25 02:30:00", "2026-10-25T01:30:00Z", "2026-10-25T01:30:00Z"),
        ("2026-11-22T08:00:00Z", NOW, "2026-11-22T08:00:00Z"),
    ];
    for (text, now, is) in rows {
        assert_eq!(rule(&berlin()).read(text.as_bytes(), moment(now)), Some(moment(is)), "{text} {now}");
    }
}

#[test]
fn the_hosts_zone_counts_where_none_is_configured() {
    let zone = TimeZone::fixed(Offset::constant(2));
    let rule = rule(&RecordSettings { host_zone: Some(zone), ..RecordSettings::default() });
    let read = rule.read(b"2026-11-22 08:00:00", moment(NOW));
    assert_eq!(read, Some(moment("2026-11-22T06:00:00Z")));
}

#[test]
fn spelled_formats_are_read() {
    let rows = [
        ("%Y-%m-%d %H:%M:%S%.f", "2026-11-22 08:00:00.25", "2026-11-22T07:00:00.25Z"),
        ("%d.%m.%Y %H:%M", "22.11.2026 08:00", "2026-11-22T07:00:00Z"),
        ("%d/%b/%Y:%H:%M:%S %z", "22/Nov/2026:08:00:00 +0000", "2026-11-22T08:00:00Z"),
        ("%s", "1795334400", "2026-11-22T08:00:00Z"),
        ("%b %d %H:%M:%S", "Dec 31 23:00:00", "2025-12-31T22:00:00Z"),
        ("%H:%M:%S", "08:59:59", "2026-11-22T07:59:59Z"),
        ("%H:%M:%S", "23:30:00", "2026-11-21T22:30:00Z"),
        ("unix_ms", "1795334400123", "2026-11-22T08:00:00.123Z"),
        ("unix", "1795334400.5", "2026-11-22T08:00:00.5Z"),
        ("unix", "-1", "1969-12-31T23:59:59Z"),
    ];
    for (format, text, is) in rows {
        let rule = rule(&RecordSettings { time_format: Some(format.into()), ..berlin() });
        assert_eq!(rule.read(text.as_bytes(), moment(NOW)), Some(moment(is)), "{format}");
    }
}
