//! Who is told of alerts, and whether they take it.

use std::fmt::Write as _;

use super::{OneLine, table};
use crate::status::Told;

pub(super) fn told(text: &mut String, receivers: &[Told]) {
    if receivers.is_empty() {
        text.push_str("\nTold of alerts\n  nobody: no receiver is configured\n");
        return;
    }
    text.push_str("\nTold of alerts\n");
    let mut rows = vec![["receiver", "accepted", "owed"].map(str::to_owned)];
    for receiver in receivers {
        let name = OneLine(&receiver.name).to_string();
        rows.push([name, receiver.accepted.to_string(), receiver.owed.to_string()]);
    }
    table(text, 1, &rows);
    for receiver in receivers {
        let (Some(since), Some(why)) = (&receiver.failing_since, &receiver.last_error) else { continue };
        let name = OneLine(&receiver.name);
        let _ = writeln!(text, "  {name}: HAS TAKEN NOTHING since {since}; the last: {}", OneLine(why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_be_told_of_alerts_is_shown_with_since_when_and_why() {
        let receivers: Vec<Told> = serde_json::from_value(serde_json::json!([
            { "name": "pager", "accepted": 0, "owed": 12, "failing_since": "2026-11-21T03:00:00.000Z",
              "last_error": "it answered 503: b\nforged" },
            { "name": "alertmanager", "accepted": 340, "owed": 0, "failing_since": null, "last_error": null },
        ]))
        .unwrap();
        let mut text = String::new();
        told(&mut text, &receivers);
        let expected = "
Told of alerts
  receiver      accepted  owed
  pager                0    12
  alertmanager       340     0
  pager: HAS TAKEN NOTHING since 2026-11-21T03:00:00.000Z; the last: it answered 503: b\\nforged
";
        assert_eq!(text, expected);
        text.clear();
        told(&mut text, &[]);
        assert_eq!(text, "\nTold of alerts\n  nobody: no receiver is configured\n");
    }
}
