use telemetry::{Labels, Origin};

use super::*;

fn store() -> RwLock<Store> {
    let mut store = Store::default();
    for second in 0..=60 {
        for (mode, value) in [("idle", second as f64), ("user", f64::NAN)] {
            let labels: Labels = [("__name__", "cpu"), ("mode", mode)].into_iter().collect();
            store.append_sample(&labels, &Origin::Rule, Timestamp::from_secs(second), value).unwrap();
        }
    }
    RwLock::new(store)
}

fn question(query: &str) -> Question {
    Question { query: query.to_owned(), ..Question::default() }
}

fn instant(query: &str) -> Result<String, Failure> {
    at_one_time(&store(), &question(query), Timestamp::from_millis(60_500)).map(|body| body.0)
}

fn range(query: &str) -> Result<String, Failure> {
    over_time(&store(), &question(query)).map(|body| body.0)
}

#[test]
fn every_type_of_result_is_written_as_prometheus_writes_it() {
    for (query, expected) in [
        (
            "query=cpu",
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"cpu","mode":"idle"},"value":[60.500,"60"]},{"metric":{"__name__":"cpu","mode":"user"},"value":[60.500,"NaN"]}]}"#,
        ),
        ("query=nothing", r#"{"resultType":"vector","result":[]}"#),
        ("query=1/0", r#"{"resultType":"scalar","result":[60.500,"+Inf"]}"#),
        ("query='x\"y'&time=7", r#"{"resultType":"string","result":[7,"x\"y"]}"#),
        (
            "query=cpu{mode='idle'}[2s]&time=9",
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"cpu","mode":"idle"},"values":[[8,"8"],[9,"9"]]}]}"#,
        ),
        (
            "query=sum(cpu{mode='idle'})&time=9.0004",
            r#"{"resultType":"vector","result":[{"metric":{},"value":[9,"9"]}]}"#,
        ),
    ] {
        assert_eq!(
            instant(query).unwrap(),
            format!(r#"{{"status":"success","data":{expected}}}"#),
            "{query}"
        );
    }
    for (query, expected) in [
        ("query=1&start=0&end=10&step=5", r#"[{"metric":{},"values":[[0,"1"],[5,"1"],[10,"1"]]}]"#),
        ("query=nothing&start=0&end=10&step=5", "[]"),
        (
            "query=cpu{mode='idle'}+>+8&start=0&end=10&step=1",
            r#"[{"metric":{"__name__":"cpu","mode":"idle"},"values":[[9,"9"],[10,"10"]]}]"#,
        ),
    ] {
        let expected =
            format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":{expected}}}}}"#);
        assert_eq!(range(&query.replace(" > ", "%20%3E%20")).unwrap(), expected, "{query}");
    }
}

#[test]
fn what_cannot_be_answered_is_told_in_the_words_of_prometheus() {
    for (query, kind, expected) in [
        ("query=", Kind::BadData, r#"invalid parameter "query": 1:1: parse error: "#),
        ("query=cpu%2B", Kind::BadData, r#"invalid parameter "query": 1:5: parse error: "#),
        (
            "query=cpu&time=abc",
            Kind::BadData,
            r#"invalid parameter "time": cannot parse "abc" to a valid timestamp"#,
        ),
        (
            "query=cpu&timeout=x",
            Kind::BadData,
            r#"invalid parameter "timeout": cannot parse "x" to a valid duration"#,
        ),
        ("query=cpu&limit=-1", Kind::BadData, r#"invalid parameter "limit": limit must be non-negative"#),
        (
            "query=cpu&lookback_delta=1m",
            Kind::BadData,
            r#"invalid parameter "lookback_delta": it is 5m here"#,
        ),
        ("query=cpu&timeout=0.0001", Kind::Timeout, "query timed out"),
        ("query=cpu+%2B+on()+cpu", Kind::Execution, "many-to-many"),
    ] {
        let failure = instant(query).unwrap_err();
        assert!(failure.kind == kind && failure.text.contains(expected), "{query}: {failure:?}");
    }
    for (query, expected) in [
        (
            "query=cpu&start=1&end=0&step=1",
            r#"invalid parameter "end": end timestamp must not be before start time"#,
        ),
        ("query=cpu&start=0&end=11001&step=1", "exceeded maximum resolution of 11,000 points per timeseries"),
        (
            "query=cpu&start=0&end=9&step=0",
            r#"invalid parameter "step": zero or negative query resolution step widths"#,
        ),
        ("query=cpu&start=0&end=9&step=0.0001", r#"invalid parameter "step": zero or negative"#),
        ("query=cpu&start=0&end=9", r#"invalid parameter "step": cannot parse "" to a valid duration"#),
        ("query=cpu&end=9&step=1", r#"invalid parameter "start": cannot parse "" to a valid timestamp"#),
        ("query=cpu[5m]&start=0&end=9&step=1", r#"invalid expression type "range vector" for range query"#),
        ("query='x'&start=0&end=9&step=1", r#"invalid expression type "string" for range query"#),
    ] {
        let failure = range(query).unwrap_err();
        assert!(failure.kind == Kind::BadData && failure.text.contains(expected), "{query}: {failure:?}");
    }
}

#[test]
fn a_limit_of_series_is_told_beside_what_is_left() {
    let whole = instant("query=cpu&limit=2").unwrap();
    assert!(!whole.contains("warnings") && whole.matches("metric").count() == 2, "{whole}");
    let cut = instant("query=cpu&limit=1").unwrap();
    assert!(cut.ends_with(r#"}]},"warnings":["results truncated due to limit"]}"#), "{cut}");
}

#[test]
fn nobody_waits_for_a_query_of_a_client_that_has_gone() {
    let question = question("query=cpu");
    question.nobody_waits.store(true, std::sync::atomic::Ordering::Relaxed);
    let failure = at_one_time(&store(), &question, Timestamp::from_secs(60)).unwrap_err();
    assert_eq!(failure.kind, Kind::Canceled);
}
