//! Entropy of the kernel's pool, from `/proc/sys/kernel/random`. Says 256 of 256 since Linux 5.18, so nobody gets it who
//! does not ask.

use telemetry::SampleBuffer;

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::HostRoot;
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "entropy",
    summary: "Entropy in the kernel's pool; nothing unless its metrics are switched on.",
    metrics: &[&names::ENTROPY_USAGE, &names::ENTROPY_LIMIT],
    interval: None,
    open: |_, options| {
        if SPEC.metrics.iter().any(|metric| options.wants(metric)) {
            Ok(Box::new(Entropy))
        } else {
            Err(CollectError::Absent { what: "entropy that was asked for" })
        }
    },
};

struct Entropy;

impl Collector for Entropy {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        for (metric, path) in [
            (&names::ENTROPY_USAGE, "proc/sys/kernel/random/entropy_avail"),
            (&names::ENTROPY_LIMIT, "proc/sys/kernel/random/poolsize"),
        ] {
            match host.read_optional(path)? {
                Some(file) => out.int(metric, &[], file.first_number("a number")?),
                None => return Err(CollectError::Absent { what: "entropy" }),
            }
        }
        Ok(())
    }
}
