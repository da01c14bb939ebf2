//! The latest runs, from the run journal on disk: beside the runs, so that nothing that hangs there keeps an answer back.

use telemetry::Timestamp;

use super::Facts;
use super::parameters::pairs;
use super::routes::Reply;
use crate::run_report::{Wanted, reports};

pub(super) fn reply(facts: &Facts, query: &str) -> Reply {
    let wanted = match pairs(query).and_then(wanted) {
        Ok(wanted) => wanted,
        Err(error) => return Reply::error(400, &error),
    };
    match reports(&facts.state, &wanted) {
        Ok(reports) => Reply::json(200, &reports),
        Err(error) => Reply::error(500, &format!("reading the run journal: {error}")),
    }
}

fn wanted(asked: Vec<(String, String)>) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    let number = |value: &str| value.parse().map_err(|_| format!("{value:?} is no number"));
    for (name, value) in asked {
        match name.as_str() {
            "run" => wanted.run = Some(value),
            "runbook" => wanted.runbook = Some(value),
            "since" => wanted.since = Some(Timestamp::from_secs(number(&value)?)),
            "at_most" => wanted.at_most = usize::try_from(number(&value)?).unwrap_or(0),
            _ => return Err(format!("{name:?} is not understood: run, runbook, since, at_most")),
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_told_by_parameters_and_nothing_else() {
        let asked = pairs("runbook=free+spool&since=60&at_most=3").and_then(wanted).unwrap();
        let expected = Wanted {
            run: None,
            runbook: Some("free spool".to_owned()),
            since: Some(Timestamp::from_secs(60)),
            at_most: 3,
        };
        assert_eq!(asked, expected);
        for (query, error) in [("since=now", "is no number"), ("after=1", "is not understood")] {
            assert!(pairs(query).and_then(wanted).unwrap_err().contains(error), "{query}");
        }
    }
}
