//! `hostmend approve`: lets a run that waits go on, or denies it.

use anyhow::Context;
use telemetry::OneLine;

use crate::cli::ApproveArgs;
use crate::exit::Exit;
use crate::local_client::{Asked, ask, parameter};
use crate::print;
use crate::status::Decided;

pub(crate) fn run(args: &ApproveArgs) -> anyhow::Result<Exit> {
    let mut query = vec![parameter("run", &args.run), parameter("comment", &args.comment)];
    query.extend(args.deny.then(|| "deny=true".to_owned()));
    let path = format!("/v1/approve?{}", query.join("&"));
    let body = ask(&args.agent, &Asked { method: "POST", path: path.into() })?.body;
    let decided: Decided =
        serde_json::from_str(&body).context("reading the agent's answer; is it of another version?")?;
    if args.json {
        print::out(&body)?;
    } else {
        print::out(&told(&decided))?;
    }
    Ok(if decided.outcome.as_deref() == Some("refused") { Exit::Refused } else { Exit::Done })
}

fn told(decided: &Decided) -> String {
    let run = OneLine(&decided.run);
    match &decided.outcome {
        None => format!("run {run} has begun; `hostmend runs {run}` tells how it goes\n"),
        Some(outcome) => {
            let reason = decided.reason.as_deref().unwrap_or_default();
            format!("run {run} is {}: {}\n", OneLine(outcome), OneLine(reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_says_what_became_of_the_run() {
        let begun = Decided { run: "r1".to_owned(), outcome: None, reason: None };
        assert_eq!(told(&begun), "run r1 has begun; `hostmend runs r1` tells how it goes\n");
        let refused = Decided {
            run: "r1".to_owned(),
            outcome: Some("refused".to_owned()),
            reason: Some("cooldown: 3m are left".to_owned()),
        };
        assert_eq!(told(&refused), "run r1 is refused: cooldown: 3m are left\n");
    }
}
