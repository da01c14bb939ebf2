//! Silences: shows them, adds one, ends one.

use std::time::Duration;

use notify::{ChangeError, NewSilence, SilenceError};
use telemetry::parse_duration;

use super::Facts;
use super::parameters::pairs;
use super::routes::Reply;
use crate::clock;
use crate::status::Silence;

pub(super) fn list(facts: &Facts, _query: &str) -> Reply {
    let now = clock::now();
    let silences: Vec<Silence> = facts
        .shared
        .notify
        .notifier
        .silences()
        .into_iter()
        .map(|silence| Silence::of(silence, now))
        .collect();
    Reply::json(200, &silences)
}

pub(super) fn add(facts: &Facts, query: &str) -> Reply {
    let new = match asked(query) {
        Ok(new) => new,
        Err(error) => return Reply::error(400, &error),
    };
    changed(facts.shared.notify.notifier.silence(new))
}

pub(super) fn expire(facts: &Facts, query: &str) -> Reply {
    match pairs(query).as_deref() {
        Ok([(name, id)]) if name == "id" => changed(facts.shared.notify.notifier.expire(id)),
        _ => Reply::error(400, "name one silence: id=ID"),
    }
}

fn changed(result: Result<notify::Silence, ChangeError>) -> Reply {
    match result {
        Ok(silence) => Reply::json(200, &Silence::of(silence, clock::now())),
        Err(error) => {
            let status = match &error {
                ChangeError::Silence(SilenceError::Unknown { .. }) => 404,
                ChangeError::Silence(_) => 400,
                ChangeError::Kept(_) => 500,
            };
            Reply::error(status, &telemetry::with_causes(&error))
        }
    }
}

fn asked(query: &str) -> Result<NewSilence, String> {
    let mut new = NewSilence { lasts: Duration::ZERO, ..NewSilence::default() };
    for (name, value) in pairs(query)? {
        match name.as_str() {
            "matcher" => new.matchers.push(value),
            "for" => new.lasts = parse_duration(&value).map_err(|error| error.to_string())?,
            "by" => new.by = value,
            "comment" => new.comment = value,
            "repairs" => new.repairs = value == "true",
            _ => return Err(format!("{name:?} is not understood: matcher, for, by, comment, repairs")),
        }
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_asked_for_by_its_parts() {
        let query =
            "matcher=alertname%3D%22Disk+Full%22&matcher=path%3D/&for=2h&by=ann&comment=a%26b&repairs=true";
        let expected = NewSilence {
            matchers: vec!["alertname=\"Disk Full\"".to_owned(), "path=/".to_owned()],
            lasts: Duration::from_hours(2),
            by: "ann".to_owned(),
            comment: "a&b".to_owned(),
            repairs: true,
        };
        assert_eq!(asked(query), Ok(expected));
        for (query, expected) in
            [("for=2", "\"2\" is not a duration"), ("until=2h", "\"until\" is not understood")]
        {
            assert!(asked(query).unwrap_err().contains(expected), "{query}");
        }
    }
}
