//! Who has what done by the executor, and what it can do in its sandbox.

use anyhow::{Context, ensure};

use crate::machine::Release::{Debian12, Debian13};
use crate::machine::{Machine, Ran, package, story};

/// Connects to the executor's socket, sends the request, and prints the answer.
const ASK: &str = r#"
use IO::Socket::UNIX;
my $socket = IO::Socket::UNIX->new(Peer => "/run/hostmend/executor.sock") or die "cannot connect: $!\n";
print $socket shift, "\n";
print while <$socket>;
"#;

const RESTART_NGINX: &str = r#"{"action":"unit","verb":"restart","unit":"nginx.service"}"#;

/// Asks the executor for an action, as this user.
pub(super) fn ask(host: &Machine, user: &str, request: &str) -> anyhow::Result<Ran> {
    host.run(&["runuser", "-u", user, "--", "perl", "-e", ASK, request])
}

/// Installs drop-ins that grant the executor groups of actions.
pub(super) fn grant(host: &Machine, groups: &[&str]) -> anyhow::Result<()> {
    for group in groups {
        let from = format!("/usr/share/doc/hostmend/examples/executor-{group}.conf");
        let to = format!("/etc/systemd/system/hostmend-executor.service.d/{group}.conf");
        host.does(&["install", "-D", "-m", "644", &from, &to])?;
    }
    host.does(&["systemctl", "daemon-reload"]).map(drop)
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn another_local_user_cannot_reach_the_executor() {
    story(&[Debian12, Debian13], |host| {
        host.install(package())?;
        host.configure("quick")?;
        for user in ["nobody", "www-data"] {
            let asked = ask(host, user, RESTART_NGINX)?;
            ensure!(asked.stderr.contains("Permission denied"), "{user} got: {asked:?}");
        }
        Ok(())
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn whoever_gets_to_the_socket_without_being_the_agent_is_refused() {
    story(&[Debian12], |host| {
        host.start("nginx")?;
        host.install(package())?;
        host.configure("nginx")?;
        let before = host.main_pid("nginx")?;
        // Root passes the file's mode, not the question who asks.
        let asked = ask(host, "root", RESTART_NGINX)?;
        ensure!(asked.stdout.contains("refused"), "root got: {asked:?}");
        ensure!(host.main_pid("nginx")? == before, "nginx was restarted");
        Ok(())
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn in_its_sandbox_the_executor_can_do_all_that_the_policy_allows() {
    story(&[Debian12, Debian13], |host| {
        host.start("nginx")?;
        host.install(package())?;
        grant(host, &["files", "processes"])?;
        host.configure("actions")?;
        let before = host.main_pid("nginx")?;
        let asked = ask(host, "hostmend", RESTART_NGINX)?;
        ensure!(host.main_pid("nginx")? != before, "nginx was not restarted: {asked:?}");

        // Others' files in others' directories, one of them sticky.
        host.sh("for place in /var/spool/app /home/app; do
                   mkdir $place; touch -d '2 hours ago' $place/old; touch $place/new
                   chown -R www-data $place; chmod 1700 $place
                 done")?;
        for place in ["/var/spool/app", "/home/app"] {
            let request = format!(
                r#"{{"action":"remove_files","selection":{{"under":"{place}","older_than":{{"secs":3600,"nanos":0}},"at_most":1000000}}}}"#
            );
            let asked = ask(host, "hostmend", &request)?;
            let left = host.sh(&format!("ls {place}"))?;
            ensure!(left == "new\n", "left in {place}: {left}{asked:?}");
        }

        host.does(&["systemd-run", "--quiet", "--unit=app", "--uid=www-data", "sleep", "1000"])?;
        let pid = host.main_pid("app")?;
        let fields = host.read(&format!("/proc/{pid}/stat"))?;
        let start = fields.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19));
        let ticks = start.context("field 22 is when the process started")?;
        let request = format!(
            r#"{{"action":"signal_process","process":{{"pid":{pid},"start_ticks":{ticks}}},"signal":"KILL"}}"#
        );
        let asked = ask(host, "hostmend", &request)?;
        ensure!(host.main_pid("app")? == 0, "it still runs: {asked:?}");
        Ok(())
    });
}

#[test]
#[ignore = "boots machines: ./test --system"]
fn in_its_sandbox_the_executor_archives_the_journal_and_gives_files_back_from_quarantine() {
    story(&[Debian12, Debian13], |host| {
        host.sh("mkdir -p /var/log/journal; systemctl restart systemd-journald; journalctl --flush")?;
        host.install(package())?;
        grant(host, &["files"])?;
        // What is deleted of the journal must not tell of a life of the agent that has ended, so its restart comes later.
        let policy = crate::program::root().join("tests/machine/hosts/actions/policy.yaml");
        host.write("/etc/hostmend/policy.yaml", std::fs::read(policy)?)?;
        let archived = || host.sh("find /var/log/journal -name '*@*.journal' | wc -l");
        let asked = ask(host, "hostmend", r#"{"action":"rotate_journal"}"#)?;
        ensure!(archived()? != "0\n", "nothing was archived: {asked:?}");
        let asked = ask(host, "hostmend", r#"{"action":"vacuum_journal","keep":1024}"#)?;
        ensure!(archived()? == "0\n", "archived files are left: {asked:?}");
        host.sh("logger still heard; journalctl --sync; journalctl --quiet | grep -q 'still heard'")?;
        host.configure("actions")?;

        host.sh(
            "mkdir -m 700 /var/spool/kept /var/spool/quarantine; cd /var/spool/kept
                 echo text > old; chmod 640 old; touch -d '2 hours ago' old; touch new; chown -R www-data .",
        )?;
        let before = host.sh("ls -ln --full-time /var/spool/kept")?;
        let asked = ask(
            host,
            "hostmend",
            r#"{"action":"remove_files","selection":{"under":"/var/spool/kept","older_than":{"secs":3600,"nanos":0},"at_most":1000000}}"#,
        )?;
        ensure!(host.sh("ls /var/spool/kept")? == "new\n", "{asked:?}");
        let answer: serde_json::Value = serde_json::from_str(&asked.stdout)?;
        let undo = serde_json::json!({ "action": "undo", "change": answer["Ok"]["change"] });
        let asked = ask(host, "hostmend", &undo.to_string())?;
        let after = host.sh("ls -ln --full-time /var/spool/kept")?;
        ensure!(after == before, "before:\n{before}after:\n{after}{asked:?}");
        Ok(())
    });
}
