//! What each unit of systemd and each container uses, from its cgroup.
//!
//! Services and scopes, in whatever slice; a container's scope is told of as the container that it is. Counters begin with
//! the cgroup: a unit that is started anew has a new one, so what falls then is a new beginning. What would surprise: a
//! unit whose controllers systemd has not turned on has no figures of them; `systemctl set-property` does.

use crate::cgroup::{Cgroups, Kind};
use crate::collector::CollectorSpec;
use crate::names;

pub(crate) const UNITS: CollectorSpec = CollectorSpec {
    name: "units",
    summary: "CPU, memory, I/O, threads, limits and pressure of each service and scope of systemd.",
    metrics: names::UNIT_METRICS,
    interval: None,
    open: |host, _| Ok(Box::new(Cgroups::open(host, Kind::Units, &names::OF_UNITS)?)),
};

pub(crate) const CONTAINERS: CollectorSpec = CollectorSpec {
    name: "containers",
    summary: "CPU, memory, I/O, threads, limits and pressure of each container.",
    metrics: names::CONTAINER_METRICS,
    interval: None,
    open: |host, _| Ok(Box::new(Cgroups::open(host, Kind::Containers, &names::OF_CONTAINERS)?)),
};
