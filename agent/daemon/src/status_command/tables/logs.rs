//! Which logs are followed, and how far behind that is.

use std::fmt::Write as _;

use super::{OneLine, bytes, table};
use crate::status::Logs;

/// Nothing where none are followed.
pub(super) fn logs(text: &mut String, logs: &Logs) {
    if logs.sources.is_empty() {
        return;
    }
    text.push_str("\nLogs\n");
    if let Some(held) = &logs.held {
        let _ = writeln!(text, "  NOTHING IS READ: {}", OneLine(held));
    }
    let mut rows = vec![["source", "of", "records", "bytes", "files", "behind", "lost"].map(str::to_owned)];
    for source in &logs.sources {
        let lost: u64 = source.lost.values().sum();
        let [records, files, lost] = [source.records, source.followed, lost].map(|number| number.to_string());
        let name = OneLine(&source.name).to_string();
        let kind = source.kind.clone();
        rows.push([name, kind, records, bytes(source.bytes), files, bytes(source.behind_bytes), lost]);
    }
    table(text, 2, &rows);
    for source in &logs.sources {
        let name = OneLine(&source.name);
        if let Some(trouble) = &source.trouble {
            let _ = writeln!(text, "  {name}: CANNOT BE READ: {}", OneLine(trouble));
        }
        for (reason, lost) in source.lost.iter().filter(|(_, lost)| **lost > 0) {
            let _ = writeln!(text, "  {name}: {lost} LOST: {}", reason.replace('_', " "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_a_line_and_what_was_lost_its_reason() {
        let found: Logs = serde_json::from_value(serde_json::json!({ "held": null, "sources": [
            { "name": "web", "kind": "files", "records": 12, "bytes": 900, "followed": 2, "behind_bytes": 2_048,
              "lost": { "copied_and_truncated": 3 } },
            { "name": "journal", "kind": "journal", "trouble": "opening /var/log/journal: denied" },
        ] }))
        .unwrap();
        let mut text = String::new();
        logs(&mut text, &found);
        let expected = "
Logs
  source   of       records  bytes  files   behind  lost
  web      files         12  900 B      2  2.0 KiB     3
  journal  journal        0    0 B      0      0 B     0
  web: 3 LOST: copied and truncated
  journal: CANNOT BE READ: opening /var/log/journal: denied
";
        assert_eq!(text, expected);
        text.clear();
        logs(&mut text, &Logs::default());
        assert_eq!(text, "");
    }
}
