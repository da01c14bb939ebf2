//! What a round costs beside its queries: 200 rules over 5,000 series, half of which record 50 series each and half of
//! which have 5 alerts each.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alerting::{Defaults, GroupState, RuleFile};
use criterion::{Criterion, criterion_group, criterion_main};
use documents::Document;
use promql::Query;
use series::Store;
use telemetry::{Labels, Origin, Timestamp};

const START: i64 = 1_000_000;

fn store() -> Store {
    let mut store = Store::default();
    let mut labels = Vec::new();
    for metric in 0..100 {
        for number in 0..50 {
            let (name, number) = (format!("requests_{metric}_total"), number.to_string());
            let pairs = [("__name__", name.as_str()), ("job", "web"), ("number", number.as_str())];
            labels.push(pairs.into_iter().collect::<Labels>());
        }
    }
    for round in 0..60 {
        let at = Timestamp::from_secs(START - 600 + round * 10);
        for (place, labels) in labels.iter().enumerate() {
            let value = (round * (1 + place as i64 % 50)) as f64;
            store.append_sample(labels, &Origin::Host, at, value).expect("times go forward");
        }
    }
    store
}

fn expressions() -> Vec<(String, String)> {
    let rule = |number: usize| {
        let metric = format!("rate(requests_{}_total[5m])", number % 100);
        if number < 100 {
            ("record".to_owned(), format!("sum by (number) ({metric})"))
        } else {
            ("alert".to_owned(), format!("{metric} > 4.5"))
        }
    };
    (0..200).map(rule).collect()
}

fn group() -> GroupState {
    let rules = expressions().into_iter().enumerate().map(|(number, (kind, expr))| {
        let texts = if kind == "alert" {
            "{summary: '{{ $labels.number }} has {{ $value | humanize }}'}"
        } else {
            ""
        };
        format!("  - {kind}: rule_{number}\n    expr: {expr}\n    annotations: {texts}\n")
    });
    let text = format!("groups:\n- name: g\n  rules:\n{}", rules.collect::<String>());
    let file =
        RuleFile::read(&Document::from_text(Path::new("r.yaml"), &text)).expect("rules that are right");
    let defaults = Defaults { interval: Duration::from_secs(10), externals: Arc::default() };
    let group = file.groups.into_iter().next().expect("one group");
    GroupState::new(group, &defaults, Timestamp::from_secs(START))
}

fn rounds(criterion: &mut Criterion) {
    let mut rounds = criterion.benchmark_group("round");
    let store_ = store();
    let mut queries: Vec<Query> =
        expressions().iter().map(|(_, expr)| Query::new(expr).expect("an expression")).collect();
    rounds.bench_function("queries", |bencher| {
        bencher.iter(|| {
            for query in &mut queries {
                let _ = black_box(query.instant(&store_, Timestamp::from_secs(START)));
            }
        });
    });
    let (mut store, mut group, mut now) = (store_, group(), START * 1_000);
    rounds.bench_function("rules", |bencher| {
        bencher.iter(|| {
            // Windows stay full: a millisecond is enough for series to take a sample.
            now += 1;
            black_box(group.evaluate(&mut store, Timestamp::from_millis(now), &mut || Duration::ZERO));
        });
    });
    let (alerts, errors) = (
        group.active_alerts().count(),
        group.view().rules.iter().filter(|rule| rule.last_error.is_some()).count(),
    );
    assert_eq!((alerts, errors), (500, 0), "the load is as described");
    rounds.bench_function("view", |bencher| bencher.iter(|| black_box(group.view())));
    rounds.bench_function("save", |bencher| {
        bencher.iter(|| black_box(alerting::SavedGroups::of([&group]).to_text()));
    });
}

criterion_group!(benches, rounds);
criterion_main!(benches);
