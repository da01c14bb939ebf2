//! `dmi`, `entropy`, `filefd`, `os`, `pressure`, `selinux`, `time` and `uname`.

use telemetry::{MetricSpec, Value};

use super::Out;
use super::rows::{counter, from, gauge};
use crate::error::CollectError;
use crate::host::HostRoot;
use crate::sysfs;

const DMI_LABELS: &[&str] = &[
    "bios_date",
    "bios_release",
    "bios_vendor",
    "bios_version",
    "board_asset_tag",
    "board_name",
    "board_serial",
    "board_vendor",
    "board_version",
    "chassis_asset_tag",
    "chassis_serial",
    "chassis_vendor",
    "chassis_version",
    "product_family",
    "product_name",
    "product_serial",
    "product_sku",
    "product_uuid",
    "product_version",
    "system_vendor",
];

pub(super) static DMI: [MetricSpec; 1] = from(
    "/sys/class/dmi/id",
    [gauge(
        "node_dmi_info",
        DMI_LABELS,
        "1, with what the firmware says of the machine; serial numbers to root.",
    )],
);

pub(super) fn dmi(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let file = |label: &str| if label == "system_vendor" { "sys_vendor" } else { label }.to_owned();
    let of = |label: &&str| sysfs::text(host, &format!("sys/class/dmi/id/{}", file(label)));
    let texts: Vec<Option<String>> = DMI_LABELS.iter().map(of).collect();
    if texts.iter().all(Option::is_none) {
        return Err(CollectError::Absent { what: "DMI" });
    }
    let labels: Vec<Value<'_>> =
        texts.iter().map(|text| text.as_deref().map_or(Value::Absent, Value::Str)).collect();
    out.put("node_dmi_info", &labels, 1.0);
    Ok(())
}

pub(super) static ENTROPY: [MetricSpec; 2] = from(
    "/proc/sys/kernel/random",
    [
        gauge("node_entropy_available_bits", &[], "Entropy that the kernel has, in bits."),
        gauge("node_entropy_pool_size_bits", &[], "Entropy that the kernel's pool holds, in bits."),
    ],
);

pub(super) fn entropy(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    for (metric, name) in
        [("node_entropy_available_bits", "entropy_avail"), ("node_entropy_pool_size_bits", "poolsize")]
    {
        let file = host.read(format!("proc/sys/kernel/random/{name}"))?;
        let bits: f64 =
            file.number(&mut std::iter::once(file.text().trim()), "a number of bits", file.text())?;
        out.put(metric, &[], bits);
    }
    Ok(())
}

pub(super) static FILEFD: [MetricSpec; 2] = from(
    "/proc/sys/fs/file-nr",
    [
        gauge("node_filefd_allocated", &[], "Open files of the whole host."),
        gauge("node_filefd_maximum", &[], "Open files that the host may have."),
    ],
);

pub(super) fn filefd(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let file = host.read("proc/sys/fs/file-nr")?;
    let mut fields = file.text().split_ascii_whitespace();
    let mut next = || file.number::<u64>(&mut fields, "three numbers", file.text());
    let (allocated, _free, maximum) = (next()?, next()?, next()?);
    out.put("node_filefd_allocated", &[], allocated as f64);
    out.put("node_filefd_maximum", &[], maximum as f64);
    Ok(())
}

const OS_LABELS: &[&str] = &[
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
];

pub(super) static OS: [MetricSpec; 3] = from(
    "/etc/os-release, else /usr/lib/os-release",
    [
        gauge("node_os_info", OS_LABELS, "1, with what the operating system is called."),
        gauge("node_os_version", &["id", "id_like", "name"], "Its version, as far as that is one number."),
        gauge(
            "node_os_support_end_timestamp_seconds",
            &[],
            "When it is supported no more, in seconds since 1970.",
        ),
    ],
);

pub(super) fn os(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let file = match host.read_optional("etc/os-release")? {
        Some(file) => file,
        None => super::present(host.read_optional("usr/lib/os-release")?, "/etc/os-release")?,
    };
    let get = |label: &str| value_of(file.text(), &label.to_ascii_uppercase()).unwrap_or_default();
    let labels: Vec<Value<'_>> = OS_LABELS.iter().map(|label| Value::Str(get(label))).collect();
    out.put("node_os_info", &labels, 1.0);
    let of_version = ["id", "id_like", "name"].map(get).map(Value::Str);
    out.put("node_os_version", &of_version, leading_number(get("version_id")));
    if let Some(seconds) = value_of(file.text(), "SUPPORT_END").and_then(seconds_of_date) {
        out.put("node_os_support_end_timestamp_seconds", &[], seconds as f64);
    }
    Ok(())
}

/// `os-release(5)`: the last assignment counts; quotes may stand around the value.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let value = text.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?.trim();
    let unquote = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    Some(unquote('"').or_else(|| unquote('\'')).unwrap_or(value))
}

/// `^[0-9]+\.?[0-9]*` of a version; 0 without a number.
fn leading_number(version: &str) -> f64 {
    let whole = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    let fraction = |at: usize| version.get(at + 1..).unwrap_or_default();
    let end = if version.get(whole..).is_some_and(|rest| rest.starts_with('.')) {
        let digits = fraction(whole);
        whole + 1 + digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())
    } else {
        whole
    };
    version.get(..end).and_then(|number| number.parse().ok()).filter(|_| whole > 0).unwrap_or(0.0)
}

/// Midnight at the beginning of a date like `2027-06-30`, in UTC.
fn seconds_of_date(date: &str) -> Option<i64> {
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March, so that the odd day comes last; `days_from_civil` of Howard Hinnant.
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + of_year - 719_468;
    Some(days * 86_400)
}

pub(super) static PRESSURE: [MetricSpec; 6] = from(
    "/proc/pressure",
    [
        counter("node_pressure_cpu_waiting_seconds_total", &[], "Seconds in which tasks waited for a CPU."),
        counter("node_pressure_io_waiting_seconds_total", &[], "Seconds in which tasks waited for I/O."),
        counter("node_pressure_io_stalled_seconds_total", &[], "Seconds in which all tasks waited for I/O."),
        counter(
            "node_pressure_memory_waiting_seconds_total",
            &[],
            "Seconds in which tasks waited for memory.",
        ),
        counter(
            "node_pressure_memory_stalled_seconds_total",
            &[],
            "Seconds in which all tasks waited for memory.",
        ),
        counter(
            "node_pressure_irq_stalled_seconds_total",
            &[],
            "Seconds in which interrupts held up all tasks.",
        ),
    ],
);

const PRESSURE_LINES: [(&str, &str, &str); 6] = [
    ("node_pressure_cpu_waiting_seconds_total", "cpu", "some"),
    ("node_pressure_io_waiting_seconds_total", "io", "some"),
    ("node_pressure_io_stalled_seconds_total", "io", "full"),
    ("node_pressure_memory_waiting_seconds_total", "memory", "some"),
    ("node_pressure_memory_stalled_seconds_total", "memory", "full"),
    ("node_pressure_irq_stalled_seconds_total", "irq", "full"),
];

pub(super) fn pressure(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let mut found = false;
    for (metric, resource, line) in PRESSURE_LINES {
        let Some(file) = host.read_optional(format!("proc/pressure/{resource}"))? else { continue };
        let total = file.lines().find_map(|text| {
            text.strip_prefix(line)?.split_ascii_whitespace().find_map(|f| f.strip_prefix("total="))
        });
        if let Some(total) = total {
            let micros: u64 = file.number(&mut std::iter::once(total), "total= and microseconds", total)?;
            out.put(metric, &[], micros as f64 / 1e6);
            found = true;
        }
    }
    if found { Ok(()) } else { Err(CollectError::Absent { what: "pressure" }) }
}

pub(super) static SELINUX: [MetricSpec; 3] = from(
    "/sys/fs/selinux, /etc/selinux/config",
    [
        gauge("node_selinux_enabled", &[], "Whether SELinux is on."),
        gauge(
            "node_selinux_config_mode",
            &[],
            "Mode by the configuration: 1 enforcing, 0 permissive, -1 disabled.",
        ),
        gauge("node_selinux_current_mode", &[], "Mode in force: 1 enforcing, 0 permissive."),
    ],
);

pub(super) fn selinux(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let Some(mode) = sysfs::number(host, "sys/fs/selinux/enforce") else {
        out.put("node_selinux_enabled", &[], 0.0);
        return Ok(());
    };
    out.put("node_selinux_enabled", &[], 1.0);
    let config = sysfs::text(host, "etc/selinux/config").unwrap_or_default();
    let configured = match value_of(&config, "SELINUX") {
        Some("enforcing") => 1.0,
        Some("permissive") => 0.0,
        _ => -1.0,
    };
    out.put("node_selinux_config_mode", &[], configured);
    out.put("node_selinux_current_mode", &[], mode);
    Ok(())
}

const CLOCK_SOURCE: &[&str] = &["device", "clocksource"];

pub(super) static TIME: [MetricSpec; 3] = from(
    "the clock, /sys/devices/system/clocksource",
    [
        gauge("node_time_seconds", &[], "The time of the collection, in seconds since 1970."),
        gauge(
            "node_time_clocksource_available_info",
            CLOCK_SOURCE,
            "1 for each source that the clock could follow.",
        ),
        gauge("node_time_clocksource_current_info", CLOCK_SOURCE, "1 for the source that the clock follows."),
    ],
);

pub(super) fn time(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    const SOURCES: &str = "sys/devices/system/clocksource";
    let now = out.at().as_secs_f64();
    out.put("node_time_seconds", &[], now);
    for (directory, device) in sysfs::numbered(host, SOURCES, "clocksource") {
        let of = |name: &str| sysfs::text(host, &format!("{SOURCES}/{directory}/{name}")).unwrap_or_default();
        for source in of("available_clocksource").split_ascii_whitespace() {
            let labels = [Value::Str(&device), Value::Str(source)];
            out.put("node_time_clocksource_available_info", &labels, 1.0);
        }
        let labels = [Value::Str(&device), Value::Str(&of("current_clocksource"))];
        out.put("node_time_clocksource_current_info", &labels, 1.0);
    }
    Ok(())
}

pub(super) static UNAME: [MetricSpec; 1] = from(
    "uname(2)",
    [gauge(
        "node_uname_info",
        &["sysname", "release", "version", "machine", "nodename", "domainname"],
        "1, with what the kernel calls itself and the host.",
    )],
);

/// Of a captured host the kernel's own files tell the same.
pub(super) fn uname(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let texts = if host.is_captured() {
        let of = |name: &str| sysfs::text(host, &format!("proc/sys/kernel/{name}"));
        let absent = || CollectError::Absent { what: "uname" };
        let release = of("osrelease").ok_or_else(absent)?;
        let [system, version, machine, node, domain] =
            ["ostype", "version", "arch", "hostname", "domainname"].map(|name| of(name).unwrap_or_default());
        [system, release, version, machine, node, domain]
    } else {
        let uname = rustix::system::uname();
        [
            uname.sysname(),
            uname.release(),
            uname.version(),
            uname.machine(),
            uname.nodename(),
            uname.domainname(),
        ]
        .map(|text| text.to_string_lossy().into_owned())
    };
    out.put("node_uname_info", &texts.each_ref().map(|text| Value::Str(text)), 1.0);
    Ok(())
}

#[cfg(any(test, feature = "fuzz"))]
pub(super) fn parse_as_everything(text: &str) {
    let _ = value_of(text, "ID");
    let _ = leading_number(text);
    let _ = seconds_of_date(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_as_far_as_they_go() {
        for (version, number) in [
            ("12", 12.0),
            ("22.04", 22.04),
            ("20.04.3", 20.04),
            ("3.", 3.0),
            ("sid", 0.0),
            ("", 0.0),
            (".5", 0.0),
        ] {
            assert!((leading_number(version) - number).abs() < 1e-9, "{version}");
        }
    }

    #[test]
    fn the_end_of_support_is_the_beginning_of_its_day() {
        assert_eq!(seconds_of_date("2024-02-29"), Some(1_709_164_800));
        assert_eq!(seconds_of_date("1970-01-01"), Some(0));
        for text in ["2024-13-01", "2024-01", "-1-1-1", "99999999999999999999-1-1", ""] {
            assert_eq!(seconds_of_date(text), None, "{text}");
        }
    }

    #[test]
    fn quotes_around_a_value_are_not_part_of_it() {
        let text = "NAME=\"Debian GNU/Linux\"\nID=debian\nVARIANT='x'\nNAME_=no\n";
        assert_eq!(value_of(text, "NAME"), Some("Debian GNU/Linux"));
        assert_eq!(value_of(text, "ID"), Some("debian"));
        assert_eq!(value_of(text, "VARIANT"), Some("x"));
        assert_eq!(value_of(text, "VERSION"), None);
    }
}
