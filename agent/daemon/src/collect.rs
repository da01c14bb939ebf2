//! `hostmend collect --once`: what one collection would send.

#[cfg(test)]
mod names_tests;
mod table;

use std::time::Duration;

use anyhow::Context;
use collectors::{Collection, HostRoot};
use crossbeam_channel::bounded;
use otlp::MetricsEncoder;
use probes::{HttpProbe, ProbeResult, Prober};
use telemetry::{AttributeValue, SampleBuffer, with_causes};

use crate::cli::{CollectArgs, CollectFormat};
use crate::clock;
use crate::config::{self, Config, Names};
use crate::exit::Exit;
use crate::print;

/// What a probe may take beyond its timeout.
const PROBE_MARGIN: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &CollectArgs, log: &str) -> anyhow::Result<Exit> {
    crate::logging::start(log, None)?;
    let config = match &args.config {
        None => Config::default(),
        Some(path) => match config::load_or_report(path)? {
            Some(config) => config,
            None => return Ok(Exit::Errors),
        },
    };
    let host = match &args.root {
        None => HostRoot::at("/"),
        Some(root) if args.captured => HostRoot::captured(root),
        Some(root) => HostRoot::at(root),
    };
    let resource = config.identity.own(&host, None);
    let collect = config.collect;
    let mut collection = Collection::open(host, collect.options.clone(), &|name| collect.wants(name))
        .context("opening the collectors")?;
    let mut buffer = SampleBuffer::default();
    let begun = clock::monotonic();
    let failures = collection.collect(clock::now(), &mut || begun.elapsed(), &mut buffer);
    for failure in failures {
        tracing::warn!(collector = failure.collector, "{}", with_causes(&failure.error));
    }
    ask_probes(config.probes, &mut buffer)?;
    print::out(&match args.format {
        CollectFormat::Table => table::of(&buffer),
        CollectFormat::OtlpJson => otlp_json(&resource, collect.names, &buffer)?,
    })?;
    Ok(Exit::Done)
}

/// One line per request that would be sent: mostly one.
fn otlp_json(
    resource: &[(String, AttributeValue)],
    names: Names,
    buffer: &SampleBuffer,
) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut encoder = MetricsEncoder::new(resource);
    encoder.spell(names.spellings());
    for request in encoder.encode(buffer) {
        text += &otlp::to_json(request.signal, &request.payload).context("reading what was just encoded")?;
        text.push('\n');
    }
    Ok(text)
}

/// Asks every configured service once and appends the answers.
fn ask_probes(services: Vec<(HttpProbe, Duration)>, buffer: &mut SampleBuffer) -> anyhow::Result<()> {
    let count = services.len();
    let Some(patience) = services.iter().map(|(probe, _)| probe.timeout()).max() else { return Ok(()) };
    let (answer, answers) = bounded(count);
    // A second answer finds the channel full, and is not waited for.
    let on_result = move |_: &HttpProbe, _: &ProbeResult| {
        let _ = answer.try_send(());
    };
    let nobody_asks = || ();
    let prober = Prober::start(services, patience, nobody_asks, on_result)?;
    let deadline = clock::monotonic() + patience + PROBE_MARGIN;
    for _ in 0..count {
        if answers.recv_timeout(clock::left(deadline)).is_err() {
            break;
        }
    }
    buffer.host();
    prober.write(buffer);
    Ok(())
}
