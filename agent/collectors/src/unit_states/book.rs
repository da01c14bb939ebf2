//! What is known of each service, and whom to ask next how often it was restarted.
//!
//! systemd tells the states of all services at once, and the restarts only one by one. So it is asked for those of a
//! service that is new, whose state is another, or that was started since; the rest have their turn, a few at a time.

use std::collections::BTreeMap;

use telemetry::Timestamp;

use super::bus::Listed;

/// The states a unit can be in: `UnitActiveState` of systemd's `unit-def.h`.
pub(super) const STATES: [&str; 8] =
    ["active", "reloading", "inactive", "failed", "activating", "deactivating", "maintenance", "refreshing"];

/// Services that are told of, ten series each; more are counted only.
pub(super) const MOST_SERVICES: usize = 500;

/// Services whose restarts are asked for in one round.
const MOST_ASKED: usize = 50;

/// Of those, services of which nothing has changed.
const ASKED_IN_TURN: usize = 4;

/// A service, as it is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) restarts: Option<Restarts>,
}

/// How often a service was restarted, and since when that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Restarts {
    pub(super) count: u32,
    /// When it was last seen to begin anew; `None` since before it was first seen.
    pub(super) since: Option<Timestamp>,
}

/// All services.
#[derive(Debug, Default)]
pub(super) struct Book {
    services: BTreeMap<String, Known>,
    round: u64,
    count: usize,
}

#[derive(Debug)]
struct Known {
    listed: Listed,
    state: &'static str,
    invocation: Option<String>,
    restarts: Option<Restarts>,
    /// The round in which its restarts were asked for; `None` when they are to be.
    asked: Option<u64>,
}

impl Book {
    /// Begins a round with what systemd lists. `invocation` says which start of a unit this is.
    pub(super) fn take(&mut self, listed: Vec<Listed>, invocation: impl Fn(&str) -> Option<String>) {
        self.round += 1;
        let mut before = std::mem::take(&mut self.services);
        self.count = 0;
        for listed in listed {
            // What some other unit names, or what was forbidden, is no service of this host.
            let is_there =
                !matches!(listed.load.as_str(), "not-found" | "masked") || listed.active != "inactive";
            let Some(state) = STATES.into_iter().find(|state| *state == listed.active && is_there) else {
                continue;
            };
            self.count += 1;
            if self.services.len() >= MOST_SERVICES {
                continue;
            }
            let invocation = if state == "inactive" { None } else { invocation(&listed.name) };
            let known = before.remove(&listed.name);
            let is_as_before =
                known.as_ref().is_some_and(|known| known.listed == listed && known.invocation == invocation);
            // Of what did not run since it was first seen there is nothing to ask.
            let never_ran = known.is_none() && state == "inactive";
            let asked = if is_as_before { known.as_ref().and_then(|known| known.asked) } else { None };
            let restarts = known.and_then(|known| known.restarts);
            let asked = if never_ran { Some(self.round) } else { asked };
            self.services.insert(listed.name.clone(), Known { listed, state, invocation, restarts, asked });
        }
    }

    /// Names and objects of the services whose restarts are to be asked for in this round.
    pub(super) fn due(&self) -> Vec<(String, String)> {
        let mut due: Vec<_> = self
            .services
            .values()
            .filter(|known| known.asked.is_none() || known.state != "inactive")
            .map(|known| (known.asked, &known.listed))
            .collect();
        due.sort_by_key(|(asked, _)| *asked);
        let changed = due.iter().filter(|(asked, _)| asked.is_none()).count();
        let places = changed + ASKED_IN_TURN;
        due.into_iter()
            .take(places.min(MOST_ASKED))
            .map(|(_, listed)| (listed.name.clone(), listed.path.clone()))
            .collect()
    }

    /// Notes how often a service was restarted, as systemd said at `at`; `None` when it would not say.
    pub(super) fn note(&mut self, name: &str, count: Option<u32>, at: Timestamp) {
        let Some(known) = self.services.get_mut(name) else { return };
        known.asked = Some(self.round);
        let before = known.restarts;
        known.restarts = count.map(|count| {
            // systemd counts anew when somebody starts the service.
            let fell = before.is_some_and(|before| count < before.count);
            let since = if fell { Some(at) } else { before.and_then(|before| before.since) };
            Restarts { count, since }
        });
    }

    /// What is told, in the order of names.
    pub(super) fn services(&self) -> Vec<Service> {
        let told = |(name, known): (&String, &Known)| Service {
            name: name.clone(),
            state: known.state,
            restarts: known.restarts,
        };
        self.services.iter().map(told).collect()
    }

    /// How many services there are, told of or not.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, load: &str, active: &str, sub: &str) -> Listed {
        let [name, load, active, sub] = [name, load, active, sub].map(str::to_owned);
        Listed { path: format!("/{name}"), name, load, active, sub }
    }

    fn running(names: &[&str]) -> Vec<Listed> {
        names.iter().map(|name| listed(name, "loaded", "active", "running")).collect()
    }

    fn due(book: &Book) -> Vec<String> {
        book.due().into_iter().map(|(name, _)| name).collect()
    }

    fn note_all(book: &mut Book, count: u32, at: i64) {
        for (name, _) in book.due() {
            book.note(&name, Some(count), Timestamp::from_secs(at));
        }
    }

    #[test]
    fn services_that_do_not_exist_or_are_masked_are_not_told_of() {
        let mut book = Book::default();
        let list = vec![
            listed("a.service", "loaded", "failed", "failed"),
            listed("b.service", "not-found", "inactive", "dead"),
            listed("c.service", "masked", "inactive", "dead"),
            listed("d.service", "masked", "active", "running"),
            listed("e.service", "loaded", "inactive", "dead"),
            listed("f.service", "loaded", "beyond", "dead"),
        ];
        book.take(list, |_| None);
        let told: Vec<_> = book.services().into_iter().map(|service| (service.name, service.state)).collect();
        let expected = [("a.service", "failed"), ("d.service", "active"), ("e.service", "inactive")];
        assert_eq!(told, expected.map(|(name, state)| (name.to_owned(), state)));
        assert_eq!(due(&book), ["a.service", "d.service"]);
    }

    #[test]
    fn the_restarts_of_what_changed_are_asked_for_and_the_rest_have_their_turn() {
        let names = ["a", "b", "c", "d", "e", "f"].map(|name| format!("{name}.service"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut book = Book::default();
        let first = |_: &str| Some("first".to_owned());
        book.take(running(&names), first);
        assert_eq!(due(&book), names, "all that are new");
        note_all(&mut book, 0, 1);
        book.take(running(&names), first);
        assert_eq!(due(&book), ["a.service", "b.service", "c.service", "d.service"]);
        note_all(&mut book, 0, 2);
        // Restarted between two rounds: only its start tells.
        book.take(running(&names), |name| {
            Some(if name == "c.service" { "second" } else { "first" }.to_owned())
        });
        assert_eq!(due(&book), ["c.service", "e.service", "f.service", "a.service", "b.service"]);
    }

    #[test]
    fn a_count_that_fell_began_anew_then() {
        let mut book = Book::default();
        let restarts = |book: &Book| book.services()[0].restarts.unwrap();
        for (at, count, since) in
            [(1, 3, None), (2, 5, None), (3, 0, Some(3)), (4, 2, Some(3)), (5, 1, Some(5))]
        {
            book.take(running(&["a.service"]), |_| None);
            note_all(&mut book, count, at);
            let since = since.map(Timestamp::from_secs);
            assert_eq!(restarts(&book), Restarts { count, since }, "at {at}");
        }
    }

    #[test]
    fn beyond_the_limits_services_are_counted_and_questions_wait() {
        let names: Vec<String> =
            (0..MOST_SERVICES + 7).map(|number| format!("{number:04}.service")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut book = Book::default();
        for round in 1..=10 {
            book.take(running(&names), |_| None);
            assert_eq!(due(&book).len(), MOST_ASKED, "round {round}");
            note_all(&mut book, 1, round);
        }
        assert_eq!((book.services().len(), book.count()), (MOST_SERVICES, MOST_SERVICES + 7));
        assert!(book.services().iter().all(|service| service.restarts.is_some()));
        book.take(vec![], |_| None);
        assert_eq!((book.services().len(), book.count()), (0, 0));
    }
}
