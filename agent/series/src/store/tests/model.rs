//! The store beside a plain list of samples.

use super::*;

/// What a store should hold of one series, in milliseconds: all that was not forgotten by a clock set back, and how many
/// of the oldest may be gone.
#[derive(Default)]
struct Model {
    samples: Vec<(i64, f64)>,
    old: usize,
}

impl Model {
    fn set_back(&mut self, at: i64) {
        let end = self.samples.last().filter(|(_, value)| is_stale(*value)).map(|(time, _)| *time);
        self.samples.retain(|(time, _)| *time < at - 1);
        while end.is_none() && self.samples.last().is_some_and(|(_, value)| is_stale(*value)) {
            self.samples.pop();
        }
        self.old = self.old.min(self.samples.len());
        if end.is_some_and(|end| end >= at - 1) && !self.samples.is_empty() {
            let all_old = self.old == self.samples.len();
            self.samples.push((at - 1, STALE));
            self.old += usize::from(all_old);
        }
    }

    fn expire(&mut self, now: i64, most: usize) {
        let aged = self.samples.partition_point(|(time, _)| *time <= now - 600_000);
        self.old = self.old.max(aged).max(self.samples.len().saturating_sub(most));
    }

    fn live(&self) -> bool {
        self.samples.len() > self.old && self.samples.last().is_some_and(|(_, value)| !is_stale(*value))
    }
}

fn bits(samples: &[(i64, f64)]) -> Vec<(i64, u64)> {
    samples.iter().map(|(at, value)| (*at, value.to_bits())).collect()
}

proptest! {
    /// Whatever comes and goes and wherever the clock goes, a window holds what a plain list would.
    #[test]
    fn windows_hold_what_was_appended(
        steps in prop::collection::vec(
            (
                prop_oneof![12 => 1_i64..90, 1 => -900_i64..0],
                prop::bool::ANY,
                prop::bool::ANY,
                prop::bool::weighted(0.2),
            ),
            1..200,
        ),
        hot in prop::sample::select(vec![0, 60, 300, 960]),
        most in prop::sample::select(vec![50, 1_000]),
        from in 0_i64..3_000,
        length in 0_i64..3_000,
    ) {
        let limits = Limits { hot: Duration::from_secs(hot), max_samples_per_series: most, ..limits() };
        let mut store = Store::new(limits);
        let mut model = Model::default();
        let mut now = 0;
        for (gap, present, ends, between) in steps {
            let first = now == 0;
            now += gap;
            if gap < 0 && !first {
                model.set_back(now * 1000);
            }
            model.expire(now * 1000, most);
            let value = now as f64;
            let idle = [("idle", value)];
            let mut buffer = cycle(now, if present { &idle } else { &[] });
            if present {
                model.samples.push((now * 1000, value));
            } else if ends && model.live() {
                buffer.gone(&CPU_TIME, &[Value::Str("idle")]);
                model.samples.push((now * 1000, STALE));
            }
            model.expire(now * 1000, most);
            if between {
                store.append_between(&buffer);
            } else {
                store.append(&buffer);
            }
        }
        let (from, to) = (from * 1000, (from + length) * 1000);
        let within = |samples: &[(i64, f64)]| -> Vec<(i64, u64)> {
            bits(samples).into_iter().filter(|(at, _)| *at > from && *at <= to).collect()
        };
        let mut scratch = Scratch::default();
        let window = store
            .select(&name("system.cpu.time"))
            .first()
            .map(|id| store.samples(*id, from, to, &mut scratch))
            .unwrap_or_default();
        let found: Vec<(i64, f64)> =
            window.times.iter().copied().zip(window.values.iter().copied()).collect();
        let found = bits(&found);
        let kept = within(model.samples.get(model.old..).unwrap_or_default());
        // Of a series with times of its own the oldest samples go when it next gets one; none is missing.
        prop_assert!(found.ends_with(&kept), "{found:?} lacks some of {kept:?}");
        prop_assert!(within(&model.samples).ends_with(&found), "{found:?} has some that were never there");

        let (mut bytes, mut snapshot) = (Vec::new(), Snapshot::new());
        while snapshot.write(&store, &mut bytes, 1) {}
        let mut again = Store::new(limits);
        again.restore(&*bytes, Timestamp::from_secs(now)).unwrap();
        let window = again
            .select(&name("system.cpu.time"))
            .first()
            .map(|id| again.samples(*id, from, to, &mut scratch))
            .unwrap_or_default();
        let restored = window.times.iter().zip(window.values).map(|(at, value)| (*at, value.to_bits()));
        // What has aged since the series got its last sample is not restored.
        let restored: Vec<(i64, u64)> = restored.collect();
        prop_assert!(found.ends_with(&restored), "{found:?} was restored as {restored:?}");
        prop_assert!(restored.ends_with(&kept), "{restored:?} lacks some of {kept:?}");
    }
}
