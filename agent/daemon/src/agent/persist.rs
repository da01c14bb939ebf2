//! The thread `persist`: keeps on disk what a restart is not to forget.
//!
//! Alerts are written down when one has changed, at most once a second, and while there are any once a minute, since
//! time that nobody is known to have watched counts towards no `for`; series every few minutes. The thread is one of its own because a disk may
//! hang, which is to hold up nobody; so a change is on disk a moment after it was told. What cannot be written is said
//! once and tried again; what cannot be read is put aside, and the agent starts without it.

mod alerts;
mod file;
mod series;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ::series::Store;
use crossbeam_channel::{Receiver, never, select};
use telemetry::Timestamp;

use crate::agent::Shared;
use crate::agent::groups::Groups;
use crate::agent::mailbox::Mailbox;
use crate::clock;

use alerts::AlertFile;
pub(crate) use alerts::saved_alerts;
use series::SeriesFile;
pub(crate) use series::restore_series;

/// The shortest time between two writes because alerts have changed.
const PACE: Duration = Duration::from_secs(1);

/// Alerts are written down again after so long without a change.
const AGAIN_AFTER: Duration = Duration::from_mins(1);

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Alerts,
    Series,
}

impl Which {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Alerts, Self::Series];

    /// As figures and messages call it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Series => "series",
        }
    }
}

/// What became of one file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeptFigures {
    pub(crate) written: u64,
    pub(crate) failed: u64,
    /// Found at the start and put aside.
    pub(crate) unusable: u64,
    /// Of the last time that it was written.
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
    pub(crate) at: Option<Timestamp>,
}

/// By which others say that something is to be written, and see what became of it.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    changed: Mailbox<()>,
    /// How often series are written down.
    interval: Mutex<Duration>,
    figures: Mutex<[KeptFigures; Which::ALL.len()]>,
}

impl Kept {
    /// Alerts are others than before.
    pub(crate) fn alerts_changed(&self) {
        self.changed.change(|()| ());
    }

    /// From now on series are written down so often.
    pub(crate) fn write_series_every(&self, interval: Duration) {
        *self.interval.lock().unwrap_or_else(PoisonError::into_inner) = interval;
    }

    /// What became of all files.
    pub(crate) fn figures(&self) -> [(Which, KeptFigures); Which::ALL.len()] {
        let figures = *self.lock();
        let mut figures = figures.into_iter();
        Which::ALL.map(|which| (which, figures.next().unwrap_or_default()))
    }

    fn interval(&self) -> Duration {
        (*self.interval.lock().unwrap_or_else(PoisonError::into_inner)).max(PACE)
    }

    fn count(&self, which: Which, count: impl FnOnce(&mut KeptFigures)) {
        if let Some((_, figures)) = Which::ALL.into_iter().zip(&mut *self.lock()).find(|(it, _)| *it == which)
        {
            count(figures);
        }
    }

    /// Keeps a file that cannot be used out of the way.
    fn put_aside(&self, which: Which, path: &Path, error: &anyhow::Error) {
        self.count(which, |figures| figures.unusable += 1);
        let (file, what) = (path.display(), which.as_str());
        // Where it cannot be put aside, the next write takes its place.
        let aside = file::put_aside(path).unwrap_or_else(|_| path.to_owned());
        tracing::error!(%file, aside = %aside.display(), "the {what} of before cannot be used: {error:#}");
    }

    /// As it is when every file was written at `at`.
    #[cfg(test)]
    pub(crate) fn all_written(at: Timestamp) -> Self {
        let kept = Self::default();
        for which in Which::ALL {
            kept.count(which, |figures| figures.at = Some(at));
        }
        kept
    }

    fn lock(&self) -> MutexGuard<'_, [KeptFigures; Which::ALL.len()]> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts what became of a write; a failure is said when it is the first.
fn keep_going(
    which: Which,
    path: &Path,
    written: std::io::Result<u64>,
    begun: Instant,
    failing: &mut bool,
    kept: &Kept,
) {
    let (what, file) = (which.as_str(), path.display());
    match written {
        Ok(bytes) => {
            if std::mem::take(failing) {
                tracing::info!(%file, "{what} are kept on disk again");
            }
            let (took, at) = (begun.elapsed(), Some(clock::now()));
            kept.count(which, |it| *it = KeptFigures { written: it.written + 1, bytes, took, at, ..*it });
        }
        Err(error) => {
            if !std::mem::replace(failing, true) {
                tracing::warn!(%file, %error, "{what} cannot be kept on disk and would not survive a restart; tried again");
            }
            kept.count(which, |it| it.failed += 1);
        }
    }
}

/// Writes until it is stopped, and then once more.
pub(crate) struct PersistStage {
    store: Arc<RwLock<Store>>,
    groups: Arc<Groups>,
    kept: Arc<Kept>,
    alerts: AlertFile,
    series: SeriesFile,
    /// Alerts are not written again before.
    rests_until: Instant,
    series_since: Instant,
}

impl PersistStage {
    pub(crate) fn new(shared: Shared, state: &Path) -> Self {
        Self::of(shared.store, shared.groups, shared.kept, state)
    }

    fn of(store: Arc<RwLock<Store>>, groups: Arc<Groups>, kept: Arc<Kept>, state: &Path) -> Self {
        let (alerts, series, now) = (AlertFile::of(state), SeriesFile::of(state), clock::monotonic());
        Self { store, groups, kept, alerts, series, rests_until: now, series_since: now }
    }

    /// Runs until the other side of `stop` is dropped.
    pub(crate) fn run(mut self, stop: &Receiver<()>) {
        let kept = Arc::clone(&self.kept);
        loop {
            let (rests, nothing) = (clock::left(self.rests_until), never());
            let changed = if rests.is_zero() { kept.changed.woken() } else { &nothing };
            let alerts_in = if rests.is_zero() { clock::left(self.rests_until + AGAIN_AFTER) } else { rests };
            // A reload may have changed it.
            let series_in = clock::left(self.series_since + kept.interval()).min(AGAIN_AFTER);
            select! {
                recv(stop) -> _ => break,
                recv(changed) -> _ => self.save_alerts(),
                default(alerts_in.min(series_in)) => self.save_what_is_due(),
            }
        }
        self.alerts.save(&self.groups, &kept);
        self.save_series();
    }

    fn save_alerts(&mut self) {
        self.alerts.save(&self.groups, &self.kept);
        self.rests_until = clock::monotonic() + PACE;
    }

    /// Writes down series; alerts that change meanwhile do not wait for the last of them.
    fn save_series(&mut self) {
        let Self { store, groups, kept, alerts, series, rests_until, .. } = self;
        series.save(store, kept, || {
            if clock::left(*rests_until).is_zero() && kept.changed.woken().try_recv().is_ok() {
                alerts.save(groups, kept);
                *rests_until = clock::monotonic() + PACE;
            }
        });
    }

    fn save_what_is_due(&mut self) {
        if clock::left(self.rests_until + AGAIN_AFTER).is_zero() {
            if self.alerts.age() {
                self.save_alerts();
            }
            self.rests_until = clock::monotonic();
        }
        if clock::left(self.series_since + self.kept.interval()).is_zero() {
            self.save_series();
            self.series_since = clock::monotonic();
        }
    }
}

#[cfg(test)]
mod tests {
    use ::series::Limits;
    use collectors::names;
    use telemetry::{SampleBuffer, Value};

    use super::*;

    #[test]
    fn alerts_that_change_while_series_are_written_are_on_disk_before_the_last_of_them() {
        let (mut store, mut buffer) = (Store::new(Limits::NONE), SampleBuffer::default());
        buffer.reset(Timestamp::from_secs(1_800_000_000), Timestamp::from_secs(1_700_000_000));
        for disk in 0..10_000 {
            buffer.double(&names::DISK_IO_TIME, &[Value::Str(&format!("disk-{disk}"))], 1.0);
        }
        store.append(&buffer);
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(RwLock::new(store));
        let mut stage = PersistStage::of(store, Arc::default(), Arc::default(), directory.path());
        stage.kept.alerts_changed();
        stage.save_series();
        let written = stage.kept.figures().map(|(_, figures)| (figures.written, figures.failed));
        assert_eq!(written, [(1, 0), (1, 0)]);
        assert!(directory.path().join("alerts.json").exists());
    }
}
