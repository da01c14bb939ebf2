//! `hostmend files`: what the log sources of the running agent follow, how far behind they are, and why a path is not
//! followed.

use std::fmt::Write as _;

use anyhow::Context;
use telemetry::OneLine;

use crate::cli::StatusArgs;
use crate::exit::Exit;
use crate::local_client::{Asked, ask};
use crate::print;
use crate::status::{FollowedFile, LogSource, Logs};
use crate::status_command::{bytes, table};

pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<Exit> {
    let answer = ask(&args.agent, &Asked { method: "GET", path: "/v1/files".into() })?;
    if args.json {
        print::out(&answer.body)?;
        return Ok(Exit::Done);
    }
    let logs: Logs = serde_json::from_str(&answer.body)
        .context("reading the agent's answer; is it of another version? --json prints it as it is")?;
    print::out(&page(&logs))?;
    Ok(Exit::Done)
}

fn page(logs: &Logs) -> String {
    let mut text = String::new();
    if logs.sources.is_empty() {
        text.push_str("no logs are followed; the section `logs` of the configuration names them\n");
    }
    if let Some(held) = &logs.held {
        let _ = writeln!(text, "NOTHING IS READ: {}", OneLine(held));
    }
    for source in &logs.sources {
        heading(&mut text, source);
        if source.files.is_empty() {
            continue;
        }
        let mut rows = vec![["path", "state", "read", "of", "behind"].map(str::to_owned)];
        rows.extend(source.files.iter().map(row));
        table(&mut text, 2, &rows);
        if source.files_left_out > 0 {
            let _ = writeln!(text, "  and {} more", source.files_left_out);
        }
    }
    text
}

fn heading(text: &mut String, source: &LogSource) {
    let (name, kind) = (OneLine(&source.name), &source.kind);
    let (records, behind) = (source.records, bytes(source.behind_bytes));
    let _ = writeln!(text, "{name} ({kind}): {records} records, {behind} behind");
    if let Some(trouble) = &source.trouble {
        let _ = writeln!(text, "  CANNOT BE READ: {}", OneLine(trouble));
    }
}

fn row(file: &FollowedFile) -> [String; 5] {
    let path = file.path.to_string_lossy();
    [
        OneLine(&path).to_string(),
        OneLine(&file.state).to_string(),
        file.offset.to_string(),
        file.size.to_string(),
        bytes(file.behind_bytes),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_a_line_with_how_far_behind_it_is_or_why_it_is_not_followed() {
        let logs: Logs = serde_json::from_value(serde_json::json!({ "held": null, "sources": [
            { "name": "web", "kind": "files", "records": 12, "behind_bytes": 2_048, "files": [
                { "path": "/var/log/a.log", "state": "following", "offset": 100, "size": 2_148, "behind_bytes": 2_048 },
                { "path": "/var/log/b\nforged", "state": "not followed: permission denied", "offset": 0, "size": 0,
                  "behind_bytes": 0 } ] },
            { "name": "journal", "kind": "journal", "trouble": "opening /var/log/journal: denied" },
        ] }))
        .unwrap();
        let expected = "web (files): 12 records, 2.0 KiB behind
  path                state                            read    of   behind
  /var/log/a.log      following                         100  2148  2.0 KiB
  /var/log/b\\nforged  not followed: permission denied     0     0      0 B
journal (journal): 0 records, 0 B behind
  CANNOT BE READ: opening /var/log/journal: denied
";
        assert_eq!(page(&logs), expected);
    }

    #[test]
    fn why_nothing_is_read_stands_first() {
        let text = page(&Logs { held: Some("the disk is full".to_owned()), sources: Vec::new() });
        assert!(text.starts_with("no logs are followed"), "{text}");
        assert!(text.ends_with("NOTHING IS READ: the disk is full\n"), "{text}");
    }
}
