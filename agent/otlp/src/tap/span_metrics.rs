//! Span metrics: how often, how long and with what outcome, by service, span name, kind and status.
//!
//! Names and bounds are those of the Collector's spanmetrics connector, whose durations are in milliseconds. A name is
//! looked up by its bytes; only one that is new costs memory. What comes when the budget is spent goes to one series
//! that says so (`otel.metric.overflow`). A combination that has been idle for [`IDLE`] makes room for new ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use telemetry::Timestamp;

use super::{TapFigures, walk};
use crate::view::{SpanKind, SpanStatus, SpanView};

/// After how long without a span a combination may make room for another.
const IDLE: Duration = Duration::from_mins(10);

/// Services and names are kept up to so many bytes: what is longer is no name for an operation.
const NAME_BYTES: usize = 256;

/// One for each kind and status.
const COMBINATIONS: usize = SpanKind::ALL.len() * SpanStatus::ALL.len();

type Names = HashMap<Box<[u8]>, [Option<u32>; COMBINATIONS], foldhash::fast::RandomState>;

/// What is known of one combination of service, span name, kind and status.
#[derive(Debug)]
pub struct Calls {
    /// Tells it from all others that there were, so that a reader may keep what it made of it.
    pub number: u64,
    /// `service.name` of the resource; nothing when it has none.
    pub service: Arc<str>,
    /// The span's name.
    pub name: Arc<str>,
    /// The span's kind.
    pub kind: SpanKind,
    /// The span's status.
    pub status: SpanStatus,
    /// Whether it stands for all that found no room; then the fields above say nothing.
    pub overflow: bool,
    /// When its first span came.
    pub since: Timestamp,
    last: Timestamp,
    /// How many spans there were.
    pub count: u64,
    nanos: u128,
    /// Spans by duration: up to each of the bounds, and above the last.
    pub buckets: Box<[u64]>,
}

impl Calls {
    /// All durations together, in milliseconds.
    pub fn sum(&self) -> f64 {
        self.nanos as f64 / 1e6
    }

    fn add(&mut self, bounds: &[u64], nanos: u64, now: Timestamp) {
        self.last = now;
        self.count += 1;
        self.nanos += u128::from(nanos);
        let at = bounds.partition_point(|bound| *bound < nanos);
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
        }
    }
}

/// Counts the spans of one origin.
#[derive(Debug)]
pub struct SpanMetrics {
    bounds: Arc<[u64]>,
    /// How many combinations there may be.
    room: usize,
    services: HashMap<Box<[u8]>, (Arc<str>, Names), foldhash::fast::RandomState>,
    calls: Vec<Option<Calls>>,
    free: Vec<u32>,
    overflow: Option<Calls>,
    numbers: u64,
    overflowed: u64,
    figures: TapFigures,
}

impl SpanMetrics {
    /// The connector's bounds.
    pub const DEFAULT_BOUNDS: [Duration; 16] = {
        const fn ms(millis: u64) -> Duration {
            Duration::from_millis(millis)
        }
        [
            ms(2),
            ms(4),
            ms(6),
            ms(8),
            ms(10),
            ms(50),
            ms(100),
            ms(200),
            ms(400),
            ms(800),
            ms(1_000),
            ms(1_400),
            ms(2_000),
            ms(5_000),
            ms(10_000),
            ms(15_000),
        ]
    };

    /// Counts by these bounds of durations, which ascend, into at most `max_series` series as Prometheus counts them: for each
    /// combination one for its calls, one for each bucket, one each for sum and count. One combination always fits.
    pub fn new(bounds: &[Duration], max_series: usize) -> Self {
        let bounds: Arc<[u64]> = bounds.iter().map(|bound| nanos(*bound)).collect();
        // The overflow is one of them.
        let room = (max_series / Self::series_of_each(bounds.len())).saturating_sub(1).max(1);
        Self {
            bounds,
            room,
            services: HashMap::default(),
            calls: Vec::new(),
            free: Vec::new(),
            overflow: None,
            numbers: 0,
            overflowed: 0,
            figures: TapFigures::default(),
        }
    }

    /// How many series one combination is with so many bounds.
    pub const fn series_of_each(bounds: usize) -> usize {
        bounds + 4
    }

    /// Counts the spans of a request that came at `now`.
    pub fn see(&mut self, payload: &[u8], now: Timestamp) {
        let mut figures = self.figures;
        walk(
            payload,
            &mut figures,
            |resource| resource.text("service.name").unwrap_or_default(),
            |service, span| {
                let span = SpanView::read(span)?;
                self.count(service, &span, now);
                Ok(())
            },
        );
        self.figures = figures;
    }

    fn count(&mut self, service: &[u8], span: &SpanView<'_>, now: Timestamp) {
        let service = service.get(..NAME_BYTES).unwrap_or(service);
        let name = span.name.get(..NAME_BYTES).unwrap_or(span.name);
        let at = span.kind as usize * SpanStatus::ALL.len() + span.status as usize;
        let known = self.services.get(service).and_then(|(_, names)| *names.get(name)?.get(at)?);
        let number = known.or_else(|| self.begin(service, name, span, at, now));
        let calls = if let Some(number) = number {
            self.calls.get_mut(number as usize).and_then(Option::as_mut)
        } else {
            self.overflowed += 1;
            let (numbers, buckets) = (&mut self.numbers, self.bounds.len() + 1);
            Some(self.overflow.get_or_insert_with(|| Calls {
                overflow: true,
                ..fresh(numbers, buckets, (Arc::from(""), Arc::from("")), &SpanView::default(), now)
            }))
        };
        if let Some(calls) = calls {
            calls.add(&self.bounds, span.duration(), now);
        }
    }

    /// Keeps a combination that was not there, if there is room.
    fn begin(
        &mut self,
        service: &[u8],
        name: &[u8],
        span: &SpanView<'_>,
        at: usize,
        now: Timestamp,
    ) -> Option<u32> {
        if self.calls.len() - self.free.len() >= self.room {
            return None;
        }
        let (service, names) = self
            .services
            .entry(service.into())
            .or_insert_with_key(|service| (text(service), Names::default()));
        let place = names.entry(name.into()).or_default().get_mut(at)?;
        let calls =
            fresh(&mut self.numbers, self.bounds.len() + 1, (Arc::clone(service), text(name)), span, now);
        let number = self.free.pop().unwrap_or_else(|| {
            self.calls.push(None);
            self.calls.len() as u32 - 1
        });
        *self.calls.get_mut(number as usize)? = Some(calls);
        *place = Some(number);
        Some(number)
    }

    /// Gives up what has been idle for long, if there is no room for anything new, and says which numbers are gone.
    pub fn make_room(&mut self, now: Timestamp) -> Vec<u64> {
        if self.calls.len() - self.free.len() < self.room {
            return Vec::new();
        }
        let mut gone = Vec::new();
        for (number, place) in self.calls.iter_mut().enumerate() {
            if place.as_ref().is_some_and(|calls| now.since(calls.last) >= IDLE) {
                gone.extend(place.take().map(|calls| calls.number));
                self.free.push(number as u32);
            }
        }
        if !gone.is_empty() {
            let calls = &self.calls;
            let lives = |number: u32| calls.get(number as usize).is_some_and(Option::is_some);
            self.services.retain(|_, (_, names)| {
                names.retain(|_, places| {
                    for place in places.iter_mut() {
                        *place = place.filter(|number| lives(*number));
                    }
                    places.iter().any(Option::is_some)
                });
                !names.is_empty()
            });
        }
        gone
    }

    /// All combinations, and the overflow if there is one.
    pub fn calls(&self) -> impl Iterator<Item = &Calls> {
        self.calls.iter().flatten().chain(&self.overflow)
    }

    /// The upper bounds of all buckets but the last, in milliseconds.
    pub fn bounds(&self) -> impl Iterator<Item = f64> {
        self.bounds.iter().map(|bound| *bound as f64 / 1e6)
    }

    /// What became of the spans.
    pub fn figures(&self) -> TapFigures {
        self.figures
    }

    /// How many spans found no room for their combination.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }
}

fn fresh(
    numbers: &mut u64,
    buckets: usize,
    (service, name): (Arc<str>, Arc<str>),
    span: &SpanView<'_>,
    now: Timestamp,
) -> Calls {
    *numbers += 1;
    Calls {
        number: *numbers,
        service,
        name,
        kind: span.kind,
        status: span.status,
        overflow: false,
        since: now,
        last: now,
        count: 0,
        nanos: 0,
        buckets: vec![0; buckets].into(),
    }
}

fn text(bytes: &[u8]) -> Arc<str> {
    Arc::from(String::from_utf8_lossy(bytes))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
