//! Where the series of a query come from.
//!
//! Kept beside the plan, as an operator that answers early need not ask both of its sides. What is found is kept until the
//! store's generation changes.

use series::{Matcher, SeriesId, Store};
use telemetry::Origins;

use crate::ast::Expr;

/// The selectors of an expression and what they meant last.
#[derive(Debug)]
pub(super) struct Sources {
    selected: Vec<Selected>,
    /// The store's generation when the origins were found.
    generation: Option<u64>,
    origins: Origins,
}

#[derive(Debug)]
struct Selected {
    matchers: Vec<Matcher>,
    /// The store's generation of the matchers when the series were found.
    generation: Option<u64>,
    series: Vec<SeriesId>,
}

impl Sources {
    pub(super) fn new(expr: &Expr) -> Self {
        let mut selected: Vec<Selected> = Vec::new();
        for (matchers, _) in expr.reach() {
            if !selected.iter().any(|known| known.matchers == matchers) {
                selected.push(Selected { matchers, generation: None, series: Vec::new() });
            }
        }
        Self { selected, generation: None, origins: Origins::default() }
    }

    pub(super) fn origins(&mut self, store: &Store) -> &Origins {
        if self.generation.replace(store.generation()) == Some(store.generation()) {
            return &self.origins;
        }
        self.origins.clear();
        let mut last: Option<&Origins> = None;
        for Selected { matchers, generation, series } in &mut self.selected {
            let now = store.generation_of(matchers);
            if generation.replace(now) != Some(now) {
                *series = store.select(matchers);
            }
            for id in series.iter() {
                let origins = store.origins(*id);
                // Neighbours mostly come from the same place.
                if last.replace(origins) != Some(origins) {
                    self.origins.extend(origins.iter().cloned());
                }
            }
        }
        &self.origins
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use series::Limits;
    use telemetry::{Labels, Origin, Timestamp};

    use crate::Query;

    use super::*;

    fn labels(name: &str, number: &str) -> Labels {
        [("__name__", name), ("number", number)].into_iter().collect()
    }

    #[test]
    fn a_query_comes_from_wherever_a_series_of_its_selectors_comes_from() {
        let mut store = Store::new(Limits::default());
        let at = Timestamp::from_secs;
        let apps: Arc<Origins> = Arc::new([Origin::Otlp("apps".into())].into());
        store.append_sample(&labels("a", "1"), &Origin::Host, at(1), 1.0).unwrap();
        store.append_sample(&labels("b", "1"), &Origin::Rule, at(1), 1.0).unwrap();
        let mut query = Query::new(r#"sum(rate(a[5m] offset 1d)) > 0 and absent(b{number="2"})"#).unwrap();
        let mut found = |store: &Store| {
            query.origins(store).iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        assert_eq!(found(&store), "host");
        store.append_sample(&labels("b", "2"), &Origin::Rule, at(2), 1.0).unwrap();
        assert_eq!(found(&store), "host,rule");
        store.append_recorded(&labels("b", "2"), &apps, at(3), 1.0).unwrap();
        assert_eq!(found(&store), "host,rule,otlp:apps");
        store.append_recorded(&labels("a", "2"), &apps, at(3), 1.0).unwrap();
        assert_eq!(found(&store), "host,rule,otlp:apps");
        assert_eq!(found(&Store::new(Limits::default())), "");
    }
}
