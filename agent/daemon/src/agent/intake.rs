//! Where one collection divides: to the destinations and to the series.

use std::sync::{Arc, PoisonError};

use otlp::{MetricsEncoder, Sender};
use telemetry::{AttributeValue, SampleBuffer, mark_departed, mark_departed_beside};

use crate::agent::Shared;
use crate::agent::own_metrics::{AGENT, Figures, OwnMetrics};
use crate::clock;
use crate::config::Names;

/// Ships collections and keeps them for the rules.
pub(crate) struct Intake {
    encoder: MetricsEncoder,
    sender: Arc<Sender>,
    shared: Shared,
    own: OwnMetrics,
    /// What each lane held last.
    previous: Vec<SampleBuffer>,
    /// The same of lanes that a reload ended.
    retired: Vec<SampleBuffer>,
    /// The last look at each collector since the last collection of its lane.
    between: Vec<Between>,
    rejected: u64,
    jumps: u64,
}

struct Between {
    lane: usize,
    collector: &'static str,
    buffer: SampleBuffer,
}

impl Intake {
    /// An intake for a host with this resource. `own_figures` says whether those of the agent are sent as well.
    pub(crate) fn new(
        resource: &[(String, AttributeValue)],
        own_figures: bool,
        sender: Arc<Sender>,
        shared: Shared,
        figures: Figures,
    ) -> Self {
        let encoder = MetricsEncoder::new(resource);
        Self {
            encoder: if own_figures { encoder } else { encoder.without(&AGENT) },
            own: OwnMetrics::new(figures),
            sender,
            shared,
            previous: Vec::new(),
            retired: Vec::new(),
            between: Vec::new(),
            rejected: 0,
            jumps: 0,
        }
    }

    /// From now on metrics are sent under these names.
    pub(crate) fn name(&mut self, names: Names) {
        self.encoder.spell(names.spellings());
    }

    /// From now on collections come in so many lanes. What the lanes before them had and the first collection of all lanes
    /// has not has ended.
    pub(crate) fn begin_lanes(&mut self, lanes: usize) {
        self.retired.append(&mut self.previous);
        self.retired.extend(self.between.drain(..).map(|between| between.buffer));
        self.previous.resize_with(lanes, SampleBuffer::default);
    }

    /// Takes the collections of the lanes that were due, the fastest with the agent's own figures; series that ended since
    /// the last time get their last point. Afterwards the buffers of these lanes hold older collections, to be filled anew.
    pub(crate) fn take(&mut self, buffers: &mut [SampleBuffer], due: &[usize]) {
        if due.contains(&0)
            && let Some(fastest) = buffers.first_mut()
        {
            self.own.write(fastest);
        }
        if due.contains(&0) {
            self.shared.textfiles.read(&self.shared.taps.host_names());
        }
        self.mark_departed(buffers, due);
        let now = clock::now();
        for lane in due.iter().filter_map(|lane| buffers.get(*lane)) {
            for batch in self.encoder.encode(lane) {
                self.sender.offer(&batch, now);
            }
        }
        self.keep(buffers, due);
        if due.contains(&0) {
            for batch in self.shared.textfiles.encode(now).into_iter().chain(self.shared.taps.export(now)) {
                self.sender.offer(&batch, now);
            }
        }
        for lane in due {
            if let (Some(previous), Some(buffer)) = (self.previous.get_mut(*lane), buffers.get_mut(*lane)) {
                std::mem::swap(previous, buffer);
            }
        }
    }

    /// Takes a look at one collector of `lane` between its collections. `kept` is called when the rules can see it; it is
    /// sent after that.
    pub(crate) fn take_between(
        &mut self,
        lane: usize,
        collector: &'static str,
        buffer: &mut SampleBuffer,
        kept: impl FnOnce(),
    ) {
        let place = self.between.iter().position(|between| between.collector == collector);
        let before = place.map(|place| self.between.swap_remove(place).buffer).unwrap_or_default();
        mark_departed(&before, buffer);
        self.shared.store.write().unwrap_or_else(PoisonError::into_inner).append_between(buffer);
        self.shared.arrivals.come();
        kept();
        let now = clock::now();
        for batch in self.encoder.encode(buffer) {
            self.sender.offer(&batch, now);
        }
        let buffer = std::mem::replace(buffer, before);
        self.between.push(Between { lane, collector, buffer });
    }

    /// Each lane is held against what it had before; at the first collection after a reload, all lanes against all before.
    fn mark_departed(&mut self, buffers: &mut [SampleBuffer], due: &[usize]) {
        for lane in due {
            if let (Some(previous), Some(buffer)) = (self.previous.get(*lane), buffers.get_mut(*lane)) {
                mark_departed(previous, buffer);
                for between in self.between.extract_if(.., |between| between.lane == *lane) {
                    mark_departed(&between.buffer, buffer);
                }
            }
        }
        if let Some((fastest, others)) = buffers.split_first_mut() {
            for retired in self.retired.drain(..) {
                mark_departed_beside(&retired, fastest, others);
            }
        }
    }

    fn keep(&mut self, buffers: &[SampleBuffer], due: &[usize]) {
        let mut store = self.shared.store.write().unwrap_or_else(PoisonError::into_inner);
        for lane in due {
            if let Some(buffer) = buffers.get(*lane) {
                store.append(buffer);
                if *lane == 0 {
                    self.shared.taps.collect(&mut store, buffer.at());
                    self.shared.textfiles.append(&mut store, buffer.at());
                }
            }
        }
        let (rejected, jumps) = (store.rejections().too_many_series, store.clock_jumps());
        drop(store);
        self.shared.arrivals.come();
        let lanes = buffers.iter().zip(&self.previous).enumerate();
        let newest = lanes.map(|(lane, (new, last))| if due.contains(&lane) { new } else { last });
        self.shared.node_page.write(&newest.collect::<Vec<_>>(), || self.shared.textfiles.families());
        if rejected > 0 && self.rejected == 0 {
            tracing::warn!(
                "there are more series than are kept for the rules; raise series.max_series, or collect less"
            );
        }
        if jumps > self.jumps {
            tracing::warn!("the clock was set back; rules forget the samples from the time after it");
        }
        (self.rejected, self.jumps) = (rejected, jumps);
    }
}
