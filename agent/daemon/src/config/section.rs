//! The sections about what is seen: collectors, probes, series.

use std::net::SocketAddr;
use std::time::Duration;

use collectors::{COLLECTORS, Options, Watch, WatchTarget};
use documents::{Review, Spanned, nearest};
use probes::HttpProbe;
use series::Limits;

use super::file::{ApiSection, CollectSection, HttpProbeSection, ProbesSection, SeriesSection, WatchSection};
use super::{ApiPlaces, Base, Collect, DEFAULT_INTERVAL, DEFAULT_PROCESSES_TOP};

/// Collecting more often than this would cost more than it shows.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

const DEFAULT_PROBE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn api(section: &ApiSection, base: &Base, review: &mut Review) -> ApiPlaces {
    let listen = section.listen.as_ref().and_then(|value| {
        let address: SocketAddr = review.read(value, |text| {
            text.parse()
                .map_err(|_| format!("{text:?} is no address and port; write it as in 127.0.0.1:4320"))
        })?;
        if !address.ip().is_loopback() {
            review.error(value, "whoever reaches it is answered without being asked who they are").hint =
                Some("name a loopback address, as in 127.0.0.1:4320".to_owned());
        }
        Some(address)
    });
    ApiPlaces { socket: section.socket.as_ref().map(|value| base.path(&value.value)), listen }
}

pub(super) fn collect(section: &CollectSection, base: &Base, review: &mut Review) -> Collect {
    let interval = review.duration_or(section.interval.as_ref(), DEFAULT_INTERVAL);
    if let Some(value) = &section.interval
        && interval < MIN_INTERVAL
    {
        review.error(value, "the interval is too short; 100ms is the shortest");
    }
    for name in &section.disable {
        if !COLLECTORS.iter().any(|row| row.name == name.value) {
            let near = nearest(&name.value, COLLECTORS.iter().map(|row| row.name));
            review.error(name, format!("there is no collector {:?}", name.value)).hint =
                Some(near.map_or_else(
                    || "`hostmend list collectors` names them all".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                ));
        }
    }
    for (at, watch) in section.watch.iter().enumerate() {
        if section.watch.iter().take(at).any(|earlier| earlier.name.value == watch.name.value) {
            review
                .error(&watch.name, format!("two watches are named {:?}; name them apart", watch.name.value));
        }
    }
    let top = section.processes.top.as_ref().map_or(DEFAULT_PROCESSES_TOP, |top| top.value);
    Collect {
        interval,
        disabled: section.disable.iter().map(|name| name.value.clone()).collect(),
        options: Options {
            directories: section.directories.iter().map(|path| base.path(&path.value)).collect(),
            watches: section.watch.iter().filter_map(|section| watch(section, base, review)).collect(),
            processes_top: (top > 0).then_some(top),
        },
    }
}

fn watch(section: &WatchSection, base: &Base, review: &mut Review) -> Option<Watch> {
    let target = match (&section.pid_file, &section.command) {
        (Some(path), None) => WatchTarget::PidFile(base.path(&path.value)),
        (None, Some(command)) => WatchTarget::Command(command.value.clone()),
        _ => {
            let message = format!("watch {:?} needs either pid_file or command", section.name.value);
            review.error(&section.name, message);
            return None;
        }
    };
    Some(Watch { name: section.name.value.clone(), target })
}

pub(super) fn probes(section: &ProbesSection, review: &mut Review) -> Vec<(HttpProbe, Duration)> {
    let probes: Vec<_> = section.http.iter().filter_map(|section| probe(section, review)).collect();
    if let Err(error) = probes::check(&probes)
        && let Some(first) = section.http.first()
    {
        review.error(&first.name, error.to_string());
    }
    probes
}

fn probe(section: &HttpProbeSection, review: &mut Review) -> Option<(HttpProbe, Duration)> {
    let timeout = review.duration_or(section.timeout.as_ref(), DEFAULT_PROBE_TIMEOUT);
    let interval = review.duration_or(section.interval.as_ref(), DEFAULT_INTERVAL);
    let probe = review.read(&section.url, |url| HttpProbe::new(&section.name.value, url, timeout))?;
    Some((probe, interval))
}

pub(super) fn series(section: &SeriesSection, review: &mut Review) -> Limits {
    let default = Limits::default();
    let max_series =
        section.max_series.as_ref().map_or(default.max_series, |value| at_least_one(value, review));
    let retention = review.duration_or(section.retention.as_ref(), default.retention);
    Limits { max_series, retention, ..default }
}

fn at_least_one(value: &Spanned<usize>, review: &mut Review) -> usize {
    if value.value == 0 {
        review.error(value, "at least 1 series must fit");
    }
    value.value.max(1)
}
