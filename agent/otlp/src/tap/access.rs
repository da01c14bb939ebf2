//! The golden signals of a service from its access log: how many requests, with what outcome, and how long they took.
//!
//! Requests are counted by service, method, route and status; durations, where the log has them, go into a histogram by the
//! same. Each of the two has a room of its own, since a histogram is many series and a counter one; what finds no room is
//! one overflow. What was seen waits until [`AccessTap::commit`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use telemetry::{AttributeValue, LogValue, LogView, Timestamp};

use super::route::{RouteTemplate, write_route};
use crate::Masking;

/// After how long without a request a combination may make room for another.
const IDLE: Duration = Duration::from_mins(10);

/// The attributes that an operator may want masked.
const SERVICE: &str = "service.name";
const PATH: &str = "url.path";

/// Names are kept up to so many bytes.
const NAME_BYTES: usize = 256;

/// The methods that are known; others are `_OTHER`.
const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY"];

/// How requests are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessOptions {
    /// Upper bounds of the buckets of durations, ascending.
    pub bounds: Vec<Duration>,
    /// Of one source, as Prometheus counts them: a quarter for counters, the rest for histograms.
    pub max_series: usize,
    /// Routes, of which the first that matches a path counts.
    pub routes: Vec<RouteTemplate>,
}

impl Default for AccessOptions {
    fn default() -> Self {
        let bounds = [5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000];
        Self { bounds: bounds.map(Duration::from_millis).into(), max_series: 1_000, routes: Vec::new() }
    }
}

impl AccessOptions {
    /// How many series one histogram is.
    pub fn series_of_each(&self) -> usize {
        self.bounds.len() + 3
    }

    /// The least number of series that lets one counter, one histogram and their overflows fit.
    pub fn least_series(&self) -> usize {
        8.max(3 * self.series_of_each())
    }

    fn rooms(&self) -> (usize, usize) {
        let requests = self.max_series / 4;
        let durations = (self.max_series - requests) / self.series_of_each();
        // The overflow is one of them.
        (requests.saturating_sub(1).max(1), durations.saturating_sub(1).max(1))
    }
}

/// Requests of one service, method, route and status.
#[derive(Debug)]
pub struct Requests {
    /// Tells it from all others that there were, so that a reader may keep what it made of it.
    pub number: u64,
    /// `service.name` of the resource; nothing where it has none.
    pub service: Box<str>,
    /// The method; `_OTHER` for what is none.
    pub method: &'static str,
    /// The route; nothing where there is none.
    pub route: Box<str>,
    /// The status.
    pub status: i64,
    /// Whether it stands for all that found no room; then the fields above say nothing.
    pub overflow: bool,
    /// How many there were.
    pub count: u64,
    /// All durations together, in seconds; of a counter nothing.
    pub sum: f64,
    /// Requests by duration: up to each of the bounds, and above the last. None for a counter.
    pub buckets: Box<[u64]>,
    last: Timestamp,
}

/// Combinations with a limit.
#[derive(Debug, Default)]
struct Room {
    most: usize,
    /// How many buckets each has.
    buckets: usize,
    all: Vec<Option<Requests>>,
    free: Vec<u32>,
    known: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
    overflow: Option<Requests>,
    overflowed: u64,
}

/// Of a request, what it is counted by. The route is made of the path.
#[derive(Clone, Copy, Debug)]
struct Request<'a> {
    service: &'a str,
    method: &'static str,
    path: &'a str,
    status: i64,
}

/// As much of a name as is kept.
fn clip(name: &str) -> &str {
    name.get(..name.floor_char_boundary(NAME_BYTES)).unwrap_or_default()
}

/// `u32::MAX` stands for the overflow.
const OVERFLOW: u32 = u32::MAX;

impl Room {
    fn new(most: usize, buckets: usize) -> Self {
        Self { most, buckets, ..Self::default() }
    }

    /// The place of a combination, which begins if it was not there and there is room.
    fn place(
        &mut self,
        key: &[u8],
        (request, route): (&Request<'_>, &str),
        numbers: &mut u64,
        now: Timestamp,
    ) -> u32 {
        if let Some(place) = self.known.get(key) {
            return *place;
        }
        let buckets = self.buckets;
        let mut fresh = |overflow: bool| {
            *numbers += 1;
            Requests {
                number: *numbers,
                service: request.service.into(),
                method: request.method,
                route: route.into(),
                status: request.status,
                overflow,
                count: 0,
                sum: 0.0,
                buckets: vec![0; buckets].into(),
                last: now,
            }
        };
        if self.known.len() >= self.most {
            self.overflowed += 1;
            self.overflow.get_or_insert_with(|| fresh(true));
            return OVERFLOW;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            self.all.len() as u32 - 1
        });
        if let Some(slot) = self.all.get_mut(place as usize) {
            *slot = Some(fresh(false));
        }
        self.known.insert(key.into(), place);
        place
    }

    fn at(&mut self, place: u32) -> Option<&mut Requests> {
        match place {
            OVERFLOW => self.overflow.as_mut(),
            place => self.all.get_mut(place as usize)?.as_mut(),
        }
    }

    fn make_room(&mut self, now: Timestamp, gone: &mut Vec<u64>) {
        if self.known.len() < self.most {
            return;
        }
        let Self { all, free, known, .. } = self;
        known.retain(|_, place| {
            let slot = all.get_mut(*place as usize);
            let idle = slot.and_then(|slot| slot.take_if(|requests| now.since(requests.last) >= IDLE));
            let Some(idle) = idle else { return true };
            gone.push(idle.number);
            free.push(*place);
            false
        });
    }

    fn counted(&self) -> impl Iterator<Item = &Requests> {
        self.all.iter().flatten().chain(&self.overflow).filter(|requests| requests.count > 0)
    }
}

/// A request that does not count yet: the places of its counter and of its histogram, if it has a duration, in seconds.
#[derive(Clone, Copy, Debug)]
struct Pending {
    requests: u32,
    duration: Option<(u32, f64)>,
    at: Timestamp,
}

/// Counts the requests in the access log of one source.
#[derive(Debug)]
pub struct AccessTap {
    options: Arc<AccessOptions>,
    bounds: Box<[f64]>,
    requests: Room,
    durations: Room,
    numbers: u64,
    pending: Vec<Pending>,
    route: String,
    key: Vec<u8>,
}

impl AccessTap {
    /// Nothing has been seen.
    pub fn new(options: Arc<AccessOptions>) -> Self {
        let (requests, durations) = options.rooms();
        let bounds: Box<[f64]> = options.bounds.iter().map(Duration::as_secs_f64).collect();
        Self {
            requests: Room::new(requests, 0),
            durations: Room::new(durations, bounds.len() + 1),
            bounds,
            options,
            numbers: 0,
            pending: Vec::new(),
            route: String::new(),
            key: Vec::new(),
        }
    }

    /// Looks at a record that is not masked yet: a request, if it has a status. What is new is counted without what is
    /// masked.
    pub fn see(&mut self, record: &LogView<'_>, masking: &Masking, now: Timestamp) {
        let (mut status, mut method, mut path, mut seconds) = (None, None, None, None);
        for (key, value) in record.attributes() {
            match (key, value) {
                (b"http.response.status_code", LogValue::Int(value)) => status = Some(value),
                (b"http.request.method", LogValue::Text(value)) => method = Some(value),
                (b"url.path", LogValue::Text(value)) => path = Some(value),
                (b"http.server.request.duration", LogValue::Double(value)) => seconds = Some(value),
                _ => {}
            }
        }
        let Some(status) = status.filter(|status| (100..1_000).contains(status)) else { return };
        let method = METHODS.into_iter().find(|known| Some(known.as_bytes()) == method).unwrap_or("_OTHER");
        let service = record.group().resource.iter().find(|(key, _)| key == SERVICE);
        let service = match service {
            Some((_, AttributeValue::Text(service))) => service.as_str(),
            _ => "",
        };
        let path = path.and_then(|path| std::str::from_utf8(path).ok()).unwrap_or_default();
        let duration = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        let mut request = Request { service: clip(service), method, path, status };
        self.write_key(&request);
        if masking.is_empty() || self.requests.known.contains_key(&*self.key) {
            return self.add(&request, duration, now);
        }
        let masked = |key: &str, text: &str| {
            String::from_utf8_lossy(&masking.attribute(key.as_bytes(), text.as_bytes())).into_owned()
        };
        let (service, path) = (masked(SERVICE, service), masked(PATH, path));
        (request.service, request.path) = (clip(&service), &path);
        self.write_key(&request);
        self.add(&request, duration, now);
    }

    /// Writes the route of a request, and what tells its combination from all others.
    fn write_key(&mut self, request: &Request<'_>) {
        let Request { service, method, path, status } = *request;
        write_route(&self.options.routes, path, status, &mut self.route);
        self.route.truncate(clip(&self.route).len());
        self.key.clear();
        self.key.extend_from_slice(&(status as u16).to_le_bytes());
        for text in [service, method, &self.route] {
            self.key.extend_from_slice(&(text.len() as u16).to_le_bytes());
            self.key.extend_from_slice(text.as_bytes());
        }
    }

    /// Lets a request wait of which the key is written.
    fn add(&mut self, request: &Request<'_>, seconds: Option<f64>, now: Timestamp) {
        let Self { requests, durations, key, route, numbers, pending, .. } = self;
        let duration = seconds.map(|seconds| (durations.place(key, (request, route), numbers, now), seconds));
        let requests = requests.place(key, (request, route), numbers, now);
        pending.push(Pending { requests, duration, at: now });
    }

    /// What was seen counts.
    pub fn commit(&mut self) {
        for pending in self.pending.drain(..) {
            if let Some(requests) = self.requests.at(pending.requests) {
                requests.count += 1;
                requests.last = pending.at;
            }
            let Some((place, seconds)) = pending.duration else { continue };
            if let Some(durations) = self.durations.at(place) {
                durations.count += 1;
                durations.sum += seconds;
                durations.last = pending.at;
                let at = self.bounds.partition_point(|bound| *bound < seconds);
                if let Some(bucket) = durations.buckets.get_mut(at) {
                    *bucket += 1;
                }
            }
        }
    }

    /// What was seen and not committed does not count.
    pub fn discard(&mut self) {
        self.pending.clear();
    }

    /// Gives up what has been idle for long, where there is no room for anything new, and says which numbers are gone.
    pub fn make_room(&mut self, now: Timestamp) -> Vec<u64> {
        let mut gone = Vec::new();
        if self.pending.is_empty() {
            self.requests.make_room(now, &mut gone);
            self.durations.make_room(now, &mut gone);
        }
        gone
    }

    /// All counters.
    pub fn requests(&self) -> impl Iterator<Item = &Requests> {
        self.requests.counted()
    }

    /// All histograms.
    pub fn durations(&self) -> impl Iterator<Item = &Requests> {
        self.durations.counted()
    }

    /// The upper bounds of all buckets but the last, in seconds.
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// How many requests found no room for their combination, as counters and as histograms.
    pub fn overflowed(&self) -> u64 {
        self.requests.overflowed + self.durations.overflowed
    }
}

#[cfg(test)]
mod tests;
