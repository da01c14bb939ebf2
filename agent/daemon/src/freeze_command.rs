//! `hostmend freeze` and `hostmend unfreeze`: the kill switch.
//!
//! Root needs no running agent: it leaves word for the executor beside the policy, and for the agent in its state
//! directory, so that it works also when the agent hangs. Others ask the agent.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use executor::Freeze;
use telemetry::{OneLine, format_duration, with_causes};

use crate::cli::{AgentArgs, FreezeArgs, UnfreezeArgs};
use crate::exit::Exit;
use crate::local_client::{Asked, ask, parameter, this_user};
use crate::status::Frozen;
use crate::{agent, clock, config, print};

/// The policy by which the executor of the package judges.
const POLICY: &str = "/etc/hostmend/policy.yaml";

/// A directory where root can leave word, and who obeys it there.
struct Place {
    whom: &'static str,
    directory: PathBuf,
}

/// The places that are there: beside the policy, and in the agent's state.
fn places(policy: Option<&Path>, whom: &AgentArgs) -> Vec<Place> {
    let told = config::where_the_agent_listens(&whom.config);
    // The executor may have been started with another policy than the agent: then word is left beside both.
    let mut policies = match policy {
        Some(policy) => vec![policy.to_owned()],
        None => told.policy.into_iter().chain([PathBuf::from(POLICY)]).collect(),
    };
    policies.dedup_by(|one, other| one.parent() == other.parent());
    let state = told.state_directory.or_else(|| agent::default_directory().ok());
    let beside = policies.iter().filter_map(|policy| policy.parent().map(Path::to_owned));
    let beside = beside.map(|directory| Place { whom: "the executor", directory });
    let state = state.map(|directory| Place { whom: "the agent", directory });
    beside.chain(state).filter(|place| place.directory.is_dir()).collect()
}

/// What came of leaving word.
#[derive(Debug, Default)]
struct Left {
    written: Vec<PathBuf>,
    /// Who is not frozen, and why not.
    missing: Vec<(&'static str, anyhow::Error)>,
}

fn leave_word(freeze: &Freeze, places: &[Place]) -> Left {
    let mut left = Left::default();
    for Place { whom, directory } in places {
        match freeze.write(directory) {
            Ok(()) => left.written.push(directory.join(executor::FREEZE_FILE)),
            Err(error) => {
                let error = anyhow::Error::from(error).context(format!("writing to {}", directory.display()));
                left.missing.push((*whom, error));
            }
        }
    }
    left
}

pub(crate) fn freeze(args: &FreezeArgs) -> anyhow::Result<Exit> {
    if !rustix::process::geteuid().is_root() {
        return ask_to_freeze(args);
    }
    let until = args.lasts.map(|lasts| clock::now().plus(lasts));
    let freeze = Freeze { reason: args.reason.clone(), by: this_user(), until };
    let mut left = leave_word(&freeze, &places(args.policy.as_deref(), &args.agent));
    if left.written.is_empty() || left.missing.iter().any(|(whom, _)| *whom == "the agent") {
        // The agent may have what root has not: a disk that can be written.
        match ask_to_freeze(args) {
            Ok(_) => left.missing.retain(|(whom, _)| *whom != "the agent"),
            Err(asked) if left.written.is_empty() => {
                return Err(left.missing.pop().map_or(asked, |(_, error)| error));
            }
            Err(_) => {}
        }
    }
    let mut said = String::new();
    if !left.written.is_empty() {
        let _ = writeln!(said, "repairs are frozen: {}", freeze.describe());
    }
    for file in &left.written {
        let _ = writeln!(said, "  {}", file.display());
    }
    print::out(&said)?;
    for (whom, error) in left.missing.iter().map(|(whom, error)| (whom, with_causes(error.as_ref()))) {
        print::error(&anyhow::anyhow!("{whom} is not frozen: {error}"));
    }
    Ok(if left.missing.is_empty() { Exit::Done } else { Exit::Failed })
}

fn ask_to_freeze(args: &FreezeArgs) -> anyhow::Result<Exit> {
    let mut query = vec![parameter("reason", &args.reason)];
    query.extend(args.lasts.map(|lasts| parameter("for", &format_duration(lasts))));
    told(&args.agent, &format!("/v1/freeze?{}", query.join("&")))
}

pub(crate) fn unfreeze(args: &UnfreezeArgs) -> anyhow::Result<Exit> {
    if let Some(target) = &args.target {
        let path = format!("/v1/unfreeze?{}", parameter("target", target));
        ask(&args.agent, &Asked { method: "POST", path: path.into() })?;
        print::out(&format!("{} may go on\n", OneLine(target)))?;
        return Ok(Exit::Done);
    }
    if !rustix::process::geteuid().is_root() {
        return told(&args.agent, "/v1/unfreeze");
    }
    let mut removed = false;
    for Place { directory, .. } in places(args.policy.as_deref(), &args.agent) {
        let file = directory.join(executor::FREEZE_FILE);
        removed |= Freeze::remove(&directory).with_context(|| format!("removing {}", file.display()))?;
    }
    // What an agent without a disk keeps in memory; without an agent there is none.
    let answer = asked(&args.agent, "/v1/unfreeze").ok();
    print::out(&after_unfreezing(removed, answer.as_ref()))?;
    Ok(Exit::Done)
}

/// What root is told, by whether a file was removed and what the agent says after that.
fn after_unfreezing(removed: bool, answer: Option<&Frozen>) -> String {
    match answer {
        Some(Frozen { frozen: Some(why), note }) => {
            let note = note.as_ref().map(|note| format!("  {note}\n")).unwrap_or_default();
            format!("repairs are still frozen: {why}\n{note}")
        }
        // The agent has something to note if it was not frozen.
        Some(Frozen { note: None, .. }) => "repairs may go on\n".to_owned(),
        _ if removed => "repairs may go on\n".to_owned(),
        _ => "nothing was frozen\n".to_owned(),
    }
}

fn asked(whom: &AgentArgs, path: &str) -> anyhow::Result<Frozen> {
    let body = ask(whom, &Asked { method: "POST", path: path.to_owned().into() })?.body;
    serde_json::from_str(&body).context("reading the agent's answer; is it of another version?")
}

fn told(whom: &AgentArgs, path: &str) -> anyhow::Result<Exit> {
    let answer = asked(whom, path)?;
    let now = match &answer.frozen {
        Some(why) => format!("repairs are frozen: {why}\n"),
        None => {
            "repairs may go on, unless root has left word for the executor beside the policy\n".to_owned()
        }
    };
    let note = answer.note.map(|note| format!("  {note}\n")).unwrap_or_default();
    print::out(&format!("{now}{note}"))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_freeze_says_who_is_not_frozen() {
        let directory = tempfile::tempdir().unwrap();
        // What cannot be replaced by a file.
        std::fs::create_dir(directory.path().join(executor::FREEZE_FILE)).unwrap();
        let free = tempfile::tempdir().unwrap();
        let place = |whom, directory: &tempfile::TempDir| Place { whom, directory: directory.path().into() };
        let freeze = Freeze { reason: "disk swap".to_owned(), ..Freeze::default() };
        let left = leave_word(&freeze, &[place("the executor", &directory), place("the agent", &free)]);
        assert_eq!(left.written, [free.path().join(executor::FREEZE_FILE)]);
        let [(whom, error)] = left.missing.as_slice() else { panic!("{left:?}") };
        assert_eq!(*whom, "the executor");
        assert!(error.to_string().contains("writing to"), "{error}");
    }

    #[test]
    fn root_is_told_what_unfreezing_has_done_and_nothing_of_root() {
        let says = |frozen: Option<&str>, note: Option<&str>| Frozen {
            frozen: frozen.map(str::to_owned),
            note: note.map(str::to_owned),
        };
        let idle = says(None, Some("nothing was frozen"));
        assert_eq!(after_unfreezing(true, Some(&idle)), "repairs may go on\n");
        assert_eq!(after_unfreezing(true, None), "repairs may go on\n");
        assert_eq!(after_unfreezing(false, Some(&says(None, None))), "repairs may go on\n");
        assert_eq!(after_unfreezing(false, Some(&idle)), "nothing was frozen\n");
        assert_eq!(after_unfreezing(false, None), "nothing was frozen\n");
        let still = says(Some("disk swap"), Some("why"));
        assert_eq!(after_unfreezing(true, Some(&still)), "repairs are still frozen: disk swap\n  why\n");
    }
}
