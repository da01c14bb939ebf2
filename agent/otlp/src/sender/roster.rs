//! Who is served, and how that changes while the agent runs.
//!
//! A change is made beside what there is and takes its place once nothing can fail any more. What is configured as
//! before goes on undisturbed, and what waits for a destination that stays keeps its place.

mod plan;

use std::fmt;
use std::sync::Arc;

use queue::CursorError;
use telemetry::{Signal, with_causes};
use tokio::sync::watch;

use crate::sender::delivery::{Delivery, Setup, Stop};
use crate::sender::destination::Destination;
use crate::sender::disk::{Disk, Finding};
use crate::sender::exporter::Exporter;
use crate::sender::lane::Lane;
use crate::sender::recipient::Recipient;

use plan::owners;

/// Makes what sends to a destination.
pub(crate) type Connect = Arc<dyn Fn(Destination) -> Arc<dyn Exporter> + Send + Sync>;

/// Why destinations cannot take the place of others. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ReconfigureError {
    /// Two would have one place in the queues.
    #[error("two destinations are named {0:?}: give each a name of its own, for what waits is kept under it")]
    SameName(String),
    /// A queue has no place for it.
    #[error("making a place for the destination {destination} in the queue of {signal}")]
    Place {
        /// The destination's name.
        destination: String,
        /// Whose queue.
        signal: Signal,
        /// Why.
        #[source]
        source: CursorError,
    },
    /// Nobody has so many.
    #[error("more than {most} destinations: have a collector divide among them")]
    TooMany {
        /// So many can be served.
        most: usize,
    },
    /// There is nobody to serve them.
    #[error("the sender has been stopped")]
    Stopped,
}

/// In the order of [`Signal::ALL`]; none for what a destination does not take or takes only in place of others.
type Lanes = [Option<Arc<Lane>>; Signal::ALL.len()];

/// Destinations that can be served, and are not yet. Dropped, they leave no trace.
pub struct NewDestinations {
    destinations: Vec<Destination>,
    lanes: Vec<Lanes>,
    /// The cursors that were made for them.
    made: Vec<(Signal, String)>,
    disk: Arc<Disk>,
}

impl fmt::Debug for NewDestinations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewDestinations").field("destinations", &self.destinations).finish_non_exhaustive()
    }
}

impl Drop for NewDestinations {
    fn drop(&mut self) {
        for (signal, name) in self.made.drain(..) {
            self.disk.remove_cursor(signal, &name);
        }
    }
}

/// A destination and what serves it.
struct Place {
    destination: Destination,
    exporter: Arc<dyn Exporter>,
    recipient: Arc<Recipient>,
    /// In the order of [`Signal::ALL`]; none for what it does not take or takes only in place of others.
    served: [Option<Service>; Signal::ALL.len()],
}

#[derive(Clone)]
struct Service {
    lane: Arc<Lane>,
    setup: Arc<watch::Sender<Arc<Setup>>>,
}

/// Those who are served now.
pub(crate) struct Roster {
    places: Vec<Place>,
    connect: Connect,
    stop: Stop,
}

/// Those who are to get what is taken, for whoever takes it.
#[derive(Clone, Default)]
pub(crate) struct Recipients {
    pub(crate) all: Arc<[Arc<Recipient>]>,
    lanes: [Arc<[Arc<Lane>]>; Signal::ALL.len()],
}

impl Recipients {
    pub(crate) fn of(&self, signal: Signal) -> Arc<[Arc<Lane>]> {
        self.lanes.get(signal as usize).cloned().unwrap_or_default()
    }
}

impl Roster {
    pub(crate) fn new(connect: Connect, stop: Stop) -> Self {
        Self { places: Vec::new(), connect, stop }
    }

    pub(crate) fn recipients(&self) -> Recipients {
        let is_served = |place: &&Place| place.served.iter().any(Option::is_some);
        let all = self.places.iter().filter(is_served).map(|place| Arc::clone(&place.recipient)).collect();
        let lanes = Signal::ALL.map(|signal| {
            let lanes = self.places.iter().filter_map(|place| place.recipient.lane(signal));
            lanes.collect()
        });
        Recipients { all, lanes }
    }

    /// Makes what will serve `destinations`. With `tolerant`, one that has no place in a queue goes from memory.
    ///
    /// # Errors
    ///
    /// Nothing has changed then.
    pub(crate) fn prepare(
        &self,
        destinations: Vec<Destination>,
        disk: &Arc<Disk>,
        tolerant: bool,
        findings: &mut Vec<Finding>,
    ) -> Result<NewDestinations, ReconfigureError> {
        for (at, destination) in destinations.iter().enumerate() {
            if destinations.iter().take(at).any(|earlier| earlier.name() == destination.name()) {
                return Err(ReconfigureError::SameName(destination.name().to_owned()));
            }
        }
        if !destinations.is_empty() {
            disk.open(findings);
        }
        let mut new =
            NewDestinations { lanes: Vec::new(), destinations, made: Vec::new(), disk: Arc::clone(disk) };
        for (destination, owned) in new.destinations.iter().zip(owners(&new.destinations)) {
            let name = destination.name();
            let mut lanes = Lanes::default();
            for ((signal, lane), _) in
                Signal::ALL.into_iter().zip(&mut lanes).zip(owned).filter(|(_, owned)| *owned)
            {
                if let Some(place) = self.places.iter().find(|place| place.destination.name() == name)
                    && let Some(old) = place.recipient.lane(signal)
                {
                    *lane = Some(old);
                    continue;
                }
                *lane = Some(match disk.lane(signal, name, findings) {
                    Ok(lane) => lane,
                    Err(error) if tolerant => {
                        findings.push(Finding::Complaint(format!(
                            "{signal} wait on disk and cannot be read for the destination {name}: {}",
                            with_causes(&error)
                        )));
                        disk.lane_in_memory(signal)
                    }
                    Err(source) => {
                        let destination = name.to_owned();
                        return Err(ReconfigureError::Place { destination, signal, source });
                    }
                });
                new.made.push((signal, name.to_owned()));
            }
            new.lanes.push(lanes);
        }
        Ok(new)
    }

    /// Serves them from now on, and nobody else; returns the deliveries that are to be run for it.
    pub(crate) fn put_in_force(
        &mut self,
        mut new: NewDestinations,
        findings: &mut Vec<Finding>,
    ) -> Vec<Delivery> {
        new.made.clear();
        let (destinations, lanes) = (std::mem::take(&mut new.destinations), std::mem::take(&mut new.lanes));
        let deliveries = self.put_in_place(destinations, lanes);
        new.disk.forget(|signal, name| self.serves(signal, name), findings);
        deliveries
    }

    fn serves(&self, signal: Signal, name: &str) -> bool {
        let place = self.places.iter().find(|place| place.destination.name() == name);
        place.is_some_and(|place| matches!(place.served.get(signal as usize), Some(Some(_))))
    }

    fn put_in_place(&mut self, destinations: Vec<Destination>, lanes: Vec<Lanes>) -> Vec<Delivery> {
        let mut old = std::mem::take(&mut self.places);
        for destination in destinations {
            let rate = destination.options().drain_bytes_per_second;
            let found = old.iter().position(|place| place.destination.name() == destination.name());
            let place = match found.map(|at| old.swap_remove(at)) {
                Some(place) if place.destination == destination => place,
                Some(place) => Place { exporter: (self.connect)(destination.clone()), destination, ..place },
                None => Place {
                    exporter: (self.connect)(destination.clone()),
                    recipient: Arc::new(Recipient::new(destination.name(), rate)),
                    served: Default::default(),
                    destination,
                },
            };
            place.recipient.pace().set_rate(rate);
            self.places.push(place);
        }
        for place in old {
            place.served.iter().flatten().for_each(|service| service.lane.remove());
        }
        let setups: Vec<_> =
            self.places.iter().map(|place| Signal::ALL.map(|signal| self.setup(place, signal))).collect();
        let mut deliveries = Vec::new();
        for ((place, lanes), setups) in self.places.iter_mut().zip(lanes).zip(setups) {
            for (((signal, lane), setup), served) in
                Signal::ALL.into_iter().zip(lanes).zip(setups).zip(&mut place.served)
            {
                place.recipient.set_lane(signal, lane.clone());
                match (lane, &served) {
                    (Some(_), Some(served)) => served.update(setup),
                    (Some(lane), None) => {
                        let (changing, setup) = watch::channel(Arc::new(setup));
                        let (recipient, stop) = (Arc::clone(&place.recipient), self.stop.clone());
                        deliveries.push(Delivery::new(recipient, Arc::clone(&lane), setup, stop));
                        *served = Some(Service { lane, setup: Arc::new(changing) });
                    }
                    (None, _) => {
                        if let Some(served) = served.take() {
                            served.lane.remove();
                        }
                    }
                }
            }
        }
        deliveries
    }

    /// How a signal of a destination is served.
    fn setup(&self, place: &Place, signal: Signal) -> Setup {
        let options = place.destination.options();
        let by_name = |name: &String| {
            let stand_in = self.places.iter().find(|place| place.destination.name() == name)?;
            stand_in.destination.takes(signal).then(|| Arc::clone(&stand_in.exporter))
        };
        let mut ways = vec![Arc::clone(&place.exporter)];
        ways.extend(options.failover.iter().filter_map(by_name));
        Setup { ways, concurrency: options.concurrency.max(1), max_request_bytes: options.max_request_bytes }
    }
}

impl Service {
    /// Nobody is told of what is as it was.
    fn update(&self, setup: Setup) {
        self.setup.send_if_modified(|now| {
            let is_new = !now.is_same(&setup);
            if is_new {
                *now = Arc::new(setup);
            }
            is_new
        });
    }
}
