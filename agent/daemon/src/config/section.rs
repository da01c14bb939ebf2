//! The sections about where to ask, what is asked, and what is kept: local API, probes, series.

use std::net::SocketAddr;
use std::time::Duration;

use documents::{Review, Spanned};
use probes::HttpProbe;
use series::Limits;

use super::file::{ApiSection, HttpProbeSection, ProbesSection, SeriesSection};
use super::{ApiPlaces, Base, DEFAULT_INTERVAL};

/// A week and a day, so that rules can compare with the same hour of last week. Only series that a rule reads so far back
/// are kept so long, some 100 KB each at 10 s; what all of them take is bounded besides.
const DEFAULT_MAX_RETENTION: Duration = Duration::from_hours(8 * 24);

/// What a kill costs at most; some 10 MB are written each time for 5,000 series.
const DEFAULT_SNAPSHOT_INTERVAL: Duration = Duration::from_mins(5);

/// More often the disk would do little else.
const MIN_SNAPSHOT_INTERVAL: Duration = Duration::from_secs(1);

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

/// What is kept, and how often it is written down.
pub(super) fn series(section: &SeriesSection, review: &mut Review) -> (Limits, Duration) {
    let default = Limits::default();
    let max_series =
        section.max_series.as_ref().map_or(default.max_series, |value| at_least_one(value, review));
    let retention = review.duration_or(section.retention.as_ref(), default.retention);
    let max_retention =
        review.duration_or(section.max_retention.as_ref(), DEFAULT_MAX_RETENTION.max(retention));
    if let Some(value) = section.max_retention.as_ref().filter(|_| max_retention < retention) {
        review.error(value, "series are kept longer than that already, see series.retention");
    }
    let interval = review.duration_or(section.snapshot_interval.as_ref(), DEFAULT_SNAPSHOT_INTERVAL);
    if let Some(value) = section.snapshot_interval.as_ref().filter(|_| interval < MIN_SNAPSHOT_INTERVAL) {
        review.error(value, "the interval is too short; 1s is the shortest");
    }
    (Limits { max_series, retention, max_retention, ..default }, interval)
}

fn at_least_one(value: &Spanned<usize>, review: &mut Review) -> usize {
    if value.value == 0 {
        review.error(value, "at least 1 series must fit");
    }
    value.value.max(1)
}
