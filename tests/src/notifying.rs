//! Others are told of alerts: Debian's Alertmanager, over HTTP and TLS, one of two being down; silences; the records of
//! alerts.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Running, binary, free_port, root, run, skip, stderr, stdout};

const ALERTMANAGER: &str = "/usr/bin/prometheus-alertmanager";
const STARTS_WITHIN: Duration = Duration::from_secs(20);
const ARRIVES_WITHIN: Duration = Duration::from_secs(20);
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// Debian's Alertmanager, and the webhook that it tells in turn.
pub(crate) struct Alertmanager {
    port: u16,
    tls: Option<PathBuf>,
    process: Running,
    _directory: TempDir,
}

impl Alertmanager {
    /// Nothing where it is not installed.
    pub(crate) fn start(tls: bool) -> Option<Self> {
        if !Path::new(ALERTMANAGER).exists() {
            skip("Alertmanager", "prometheus-alertmanager is missing (./test --install)");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("am.yml"), "route: { receiver: none }\nreceivers: [{ name: none }]\n").unwrap();
        let keys = root().join("agent/otlp/testdata/tls");
        let web = format!(
            "tls_server_config: {{ cert_file: {0}/server.pem, key_file: {0}/server.key }}\n",
            keys.display()
        );
        std::fs::write(at("web.yml"), web).unwrap();
        let port = free_port();
        let mut arguments = vec![
            format!("--config.file={}", at("am.yml").display()),
            format!("--storage.path={}", at("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--cluster.listen-address=".to_owned(),
        ];
        arguments.extend(tls.then(|| format!("--web.config.file={}", at("web.yml").display())));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut process = Running::start(Path::new(ALERTMANAGER), &arguments, &[], &at("log"));
        process.wait_for("start", STARTS_WITHIN, |log| log.contains("Listening on").then_some(()));
        Some(Self { port, tls: tls.then_some(keys), process, _directory: directory })
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.port)
    }

    /// The alerts that it has, by name, with their state and when it heard of them last.
    pub(crate) fn alerts(&self) -> Vec<(String, String, String)> {
        let alerts = self.get("/api/v2/alerts");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let alerts = alerts.as_array().unwrap().iter();
        let mut alerts: Vec<_> = alerts
            .map(|alert| {
                (
                    text(&alert["labels"]["alertname"]),
                    text(&alert["status"]["state"]),
                    text(&alert["updatedAt"]),
                )
            })
            .collect();
        alerts.sort();
        alerts
    }

    /// How often it was told of alerts that fire, and of such that are over.
    fn received(&self) -> (u64, u64) {
        let metrics = self.text("/metrics");
        let count = |status: &str| {
            let line = format!("alertmanager_alerts_received_total{{status=\"{status}\",version=\"v2\"}} ");
            let value = metrics.lines().find_map(|found| found.strip_prefix(&line));
            value.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        (count("firing"), count("resolved"))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).unwrap_or_default()
    }

    #[expect(clippy::disallowed_methods, reason = "another program asks the Alertmanager")]
    fn text(&self, path: &str) -> String {
        let mut curl = std::process::Command::new("curl");
        curl.args(["-sS", "--max-time", "10"]).arg(format!("{}{path}", self.url()));
        if let Some(keys) = &self.tls {
            curl.arg("--cacert").arg(keys.join("authority.pem"));
        }
        stdout(&curl.output().unwrap())
    }
}

/// A host with a rule that fires while `fires` is there: a directory that is watched, and a file in it.
struct Host {
    directory: TempDir,
    configuration: PathBuf,
}

impl Host {
    fn new(notify: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let configuration = directory.path().join("hostmend.yaml");
        std::fs::create_dir(directory.path().join("spool")).unwrap();
        let text = format!(
            "state_directory: state\ncollect: {{ interval: 500ms, budget: {{ cpu: 400% }}, directories: [spool] }}\n\
             evaluation_interval: 500ms\nrules: [rules.yaml]\nnotify:\n  external_labels: {{ region: eu }}\n{notify}"
        );
        std::fs::write(&configuration, text).unwrap();
        let rules = "groups:\n- name: g\n  rules:\n  - alert: SpoolFull\n    expr: hostmend_directory_usage_bytes > 50000\n    \
                     labels: { severity: page }\n    annotations: { summary: the spool is full }\n";
        std::fs::write(directory.path().join("rules.yaml"), rules).unwrap();
        Self { directory, configuration }
    }

    fn fill(&self) {
        std::fs::write(self.directory.path().join("spool/job"), vec![1; 100_000]).unwrap();
    }

    fn empty(&self) {
        std::fs::remove_file(self.directory.path().join("spool/job")).unwrap();
    }

    fn start(&self) -> Running {
        let arguments = ["run", "--config", self.configuration.to_str().unwrap()];
        let mut agent = Running::start(binary(), &arguments, &[], &self.directory.path().join("log"));
        agent.wait_for("start", STARTS_WITHIN, |log| log.contains(" running").then_some(()));
        agent
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let mut all = arguments.to_vec();
        all.extend(["--config", self.configuration.to_str().unwrap()]);
        let output = run(&all);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    }
}

fn stop(mut agent: Running) {
    agent.signal(Signal::TERM);
    assert_eq!(agent.ended(STOPS_WITHIN).0.code(), Some(0), "{}", agent.log());
}

fn active(alerts: &[(String, String, String)]) -> Vec<&str> {
    alerts.iter().filter(|(_, state, _)| state == "active").map(|(name, ..)| name.as_str()).collect()
}

#[test]
fn an_alert_arrives_once_though_another_alertmanager_is_down_and_after_a_restart_and_resolves() {
    let Some(alertmanager) = Alertmanager::start(false) else { return };
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let host = Host::new(&format!(
        "  alertmanagers: [{{ name: gone, url: \"http://{gone}\" }}, {{ name: main, url: \"{}\" }}]\n",
        alertmanager.url()
    ));
    host.fill();
    let mut agent = host.start();
    let told = agent.wait_for("alert", ARRIVES_WITHIN, |_| {
        let alerts = alertmanager.alerts();
        (active(&alerts) == ["SpoolFull", "Watchdog"]).then_some(alerts)
    });
    let of_spool = alertmanager.get("/api/v2/alerts?filter=alertname%3DSpoolFull");
    let of_spool = &of_spool[0];
    assert_eq!(of_spool["labels"]["region"], "eu", "{of_spool}");
    assert_eq!(of_spool["annotations"]["summary"], "the spool is full");
    assert!(agent.log().contains("receiver=\"gone\""), "{}", agent.log());
    stop(agent);
    let received = alertmanager.received();

    // What was accepted less than a minute ago is not told again, and the end is told at once.
    let mut agent = host.start();
    agent.wait_for("rounds", ARRIVES_WITHIN, |_| {
        let metrics = host.ask(&["status", "--json"]);
        let status: Value = serde_json::from_str(&metrics).unwrap();
        (status["rules"]["firing"].as_array().unwrap().len() == 1).then_some(())
    });
    assert_eq!(alertmanager.alerts(), told);
    host.empty();
    agent.wait_for("end", ARRIVES_WITHIN, |_| (active(&alertmanager.alerts()) == ["Watchdog"]).then_some(()));
    assert_eq!((alertmanager.received().0, alertmanager.received().1), (received.0, received.1 + 1));
    stop(agent);
    alertmanager.process.signal(Signal::TERM);
}

#[test]
fn an_alertmanager_is_told_over_tls_by_its_authority_and_by_no_other() {
    let Some(alertmanager) = Alertmanager::start(true) else { return };
    let keys = root().join("agent/otlp/testdata/tls");
    let told_by = |authority: &str| {
        format!(
            "  alertmanagers: [{{ name: main, url: \"{}\", tls: {{ ca_file: {}/{authority}.pem }} }}]\n",
            alertmanager.url(),
            keys.display()
        )
    };
    let host = Host::new(&told_by("stranger"));
    let mut agent = host.start();
    agent.wait_for("refusal", ARRIVES_WITHIN, |log| log.contains("UnknownIssuer").then_some(()));
    stop(agent);
    let host = Host::new(&told_by("authority"));
    let mut agent = host.start();
    agent.wait_for("alert", ARRIVES_WITHIN, |_| {
        (active(&alertmanager.alerts()) == ["Watchdog"]).then_some(())
    });
    stop(agent);
}

#[test]
fn what_is_silenced_is_told_to_nobody_until_the_silence_ends_also_after_a_restart() {
    let Some(alertmanager) = Alertmanager::start(false) else { return };
    let host = Host::new(&format!("  alertmanagers: [{{ name: main, url: \"{}\" }}]\n", alertmanager.url()));
    let agent = host.start();
    let added = host.ask(&["silence", "add", "alertname=SpoolFull", "--for", "1h", "--comment", "new disk"]);
    let id = added.split(' ').next().unwrap();
    stop(agent);
    host.fill();
    let mut agent = host.start();
    assert!(host.ask(&["silence", "list"]).contains("alertname=\"SpoolFull\"  by"), "{}", agent.log());
    agent.wait_for("alert", ARRIVES_WITHIN, |log| log.contains("state=firing").then_some(()));
    agent.wait_for("watchdog", ARRIVES_WITHIN, |_| {
        (active(&alertmanager.alerts()) == ["Watchdog"]).then_some(())
    });
    host.ask(&["silence", "expire", id]);
    agent.wait_for("told", ARRIVES_WITHIN, |_| {
        (active(&alertmanager.alerts()) == ["SpoolFull", "Watchdog"]).then_some(())
    });
    let again = run(&["silence", "expire", id, "--config", host.configuration.to_str().unwrap()]);
    assert!(stderr(&again).contains("no silence") && again.status.code() == Some(1), "{}", stderr(&again));
    stop(agent);
}
