//! What the templates of a group ask with `query`.
//!
//! Each text is parsed once and stays bound to its series. All that is asked in a round shares one budget, because a
//! template is expanded for every alert. What the answers were computed from counts as read by the rule that asked.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use promql::{MAX_SAMPLES, Query, QueryLimits};
use series::Store;
use telemetry::{Labels, Origins, Timestamp, with_causes};

/// Queries that are remembered; a template may make another text for every alert. At the limit all are forgotten.
const MAX_QUERIES: usize = 256;

/// What the templates of a group read in a round, counted as for a query: what one rule may read. What is asked beyond
/// it fails, and the text says so.
const BUDGET: u64 = MAX_SAMPLES;

#[derive(Debug)]
pub(crate) struct Asked {
    queries: HashMap<String, Query, RandomState>,
    /// Samples that may still be read in this round.
    left: u64,
    /// What the answers since the last [`Asked::take_origins`] were computed from.
    origins: Origins,
}

impl Default for Asked {
    fn default() -> Self {
        Self { queries: HashMap::default(), left: BUDGET, origins: Origins::new() }
    }
}

impl Asked {
    pub(super) fn begin_round(&mut self) {
        self.left = BUDGET;
    }

    /// What the rule that has asked so far has read by it.
    pub(super) fn take_origins(&mut self) -> Origins {
        std::mem::take(&mut self.origins)
    }

    /// The samples of an expression, or why there are none.
    pub(super) fn ask(
        &mut self,
        text: &str,
        store: &Store,
        at: Timestamp,
    ) -> Result<Vec<(Labels, f64)>, String> {
        if self.left == 0 {
            return Err(format!("the templates of the group read more than {BUDGET} samples in one round"));
        }
        if !self.queries.contains_key(text) {
            let query = Query::new(text).map_err(|error| error.to_string())?;
            if self.queries.len() == MAX_QUERIES {
                self.queries.clear();
            }
            self.queries.insert(text.to_owned(), query);
        }
        let query = self.queries.get_mut(text).expect("it was put there if it was not there");
        query.set_limits(QueryLimits { samples: self.left, ..QueryLimits::default() });
        let answer = super::run::samples(query, store, at).map_err(|failure| with_causes(&failure));
        // To ask for nothing takes time too.
        self.left = self.left.saturating_sub(query.reads().total().max(1));
        self.origins.extend(query.origins(store));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use telemetry::Origin;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn store() -> Store {
        let mut store = Store::default();
        for (name, origin) in [("load", Origin::Host), ("sent", Origin::Otlp("open".into()))] {
            let labels: Labels = [("__name__", name)].into_iter().collect();
            store.append_recorded(&labels, &Arc::new([origin].into()), NOW, 3.0).unwrap();
        }
        store
    }

    #[test]
    fn a_text_is_parsed_once_and_few_are_remembered() {
        let (mut asked, store) = (Asked::default(), store());
        for round in 0..2 {
            asked.begin_round();
            assert_eq!(asked.ask("load", &store, NOW).unwrap().len(), 1, "{round}");
            assert_eq!(asked.queries.len(), 1);
        }
        for number in 0..3 * MAX_QUERIES {
            asked.ask(&format!("load > {number}"), &store, NOW).unwrap();
            assert!(asked.queries.len() <= MAX_QUERIES);
        }
        assert!(asked.ask("load >", &store, NOW).is_err());
    }

    #[test]
    fn templates_of_a_round_share_one_budget() {
        let (mut asked, store) = (Asked::default(), store());
        asked.ask("load", &store, NOW).unwrap();
        let cost = BUDGET - asked.left;
        // A series and its sample each time, at least; the third finds one left.
        asked.left = 2 * cost + 1;
        assert!(asked.ask("load", &store, NOW).is_ok() && asked.ask("sent", &store, NOW).is_ok());
        let error = asked.ask("load", &store, NOW).unwrap_err();
        assert!(error.contains("more than 1 samples"), "{error}");
        let error = asked.ask("1", &store, NOW).unwrap_err();
        assert_eq!(error, "the templates of the group read more than 10000000 samples in one round");
        asked.begin_round();
        assert!(asked.ask("load", &store, NOW).is_ok());
    }

    #[test]
    fn what_was_asked_is_told_once() {
        let (mut asked, store) = (Asked::default(), store());
        asked.ask("load + sent", &store, NOW).unwrap();
        assert_eq!(asked.take_origins(), [Origin::Host, Origin::Otlp("open".into())].into());
        asked.ask("load", &store, NOW).unwrap();
        assert_eq!(asked.take_origins(), [Origin::Host].into());
    }
}
