//! How collecting fares, for those who ask: the status and the agent's own figures.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use collectors::{EventSource, Lack, Usage};

/// Written by the stage, read by others.
#[derive(Debug, Default)]
pub(crate) struct CollectBoard(Mutex<Fares>);

#[derive(Clone, Debug)]
pub(crate) struct Fares {
    /// What this user may not see.
    pub(crate) lacking: Vec<&'static Lack>,
    /// Those that led to a look at once, and those that did not.
    pub(crate) events: BTreeMap<EventSource, (u64, u64)>,
    /// What the agent took when it was last measured.
    pub(crate) usage: Usage,
    /// How many times as long as configured intervals are.
    pub(crate) stretch: u32,
}

impl Default for Fares {
    fn default() -> Self {
        Self { lacking: Vec::new(), events: BTreeMap::new(), usage: Usage::default(), stretch: 1 }
    }
}

impl CollectBoard {
    /// How it fares now.
    pub(crate) fn now(&self) -> Fares {
        self.lock().clone()
    }

    /// Puts up what this user may not see, and says it once: when a first collection has found it out.
    pub(crate) fn show_lacking(&self, lacking: Vec<&'static Lack>, was_first: bool) {
        let mut fares = self.lock();
        if was_first
            && fares.lacking != lacking
            && let Some(report) = report(&lacking)
        {
            tracing::info!("{report}");
        }
        fares.lacking = lacking;
    }

    /// Puts up what the agent takes, and what follows from it.
    pub(crate) fn show_usage(&self, usage: Usage, stretch: u32) {
        let mut fares = self.lock();
        (fares.usage, fares.stretch) = (usage, stretch);
    }

    /// Counts an event, and whether it led to a look at once.
    pub(crate) fn count_event(&self, source: EventSource, handled: bool) {
        let mut fares = self.lock();
        let (done, suppressed) = fares.events.entry(source).or_default();
        *(if handled { done } else { suppressed }) += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Fares> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of it in one sentence; none if nothing lacks.
fn report(lacking: &[&Lack]) -> Option<String> {
    let lacks: Vec<String> =
        lacking.iter().map(|Lack { what, remedy }| format!("{what} (would help: {remedy})")).collect();
    (!lacks.is_empty()).then(|| format!("not everything can be seen by this user: {}", lacks.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    static IO: Lack = Lack { what: "I/O of others' processes", remedy: "CAP_SYS_PTRACE" };
    static HOME: Lack = Lack { what: "directories of root", remedy: "CAP_DAC_READ_SEARCH" };

    #[test]
    fn what_lacks_is_one_sentence_and_nothing_where_nothing_lacks() {
        assert_eq!(report(&[]), None);
        assert_eq!(
            report(&[&IO, &HOME]).unwrap(),
            "not everything can be seen by this user: I/O of others' processes (would help: CAP_SYS_PTRACE); \
             directories of root (would help: CAP_DAC_READ_SEARCH)"
        );
    }

    #[test]
    fn what_lacks_now_is_shown() {
        let board = CollectBoard::default();
        board.show_lacking(vec![&IO], true);
        board.show_lacking(vec![&IO, &HOME], false);
        assert_eq!(board.now().lacking, [&IO, &HOME]);
    }
}
