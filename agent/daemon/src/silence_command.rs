//! `hostmend silence`: keeps the agent from telling others of alerts, for a while.

use anyhow::Context;
use telemetry::{OneLine, format_duration};

use crate::cli::{AddSilenceArgs, AgentArgs, ExpireSilenceArgs, ListSilencesArgs, SilenceAction};
use crate::exit::Exit;
use crate::local_client::{Asked, ask, parameter, this_user};
use crate::print;
use crate::status::Silence;

pub(crate) fn run(action: &SilenceAction) -> anyhow::Result<Exit> {
    match action {
        SilenceAction::Add(args) => add(args),
        SilenceAction::List(args) => list(args),
        SilenceAction::Expire(args) => expire(args),
    }
}

fn add(args: &AddSilenceArgs) -> anyhow::Result<Exit> {
    let by = args.by.clone().unwrap_or_else(this_user);
    let lasts = format_duration(args.lasts);
    let mut query: Vec<String> = args.matchers.iter().map(|matcher| parameter("matcher", matcher)).collect();
    query.extend(
        [("for", lasts.as_str()), ("by", &by), ("comment", &args.comment)]
            .map(|(key, value)| parameter(key, value)),
    );
    if args.repairs {
        query.push("repairs=true".to_owned());
    }
    let answer = question(&args.agent, "POST", &format!("/v1/silences?{}", query.join("&")))?;
    if args.json {
        return printed(&answer);
    }
    let silence: Silence = read(&answer)?;
    printed(&format!("{} until {}\n", silence.id, silence.until))
}

fn list(args: &ListSilencesArgs) -> anyhow::Result<Exit> {
    let answer = question(&args.agent, "GET", "/v1/silences")?;
    if args.json {
        return printed(&answer);
    }
    printed(&page(&read::<Vec<Silence>>(&answer)?))
}

fn expire(args: &ExpireSilenceArgs) -> anyhow::Result<Exit> {
    for id in &args.ids {
        let answer = question(&args.agent, "POST", &format!("/v1/silences/expire?{}", parameter("id", id)))?;
        let silence: Silence = read(&answer)?;
        print::out(&format!("{} is over\n", silence.id))?;
    }
    Ok(Exit::Done)
}

/// Those that hold first, then those that ended lately. Texts from others are kept on their lines.
fn page(silences: &[Silence]) -> String {
    if silences.is_empty() {
        return "nothing is silenced\n".to_owned();
    }
    let line = |silence: &Silence| {
        let word = if silence.holds { "until" } else { "over since" };
        let also = if silence.repairs { ", and not repaired" } else { "" };
        let matchers = silence.matchers.join(" ");
        let (by, comment) = (OneLine(&silence.by), OneLine(&silence.comment));
        format!(
            "{}  {word} {}  {}{also}  by {by}: {comment}\n",
            silence.id,
            silence.until,
            OneLine(&matchers)
        )
    };
    silences.iter().map(line).collect()
}

fn question(agent: &AgentArgs, method: &'static str, path: &str) -> anyhow::Result<String> {
    Ok(ask(agent, &Asked { method, path: path.to_owned().into() })?.body)
}

fn read<T: serde::de::DeserializeOwned>(answer: &str) -> anyhow::Result<T> {
    serde_json::from_str(answer).context("reading the agent's answer; is it of another version?")
}

fn printed(text: &str) -> anyhow::Result<Exit> {
    print::out(text)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_a_line_of_its_own_whatever_people_wrote() {
        let silence = Silence {
            id: "1a2b".to_owned(),
            matchers: vec!["alertname=\"DiskFull\"".to_owned(), "path=\"/\"".to_owned()],
            from: "2026-11-21T10:00:00.000Z".to_owned(),
            until: "2026-11-21T12:00:00.000Z".to_owned(),
            by: "ann".to_owned(),
            comment: "new\ndisk".to_owned(),
            repairs: true,
            holds: true,
        };
        let over = Silence { holds: false, repairs: false, ..silence.clone() };
        let page = page(&[silence, over]);
        assert_eq!(page.lines().count(), 2, "{page}");
        assert!(page.starts_with(
            "1a2b  until 2026-11-21T12:00:00.000Z  alertname=\"DiskFull\" path=\"/\", and not repaired  by ann: new"
        ));
        assert!(page.contains("1a2b  over since"));
    }
}
