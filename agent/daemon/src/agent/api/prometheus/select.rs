//! Which series there are, and which names and values their labels have.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use percent_encoding::percent_decode_str;
use promql::ast::{ExprKind, Shift};
use series::{Matcher, Store};
use telemetry::{Labels, Timestamp};

use super::super::Facts;
use super::super::routes::Reply;
use super::Question;
use super::failure::{Failure, answer};
use super::json::{Body, Json};
use super::parameters::Parameters;

/// Selectors in one question: each may hold regular expressions, which take their time to compile.
const MAX_SELECTORS: usize = 16;

/// What one selector finds at most: more than a store has series.
const MAX_FOUND: usize = 100_000;

pub(in super::super) fn series(facts: &Facts, question: &Question) -> Reply {
    answer(facts, || found_series(&facts.shared.store, question))
}

pub(in super::super) fn labels(facts: &Facts, question: &Question) -> Reply {
    answer(facts, || found_names(&facts.shared.store, question))
}

pub(in super::super) fn label_values(facts: &Facts, question: &Question) -> Reply {
    answer(facts, || found_values(&facts.shared.store, question))
}

fn found_series(store: &RwLock<Store>, question: &Question) -> Result<Body, Failure> {
    let wanted = Wanted::read(question)?;
    if wanted.selectors.is_empty() {
        return Err(Failure::bad("no match[] parameter provided"));
    }
    let found: BTreeSet<Labels> = wanted.each(store, |store, matchers, from, to| {
        let ids = store.select_within(matchers, from, to, MAX_FOUND);
        ids.into_iter().map(|id| store.labels(id).clone()).collect()
    });
    wanted.list(found, |json, labels| json.labels(&labels))
}

fn found_names(store: &RwLock<Store>, question: &Question) -> Result<Body, Failure> {
    let wanted = Wanted::read(question)?;
    let found: BTreeSet<Arc<str>> =
        wanted.each(store, |store, matchers, from, to| store.label_names(matchers, from, to, MAX_FOUND));
    wanted.list(found, |json, name| json.text(&name))
}

fn found_values(store: &RwLock<Store>, question: &Question) -> Result<Body, Failure> {
    let name = label_name(&question.name)?;
    let wanted = Wanted::read(question)?;
    let found: BTreeSet<Arc<str>> = wanted
        .each(store, |store, matchers, from, to| store.label_values(&name, matchers, from, to, MAX_FOUND));
    wanted.list(found, |json, value| json.text(&value))
}

/// The label that the path names. One that fits no address is escaped as Prometheus escapes names: `U__cpu_2e_mode`.
fn label_name(path: &str) -> Result<String, Failure> {
    let decoded = percent_decode_str(path).decode_utf8();
    let name = decoded.map_err(|_| Failure::bad(format!("invalid label name: {path:?}")))?;
    Ok(unescaped(&name).unwrap_or_else(|| name.into_owned()))
}

/// `None` if it is not escaped: `__` stands for `_`, `_` and hexadecimal digits and `_` for any other character.
fn unescaped(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix("U__")?;
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once('_') {
        plain.push_str(before);
        let (code, after) = after.split_once('_')?;
        plain.push(if code.is_empty() { '_' } else { char::from_u32(u32::from_str_radix(code, 16).ok()?)? });
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}

/// What is asked about.
struct Wanted {
    selectors: Vec<Vec<Matcher>>,
    from: Timestamp,
    to: Timestamp,
    most: usize,
}

impl Wanted {
    fn read(question: &Question) -> Result<Self, Failure> {
        let parameters = Parameters::read(question)?;
        let from = parameters.time("start", Timestamp::from_millis(i64::MIN))?;
        let to = parameters.time("end", Timestamp::from_millis(i64::MAX))?;
        let most = parameters.limit("limit")?.unwrap_or(usize::MAX);
        Ok(Self { selectors: selectors(&parameters)?, from, to, most })
    }

    /// What `find` finds by any of the selectors; in all series if there is none. Others have their turn between two.
    fn each<T: Ord>(
        &self,
        store: &RwLock<Store>,
        find: impl Fn(&Store, &[Matcher], i64, i64) -> Vec<T>,
    ) -> BTreeSet<T> {
        let everything = [Vec::new()];
        let selectors = if self.selectors.is_empty() { &everything[..] } else { &self.selectors };
        let (from, to) = (self.from.as_millis(), self.to.as_millis());
        let find = |matchers: &Vec<Matcher>| {
            find(&store.read().unwrap_or_else(PoisonError::into_inner), matchers, from, to)
        };
        selectors.iter().flat_map(find).collect()
    }

    fn list<T>(
        &self,
        found: BTreeSet<T>,
        write: impl FnMut(&mut Json, T) -> Result<(), Failure>,
    ) -> Result<Body, Failure> {
        Json::success(|json| {
            if found.len() > self.most {
                json.warn("results truncated due to limit");
            }
            json.list(found.into_iter().take(self.most), write)
        })
    }
}

/// The conditions of each `match[]`.
///
/// # Errors
///
/// One of them is no selector, or there are too many.
pub(super) fn selectors(parameters: &Parameters) -> Result<Vec<Vec<Matcher>>, Failure> {
    let texts: Vec<&str> = parameters.all("match[]").collect();
    if texts.len() > MAX_SELECTORS {
        return Err(Failure::parameter("match[]", &format!("there are more than {MAX_SELECTORS} selectors")));
    }
    texts.into_iter().map(selector).collect()
}

fn selector(text: &str) -> Result<Vec<Matcher>, Failure> {
    let expr = promql::parse(text).map_err(|error| Failure::of_expression("match[]", text, &error))?;
    match expr.kind {
        ExprKind::Selector(selector) if selector.shift == Shift::default() => Ok(selector.matchers),
        _ => Err(Failure::parameter("match[]", &format!("{text:?} is no selector"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::Origin;

    fn store() -> RwLock<Store> {
        let mut store = Store::default();
        for (name, mode, second) in [("a", "idle", 10), ("a", "user", 20), ("b", "idle", 30)] {
            let labels: Labels = [("__name__", name), ("cpu.mode", mode)].into_iter().collect();
            store.append_sample(&labels, &Origin::Rule, Timestamp::from_secs(second), 1.0).unwrap();
        }
        RwLock::new(store)
    }

    fn data(
        answer: fn(&RwLock<Store>, &Question) -> Result<Body, Failure>,
        path: &str,
        query: &str,
    ) -> String {
        let question = Question { name: path.to_owned(), query: query.to_owned(), ..Question::default() };
        match answer(&store(), &question) {
            Ok(body) => body
                .0
                .strip_prefix(r#"{"status":"success","data":"#)
                .unwrap()
                .strip_suffix('}')
                .unwrap()
                .to_owned(),
            Err(failure) => failure.text,
        }
    }

    #[test]
    fn series_are_found_once_by_any_selector_that_means_them() {
        let all = r#"[{"__name__":"a","cpu.mode":"idle"},{"__name__":"a","cpu.mode":"user"},{"__name__":"b","cpu.mode":"idle"}]"#;
        assert_eq!(data(found_series, "", r#"match[]=a&match[]={"cpu.mode"="idle"}"#), all);
        assert_eq!(data(found_series, "", "match[]=nothing"), "[]");
        let cut = r#"[{"__name__":"a","cpu.mode":"idle"}],"warnings":["results truncated due to limit"]"#;
        assert_eq!(data(found_series, "", "match[]=a&limit=1"), cut);
    }

    #[test]
    fn series_without_a_sample_in_the_time_are_not_there() {
        for (query, expected) in [
            ("start=20&end=20", r#"["a"]"#),
            ("start=20.001&end=30", r#"["b"]"#),
            ("start=31", "[]"),
            ("end=9.999", "[]"),
            ("start=30&end=10", "[]"),
            ("", r#"["a","b"]"#),
        ] {
            assert_eq!(data(found_values, "__name__", query), expected, "{query}");
        }
    }

    #[test]
    fn names_and_values_are_sorted_and_told_once() {
        assert_eq!(data(found_names, "", ""), r#"["__name__","cpu.mode"]"#);
        for name in ["cpu.mode", "cpu%2Emode", "U__cpu_2e_mode"] {
            assert_eq!(data(found_values, name, "match[]=a"), r#"["idle","user"]"#, "{name}");
        }
        assert_eq!(data(found_values, "nothing", ""), "[]");
    }

    #[test]
    fn an_escaped_name_is_read_as_prometheus_reads_it() {
        for (escaped, plain) in [
            ("U__a_2e_b", Some("a.b")),
            ("U__a__b", Some("a_b")),
            ("U___1F600_", Some("😀")),
            ("U__a_zz_", None),
            ("U__a_2e", None),
            ("a_2e_b", None),
        ] {
            assert_eq!(unescaped(escaped).as_deref(), plain, "{escaped}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_with_its_place() {
        for (query, expected) in [
            ("", "no match[] parameter provided"),
            ("match[]=a+%2B+1", r#"invalid parameter "match[]": "a + 1" is no selector"#),
            ("match[]=a[5m]", r#"invalid parameter "match[]": "a[5m]" is no selector"#),
            ("match[]=a+offset+1m", "is no selector"),
            ("match[]={", r#"invalid parameter "match[]": 1:2: parse error: "#),
            ("match[]={}", "at least one matcher"),
            (&"match[]=a&".repeat(17), "more than 16 selectors"),
        ] {
            let said = data(found_series, "", query);
            assert!(said.contains(expected), "{query}: {said}");
        }
    }
}
