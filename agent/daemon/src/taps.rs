//! What received telemetry and the lines of log sources are to the rules: span metrics, counts of log patterns, and received
//! points as series.
//!
//! A request is shown to the taps once it is durable. Shown earlier, it would be counted again when its sender repeats
//! what could not be kept; shown later, from the queue, rules would wait for the destinations. So a request counts as
//! often as it was accepted, and twice only where its sender did not hear the answer.
//!
//! [`Taps::see`] works on the thread that calls it, within bounds, and never waits for the rules: it keeps figures and
//! points beside, and [`Taps::collect`] appends them to the series with each collection, when rules are evaluated. What
//! came from one listener is kept apart from all others, by the label `hostmend_origin`, and has a budget of its own; so is
//! what came from one log source. Counts of log patterns do not wait for a collection: [`Taps::changed`] says that there
//! are new ones, which [`Taps::collect_changed`] appends.

mod access;
mod counters;
mod evidence;
mod labels;
mod lines;
mod names;
mod own;
mod points;
mod registry;
mod source;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use otlp::tap::{AccessOptions, LogRule, LogRules, LogTap, SpanMetrics, SpanMetricsEncoder};
use series::{HostNames, Store};
use telemetry::{AttributeValue, Attributes, Batch, MatchedLine, Origin, SampleBuffer, Signal, Timestamp};

use crate::agent::mailbox::Mailbox;
pub(crate) use access::is_of_access_logs;
pub(crate) use counters::{LOG_MATCHES, LOG_RULE, MADE};
use counters::{LogSeries, SpanSeries};
use evidence::{Evidence, kept};
pub(crate) use labels::ORIGIN;
pub(crate) use lines::LineTaps;
pub(crate) use names::host_names;
pub(crate) use own::METRICS;
use points::Points;
use source::SourceTaps;

/// Which taps there are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TapOptions {
    /// `None` makes no span metrics.
    pub(crate) spans: Option<SpanOptions>,
    pub(crate) log_rules: Arc<LogRules>,
    /// How requests in access logs are counted; `None` does not.
    pub(crate) access: Option<Arc<AccessOptions>>,
    /// How many series the received points of one listener may make; `None` makes none.
    pub(crate) points: Option<usize>,
    /// The log sources of the agent's own, by their names.
    pub(crate) sources: BTreeMap<String, SourceOptions>,
    /// What a listener may have in all, by its name, where the configuration says so.
    pub(crate) budgets: BTreeMap<String, usize>,
}

/// What the taps have to know of a log source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceOptions {
    /// Whether its lines are those of an access log, of which the golden signals of a service are made.
    pub(crate) access: bool,
}

/// How spans are counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SpanOptions {
    pub(crate) bounds: Vec<Duration>,
    /// Of one listener.
    pub(crate) max_series: usize,
    /// Whether span metrics are sent to the destinations as well.
    pub(crate) export: bool,
}

impl Default for SpanOptions {
    fn default() -> Self {
        Self { bounds: SpanMetrics::DEFAULT_BOUNDS.to_vec(), max_series: 2_000, export: false }
    }
}

impl Default for TapOptions {
    fn default() -> Self {
        let none = LogRules::new(Vec::new()).expect("no patterns are no problem");
        Self {
            spans: Some(SpanOptions::default()),
            log_rules: Arc::new(none),
            access: Some(Arc::default()),
            points: Some(1_000),
            sources: BTreeMap::new(),
            budgets: BTreeMap::new(),
        }
    }
}

impl TapOptions {
    fn look_at(&self, signal: Signal) -> bool {
        match signal {
            Signal::Traces => self.spans.is_some(),
            Signal::Logs => !self.log_rules.rules().is_empty(),
            Signal::Metrics => self.points.is_some(),
        }
    }

    /// Whether there is anything to be made of the lines of log sources.
    fn looks_at_lines(&self) -> bool {
        let has_access = self.access.is_some() && self.sources.values().any(|source| source.access);
        !self.log_rules.rules().is_empty() || has_access
    }

    /// How the requests in the access log of this source are counted, if it is one.
    fn access_of(&self, source: &str) -> Option<&Arc<AccessOptions>> {
        self.access.as_ref().filter(|_| self.sources.get(source).is_some_and(|source| source.access))
    }

    /// How many series the log rules may make of lines of this source.
    fn of_rules(&self, source: &str) -> usize {
        let counting = self.log_rules.rules().iter().filter(|rule| rule.counts(source));
        counting.map(LogRule::most_series).sum()
    }

    /// How many series a log source may have.
    fn budget_of_source(&self, source: &str) -> usize {
        self.of_rules(source) + self.access_of(source).map_or(0, |access| access.max_series)
    }

    /// How many series a listener may have.
    fn budget(&self, listener: &str) -> usize {
        let spans = self.spans.as_ref().map_or(0, |spans| spans.max_series);
        let of_rules = self.of_rules(&Origin::Otlp(listener.into()).to_string());
        let all = spans + of_rules + self.points.unwrap_or(0);
        self.budgets.get(listener).copied().unwrap_or(all)
    }
}

/// All taps of all listeners.
#[derive(Debug)]
pub(crate) struct Taps {
    resource: Attributes,
    in_force: RwLock<InForce>,
    listeners: RwLock<BTreeMap<String, Arc<Mutex<ListenerTaps>>>>,
    sources: RwLock<BTreeMap<String, Arc<Mutex<SourceTaps>>>>,
    evidence: Evidence,
    changed: Mailbox<BTreeSet<String>>,
}

/// The log rules of which a count has changed.
#[derive(Debug, Default)]
struct Changed(BTreeSet<String>);

impl Changed {
    fn insert(&mut self, rule: &LogRule) {
        if !self.0.contains(&rule.name) {
            self.0.insert(rule.name.clone());
        }
    }
}

#[derive(Debug)]
struct InForce {
    options: TapOptions,
    host_names: Arc<HostNames>,
}

/// The taps of one listener.
#[derive(Debug)]
struct ListenerTaps {
    origin: Origin,
    spans: Option<(SpanMetrics, SpanSeries)>,
    encoder: SpanMetricsEncoder,
    logs: (LogTap, LogSeries),
    points: Option<Points>,
}

impl ListenerTaps {
    fn new(listener: &str, options: &TapOptions, resource: &[(String, AttributeValue)]) -> Self {
        let origin = Origin::Otlp(Arc::from(listener));
        let spans = options.spans.as_ref().map(|spans| {
            (SpanMetrics::new(&spans.bounds, spans.max_series), SpanSeries::new(&origin, &spans.bounds))
        });
        let rules = &options.log_rules;
        Self {
            encoder: SpanMetricsEncoder::new(resource, &origin.to_string()),
            spans,
            logs: (LogTap::new(Arc::clone(rules), &origin.to_string()), LogSeries::new(&origin)),
            points: options.points.map(|room| Points::new(origin.clone(), room)),
            origin,
        }
    }
}

impl Taps {
    /// Taps of a host with this resource. Series named in `host_names` are not taken from anybody.
    pub(crate) fn new(
        options: TapOptions,
        host_names: HostNames,
        resource: &[(String, AttributeValue)],
    ) -> Self {
        let in_force = InForce { options, host_names: Arc::new(host_names) };
        Self {
            resource: resource.to_vec(),
            in_force: RwLock::new(in_force),
            listeners: RwLock::default(),
            sources: RwLock::default(),
            evidence: Evidence::default(),
            changed: Mailbox::default(),
        }
    }

    /// From now on other taps, which count from zero.
    pub(crate) fn reconfigure(&self, options: TapOptions) {
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        in_force.options = options;
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.sources.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.evidence.clear();
    }

    /// From now on these are the names that are not taken from anybody.
    pub(crate) fn set_host_names(&self, host_names: HostNames) {
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        in_force.host_names = Arc::new(host_names);
    }

    /// The names that are not taken from anybody.
    pub(crate) fn host_names(&self) -> Arc<HostNames> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner).host_names)
    }

    /// Shows a request that came by `listener` and is durable now.
    pub(crate) fn see(&self, listener: &str, signal: Signal, payload: &[u8], now: Timestamp) {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        if !in_force.options.look_at(signal) {
            return;
        }
        let taps = self.of(listener, &in_force.options);
        let mut taps = taps.lock().unwrap_or_else(PoisonError::into_inner);
        match signal {
            Signal::Traces => {
                if let Some((spans, _)) = &mut taps.spans {
                    spans.see(payload, now);
                }
            }
            Signal::Logs => {
                let (mut changed, origin) = (Changed::default(), taps.origin.to_string());
                taps.logs.0.see(payload, now, |rule, line| {
                    self.evidence.push(&rule.name, kept(now, origin.clone(), line));
                });
                taps.logs.0.commit(|rule| changed.insert(rule));
                self.tell(changed);
            }
            Signal::Metrics => {
                if let Some(points) = &mut taps.points {
                    points.see(payload, &in_force.host_names, now);
                }
            }
        }
    }

    /// Whether anything is made of the lines of log sources.
    pub(crate) fn want_lines(&self) -> bool {
        let options = &self.in_force.read().unwrap_or_else(PoisonError::into_inner).options;
        options.look_at(Signal::Logs) || options.sources.values().any(|source| source.access)
    }

    /// What the reader of the agent's own log sources shows their records to. There is one reader.
    pub(crate) fn lines(self: &Arc<Self>) -> LineTaps {
        LineTaps::new(Arc::clone(self))
    }

    /// Holds the log rules of which a count has changed since it was appended.
    pub(crate) fn changed(&self) -> &Mailbox<BTreeSet<String>> {
        &self.changed
    }

    fn tell(&self, mut changed: Changed) {
        if !changed.0.is_empty() {
            self.changed.change(|waiting| waiting.append(&mut changed.0));
        }
    }

    /// The last lines that the log rules matched which `wanted` names, from the oldest on.
    pub(crate) fn evidence(&self, wanted: impl Fn(&str) -> bool) -> Vec<MatchedLine> {
        self.evidence.of(wanted)
    }

    fn of_source(&self, name: &str, options: &TapOptions) -> Option<Arc<Mutex<SourceTaps>>> {
        let known = self.sources.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        known.or_else(|| {
            // A source that is not in force any more must not be one again.
            options.sources.get(name)?;
            let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
            let fresh = || Arc::new(Mutex::new(SourceTaps::new(name, options)));
            Some(Arc::clone(sources.entry(name.to_owned()).or_insert_with(fresh)))
        })
    }

    fn of(&self, listener: &str, options: &TapOptions) -> Arc<Mutex<ListenerTaps>> {
        let known = self.listeners.read().unwrap_or_else(PoisonError::into_inner).get(listener).cloned();
        known.unwrap_or_else(|| {
            let mut listeners = self.listeners.write().unwrap_or_else(PoisonError::into_inner);
            let fresh = || Arc::new(Mutex::new(ListenerTaps::new(listener, options, &self.resource)));
            Arc::clone(listeners.entry(listener.to_owned()).or_insert_with(fresh))
        })
    }

    /// Lets the store take again what it had of these listeners.
    pub(crate) fn admit<'a>(&self, listeners: impl Iterator<Item = &'a str>, store: &mut Store) {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        store.set_host_names(&in_force.host_names);
        for name in listeners {
            store.set_budget(Origin::Otlp(name.into()), in_force.options.budget(name));
        }
        for name in in_force.options.sources.keys() {
            store.set_budget(Origin::Log(name.as_str().into()), in_force.options.budget_of_source(name));
        }
    }

    /// Appends the counts of these log rules that have changed, between two collections.
    pub(crate) fn collect_changed(&self, rules: &BTreeSet<String>, store: &mut Store, at: Timestamp) {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        for (name, taps) in self.all() {
            let mut taps = taps.lock().unwrap_or_else(PoisonError::into_inner);
            let ListenerTaps { origin, logs: (tap, series), .. } = &mut *taps;
            store.set_budget(origin.clone(), in_force.options.budget(&name));
            series.append_changed(tap, rules, store, at);
        }
        for (name, taps) in self.all_sources() {
            let mut taps = taps.lock().unwrap_or_else(PoisonError::into_inner);
            store.set_budget(taps.origin.clone(), in_force.options.budget_of_source(&name));
            taps.append_changed(rules, store, at);
        }
    }

    /// Appends what was seen to the series, after the collection at `at` has been appended.
    pub(crate) fn collect(&self, store: &mut Store, at: Timestamp) {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        store.set_host_names(&in_force.host_names);
        for (name, taps) in self.all() {
            let mut taps = taps.lock().unwrap_or_else(PoisonError::into_inner);
            let taps = &mut *taps;
            store.set_budget(taps.origin.clone(), in_force.options.budget(&name));
            if let Some((spans, series)) = &mut taps.spans {
                series.end(spans.make_room(at), store, at);
                series.append(spans, store, at);
            }
            taps.logs.1.end(taps.logs.0.make_room(at), store, at);
            taps.logs.1.append(&taps.logs.0, store, at);
            if let Some(points) = &mut taps.points {
                points.append(store, at);
            }
        }
        let options = &in_force.options;
        for name in options.sources.keys().filter(|_| options.looks_at_lines()) {
            // Counts are zero before the first line, so that it is an increase.
            let Some(taps) = self.of_source(name, options) else { continue };
            let mut taps = taps.lock().unwrap_or_else(PoisonError::into_inner);
            store.set_budget(taps.origin.clone(), options.budget_of_source(name));
            taps.append(store, at);
        }
    }

    /// Writes how much was looked at, and what was left out.
    pub(crate) fn write_figures(&self, store: &Store, out: &mut SampleBuffer) {
        let mut all = Vec::new();
        for (_, taps) in self.all() {
            let taps = taps.lock().unwrap_or_else(PoisonError::into_inner);
            let points = taps.points.as_ref().map(Points::figures);
            all.push(own::Figures {
                origin: taps.origin.clone(),
                spans: taps.spans.as_ref().map(|(spans, _)| (spans.figures(), spans.overflowed())),
                logs: Some((taps.logs.0.figures(), taps.logs.0.overflowed())),
                points,
            });
        }
        for (_, taps) in self.all_sources() {
            let taps = taps.lock().unwrap_or_else(PoisonError::into_inner);
            let (origin, logs) = (taps.origin.clone(), Some(taps.figures()));
            all.push(own::Figures { origin, spans: None, logs, points: None });
        }
        own::write(&all, store, out);
    }

    /// What is sent of the span metrics: nothing unless it is asked for.
    pub(crate) fn export(&self, now: Timestamp) -> Vec<Batch> {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = in_force.options.spans.as_ref().is_some_and(|spans| spans.export);
        let taps = wanted.then(|| self.all()).into_iter().flatten();
        taps.flat_map(|(_, taps)| {
            let taps = taps.lock().unwrap_or_else(PoisonError::into_inner);
            taps.spans.as_ref().map(|(spans, _)| taps.encoder.encode(spans, now)).unwrap_or_default()
        })
        .collect()
    }

    fn all_sources(&self) -> Vec<(String, Arc<Mutex<SourceTaps>>)> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        sources.iter().map(|(name, taps)| (name.clone(), Arc::clone(taps))).collect()
    }

    fn all(&self) -> Vec<(String, Arc<Mutex<ListenerTaps>>)> {
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().map(|(name, taps)| (name.clone(), Arc::clone(taps))).collect()
    }
}

#[cfg(test)]
mod tests;
