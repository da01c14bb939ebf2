//! What docs/log-formats.md shows is so.

use super::*;

const PAGE: &str = include_str!("../../../../../docs/log-formats.md");

fn settings(format: &str) -> RecordSettings {
    let format = match format {
        "json" => LineFormat::Json,
        "logfmt" => LineFormat::Logfmt,
        "syslog" => LineFormat::Syslog,
        "access" => LineFormat::Access,
        "error_log" => LineFormat::ErrorLog,
        "cri" => LineFormat::Cri,
        "docker" => LineFormat::Docker,
        "pattern" => {
            let pattern = PAGE.split("{ pattern: '").nth(1).unwrap().split("' }").next().unwrap();
            LineFormat::Pattern(pattern.to_owned())
        }
        other => panic!("no format {other}"),
    };
    RecordSettings { format, ..RecordSettings::default() }
}

#[test]
fn the_page_of_formats_is_true() {
    let mut shown = 0;
    for block in PAGE.split("```log ").skip(1) {
        let (format, rest) = block.split_once('\n').unwrap();
        let (mut lines, mut wanted) = (Vec::new(), Vec::new());
        for line in rest.split("```").next().unwrap().lines() {
            match line.strip_prefix("→ ") {
                Some(record) => wanted.push(record),
                None => lines.push(line.as_bytes()),
            }
        }
        let (records, figures) = records(settings(format), &lines);
        assert_eq!(records, wanted, "{format}");
        assert_eq!(figures.unparsed, 0, "{format}");
        shown += records.len();
    }
    assert!(shown >= 13, "{shown}");
}
