//! What can be asked of the running agent: one row each. Dispatch, refusals and `hostmend list api` read the row.

use bytes::Bytes;
use serde::Serialize;

use super::caller::Role;
use super::prometheus::{self, Question};
use super::{Facts, freezing, health, logs, page, repairs, replay, report, runs, silences, snapshot, top};

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

impl Reply {
    /// A value as JSON.
    pub(crate) fn json(status: u16, value: &impl Serialize) -> Self {
        let body = serde_json::to_string(value).expect("what is answered has text keys and no foreign types");
        Self { status, content_type: "application/json", body: (body + "\n").into() }
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
    /// Likewise, and from who asks: their name and number, as the kernel tells it.
    Acting(fn(&Facts, &str, &str) -> Reply),
    /// Likewise, from everything that was asked, with as few others at once as may read series.
    Reading(fn(&Facts, &Question) -> Reply),
}

/// One thing that can be asked.
pub(crate) struct Route {
    /// One, or two with `or` between them.
    pub(crate) method: &'static str,
    /// One segment may be `{name}`, which stands for any text.
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
        path: "/v1/files",
        needs: Role::Read,
        for_watchers: false,
        summary: "read which files log sources follow, how far behind they are, and why a path is not followed",
        answer: Answer::Waiting(logs::reply),
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
        method: "GET",
        path: "/v1/snapshot",
        needs: Role::Read,
        for_watchers: false,
        summary: "take all series along, in the format of agent/series/FORMAT.md",
        answer: Answer::Reading(snapshot::reply),
    },
    Route {
        method: "GET",
        path: "/v1/silences",
        needs: Role::Read,
        for_watchers: false,
        summary: "read what is silenced, and what was lately",
        answer: Answer::Waiting(silences::list),
    },
    Route {
        method: "POST",
        path: "/v1/silences",
        needs: Role::Operate,
        for_watchers: false,
        summary: "silence: ?matcher=MATCHER&matcher=…&for=DURATION&by=NAME&comment=TEXT, and &repairs=true",
        answer: Answer::Waiting(silences::add),
    },
    Route {
        method: "POST",
        path: "/v1/silences/expire",
        needs: Role::Operate,
        for_watchers: false,
        summary: "end the silence of ?id=ID",
        answer: Answer::Waiting(silences::expire),
    },
    Route {
        method: "GET",
        path: "/v1/runs",
        needs: Role::Read,
        for_watchers: false,
        summary: "read the latest runs; of ?run=ID, &runbook=NAME, &since=SECONDS, &at_most=NUMBER only",
        answer: Answer::Waiting(runs::reply),
    },
    Route {
        method: "GET",
        path: "/v1/standing",
        needs: Role::Read,
        for_watchers: false,
        summary: "read how each runbook has done",
        answer: Answer::Waiting(repairs::standing),
    },
    Route {
        method: "GET",
        path: "/v1/explain",
        needs: Role::Read,
        for_watchers: false,
        summary: "read why ?alert=NAME or NAME{label=\"value\"} is answered or not, guard by guard",
        answer: Answer::Waiting(repairs::explain),
    },
    Route {
        method: "POST",
        path: "/v1/plan",
        needs: Role::Approve,
        for_watchers: false,
        summary: "plan what would be done about ?alert=NAME or NAME{label=\"value\"} now",
        answer: Answer::Waiting(repairs::plan),
    },
    Route {
        method: "POST",
        path: "/v1/approve",
        needs: Role::Approve,
        for_watchers: false,
        summary: "approve the run of ?run=ID with &comment=TEXT, or with &deny=true deny it",
        answer: Answer::Acting(repairs::approve),
    },
    Route {
        method: "POST",
        path: "/v1/freeze",
        needs: Role::Freeze,
        for_watchers: false,
        summary: "freeze all repairs, with ?reason=TEXT and &for=DURATION",
        answer: Answer::Acting(freezing::freeze),
    },
    Route {
        method: "POST",
        path: "/v1/unfreeze",
        needs: Role::Operate,
        for_watchers: false,
        summary: "unfreeze repairs; with ?target=TARGET only what held itself back over it",
        answer: Answer::Acting(freezing::unfreeze),
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
    reading(EITHER, "/api/v1/query", "evaluate a PromQL expression at one time", prometheus::query),
    reading(EITHER, "/api/v1/query_range", "evaluate a PromQL expression over time", prometheus::query_range),
    reading(EITHER, "/api/v1/format_query", "have a PromQL expression laid out", prometheus::format_query),
    reading(EITHER, "/api/v1/series", "find series by selectors", prometheus::series),
    reading(EITHER, "/api/v1/labels", "list the names of labels", prometheus::labels),
    reading("GET", "/api/v1/label/{name}/values", "list the values of a label", prometheus::label_values),
    reading("GET", "/api/v1/rules", "read the rules, and how they fare", prometheus::rules),
    reading("GET", "/api/v1/alerts", "read the alerts that are pending or fire", prometheus::alerts),
    reading("GET", "/api/v1/metadata", "read what metrics are, and in which units", prometheus::metadata),
    reading(
        EITHER,
        "/api/v1/query_exemplars",
        "hear that there are no exemplars",
        prometheus::query_exemplars,
    ),
    reading("GET", "/api/v1/status/buildinfo", "read whose API this is", prometheus::build_information),
];

/// With parameters in the address, or as a form in the body for expressions that are too long for it.
const EITHER: &str = "GET or POST";

/// Something of Prometheus' API, which changes nothing.
const fn reading(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    answer: fn(&Facts, &Question) -> Reply,
) -> Route {
    let answer = Answer::Reading(answer);
    Route { method, path, needs: Role::Read, for_watchers: true, summary, answer }
}

impl Route {
    fn takes(&self, method: &str) -> bool {
        self.method.split(" or ").any(|taken| taken == method)
    }

    /// What stands in `path` for the parameter, or nothing if there is none; `None` if this is another route's path.
    fn names<'a>(&self, path: &'a str) -> Option<&'a str> {
        let Some((before, rest)) = self.path.split_once('{') else {
            return (self.path == path).then_some("");
        };
        let after = rest.split_once('}').map_or("", |(_, after)| after);
        let name = path.strip_prefix(before)?.strip_suffix(after)?;
        (!name.is_empty() && !name.contains('/')).then_some(name)
    }
}

/// The row for a request and what its path names, or why there is none.
pub(super) fn find<'a>(
    method: &str,
    path: &'a str,
    watcher: bool,
) -> Result<(&'static Route, &'a str), Reply> {
    let here = ROUTES.iter().filter(|route| route.for_watchers || !watcher);
    let mut here = here.filter_map(|route| Some((route, route.names(path)?)));
    match here.clone().find(|(route, _)| route.takes(method)) {
        Some(found) => Ok(found),
        None => Err(match here.next() {
            Some((route, _)) => Reply::error(405, &format!("ask {path} by {}", route.method)),
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
        let (prometheus, ours): (Vec<&str>, Vec<&str>) =
            seen.iter().partition(|path| path.starts_with("/api/v1/"));
        assert_eq!(ours, ["/healthz", "/metrics", "/metrics/node"]);
        assert!(prometheus.contains(&"/api/v1/query"), "{prometheus:?}");
        for route in ROUTES {
            let method = route.method.split(' ').next().unwrap();
            assert_eq!(find(method, route.path, true).is_ok(), route.for_watchers, "{}", route.path);
            let reads = route.method == "GET" || matches!(route.answer, Answer::Reading(_));
            let changes = [Role::Operate, Role::Approve, Role::Freeze];
            assert!(reads || changes.contains(&route.needs), "{}", route.path);
            assert!(reads || !route.for_watchers, "{}", route.path);
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

    #[test]
    fn a_path_names_the_label_that_is_asked_about() {
        let found = find("GET", "/api/v1/label/__name__/values", true).map(|(_, name)| name);
        assert_eq!(found.ok(), Some("__name__"));
    }
}
