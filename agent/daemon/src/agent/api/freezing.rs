//! The kill switch of the agent: turns it on and off.

use executor::Freeze;
use telemetry::{parse_duration, with_causes};

use super::parameters::pairs;
use super::routes::Reply;
use super::{Facts, repairs};
use crate::clock;
use crate::status::Frozen;

pub(super) fn freeze(facts: &Facts, query: &str, by: &str) -> Reply {
    let mut freeze = Freeze { by: by.to_owned(), ..Freeze::default() };
    let asked = match pairs(query) {
        Ok(asked) => asked,
        Err(error) => return Reply::error(400, &error),
    };
    for (name, value) in asked {
        match name.as_str() {
            "reason" => freeze.reason = value,
            "for" => match parse_duration(&value) {
                Ok(lasts) => freeze.until = Some(clock::now().plus(lasts)),
                Err(error) => return Reply::error(400, &error.to_string()),
            },
            _ => return Reply::error(400, &format!("{name:?} is not understood: reason, for")),
        }
    }
    let said = freeze.describe();
    match facts.shared.kill_switch.freeze(&freeze) {
        Ok(()) => Reply::json(200, &Frozen { frozen: Some(said), note: None }),
        Err(error) => {
            let note = format!("only until the agent ends, for the file cannot be written: {error}");
            Reply::json(200, &Frozen { frozen: Some(said), note: Some(note) })
        }
    }
}

pub(super) fn unfreeze(facts: &Facts, query: &str, by: &str) -> Reply {
    match pairs(query).as_deref() {
        Ok([]) => {}
        Ok([(name, target)]) if name == "target" => return repairs::release(facts, target.clone(), by),
        _ => return Reply::error(400, "ask without parameters, or with target=TARGET"),
    }
    match facts.shared.kill_switch.unfreeze() {
        Ok(was) => {
            if was {
                tracing::warn!(by, "repairs may go on");
            }
            let left = facts.shared.kill_switch.beside_policy(clock::now());
            let note = (!was && left.is_none()).then(|| "nothing was frozen".to_owned());
            let note = left
                .as_ref()
                .map(|_| "root has left word beside the policy, and root takes it back".to_owned())
                .or(note);
            Reply::json(200, &Frozen { frozen: left.map(|freeze| freeze.describe()), note })
        }
        Err(error) => Reply::error(500, &format!("removing the freeze file: {}", with_causes(&error))),
    }
}
