//! Metrics that others lay down as files, on their way to the series, to the destinations and to whoever scrapes.
//!
//! They are read with the fastest collection. Their series have the origin `textfile`, a budget of their own and the labels
//! that a scrape of `node_exporter` would have given them; one that is in no file any more has ended.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use collectors::{MOST_TEXTFILE_SERIES, TextfileError, read_textfiles};
use otlp::FamilyEncoder;
use series::{HostNames, Outside, STALE, ScrapedAs, Store};
use telemetry::{
    AttributeValue, Batch, Family, FamilySample, Labels, LabelsBuilder, METRIC_NAME, Origin, Timestamp,
    with_causes,
};

/// Series about the files themselves, for which there is room beside theirs.
const ABOUT_FILES: usize = 300;

/// The directory, and what it held last.
#[derive(Debug)]
pub(crate) struct TextfileTap {
    encoder: FamilyEncoder,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    directory: Option<PathBuf>,
    /// The labels of the scrape that this stands for.
    job: String,
    instance: String,
    families: Vec<Family>,
    /// What is wrong, so that it is said once.
    failing: Vec<TextfileError>,
    /// The series that the store was given last.
    present: HashSet<Labels>,
}

impl TextfileTap {
    /// Of a host with these resource attributes; reads nothing until it is told where.
    pub(crate) fn new(resource: &[(String, AttributeValue)]) -> Self {
        Self { encoder: FamilyEncoder::new(resource), state: Mutex::default() }
    }

    /// From now on this directory, and series under these labels.
    pub(crate) fn put_in_force(&self, directory: Option<PathBuf>, scraped: &ScrapedAs) {
        let mut state = self.lock();
        if directory.is_none() {
            state.families.clear();
            state.failing.clear();
        }
        state.directory = directory;
        (state.job, state.instance) = (scraped.job.clone(), scraped.instance.clone());
    }

    /// Reads the directory, if there is one, and says what began to fail and what works again.
    pub(crate) fn read(&self, host_names: &HostNames) {
        let mut state = self.lock();
        let Some(directory) = &state.directory else { return };
        let read = read_textfiles(directory, &|name| host_names.allow(&Origin::Textfile, name));
        for error in read.errors.iter().filter(|error| !state.failing.contains(error)) {
            tracing::warn!("{}", with_causes(error));
        }
        if read.errors.is_empty() && !state.failing.is_empty() {
            tracing::info!("all text files can be taken again");
        }
        (state.families, state.failing) = (read.families, read.errors);
    }

    /// What was read last, as a request.
    pub(crate) fn encode(&self, now: Timestamp) -> Option<Batch> {
        self.encoder.encode(&self.lock().families, now)
    }

    /// What was read last, by name.
    pub(crate) fn families(&self) -> Vec<Family> {
        self.lock().families.clone()
    }

    /// Lets the store take series of files.
    pub(crate) fn admit(store: &mut Store) {
        store.set_budget(Origin::Textfile, MOST_TEXTFILE_SERIES + ABOUT_FILES);
    }

    /// Appends what was read last, after the collection at `at` has been appended.
    pub(crate) fn append(&self, store: &mut Store, at: Timestamp) {
        let state = &mut *self.lock();
        if state.directory.is_none() && state.present.is_empty() {
            return;
        }
        Self::admit(store);
        let mut present = HashSet::new();
        for sample in state.families.iter().flat_map(|family| &family.samples) {
            let labels = state.labels(sample);
            // What is refused is counted for the origin.
            let _ = store.append_outside(&outside(labels.clone()), at, sample.value);
            present.insert(labels);
        }
        for gone in state.present.difference(&present) {
            let _ = store.append_outside(&outside(gone.clone()), at, STALE);
        }
        state.present = present;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outside(labels: Labels) -> Outside {
    Outside { origin: Origin::Textfile, labels, alias: None, from_zero: false }
}

impl State {
    /// As Prometheus labels what it scrapes: what the text says of `job` and `instance` itself is exported by another name.
    fn labels(&self, sample: &FamilySample) -> Labels {
        let mut labels = LabelsBuilder::default();
        for (key, value) in &sample.labels {
            if key == "job" || key == "instance" {
                labels.set(&format!("exported_{key}"), value);
            } else {
                labels.set(key, value);
            }
        }
        labels.set("job", &self.job).set("instance", &self.instance).set(METRIC_NAME, &sample.name);
        labels.build()
    }
}

#[cfg(test)]
mod tests {
    use series::{Limits, Matcher};
    use telemetry::SampleBuffer;

    use super::*;
    use crate::taps::host_names;

    #[test]
    fn what_a_file_says_is_a_series_of_its_origin_until_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("backup.prom");
        std::fs::write(&file, "backup_last_seconds{job=\"nightly\"} 7\nnode_reboot_required 1\n").unwrap();
        std::fs::write(directory.path().join("lie.prom"), "node_load1 0\n").unwrap();
        let tap = TextfileTap::new(&[]);
        let scraped =
            ScrapedAs { job: "node".to_owned(), instance: "web-01:9100".to_owned(), ..ScrapedAs::default() };
        tap.put_in_force(Some(directory.path().to_owned()), &scraped);
        let names = std::sync::Arc::new(host_names(&[]));
        let mut store = Store::new(Limits::default());
        store.set_host_names(&names);
        let mut tick = |seconds: i64| -> Vec<(String, f64)> {
            let mut buffer = SampleBuffer::default();
            buffer.reset(Timestamp::from_secs(seconds), Timestamp::EPOCH);
            store.append(&buffer);
            tap.read(&names);
            tap.append(&mut store, buffer.at());
            let all = [Matcher::equal("instance", "web-01:9100")];
            let ids = store.select(&all).into_iter().filter(|id| *store.origin(*id) == Origin::Textfile);
            let ids = ids.filter(|id| !store.labels(*id).metric_name().starts_with("node_textfile"));
            let found = ids.filter_map(|id| Some((id, store.latest(id, seconds * 1000, 5_000)?.1)));
            found.map(|(id, value)| (store.labels(id).to_string(), value)).collect()
        };
        let reboot = r#"node_reboot_required{instance="web-01:9100", job="node"}"#.to_owned();
        let backup =
            r#"backup_last_seconds{exported_job="nightly", instance="web-01:9100", job="node"}"#.to_owned();
        assert_eq!(tick(10), [(backup, 7.0), (reboot.clone(), 1.0)]);
        std::fs::write(&file, "node_reboot_required 0\n").unwrap();
        assert_eq!(tick(20), [(reboot, 0.0)]);
        let batch = tap.encode(Timestamp::from_secs(20)).unwrap();
        assert!(batch.items >= 3);
        tap.put_in_force(None, &scraped);
        assert_eq!(tick(30), []);
        assert!(tap.encode(Timestamp::from_secs(30)).is_none());
    }
}
