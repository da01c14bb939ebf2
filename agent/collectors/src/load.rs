//! Load averages and the number of threads, from `/proc/loadavg`.

use telemetry::SampleBuffer;

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "load",
    summary: "Load averages over 1, 5 and 15 minutes, and how many threads exist.",
    metrics: &[&names::LOAD_1M, &names::LOAD_5M, &names::LOAD_15M, &names::THREAD_COUNT],
    interval: None,
    open: |_, _| Ok(Box::new(Load)),
};

struct Load;

impl Collector for Load {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let (averages, threads) = parse(&host.read("proc/loadavg")?)?;
        for (metric, average) in
            [&names::LOAD_1M, &names::LOAD_5M, &names::LOAD_15M].into_iter().zip(averages)
        {
            out.double(metric, &[], average);
        }
        out.int(&names::THREAD_COUNT, &[], threads);
        Ok(())
    }
}

/// Parses `0.21 0.37 0.39 1/719 19737`: three averages, then runnable/existing threads.
pub(crate) fn parse(file: &HostFile<'_>) -> Result<([f64; 3], i64), CollectError> {
    let line = file.lines().next().unwrap_or_default();
    let expected = "three load averages and runnable/existing threads";
    let mut fields = line.split_ascii_whitespace();
    let mut next = || file.number(&mut fields, expected, line);
    let averages = [next()?, next()?, next()?];
    let threads = fields
        .next()
        .and_then(|field| field.split_once('/'))
        .and_then(|(_, existing)| existing.parse().ok())
        .ok_or_else(|| file.malformed(expected, line))?;
    Ok((averages, threads))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_file_when_the_kernel_writes_something_else() {
        for text in ["0.21 high 0.39 1/719 19737\n", "0.21 0.37 0.39 719 19737\n", ""] {
            let error = parse(&HostFile::new("/proc/loadavg", text)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "/proc/loadavg: expected three load averages and runnable/existing threads, found {:?}",
                    text.trim_end()
                )
            );
        }
    }
}
