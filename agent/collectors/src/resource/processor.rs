//! The model of the processors, by the first of them: `host.cpu.*`. Processors that do not know CPUID say nothing here.

use telemetry::AttributeValue;

use super::line;
use crate::host::HostRoot;

pub(super) fn attributes(host: &HostRoot) -> Vec<(&'static str, Option<AttributeValue>)> {
    let file = host.read("proc/cpuinfo").ok();
    let mut found = file.map(|file| parse_cpuinfo(file.text())).unwrap_or_default();
    let cache = line(host, "sys/devices/system/cpu/cpu0/cache/index2/size");
    let cache = cache.and_then(|size| parse_size(&size)).map(AttributeValue::Int);
    found.push(("host.cpu.cache.l2.size", cache));
    found
}

/// Lines `key : value` of the first processor.
pub(crate) fn parse_cpuinfo(text: &str) -> Vec<(&'static str, Option<AttributeValue>)> {
    let first = text.lines().take_while(|line| !line.trim().is_empty());
    let pairs: Vec<(&str, &str)> = first
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    [
        ("host.cpu.vendor.id", "vendor_id"),
        ("host.cpu.family", "cpu family"),
        ("host.cpu.model.id", "model"),
        ("host.cpu.model.name", "model name"),
        ("host.cpu.stepping", "stepping"),
    ]
    .map(|(name, wanted)| {
        let value = pairs.iter().find(|(key, _)| *key == wanted);
        (name, value.map(|(_, value)| AttributeValue::from(*value)))
    })
    .into()
}

/// `1024K` in bytes.
pub(crate) fn parse_size(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)? {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_processor_stands_for_all() {
        let text = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n\
                    model name\t: Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz\nstepping\t: 7\n\n\
                    processor\t: 1\nvendor_id\t: other\n";
        let found: Vec<String> = parse_cpuinfo(text)
            .into_iter()
            .map(|(key, value)| format!("{key}={}", value.unwrap().as_text().unwrap()))
            .collect();
        assert_eq!(
            found,
            [
                "host.cpu.vendor.id=GenuineIntel",
                "host.cpu.family=6",
                "host.cpu.model.id=85",
                "host.cpu.model.name=Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz",
                "host.cpu.stepping=7",
            ]
        );
        let arm = "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\n";
        assert!(parse_cpuinfo(arm).iter().all(|(_, value)| value.is_none()));
    }

    #[test]
    fn sizes_of_caches_are_bytes() {
        for (text, bytes) in
            [("1024K", Some(1 << 20)), ("2M", Some(2 << 20)), ("512", Some(512)), ("K", None), ("9G", None)]
        {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
        assert_eq!(parse_size("9223372036854775807K"), None);
    }
}
