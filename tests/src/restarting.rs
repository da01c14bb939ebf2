//! What a restart does not forget, wanted or not.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Running, binary, run, stdout};

const WITHIN: Duration = Duration::from_secs(20);

const RULES: &str = "groups:
- name: g
  interval: 500ms
  rules:
  - { alert: Fires, expr: vector(1) }
  - { alert: Waits, expr: vector(1), for: 1h }
";

/// An agent and its files.
struct Host {
    agent: Running,
    directory: TempDir,
}

impl Host {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("rules.yaml"), RULES).unwrap();
        let text = "state_directory: state\nrules: [rules.yaml]\ncollect: { interval: 500ms }\n\
                    series: { snapshot_interval: 2s }\n";
        std::fs::write(directory.path().join("hostmend.yaml"), text).unwrap();
        Self { agent: launch(&directory), directory }
    }

    fn again(self) -> Self {
        let Self { agent, directory } = self;
        drop(agent);
        Self { agent: launch(&directory), directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Waits for what the status shows.
    fn shows<T>(&mut self, what: &str, seen: impl Fn(&Value) -> Option<T>) -> T {
        let configuration = self.path("hostmend.yaml");
        self.agent.wait_for(what, WITHIN, |_| {
            let output = run(&["status", "--json", "--config", configuration.to_str().unwrap()]);
            seen(&serde_json::from_str(&stdout(&output)).ok()?)
        })
    }

    /// Waits until both alerts are known and on disk.
    fn knows_its_alerts(&mut self) {
        self.shows("both alerts", |status| {
            let rules = &status["rules"];
            let known = rules["firing"].as_array()?.len() == 1 && rules["pending"] == 1;
            (known && status["kept"][0]["written"].as_u64()? > 0).then_some(())
        });
        let saved = self.path("state/alerts.json");
        self.agent.wait_for("the alerts on disk", WITHIN, |_| {
            let text = std::fs::read_to_string(&saved).ok()?;
            (text.contains("Fires") && text.contains("Waits")).then_some(())
        });
    }

    /// When each alert began, by its name, as it is on disk after a stop.
    fn began(&self) -> Vec<(String, String)> {
        let saved: Value =
            serde_json::from_str(&std::fs::read_to_string(self.path("state/alerts.json")).unwrap()).unwrap();
        let rules = saved["groups"][0]["rules"].as_array().unwrap().iter();
        let alerts =
            rules.map(|rule| (rule["name"].to_string(), rule["active"][0]["alert"]["active_at"].to_string()));
        alerts.collect()
    }
}

fn launch(directory: &TempDir) -> Running {
    let configuration = directory.path().join("hostmend.yaml");
    let arguments = ["run", "--config", configuration.to_str().unwrap()];
    let mut agent = Running::start(binary(), &arguments, &[], &directory.path().join("log"));
    agent.wait_for("start", WITHIN, |log| log.contains("running").then_some(()));
    agent
}

#[test]
fn alerts_go_on_after_a_kill_as_if_nothing_had_happened() {
    let mut host = Host::start();
    host.knows_its_alerts();
    let began = host.began();
    host.agent.signal(Signal::KILL);
    host.agent.ended(WITHIN);

    let mut host = host.again();
    host.shows("rounds", |status| {
        let (rules, evaluated) = (&status["rules"], status["rules"]["evaluations"].as_u64()? > 4);
        (evaluated && rules["firing"].as_array()?.len() == 1 && rules["pending"] == 1).then_some(())
    });
    assert!(host.agent.log().contains("alerts of before the restart go on"), "{}", host.agent.log());
    host.agent.signal(Signal::TERM);
    let (status, _) = host.agent.ended(Duration::from_secs(5));
    assert!(status.success(), "{}", host.agent.log());
    assert!(!host.agent.log().contains("state=firing"), "told anew:\n{}", host.agent.log());
    assert_eq!(host.began(), began);
}

#[test]
fn series_are_there_after_a_stop_without_a_gap_of_what_was_and_after_a_kill_but_for_the_last_moments() {
    let mut host = Host::start();
    let series =
        |status: &Value| Some((status["series"]["kept"].as_u64()?, status["series"]["samples"].as_u64()?));
    // Longer than it takes to see them written a second time.
    let written = |status: &Value| (status["kept"][1]["written"].as_u64()? > 1).then_some(());
    host.shows("series on disk", |status| (series(status)?.1 > 2_000).then_some(()));
    host.agent.signal(Signal::TERM);
    assert!(host.agent.ended(Duration::from_secs(5)).0.success(), "{}", host.agent.log());

    let mut host = host.again();
    assert!(host.agent.log().contains("series of before the restart go on"), "{}", host.agent.log());
    let (_, samples) = host.shows("series", series);
    assert!(samples > 2_000, "{samples}");
    host.shows("series on disk again", written);
    host.agent.signal(Signal::KILL);
    host.agent.ended(WITHIN);

    let mut host = host.again();
    let (_, samples) = host.shows("series", series);
    assert!(samples > 2_000, "{samples}");
    host.agent.signal(Signal::KILL);
    host.agent.ended(WITHIN);
    let file = host.path("state/series.snapshot");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let mut host = host.again();
    host.shows("the damage", |status| (status["kept"][1]["unusable"] == 1).then_some(()));
    assert!(host.path("state/series.snapshot.damaged").exists());
}

#[test]
fn what_cannot_be_used_is_put_aside_and_what_cannot_be_written_harms_nothing() {
    let mut host = Host::start();
    host.knows_its_alerts();
    host.agent.signal(Signal::KILL);
    host.agent.ended(WITHIN);
    let saved = host.path("state/alerts.json");
    std::fs::write(&saved, "{\"version\":1,\"groups\":[{").unwrap();
    let mut host = host.again();
    host.shows("the damage", |status| (status["kept"][0]["unusable"] == 1).then_some(()));
    assert!(host.agent.log().contains("alerts.json.damaged"), "{}", host.agent.log());
    assert_eq!(
        std::fs::read_to_string(host.path("state/alerts.json.damaged")).unwrap(),
        "{\"version\":1,\"groups\":[{"
    );
    host.agent.signal(Signal::KILL);
    host.agent.ended(WITHIN);

    // Nothing can be renamed over a directory with something in it.
    let _ = std::fs::remove_file(&saved);
    std::fs::create_dir_all(saved.join("in the way")).unwrap();
    let mut host = host.again();
    host.shows("the failure", |status| {
        (status["kept"][0]["failed"].as_u64()? > 0 && !status["rules"]["firing"].as_array()?.is_empty())
            .then_some(())
    });
    let page = run(&["status", "--config", host.path("hostmend.yaml").to_str().unwrap()]);
    assert!(stdout(&page).contains("alerts could not be written"), "{}", stdout(&page));
}
