//! Rules that people publish, unchanged, on a machine that suffers what they are about.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::machine::Release::Debian13;
use crate::machine::{Machine, Seconds, emulated_story, package, until, within};
use crate::program::root;

const PUBLISHED: [&str; 3] = ["awesome-node-exporter.yml", "node_alerts.yaml", "node_rules.yaml"];

/// Two file systems are full, and one of them can only be read; a unit fails, and another again and again; the
/// processors have more to do than they can. All of it ends by itself.
const SUFFERING: &str = r"
for name in full read-only; do
    truncate -s 32M /var/tmp/$name.img
    mkfs.ext4 -q /var/tmp/$name.img
    mkdir -p /mnt/$name
    mount -o loop /var/tmp/$name.img /mnt/$name
    dd if=/dev/zero of=/mnt/$name/fill bs=1M 2> /dev/null || true
done
mount -o remount,ro /mnt/read-only
cat > /etc/systemd/system/failing.service << 'END'
[Service]
ExecStart=/bin/false
END
cat > /etc/systemd/system/flapping.service << 'END'
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/bin/sh -c 'sleep 1; exit 1'
Restart=always
RestartSec=1
END
systemctl daemon-reload
systemctl start --no-block failing flapping
systemd-run --quiet --unit stress stress-ng --cpu 12 --timeout 600s
";

/// What is about that, and nothing else, by name and the label that tells which one.
const EXPECTED: [(&str, &str, &str); 7] = [
    ("HostOutOfDiskSpace", "mountpoint", "/mnt/full"),
    ("NodeFilesystemAlmostOutOfSpace", "mountpoint", "/mnt/full"),
    ("HostSystemdServiceCrashed", "name", "failing.service"),
    ("NodeSystemdServiceFailed", "name", "failing.service"),
    ("NodeSystemdServiceCrashlooping", "name", "flapping.service"),
    ("HostHighCpuLoad", "", ""),
    ("NodeSystemSaturation", "", ""),
];

type Alerts = BTreeSet<(String, String, String)>;

/// The alerts of a state, by name, mount point and unit.
fn alerts(host: &Machine, state: &str) -> anyhow::Result<Alerts> {
    let asked = format!("ALERTS{{alertstate=~'{state}'}}");
    let answer: Value = serde_json::from_str(&host.does(&["hostmend", "query", "--json", &asked])?)?;
    let samples = answer.pointer("/data/result").or(answer.pointer("/result"));
    let samples = samples.and_then(Value::as_array).context("the answer has a result")?;
    let label = |sample: &Value, name: &str| sample["metric"][name].as_str().unwrap_or_default().to_owned();
    let names = |sample| (label(sample, "alertname"), label(sample, "mountpoint"), label(sample, "name"));
    Ok(samples.iter().map(names).collect())
}

fn missing(found: &Alerts) -> Vec<&'static str> {
    let is_there = |(alert, label, value): &&(&str, &str, &str)| {
        found.iter().any(|(name, mount_point, unit)| {
            let of = if *label == "name" { unit } else { mount_point };
            name == alert && (label.is_empty() || of == value)
        })
    };
    EXPECTED.iter().filter(|expected| !is_there(expected)).map(|(alert, ..)| *alert).collect()
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn published_rules_fire_on_what_they_are_about() {
    emulated_story(&[Debian13], |host| {
        host.install(package())?;
        for name in PUBLISHED {
            let text = std::fs::read_to_string(root().join("agent/promql/tests/rules").join(name))?;
            host.write(&format!("/etc/hostmend/published/{name}"), text)?;
        }
        host.configure("rules")?;
        host.does(&["hostmend", "check"])?;
        host.sh(SUFFERING)?;
        until("every rule that should sees it", within(240.s()), || {
            Ok(missing(&alerts(host, "pending|firing")?).is_empty())
        })
        .with_context(|| format!("missing: {:?}", alerts(host, "pending|firing").map(|it| missing(&it))))?;
        // They wait for minutes to an hour; an alert that has waited longer than a changed `for` fires at once.
        host.sh("sed -i -E 's/^( +for:) .+/\\1 10s/' /etc/hostmend/published/*")?;
        host.does(&["hostmend", "reload", "--wait"])?;
        until("all of them fire", within(60.s()), || Ok(missing(&alerts(host, "firing")?).is_empty()))?;
        let firing = alerts(host, "firing")?;
        let of_read_only = firing.iter().find(|(_, mount_point, _)| mount_point == "/mnt/read-only");
        ensure!(
            of_read_only.is_none(),
            "a file system that cannot be written to is no news: {of_read_only:?}"
        );
        let said = host.journal("hostmend")?;
        ensure!(!said.contains("evaluating rule"), "rules failed: {said}");
        host.does(&["systemctl", "stop", "stress", "flapping"]).map(drop)
    });
}
