//! Reload as a transaction: a new configuration is in force as a whole, or not at all.
//!
//! Three steps: the files are read and checked as at the start; every part that changed is built beside the one in force;
//! then all are swapped, which cannot fail. Whatever goes wrong before leaves the old configuration running, and the reason
//! in the log, in the status and with whoever asked. It happens on the thread that waits for the agent to be stopped.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use documents::{Format, Problem, Severity, Trust, render};

use crate::agent::Agent;
use crate::agent::api::Reply;
use crate::agent::parts::{PARTS, Settled};
use crate::clock;
use crate::config::{self, Config};
use crate::status::{Configuration, LastReload, Reloaded};

/// How long whoever asked waits for the answer.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// How long of it for stages that finish a piece of work first.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

/// Somebody wants the configuration read anew.
#[derive(Debug)]
pub(crate) struct ReloadRequest {
    /// Who waits for the result; not the one who sends a signal.
    answer: Option<Sender<Outcome>>,
}

/// What became of it, and what goes over to it a little later.
struct Outcome {
    result: Reloaded,
    settling: Vec<(&'static str, Settled)>,
}

/// Where reloads are asked for, and where their results can be seen.
#[derive(Clone, Debug)]
pub(crate) struct Reloads {
    requests: Sender<ReloadRequest>,
    board: Arc<Mutex<Board>>,
}

#[derive(Debug)]
struct Board {
    configuration: Configuration,
    groups: usize,
    rules: usize,
}

impl Reloads {
    /// For an agent that starts with `config`. The receiver is for [`Agent::wait`].
    pub(crate) fn new(config: &Config) -> (Self, Receiver<ReloadRequest>) {
        // One that waits reads the files as they are when its turn comes: it is as good as many.
        let (requests, asked) = bounded(1);
        let configuration = Configuration {
            file: config.file.clone(),
            since: clock::now().to_string(),
            reloads: 0,
            failed_reloads: 0,
            last_reload: None,
        };
        let (groups, rules) = config.judgement.size();
        (Self { requests, board: Arc::new(Mutex::new(Board { configuration, groups, rules })) }, asked)
    }

    /// Asks for a reload whose result nobody waits for.
    pub(crate) fn ask(&self) {
        let _ = self.requests.try_send(ReloadRequest { answer: None });
    }

    /// Answers `POST /v1/reload`.
    pub(crate) fn reply(&self, query: &str) -> Reply {
        if query == "wait=false" {
            self.ask();
            return Reply::json(202, &serde_json::json!({ "result": "asked" }));
        }
        let (answer, answers) = bounded(1);
        match self.requests.try_send(ReloadRequest { answer: Some(answer) }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Reply::error(409, "another reload is about to begin; ask again");
            }
            Err(TrySendError::Disconnected(_)) => return Reply::error(503, "the agent stops"),
        }
        let Ok(Outcome { mut result, settling }) = answers.recv_timeout(ANSWER_WITHIN) else {
            return Reply::error(
                503,
                "the reload was not finished in time; hostmend status will say what came of it",
            );
        };
        let deadline = clock::monotonic() + SETTLED_WITHIN;
        if let Reloaded::Done { still_to_come, .. } = &mut result {
            let late = settling.into_iter().filter(|(_, settled)| !settled(clock::left(deadline)));
            still_to_come.extend(late.map(|(part, _)| part.to_owned()));
        }
        let status = match &result {
            Reloaded::Done { .. } => 200,
            Reloaded::Errors { .. } | Reloaded::Failed { .. } => 422,
        };
        Reply::json(status, &result)
    }

    /// The configuration in force.
    pub(crate) fn configuration(&self) -> Configuration {
        self.board().configuration.clone()
    }

    /// How many groups and rules there are.
    pub(crate) fn judged(&self) -> (usize, usize) {
        let board = self.board();
        (board.groups, board.rules)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts up a result. `judged` is how many groups and rules there are from now on.
    fn note(&self, result: &Reloaded, judged: Option<(usize, usize)>) {
        let at = clock::now().to_string();
        let mut board = self.board();
        board.configuration.reloads += 1;
        match judged {
            Some((groups, rules)) => {
                (board.groups, board.rules) = (groups, rules);
                board.configuration.since.clone_from(&at);
            }
            None => board.configuration.failed_reloads += 1,
        }
        board.configuration.last_reload = Some(LastReload { at, result: result.clone() });
    }
}

impl Agent {
    /// Reloads, says what came of it, and answers whoever asked.
    pub(crate) fn reload(&mut self, request: ReloadRequest) {
        tracing::info!("reloading");
        let mut settling = Vec::new();
        let mut judged = None;
        let result = match self.try_reload(&mut settling) {
            Ok((result, size)) => {
                judged = Some(size);
                result
            }
            Err(result) => result,
        };
        self.reloads.note(&result, judged);
        match &result {
            Reloaded::Done { changed, .. } => tracing::info!(changed = changed.join(", "), "reloaded"),
            Reloaded::Errors { .. } => {
                tracing::error!("not reloaded: the files have errors; the configuration in force stays");
            }
            Reloaded::Failed { error } => {
                tracing::error!("not reloaded; the configuration in force stays: {error}");
            }
        }
        if let Some(answer) = request.answer {
            // Whoever asked may have gone.
            let _ = answer.try_send(Outcome { result, settling });
        }
    }

    fn try_reload(
        &mut self,
        settling: &mut Vec<(&'static str, Settled)>,
    ) -> Result<(Reloaded, (usize, usize)), Reloaded> {
        let loaded = config::load(&self.in_force.file, Trust::invoking_user(), &config::variables());
        let warnings = tell(&loaded.problems);
        let Some(mut config) = loaded.config else { return Err(Reloaded::Errors { problems: warnings }) };
        let refusals = self.in_force.needs_restart(&config);
        if !refusals.is_empty() {
            return Err(Reloaded::Errors { problems: tell(&refusals) });
        }
        let (judged, size) = (config.judgement.size(), config.size());
        let mut prepared = Vec::new();
        for part in PARTS {
            match (part.prepare)(self, &mut config) {
                Ok(None) => {}
                Ok(Some(commit)) => prepared.push((part.name, commit)),
                Err(error) => return Err(Reloaded::Failed { error: format!("{}: {error:#}", part.name) }),
            }
        }
        let changed = prepared.iter().map(|(name, _)| (*name).to_owned()).collect();
        for (name, commit) in prepared {
            settling.extend(commit(self).map(|settled| (name, settled)));
        }
        self.supervision.status(format!("running: {size}"));
        Ok((Reloaded::Done { changed, still_to_come: Vec::new(), warnings }, judged))
    }
}

/// Logs each problem on its line; returns them as `hostmend check` prints them.
fn tell(problems: &[Problem]) -> String {
    for problem in problems {
        match problem.severity {
            Severity::Error => tracing::error!("{problem}"),
            Severity::Warning => tracing::warn!("{problem}"),
        }
    }
    render(problems, Format::Text)
}

/// What a problem says about a key that takes a restart.
pub(super) fn takes_a_restart(file: &Path, key: &str) -> Problem {
    Problem::about(file, format!("{key} cannot change while the agent runs")).with_hint(
        "restart it (systemctl restart hostmend), or take the change back; nothing else was reloaded either",
    )
}
