//! Sends dead letters again, because an operator says so.

use telemetry::Signal;

use super::Facts;
use super::routes::Reply;
use crate::status::Replayed;

pub(super) fn reply(facts: &Facts, query: &str) -> Reply {
    let (destination, signal) = match asked(query) {
        Ok(asked) => asked,
        Err(error) => return Reply::error(400, &error),
    };
    let replayed: Vec<Replayed> = facts
        .sender
        .replay(destination, signal)
        .into_iter()
        .map(|replay| Replayed {
            destination: replay.destination,
            signal: replay.signal.as_str().to_owned(),
            records: replay.records,
            items: replay.items,
        })
        .collect();
    Reply::json(200, &replayed)
}

/// Of which destination and which signal; none is all.
fn asked(query: &str) -> Result<(Option<&str>, Option<Signal>), String> {
    let (mut destination, mut signal) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("destination", name)) => destination = Some(name),
            Some(("signal", name)) => {
                let found = Signal::ALL.into_iter().find(|signal| signal.as_str() == name);
                signal = Some(found.ok_or_else(|| format!("no signal {name:?}: metrics, traces or logs"))?);
            }
            _ => {
                return Err(format!(
                    "{pair:?} is not understood: destination=NAME, signal=metrics|traces|logs"
                ));
            }
        }
    }
    Ok((destination, signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused_and_never_taken_for_everything() {
        assert_eq!(asked(""), Ok((None, None)));
        assert_eq!(asked("destination=a&signal=logs"), Ok((Some("a"), Some(Signal::Logs))));
        for query in ["signal=log", "destinations=a", "a"] {
            assert!(asked(query).is_err(), "{query}");
        }
    }
}
