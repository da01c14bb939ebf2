//! Time since boot, from `/proc/uptime` (10 ms resolution; unlike a clock it can be captured in a fixture).

use telemetry::SampleBuffer;

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "uptime",
    summary: "Time since boot.",
    metrics: &[&names::UPTIME],
    interval: None,
    open: |_, _| Ok(Box::new(Uptime)),
};

struct Uptime;

impl Collector for Uptime {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        out.double(&names::UPTIME, &[], seconds(host)?);
        Ok(())
    }
}

/// Seconds since the host was booted, time asleep included.
pub(crate) fn seconds(host: &HostRoot) -> Result<f64, CollectError> {
    parse(&host.read("proc/uptime")?)
}

/// Parses `350735.47 234388.90`, of which the first is the uptime.
pub(crate) fn parse(file: &HostFile<'_>) -> Result<f64, CollectError> {
    file.first_number("seconds since boot and seconds idle")
}
