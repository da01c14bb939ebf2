//! The taps of one log source of the agent's own.

use std::collections::BTreeSet;
use std::sync::Arc;

use otlp::Masking;
use otlp::tap::{AccessTap, LogRule, LogTap, TapFigures};
use series::Store;
use telemetry::{LogView, Origin, Timestamp};

use super::access::AccessSeries;
use super::counters::LogSeries;
use super::{Changed, TapOptions};

/// What is counted of the lines of one source.
#[derive(Debug)]
pub(super) struct SourceTaps {
    pub(super) origin: Origin,
    /// Whether any rule counts its lines.
    counting: bool,
    logs: (LogTap, LogSeries),
    /// Of an access log.
    access: Option<(AccessTap, AccessSeries)>,
}

impl SourceTaps {
    pub(super) fn new(name: &str, options: &TapOptions) -> Self {
        let origin = Origin::Log(name.into());
        let tap = LogTap::new(Arc::clone(&options.log_rules), name);
        let access = options.access_of(name);
        let access = access.map(|access| (AccessTap::new(Arc::clone(access)), AccessSeries::new(&origin)));
        Self { counting: tap.is_counting(), logs: (tap, LogSeries::new(&origin)), access, origin }
    }

    /// Looks at a record that is not masked yet. So is the line that `matched` is called with.
    pub(super) fn see(
        &mut self,
        record: &LogView<'_>,
        masking: &Masking,
        now: Timestamp,
        matched: impl FnMut(&LogRule, &[u8]),
    ) {
        if self.counting {
            self.logs.0.see_record(record, masking, now, matched);
        }
        if let Some((access, _)) = &mut self.access {
            access.see(record, masking, now);
        }
    }

    pub(super) fn commit(&mut self, changed: &mut Changed) {
        self.logs.0.commit(|rule| changed.insert(rule));
        if let Some((access, _)) = &mut self.access {
            access.commit();
        }
    }

    pub(super) fn discard(&mut self) {
        self.logs.0.discard();
        if let Some((access, _)) = &mut self.access {
            access.discard();
        }
    }

    /// Appends all that counts to the series.
    pub(super) fn append(&mut self, store: &mut Store, at: Timestamp) {
        self.logs.1.end(self.logs.0.make_room(at), store, at);
        self.logs.1.append(&self.logs.0, store, at);
        if let Some((access, series)) = &mut self.access {
            series.end(access.make_room(at), store, at);
            series.append(access, store, at);
        }
    }

    /// Appends the counts of these rules that have changed.
    pub(super) fn append_changed(&mut self, rules: &BTreeSet<String>, store: &mut Store, at: Timestamp) {
        self.logs.1.append_changed(&self.logs.0, rules, store, at);
    }

    pub(super) fn figures(&self) -> (TapFigures, u64) {
        let requests = self.access.as_ref().map_or(0, |(access, _)| access.overflowed());
        (self.logs.0.figures(), self.logs.0.overflowed() + requests)
    }
}
