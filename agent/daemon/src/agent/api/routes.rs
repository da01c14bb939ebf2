//! What can be asked of the running agent: one row each. Dispatch, refusals and `hostmend list api` read the row.

use serde::Serialize;

use super::caller::Role;
use super::{Facts, health, page, replay, report, top};

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Reply {
    /// A value as JSON.
    pub(crate) fn json(status: u16, value: &impl Serialize) -> Self {
        let body = serde_json::to_string(value).expect("what is answered has text keys and no foreign types");
        Self { status, content_type: "application/json", body: body + "\n" }
    }

    /// Why there is no other answer.
    pub(crate) fn error(status: u16, error: &str) -> Self {
        Self::json(status, &serde_json::json!({ "error": error }))
    }
}

/// How a route finds its answer.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// At once, on the API's own thread, for anyone: it takes no lock that anybody holds for long.
    AtOnce(fn(&Facts) -> Reply),
    /// On a thread beside it, from the facts and the query after `?`.
    Waiting(fn(&Facts, &str) -> Reply),
}

/// One thing that can be asked.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) needs: Role,
    /// Whether `api.listen` has it too, where nobody knows who calls.
    pub(crate) for_watchers: bool,
    /// What it does, as a verb and its object.
    pub(crate) summary: &'static str,
    pub(super) answer: Answer,
}

/// Everything that can be asked.
pub(crate) static ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/healthz",
        needs: Role::Anyone,
        for_watchers: true,
        summary: "ask whether the agent does its work: 200, or 503 with the reasons",
        answer: Answer::AtOnce(health::reply),
    },
    Route {
        method: "GET",
        path: "/metrics",
        needs: Role::Read,
        for_watchers: true,
        summary: "read the agent's own figures as Prometheus does",
        answer: Answer::Waiting(page::reply),
    },
    Route {
        method: "GET",
        path: "/metrics/node",
        needs: Role::Read,
        for_watchers: true,
        summary: "read the host as node_exporter names it, if node_exporter.enabled says so",
        answer: Answer::Waiting(page::node_exporter),
    },
    Route {
        method: "GET",
        path: "/v1/status",
        needs: Role::Read,
        for_watchers: false,
        summary: "read what came in, what is owed to whom, what was lost, and what fires",
        answer: Answer::Waiting(report::reply),
    },
    Route {
        method: "GET",
        path: "/v1/top",
        needs: Role::Read,
        for_watchers: false,
        summary: "read where the host is short of something, and who uses it",
        answer: Answer::Waiting(top::reply),
    },
    Route {
        method: "POST",
        path: "/v1/reload",
        needs: Role::Operate,
        for_watchers: false,
        summary: "reload the configuration; with ?wait=false, only ask for it",
        answer: Answer::Waiting(|facts, query| facts.reloads.reply(query)),
    },
    Route {
        method: "POST",
        path: "/v1/replay",
        needs: Role::Operate,
        for_watchers: false,
        summary: "send the dead letters again; of ?destination=NAME or &signal=metrics|traces|logs only",
        answer: Answer::Waiting(replay::reply),
    },
];

/// The row for a request, or why there is none.
pub(super) fn find(method: &str, path: &str, watcher: bool) -> Result<&'static Route, Reply> {
    let mut here = ROUTES.iter().filter(|route| route.path == path && (route.for_watchers || !watcher));
    match here.clone().find(|route| route.method == method) {
        Some(route) => Ok(route),
        None => Err(match here.next() {
            Some(route) => Reply::error(405, &format!("ask {path} by {}", route.method)),
            None => Reply::error(404, &format!("there is no {path} here; `hostmend list api` names all")),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchers_find_health_and_figures_and_nothing_that_changes_anything() {
        let seen: Vec<&str> =
            ROUTES.iter().filter(|route| route.for_watchers).map(|route| route.path).collect();
        assert_eq!(seen, ["/healthz", "/metrics", "/metrics/node"]);
        for route in ROUTES {
            assert_eq!(find(route.method, route.path, true).is_ok(), route.for_watchers, "{}", route.path);
            assert!(route.method == "GET" || route.needs == Role::Operate, "{}", route.path);
            let at_once = matches!(route.answer, Answer::AtOnce(_));
            assert!(!at_once || route.needs == Role::Anyone, "{}: nobody is asked who calls", route.path);
        }
    }

    #[test]
    fn a_question_in_the_wrong_way_is_told_the_right_one() {
        for (method, path, status) in
            [("GET", "/v1/reload", 405), ("GET", "/v2/status", 404), ("GET", "/", 404)]
        {
            assert_eq!(find(method, path, false).err().map(|reply| reply.status), Some(status), "{path}");
        }
    }
}
